"""Options of PackNet (Guizilini et al., CVPR 2020), with its supervision by velocity and by measured depth."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from core.options.base import DATASETS, NAMED_CAMERAS, different, option, require
from core.options.mixins import DepthAndPose
from core.options.needs import AugmentationPolicy, Listing, Needs, Preparation
from core.options.option_files import Translation
from core.options.protocols import PROTOCOLS, measuring_names
from core.options.training import criterion_of_mode, method_names

NETWORKS = ("depth", "pose")
# Channels of the first convolution and of the five levels, and features of the 3-D convolutions.
WIDTHS = {
    "packnet01": ((64, 64, 64, 128, 256, 512), 8),
    "packnet_slim01": ((32, 32, 64, 128, 256, 512), 4),
}
RESNETS = {"depth_resnet18": 18, "depth_resnet50": 50, "pose_resnet18": 18, "pose_resnet50": 50}
GROUPS = 16  # of channels, each normalised
SUPERVISIONS = ("none", "velocity", "semi", "full")
SUPERVISED_METHODS = tuple(
    prefix + kind for kind in ("l1", "mse", "abs_rel", "silog", "berhu") for prefix in ("sparse-", "")
)
CALIBRATED = (
    "kitti",
    "kitti_odom",
    "kitti_depth",
)  # readers with calibration files beside nominal intrinsics
# What the authors call the files of depth beside KITTI's images.
DEPTH_FILES = {"velodyne": "proj_depth/velodyne", "groundtruth": "proj_depth/groundtruth"}
NO_EFFECT = "had no effect on anything; leave it out"


def _image_shape(words: list[str]) -> dict[str, Any]:
    numbers = [word.strip("()") for word in words]
    if len(numbers) != 2 or not all(re.fullmatch("[0-9]{1,6}", number) for number in numbers):
        raise ValueError(f"{' '.join(words)[:80]!r} is not a height and a width, pixels")
    return {"height": int(numbers[0]), "width": int(numbers[1])}


def _euler(words: list[str]) -> dict[str, Any]:
    if words != ["euler"]:
        raise ValueError(f"{' '.join(words)[:80]!r} is not euler, the only one that is here")
    return {}


@dataclass
class PackNetOptions(DepthAndPose):
    """PackNet (Guizilini et al. 2020)."""

    MODEL: ClassVar[tuple[str, ...]] = (
        *(
            "depth_network",
            "pose_network",
            "version",
            "dropout",
            "width_divisor",
            "fused_packing",
            "frame_ids",
        ),
        *("supervision", "velocity_loss_weight", "supervised_method", "supervised_num_scales"),
        *(
            "supervised_loss_weight",
            "num_scales",
            "progressive_scaling",
            "flip_lr_prob",
            "upsample_depth_maps",
        ),
        *("ssim_loss_weight", "smooth_loss_weight", "photometric_reduce_op", "clip_loss", "padding_mode"),
        "automask_loss",
    )
    PREDICTION: ClassVar[tuple[str, ...]] = ("fused_packing",)
    SHAPES: ClassVar[Mapping[str, tuple[tuple[int, ...], int]]] = WIDTHS  # of networks that pack
    SMALL: ClassVar[Mapping[str, Any]] = {"height": 64, "width": 96, "width_divisor": 4, "batch_size": 2}
    TRANSLATED: ClassVar[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {
        **DepthAndPose.TRANSLATED,
        "image_shape": _image_shape,
        "rotation_mode": _euler,
    }
    REJECTED: ClassVar[Mapping[str, str]] = {
        "occ_reg_weight": NO_EFFECT,
        "disp_norm": NO_EFFECT,
        "C1": "SSIM has its usual constants, 1e-4 and 9e-4; leave it out",
        "C2": "SSIM has its usual constants, 1e-4 and 9e-4; leave it out",
        "save_top_k": "every epoch's weights stay, and the best as weights_best; leave it out",
    }

    method: str = option("packnet", "which paper", choices=method_names)
    model_name: str = option("packnet", "the run folder is LOG_DIR/MODEL_NAME")
    batch_size: int = option(4, "samples per step, of each process and each accumulated batch")
    num_workers: int = option(4, "threads that load samples; 0 loads in the main thread")
    num_epochs: int = option(50, "passes over the training lists; 0 only writes the initial weights")

    # --- networks ---
    depth_network: str = option(
        "packnet01",
        "the depth network",
        choices=("packnet01", "packnet_slim01", "depth_resnet18", "depth_resnet50"),
    )
    pose_network: str = option(
        "pose_net", "the pose network", choices=("pose_net", "pose_resnet18", "pose_resnet50")
    )
    version: str = option(
        "1A", "of PackNet: the last letter says that skips are concatenated (A) or added (B)"
    )
    dropout: float = option(0.0, "share of the channels of PackNet's shortcuts that are 0 in training")
    width_divisor: int = option(
        1, "divides the channels of PackNet, for trials on small machines: no published network", (1, 2, 4)
    )
    fused_packing: bool = option(
        True, "predict with one convolution in place of two where that is faster (equal but for rounding)"
    )
    weights_init: str = option(
        "pretrained",
        "ImageNet weights in the encoders of ResNets, fetched if they are not there; or none",
        choices=("pretrained", "scratch"),
    )

    # --- supervision ---
    supervision: str = option(
        "none",
        "beside the views: measured speed (velocity; oxts of KITTI raw, poses/ of KITTI odometry, poses of ddad, "
        "poses.txt), measured "
        "depth (semi), or measured depth alone (full); with each of them depth is in metres",
        choices=SUPERVISIONS,
    )
    velocity_loss_weight: float = option(0.1, "weight of the velocity loss")
    supervised_method: str = option(
        "sparse-l1", "how measured disparity teaches; sparse-: where it is known", choices=SUPERVISED_METHODS
    )
    supervised_num_scales: int = option(4, "scales that measured depth teaches", choices=(1, 2, 3, 4))
    supervised_loss_weight: float = option(
        0.9, "weight of the supervised loss, the rest is the views'; 1: as supervision full"
    )

    # --- loss ---
    num_scales: int = option(4, "scales of the loss between the views", choices=(1, 2, 3, 4))
    progressive_scaling: float = option(
        0.0, "share of the epochs after each of which the loss has a scale less; 0: all scales to the end"
    )
    flip_lr_prob: float = option(
        0.5, "probability that a batch is mirrored for the depth network, and its disparity back"
    )
    upsample_depth_maps: bool = option(True, "losses of all scales at full size")
    padding_mode: str = option("zeros", "outside the source views", choices=("zeros", "border"))

    # --- data ---
    crop_train_borders: list[float] | None = option(
        None,
        "what is kept of a training image: top height left width (below 0 from the end, a fraction is a centre), or "
        "rows columns to cut off; none: all",
    )
    crop_eval_borders: list[float] | None = option(None, "the same of a validation image")
    calibration: bool = option(
        True, "KITTI: the intrinsics of its calibration files; off: nominal ones, the same for all"
    )
    train_dataset: list[str] | None = option(
        None, "reader of each training list, or of all; none: dataset", choices=DATASETS
    )
    train_path: list[str] | None = option(
        None, "root folder of each training list, or of all; none: data_path", path=True
    )
    train_split: list[str] | None = option(None, "the training lists; none: split", path=True)
    depth_type: list[str] | None = option(
        None,
        "which measured depth teaches, of each training list: velodyne or groundtruth, files in proj_depth of KITTI "
        "(lines without are left out), or a word of the reader; none: its usual one, of KITTI the projected scan",
    )
    train_cameras: list[str] | None = option(
        None,
        "dataset ddad: the cameras of each training list, or of all, those of one list joined by commas; none: cameras",
    )
    repeat: list[int] = option((1,), "how often each training list comes in an epoch")
    validation_dataset: list[str] | None = option(
        None, "reader of each validation list, or of all; none: dataset", choices=DATASETS
    )
    validation_path: list[str] | None = option(
        None, "root folder of each validation list, or of all; none: data_path", path=True
    )
    validation_split: list[str] | None = option(None, "the validation lists; none: split", path=True)
    validation_depth_type: list[str] | None = option(
        None,
        "which measured depth scores, of each validation list, in the same words; none: its usual one",
    )
    validation_cameras: list[str] | None = option(
        None, "the same as train_cameras, of the validation lists; each camera has its own numbers"
    )
    validation_mode: str = option(
        "depth",
        "the best checkpoint has the least abs_rel, which takes true depth and no neighbours, or the least "
        "photometric loss (photo)",
        choices=("depth", "photo"),
    )
    protocol: str = option(
        "packnet",
        "how depth is measured where it is known, in the log and in validations",
        choices=measuring_names,
    )

    @classmethod
    def translation(cls, content: Mapping[str, Any]) -> Translation | None:
        """The nested YAML of its program, for every method that it has the networks of."""
        from core.options.methods.packnet_tree import translate

        return translate(content)

    # --- what follows from them ---

    @property
    def has_views(self) -> bool:
        """Whether the loss compares views: a pose network and sources are needed."""
        return self.supervised_share < 1

    @property
    def predicts_motion(self) -> bool:
        """Where views are compared."""
        return self.has_views

    @property
    def supervised_share(self) -> float:
        """Weight of the supervised loss; the rest is that of the views."""
        return {"semi": self.supervised_loss_weight, "full": 1.0}.get(self.supervision, 0.0)

    @property
    def jumping_terms(self) -> tuple[str, ...]:
        """berHu: from a threshold c on an error counts again, by its square, so the sum jumps there by c²."""
        berhu = self.supervised_method.endswith("berhu") and self.supervised_share > 0
        return ("supervised",) if berhu else ()

    @property
    def flip_probability(self) -> float:
        """Of a batch for the depth network."""
        return self.flip_lr_prob if self.mirroring else 0.0

    @property
    def concatenate(self) -> bool:
        """Whether skips are concatenated."""
        return self.version.endswith("A")

    @property
    def widths(self) -> tuple[tuple[int, ...], int]:
        """Channels and 3-D features of PackNet."""
        channels, features = self.SHAPES[self.depth_network]
        return tuple(count // self.width_divisor for count in channels), features // self.width_divisor

    @property
    def metres_per_unit(self) -> float | None:
        """1 where anything measured teaches."""
        return None if self.supervision == "none" else 1.0

    @property
    def scaling(self) -> Literal["median", "unit", "none"]:
        """Depth is in metres where anything measured teaches."""
        return "median" if self.supervision == "none" else "unit"

    @property
    def blended_validation(self) -> bool:
        """Their `_pp`, and `_pp_gt` without supervision, decide."""
        return self.validation_mode == "depth"

    def needs(self, part: str) -> Needs:
        """The target, its neighbours where views are compared, and what teaches; the target alone to validate depth."""
        train = part == "train"
        alone = not (self.has_views and (train or self.validation_mode == "photo"))
        cure = "give another list, --validation_mode photo, or --no_validation"
        return Needs(
            frames=(0,) if alone else tuple(self.frames),
            augmented=train,
            motion=train and self.supervision == "velocity",
            depth=train and self.supervised_share > 0,
            truth=cure if self.validation and part == "val" and self.validation_mode == "depth" else "",
            baseline=1.0,
        )

    def preparation(self, part: str) -> Preparation:
        """Cropped; colours always change for training. It is the model that mirrors, a whole batch.

        Where depth alone is validated K is that of the file, cut; where a rule places the prediction in the whole truth
        that is not even cut.
        """
        train = part == "train"
        placed = PROTOCOLS[self.protocol].rule.interpolation == "top_center"
        crop = self.crop_train_borders if train else self.crop_eval_borders
        return Preparation(
            self.height,
            self.width,
            border_crop=tuple(crop or ()),
            mirror="edges",
            augmentation=AugmentationPolicy.jittered(self.jittering) if train else None,
            cut_truth=not placed,
            scale_K=train or self.validation_mode == "photo",
        )

    def listings(self, part: str) -> list[Listing]:
        """Those of a part: what is said once counts for all of its lists."""
        measured = PROTOCOLS[self.protocol].subject
        if part == "train":
            columns: list[Any] = [self.train_dataset, self.train_path, self.train_split, self.depth_type]
            columns += [self.repeat, self.train_cameras]
        else:
            columns = [self.validation_dataset, self.validation_path, self.validation_split]
            columns += [self.validation_depth_type, None, self.validation_cameras]
        defaults = (self.dataset, self.data_path, self.split, None, 1, None)
        rows = broadcast([column or [default] for column, default in zip(columns, defaults, strict=True)])
        usual = measured.truth if part == "val" else None
        return [
            Listing(
                dataset,
                path,
                split,
                depth=depth_of(dataset, depth) or (usual if measured.reader == dataset else None),
                camera=camera,
                repeat=repeat,
                calibration=self.calibration and dataset in CALIBRATED,
                drop_incomplete=True,
            )
            for dataset, path, split, depth, repeat, cameras in rows
            for camera in self._cameras(dataset, cameras)
        ]

    def _cameras(self, dataset: str, joined: str | None) -> list[str | None]:
        """Those of a list."""
        if joined is None or dataset not in NAMED_CAMERAS:
            return self.cameras_of(dataset)
        return [*different([name for name in joined.split(",") if name])] or [None]

    def imagenet(self) -> dict[str, int]:
        """The encoders of those networks that are ResNets."""
        if self.weights_init != "pretrained":
            return {}
        chosen = {"depth": self.depth_network, "pose": self.pose_network}
        return {name: RESNETS[network] for name, network in chosen.items() if network in RESNETS}

    def criterion(self, values: Mapping[str, float]) -> tuple[str, float]:
        """abs_rel, or the photometric loss.

        Raises:
            UserError: the validation has no true depth.
        """
        return criterion_of_mode(self.validation_mode, values)

    def describe(self) -> str:
        """One line, for certificates and logs: the model, its input, its weights."""
        small = f" / {self.width_divisor}" if self.width_divisor > 1 else ""
        version = f" {self.version}" if self.depth_network in self.SHAPES else ""
        pose = f", {self.pose_network}" if self.has_views else ""
        taught = "self-supervised" if self.supervision == "none" else f"supervision {self.supervision}"
        weights = self.load_weights_folder or f"made from seed {self.seed}"
        return (
            f"{self.method}, {self.depth_network}{small}{version}{pose}, {taught}, {self.width}x{self.height}, batch "
            f"{self.batch_size}; weights: {weights}"
        )

    # --- checks ---

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        self._validate_networks()
        self._validate_losses()
        self._validate_data()
        super().validate()

    def _validate_networks(self) -> None:
        require(
            re.fullmatch(".?[AB]", self.version) is not None,
            f"option version: {self.version!r} does not end in A or B, such as 1A",
        )
        require(0 <= self.dropout < 1, f"option dropout: {self.dropout} is not from 0 to below 1")
        if self.depth_network not in self.SHAPES:
            require(self.width_divisor == 1, "option width_divisor: only for PackNet; leave it out")
            require(self.dropout == 0, "option dropout: only for PackNet; leave it out")
            return
        require(
            self.depth_network == "packnet01" or self.concatenate,
            f"options depth_network, version: {self.depth_network} has levels of other widths than their skips, which "
            "cannot be added; use --version 1A",
        )
        narrowest = min(self.widths[0])
        require(
            narrowest % GROUPS == 0,
            f"options depth_network, width_divisor: {narrowest} channels are no multiple of {GROUPS}; use a smaller "
            "--width_divisor",
        )

    def _validate_losses(self) -> None:
        for name in ("velocity_loss_weight", "progressive_scaling"):
            require(getattr(self, name) >= 0, f"option {name}: must not be negative")
        for name in ("flip_lr_prob", "progressive_scaling"):
            require(0 <= getattr(self, name) <= 1, f"option {name}: {getattr(self, name)} is not from 0 to 1")
        require(
            0 < self.supervised_loss_weight <= 1,
            f"option supervised_loss_weight: {self.supervised_loss_weight} is not above 0, up to 1; without measured "
            "depth use --supervision none",
        )
        require(
            self.has_views or self.validation_mode == "depth",
            "option validation_mode: measured depth alone teaches, so no view is compared; use depth",
        )

    def _validate_data(self) -> None:
        for name in ("crop_train_borders", "crop_eval_borders"):
            crop = getattr(self, name)
            require(crop is None or len(crop) in (2, 4), f"option {name}: {crop} are not two or four numbers")
        require(
            all(times >= 1 for times in self.repeat), f"option repeat: {self.repeat} has a number below 1"
        )
        for name, part in (("train_cameras", "train"), ("validation_cameras", "val")):
            named = any(one.dataset in NAMED_CAMERAS for one in self.listings(part))
            require(
                getattr(self, name) is None or named,
                f"option {name}: only for --dataset {' or '.join(NAMED_CAMERAS)}; leave it out",
            )
        dense = self.supervised_method == "silog" and self.supervised_share > 0
        sparse = sorted({one.dataset for one in self.listings("train")} & {*CALIBRATED, *NAMED_CAMERAS})
        require(
            not (dense and sparse),
            f"option supervised_method: silog takes true depth at every pixel, which {''.join(sparse[:1])} has not; "
            "use sparse-silog",
        )


def depth_of(dataset: str, depth: str | None) -> str | None:
    """The reader's word for a depth; None for its usual one."""
    if depth in (None, "none"):
        return None
    return DEPTH_FILES.get(depth, depth) if dataset in ("kitti", "kitti_depth") else depth


def broadcast(columns: list[list[Any]]) -> list[tuple[Any, ...]]:
    """Rows of columns, each of which has one value for all rows, or one for each.

    Raises:
        UserError: two columns have different numbers of values.
    """
    count = max(map(len, columns))
    require(
        all(len(column) in (1, count) for column in columns),
        f"options of several lists: {', '.join(str(len(column)) for column in columns)} values of dataset, path, "
        f"split, depth, repeat and cameras; give one for all lists, or {count}",
    )
    return list(zip(*(column * count if len(column) == 1 else column for column in columns), strict=True))
