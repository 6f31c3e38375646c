"""Options of FeatDepth (Shu et al., ECCV 2020): its autoencoder, and depth from a feature-metric loss."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from core.options.base import KITTI_BASELINE, option, require, require_at_least
from core.options.mixins import ResNetOptions, SigmoidRange, VideoSources
from core.options.needs import AugmentationPolicy, Frame, Listing, Needs, Preparation
from core.options.protocols import measuring_names
from core.options.schedule import linear_warmup, milestones
from core.options.training import continued, method_names

DEPTH = ("encoder", "depth")
POSE = ("pose_encoder", "pose")
EXTRACTOR = ("extractor",)
AUTOENCODER = ("image_encoder", "image_decoder")
NETWORKS = (*DEPTH, *POSE, *EXTRACTOR, *AUTOENCODER)
MODELS = ("mono_fm", "mono_fm_joint", "autoencoder", "baseline")
LAYERS = (18, 34, 50, 101)
# Least sides, multiples of 32, where the coarsest feature has second differences, which take 65 pixels.
LEAST_REGULARISED = 96
DECAY, WARMUP_START = 0.5, 1 / 3  # of the rate, at a milestone and at step 0
UNSAID = (
    "option extractor: mono_fm compares features of a trained autoencoder; give --extractor FOLDER, or "
    "--train_extractor, which learns them beside depth"
)


@dataclass
class FeatDepthOptions(VideoSources, ResNetOptions, SigmoidRange):
    """FeatDepth (Shu et al. 2020)."""

    NETWORKS: ClassVar[tuple[str, ...]] = NETWORKS
    COLLAPSE_CURE: ClassVar[str] = "a lower --learning_rate, --no_automask, or another --seed"
    MODEL: ClassVar[tuple[str, ...]] = (
        *("model", "num_layers", "extractor_layers", "pose_layers", "pose_size", "dropout"),
        *("frame_ids", "use_stereo", "stereo_baseline", "min_depth", "max_depth"),
        *("perception_weight", "smoothness_weight", "dis", "cvt", "automask", "disp_norm"),
        *("train_extractor", "extractor_batch_statistics", "cumulative_target_resize", "grid_align_corners"),
    )
    SMALL: ClassVar[Mapping[str, Any]] = {
        **{"num_layers": 18, "height": 64, "width": 64, "batch_size": 2, "train_extractor": True},
        **{"frame_ids": [0], "use_stereo": True},
    }
    ALIASES: ClassVar[Mapping[str, str]] = {
        "depth_num_layers": "num_layers",
        "pose_num_layers": "pose_layers",
        "extractor_num_layers": "extractor_layers",
        "extractor_pretrained_path": "extractor",
        "disparity_smoothness": "smoothness_weight",  # of their baseline
        "imgs_per_gpu": "batch_size",
        "workers_per_gpu": "num_workers",
        "total_epochs": "num_epochs",
        "load_from": "load_weights_folder",
        "work_dir": "log_dir",
        "gt_depth_path": "ground_truth",
    }
    TRANSLATED: ClassVar[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {"resume_from": continued}
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "corrected": {},
        "official": {
            "cumulative_target_resize": True,
            "jitter_per_frame": True,
            "missing_neighbour": "repeat",
        },
        "today": {
            "cumulative_target_resize": True,
            "jitter_per_frame": True,
            "missing_neighbour": "repeat",
            "grid_align_corners": False,
        },
    }

    method: str = option("featdepth", "which paper", choices=method_names)
    model_name: str = option("featdepth", "the run folder is LOG_DIR/MODEL_NAME")
    height: int = option(320, "height of the network input, a multiple of 32")
    width: int = option(1024, "width of the network input, a multiple of 32")
    batch_size: int = option(2, "samples per step, of each process and each accumulated batch")
    num_workers: int = option(4, "threads that load samples; 0 loads in the main thread")
    num_epochs: int = option(40, "passes over the training list; 0 only writes the initial weights")
    seed: int = option(1024, "of weights, order and augmentation")
    models_to_load: list[str] | None = option(
        None, "which networks to load from it; none: all that the model has", choices=NETWORKS
    )
    compatibility: str = option(
        "corrected",
        "switches as the program had them: with its mistakes mended, as its authors ran it (official), or as the same "
        "program runs on today's PyTorch",
        choices=("corrected", "official", "today"),
    )

    # --- networks ---
    model: str = option(
        "mono_fm",
        "depth from images and features of a trained autoencoder (mono_fm), beside an autoencoder (mono_fm_joint) or "
        "from images alone (baseline); or the autoencoder",
        choices=MODELS,
    )
    num_layers: int = option(50, "layers of the ResNet that depth is decoded from", choices=LAYERS)
    extractor_layers: int | None = option(
        None, "layers of the ResNet whose features are compared; none: num_layers", choices=LAYERS
    )
    pose_layers: int = option(18, "layers of the pose encoder's ResNet", choices=LAYERS)
    pose_size: list[int] = option((192, 640), "height and width of what the pose network sees")
    dropout: float = option(0.5, "share of the coarsest two features that is 0 in training")
    extractor: str | None = option(
        None,
        "mono_fm: weights of a trained autoencoder, whose features are compared and learn no more: a folder or a file",
        path=True,
    )
    train_extractor: bool = option(
        False, "mono_fm: the features that are compared start as the encoders do, and are learned"
    )
    extractor_batch_statistics: bool = option(
        True,
        "mono_fm: a frozen extractor normalises by its batches as published; off: by what it has learned",
    )

    # --- views and loss ---
    use_stereo: bool = option(False, "add the other camera of the stereo pair as a source")
    stereo_baseline: float = option(
        0.015, "what training calls the distance of the stereo cameras (published: EuRoC, ETH3D 0.1)"
    )
    automask: bool | None = option(None, "mask pixels that look still; none: where use_stereo is off")
    disp_norm: bool | None = option(
        None, "smoothness of disparity over its mean; none: where use_stereo is off"
    )
    perception_weight: float = option(1e-3, "weight of the feature-metric loss")
    smoothness_weight: float = option(1e-3, "weight of the smoothness loss")
    dis: float = option(1e-3, "weight of the autoencoder's discriminative loss: large first differences")
    cvt: float = option(1e-3, "weight of the autoencoder's convergent loss: small second differences")
    cumulative_target_resize: bool = option(
        False, "the autoencoder's targets are each resized from the one before; otherwise from the image"
    )
    grid_align_corners: bool = option(True, "warp as PyTorch 1.2 did, without today's half pixel")

    # --- schedule ---
    milestones: list[int] = option((20, 30), "epochs at which the rate is halved")
    warmup_steps: int = option(500, "steps in which the rate rises from a third; 0: none")
    gradient_clip: float | None = option(35.0, "largest norm of all gradients together; none: any")

    # --- data ---
    jitter_per_frame: bool = option(
        False, "colours of each frame change by a draw of its own; otherwise of all frames by one"
    )
    missing_neighbour: str = option(
        "exclude",
        "frames whose neighbours are not there: left out and counted, or the target in place of the neighbour, as "
        "published",
        choices=("exclude", "repeat"),
    )
    validation_split: str | None = option(
        None, "list to validate on: a folder or a file of lines; none: that of split", path=True
    )
    ground_truth: str | None = option(
        None, "gt_depths.npz of the validation list; none: the data set's own depth", path=True
    )
    protocol: str = option(
        "eigen",
        "how depth is measured where it is known, in the log and in validations",
        choices=measuring_names,
    )

    # --- what follows from them ---

    @property
    def has_depth(self) -> bool:
        """Whether the model predicts depth: all but the autoencoder."""
        return self.model != "autoencoder"

    @property
    def has_views(self) -> bool:
        """Whether the loss compares views, likewise."""
        return self.has_depth

    @property
    def has_autoencoder(self) -> bool:
        """Whether one is trained."""
        return self.model in ("autoencoder", "mono_fm_joint")

    @property
    def parts(self) -> tuple[str, ...]:
        """The networks of the model, in the order of the optimiser in the authors' files."""
        pose = POSE if self.has_depth and len(self.frame_ids) > 1 else ()
        return (
            *(DEPTH if self.has_depth else ()),
            *pose,
            *(EXTRACTOR if self.model == "mono_fm" else ()),
            *(AUTOENCODER if self.has_autoencoder else ()),
        )

    @property
    def feature_layers(self) -> int:
        """Of the ResNet whose features are compared, or that images are encoded by."""
        return self.num_layers if self.extractor_layers is None else self.extractor_layers

    @property
    def frames(self) -> list[Frame]:
        """The target 0, the sources in time, and "s" for the other camera."""
        return [*self.frame_ids, *(["s"] if self.use_stereo else [])]

    @property
    def masks(self) -> bool:
        """`automask`, decided."""
        return not self.use_stereo if self.automask is None else self.automask

    @property
    def normalises(self) -> bool:
        """`disp_norm`, decided."""
        return not self.use_stereo if self.disp_norm is None else self.disp_norm

    @property
    def stereo_scale_factor(self) -> float | None:
        """Metres in a unit of depth for a model trained with stereo; None where nobody knows the baseline."""
        known = KITTI_BASELINE if self.baseline is None and self.dataset != "folder" else self.baseline
        return None if known is None else known / self.stereo_baseline

    @property
    def metres_per_unit(self) -> float | None:
        """`stereo_scale_factor` where the other camera teaches."""
        return self.stereo_scale_factor if self.use_stereo and self.has_depth else None

    @property
    def scaling(self) -> Literal["median", "unit", "none"]:
        """Depth is metric wherever the distance of the cameras taught."""
        return "median" if self.metres_per_unit is None else "unit"

    def needs(self, part: str) -> Needs:
        """All frames, both as they are and with other colours for training; of an autoencoder the target as it is."""
        if not self.has_depth:
            return Needs(frames=(0,), augmented=False)
        return Needs(frames=tuple(self.frames), augmented=part == "train", baseline=self.stereo_baseline)

    def preparation(self, part: str) -> Preparation:
        """Mirrored, colours changed; the rows of K scale with the image, and its centre is mirrored with it."""
        policy = AugmentationPolicy(
            mirroring=0.5 if self.mirroring else 0.0,
            jitter=0.5 if self.has_depth else 0.0,
            per_frame=self.jitter_per_frame,
        )
        return Preparation(
            self.height, self.width, mirror="edges", augmentation=policy if part == "train" else None
        )

    def listings(self, part: str) -> list[Listing]:
        """The validation list may be another one, with its own ground truth; incomplete lines are left out."""
        validating = part == "val"
        return [
            replace(
                one,
                split=self.validation_split or one.split if validating else one.split,
                ground_truth=self.ground_truth if validating and self.has_depth else None,
                drop_incomplete=self.missing_neighbour == "exclude",
                repeat_target=self.missing_neighbour == "repeat",
            )
            for one in super().listings(part)
        ]

    def rates(self, step: int, steps_per_epoch: int) -> list[float]:
        """One rate for all parameters, which rises at first."""
        rate = milestones(step, steps_per_epoch, self.learning_rate, self.milestones, DECAY)
        return [rate * linear_warmup(step, self.warmup_steps, WARMUP_START)]

    def imagenet(self) -> dict[str, int]:
        """The encoders that learn."""
        if self.weights_init != "pretrained":
            return {}
        layers = {
            "encoder": self.num_layers,
            "pose_encoder": self.pose_layers,
            "extractor": self.feature_layers,
            "image_encoder": self.feature_layers,
        }
        return {name: count for name, count in layers.items() if name in self.parts}

    def starts(self) -> dict[str, tuple[str, str]]:
        """The extractor is the encoder of a trained autoencoder.

        Raises:
            UserError: nobody says what the extractor is.
        """
        found = super().starts()
        if self.extractor is not None:
            return found | {"extractor": (self.extractor, "image_encoder")}
        said = self.train_extractor or self.perception_weight == 0 or "extractor" in found
        require(self.model != "mono_fm" or said, UNSAID)
        return found

    def describe(self) -> str:
        """One line, for certificates and logs: the model, its input, its weights."""
        pose = f", pose ResNet-{self.pose_layers}" if "pose" in self.parts else ""
        views = f", frames {' '.join(map(str, self.frames))}" if self.has_depth else ""
        layers = self.num_layers if self.has_depth else self.feature_layers
        weights = self.load_weights_folder or f"made from seed {self.seed}"
        return (
            f"{self.method} {self.model}, ResNet-{layers}{pose}{views}, {self.width}x{self.height}, batch "
            f"{self.batch_size}, {self.compatibility}; weights: {weights}"
        )

    # --- checks ---

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require_at_least(self, 0, "warmup_steps")
        for name in ("perception_weight", "smoothness_weight", "dis", "cvt"):
            require(getattr(self, name) >= 0, f"option {name}: must not be negative")
        require(0 <= self.dropout < 1, f"option dropout: {self.dropout} is not from 0 to below 1")
        require(self.stereo_baseline > 0, f"option stereo_baseline: {self.stereo_baseline} must be above 0")
        clip = self.gradient_clip
        require(clip is None or clip > 0, f"option gradient_clip: {clip} must be above 0; none: no limit")
        require(
            all(epoch >= 1 for epoch in self.milestones),
            f"option milestones: {self.milestones} has an epoch below 1",
        )
        require(
            len(self.pose_size) == 2 and all(32 <= side <= 4096 for side in self.pose_size),
            f"option pose_size: {self.pose_size} are not a height and a width from 32 to 4096",
        )
        require(
            not self.has_autoencoder or min(self.height, self.width) >= LEAST_REGULARISED,
            f"options height, width: {self.height} x {self.width}: an autoencoder's coarsest feature has no second "
            f"differences; take {LEAST_REGULARISED} or more on each side",
        )
        self._validate_extractor()

    def _validate_extractor(self) -> None:
        given = {"extractor": self.extractor is not None, "train_extractor": self.train_extractor}
        for name, there in given.items():
            require(
                not there or self.model == "mono_fm",
                f"option {name}: {self.model} has no extractor; leave it out, or use --model mono_fm",
            )
        require(
            not all(given.values()),
            "options extractor, train_extractor: what is taken from a file learns no more; leave out one of the two",
        )
