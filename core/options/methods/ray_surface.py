"""Options of neural ray surfaces (Vasiljevic et al., 3DV 2020): depth, motion and the camera's rays from video."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from core.options.base import DATASETS, option, require, require_at_least
from core.options.cameras import CAMERAS, require_camera
from core.options.mixins import DepthAndPose, KnownPoses
from core.options.needs import AugmentationPolicy, Listing, Needs, Preparation
from core.options.option_files import Translation
from core.options.schedule import falling_temperature, ray_coefficient
from core.options.training import criterion_of_mode, method_names

LAYERS = (18, 34, 50)
# Where the softmax's width follows from the template: this times the angle between neighbouring rays.
SPACINGS = 0.6
NO_EFFECT = "had no effect on anything; leave it out"
NO_FLIP = "a mirrored image belongs to another camera, so nothing is mirrored, as in the published program"


@dataclass
class RaySurfaceOptions(DepthAndPose, KnownPoses):
    """Neural ray surfaces (Vasiljevic et al. 2020)."""

    MODEL: ClassVar[tuple[str, ...]] = (
        *("num_layers", "pose_num_layers", "frame_ids", "known_poses"),
        *("template", "resize_template", "patch_side"),
        *("projection_downsample", "projection", "projection_chunk", "renormalise_rays", "mask_unseen"),
        *("start_temperature", "min_temperature", "temperature_decay", "temperature_progress"),
        *("learn_rays", "ray_residual", "ray_ramp", "ray_ramp_epochs", "ray_coefficient", "range_as_depth"),
        *("num_scales", "ssim_loss_weight", "smooth_loss_weight", "photometric_reduce_op", "clip_loss"),
        *("padding_mode", "automask_loss"),
    )
    PREDICTION: ClassVar[tuple[str, ...]] = (
        *("template", "resize_template", "ray_coefficient", "range_as_depth"),
    )
    SMALL: ClassVar[Mapping[str, Any]] = {
        **{"height": 64, "width": 64, "batch_size": 2, "template": ["dummy"], "patch_side": 4},
        **{"num_scales": 2, "projection_chunk": 9},
    }
    REJECTED: ClassVar[Mapping[str, str]] = {
        "occ_reg_weight": NO_EFFECT,
        "disp_norm": NO_EFFECT,
        "progressive_scaling": NO_EFFECT,
        "flip_lr_prob": f"{NO_FLIP}; leave it out",
    }

    method: str = option("ray_surface", "which paper", choices=method_names)
    model_name: str = option("ray_surface", "the run folder is LOG_DIR/MODEL_NAME")
    height: int = option(384, "height of the network input, a multiple of 32")
    width: int = option(384, "width of the network input, a multiple of 32")
    batch_size: int = option(1, "samples per step, of each process and each accumulated batch")
    num_workers: int = option(4, "threads that load samples; 0 loads in the main thread")
    num_epochs: int = option(50, "passes over the training lists; 0 only writes the initial weights")
    mirroring: bool = option(False, f"must stay off: {NO_FLIP}")

    # --- networks ---
    num_layers: int = option(18, "layers of the ResNet of depth and rays", choices=LAYERS)
    pose_num_layers: int = option(18, "layers of the ResNet of the pose network", choices=LAYERS)
    weights_init: str = option(
        "pretrained",
        "ImageNet weights in the encoders, fetched if they are not there; or none",
        choices=("pretrained", "scratch"),
    )

    # --- rays ---
    template: list[str] | None = option(
        None,
        "the viewing rays that training starts from: a file of make_rays.py for images of this size, or a camera model "
        "and its numbers in pixels of them, as make_rays.py has them; dummy: a guess for an unknown camera",
    )
    resize_template: bool = option(False, "bring a file of rays for another size to this one")
    learn_rays: bool = option(True, "add to the template what the network finds; off: it is the camera")
    ray_residual: str = option(
        "per_image",
        "what the network finds counts for its image alone, as published, or, as one camera has one surface, the mean "
        "counts for all (shared): in training that of the batch, afterwards a running mean",
        choices=("per_image", "shared"),
    )
    ray_ramp: str = option(
        "published",
        "how fast that grows over the training: as in the published program, whole after a third, or linear",
        choices=("published", "linear"),
    )
    ray_ramp_epochs: float = option(10, "epochs of a linear ramp")
    ray_coefficient: float | None = option(
        None, "what is found counts so much, from 0 to 1, throughout; none: by ray_ramp"
    )

    # --- projection ---
    projection: str = option(
        "soft",
        "the pixel whose ray points at a point: soft, a softmax over a window, or refined by Gauss-Newton steps",
        choices=("soft", "refined"),
    )
    patch_side: int = option(20, "radius of the window, in pixels of half size")
    projection_downsample: bool = option(True, "search at half size")
    projection_chunk: int = option(1, "rows of the windows at a time: more is faster and takes more memory")
    renormalise_rays: bool = option(False, "rays of half size are made unit again")
    mask_unseen: bool = option(False, "what no ray points at counts in no loss")
    start_temperature: float = option(1e-4, "of the softmax, squared radians, at the beginning")
    min_temperature: float = option(1e-8, "of the softmax, the least")
    temperature_decay: float = option(0.1, "it is multiplied by exp(-temperature_decay) by the end")
    temperature_progress: str = option(
        "spacing",
        "how it falls: with the fraction of the training, as published; with the percents; or not at all (spacing): "
        "then it follows from the angle between the template's rays",
        choices=("fraction", "percent", "spacing"),
    )
    range_as_depth: bool = option(
        False,
        "score range, along the ray, as if it were depth, along the axis, as the published program does",
    )

    # --- loss ---
    num_scales: int = option(4, "scales of the loss", choices=(1, 2, 3, 4))
    upsample_depth_maps: bool = option(True, "must stay on: rays exist at full size alone")
    padding_mode: str = option(
        "zeros", "outside the source views; soft projections never leave them", choices=("zeros", "border")
    )

    # --- data ---
    crop_train_borders: list[float] | None = option(
        None, "what is kept of an image: top height left width, or rows columns to cut off; none: all"
    )
    validation_dataset: str | None = option(
        None, "reader of the validation list; none: dataset", choices=DATASETS
    )
    validation_path: str | None = option(
        None, "root folder of the validation list; none: data_path", path=True
    )
    validation_split: str | None = option(None, "the validation list; none: split", path=True)
    validation_mode: str = option(
        "photo",
        "the best checkpoint has the least loss of held-out frames, or the least abs_rel (depth)",
        choices=("photo", "depth"),
    )

    @classmethod
    def translation(cls, content: Mapping[str, Any]) -> Translation | None:
        """The nested YAML of its program, for every method that it has the networks of."""
        from core.options.methods.packnet_tree import translate

        return translate(content)

    # --- what follows from them ---

    def coefficient(self, progress: float) -> float:
        """What is added to the template counts so much at a progress of the training in [0, 1]."""
        if not self.learn_rays:
            return 0.0
        if self.ray_coefficient is not None:
            return self.ray_coefficient
        epochs = self.ray_ramp_epochs if self.ray_ramp == "linear" else None
        return ray_coefficient(progress, epochs, max(self.num_epochs, 1))

    def temperature(self, progress: float, spacing: float) -> float:
        """Of the softmax, squared radians.

        Args:
            progress: of the training, in [0, 1].
            spacing: radians between the template's neighbouring rays where the search takes place.
        """
        if self.temperature_progress == "spacing":
            return max((SPACINGS * spacing) ** 2, self.min_temperature)
        done = 100 * progress if self.temperature_progress == "percent" else progress
        return falling_temperature(done, self.start_temperature, self.min_temperature, self.temperature_decay)

    @property
    def predicts_motion(self) -> bool:
        """Where it is not known."""
        return not self.known_poses

    @property
    def metres_per_unit(self) -> float | None:
        """1 where the motion is known."""
        return 1.0 if self.known_poses else None

    @property
    def scaling(self) -> Literal["median", "unit", "none"]:
        """Depth is in metres where the motion is known."""
        return "unit" if self.known_poses else "median"

    def needs(self, part: str) -> Needs:
        """The target and its neighbours, and the motion where it is known; no intrinsics."""
        return Needs(
            frames=tuple(self.frames),
            augmented=part == "train",
            intrinsics=False,
            motion=self.known_poses,
            baseline=1.0,
        )

    def preparation(self, part: str) -> Preparation:
        """Cropped alike in training and after it, for the rays are those of the crop; never mirrored."""
        return Preparation(
            self.height,
            self.width,
            border_crop=tuple(self.crop_train_borders or ()),
            augmentation=AugmentationPolicy.jittered(self.jittering) if part == "train" else None,
        )

    def listings(self, part: str) -> list[Listing]:
        """Lines without neighbours are left out and counted."""
        dataset, path, split = self.dataset, self.data_path, self.split
        if part == "val":
            dataset = self.validation_dataset or dataset
            path, split = self.validation_path or path, self.validation_split or split
        return [
            Listing(dataset, path, split, camera=camera, drop_incomplete=True)
            for camera in self.cameras_of(dataset)
        ]

    def imagenet(self) -> dict[str, int]:
        """The encoders."""
        if self.weights_init != "pretrained":
            return {}
        return {"depth": self.num_layers} | ({} if self.known_poses else {"pose": self.pose_num_layers})

    def criterion(self, values: Mapping[str, float]) -> tuple[str, float]:
        """The loss of held-out frames, or abs_rel.

        Raises:
            UserError: the validation has no true depth.
        """
        if self.validation_mode == "photo":
            return "loss", values["loss"]
        return criterion_of_mode(self.validation_mode, values)

    def describe(self) -> str:
        """One line, for certificates and logs: the model, its input, its weights."""
        weights = self.load_weights_folder or f"made from seed {self.seed}"
        template = " ".join(self.template or ()) or "that of the weights"
        rays = "learnt from" if self.learn_rays else "known:"
        pose = "known" if self.known_poses else f"ResNet-{self.pose_num_layers}"
        return (
            f"{self.method}, ResNet-{self.num_layers}, pose {pose}, rays {rays} {template}, "
            f"{self.projection} projection, {self.width}x{self.height}, batch {self.batch_size}; weights: {weights}"
        )

    # --- checks ---

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together.

        A template may be absent here: files of weights may have it.
        """
        require_at_least(self, 1, "patch_side", "projection_chunk")
        if self.template and self.template[0] in CAMERAS:
            require_camera(self.template[0], len(self.template) - 1, "option template")
        require(not self.mirroring, f"option mirroring: {NO_FLIP}; leave it out")
        require(
            self.upsample_depth_maps,
            "option upsample_depth_maps: rays exist at full size alone, and so must depth; leave it on",
        )
        self._validate_rays()
        crop = self.crop_train_borders
        require(
            crop is None or len(crop) in (2, 4),
            f"option crop_train_borders: {crop} are not two or four numbers",
        )
        super().validate()

    def _validate_rays(self) -> None:
        for name in ("start_temperature", "min_temperature"):
            require(getattr(self, name) > 0, f"option {name}: must be above 0")
        for name in ("temperature_decay", "ray_ramp_epochs"):
            require(getattr(self, name) >= 0, f"option {name}: must not be negative")
        value = self.ray_coefficient
        require(
            value is None or 0 <= value <= 1, f"option ray_coefficient: {value} is not from 0 to 1, or none"
        )
        require(
            self.learn_rays or self.ray_residual == "per_image",
            "options learn_rays, ray_residual: without learn_rays nothing is added to the template; leave out one",
        )
        require(
            self.learn_rays or not value,
            "options learn_rays, ray_coefficient: without learn_rays nothing is added to the template; leave out one",
        )
