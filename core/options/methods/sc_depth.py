"""Options of SC-Depth (Bian et al., NeurIPS 2019 and IJCV 2021), version 1."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.options.base import RESNET_LAYERS, option, require, require_at_least
from core.options.mixins import ResNetOptions, VideoSources
from core.options.needs import AugmentationPolicy, Frame, Listing, Needs, Order, Preparation
from core.options.protocols import PROTOCOLS, measuring_names
from core.options.training import criterion_of_mode, method_names, one_gpu

NETWORKS = ("encoder", "depth", "pose_encoder", "pose")
LARGEST_ZOOM = 1.15
LONGEST = 99  # frames of a sequence
SCENES = ("kitti", "ddad", "nyu", "bonn", "tum", "scannet")
# Height, width and frame step of the official program for each of its data sets.
SIZES = {
    "kitti": (256, 832, 1),
    "ddad": (384, 640, 1),
    "nyu": (256, 320, 1),
    "bonn": (256, 320, 10),
    "tum": (256, 320, 10),
    "scannet": (256, 320, 1),
}
LATER = "belongs to versions 2 and 3; this is version 1: leave it out"


def _one(words: list[str]) -> str:
    """The only word."""
    if len(words) != 1:
        raise ValueError(f"{' '.join(words)[:80]!r} is not one word")
    return words[0]


def _whole(word: str) -> int:
    """`-1` → -1."""
    if not re.fullmatch(r"[+-]?[0-9]{1,6}", word):
        raise ValueError(f"{word[:80]!r} is no whole number of a frame")
    return int(word)


def _layers(words: list[str]) -> int:
    """`resnet50` → 50."""
    word = _one(words)
    layers = word.removeprefix("resnet")
    if not layers.isdigit() or int(layers) not in RESNET_LAYERS:
        known = ", ".join(f"resnet{layers}" for layers in RESNET_LAYERS)
        raise ValueError(f"{word!r} is none of {known}")
    return int(layers)


def _truth(words: list[str]) -> bool:
    """`False` → False; nothing → True."""
    found = {"true": True, "false": False, "1": True, "0": False}.get((words or ["true"])[0].lower())
    if found is None or len(words) > 1:
        raise ValueError(f"{' '.join(words)!r} is neither True nor False")
    return found


def _depth_layers(words: list[str]) -> dict[str, Any]:
    return {"num_layers": _layers(words)}


def _pose_layers(words: list[str]) -> dict[str, Any]:
    return {"pose_layers": _layers(words)}


def _sources(words: list[str]) -> dict[str, Any]:
    return {"frame_ids": [0, *map(_whole, words)]}


def _start(words: list[str]) -> str:
    """Of an encoder."""
    return "pretrained" if _truth(words) else "scratch"


def _version(words: list[str]) -> dict[str, Any]:
    if words != ["v1"]:
        raise ValueError(f"{' '.join(words)!r} is not v1, the only version that is here")
    return {}


def _data_set(words: list[str]) -> dict[str, Any]:
    name = _one(words)
    if name not in SIZES:
        raise ValueError(f"{name!r} is none of {', '.join(SIZES)}")
    height, width, step = SIZES[name]
    protocol = {} if name == "kitti" else {"protocol": f"sc_depth_{name}"}
    return {
        "dataset": "scenes",
        "scenes": name,
        "height": height,
        "width": width,
        "frame_step": step,
        **protocol,
    }


def _offsets(words: list[str]) -> list[int]:
    """The frames of a sequence of so many: 3 → 0 -1 1."""
    length = _whole(_one(words))
    if not 3 <= length <= LONGEST or length % 2 == 0:
        raise ValueError(f"'{length}' is no odd number from 3 to {LONGEST}")
    half = length // 2
    return [0, *range(-half, 0), *range(1, half + 1)]


@dataclass
class SCDepthOptions(VideoSources, ResNetOptions):
    """SC-Depth (Bian et al. 2019, 2021)."""

    NETWORKS: ClassVar[tuple[str, ...]] = NETWORKS
    COLLAPSE_CURE: ClassVar[str] = "a lower --learning_rate, or another --seed"
    MODEL: ClassVar[tuple[str, ...]] = (
        *("num_layers", "pose_layers", "frame_ids", "frame_step"),
        *("photometric_weight", "geometry_weight", "smoothness_weight"),
        *("ssim", "auto_mask", "self_discovered_mask", "minimum", "behind_camera", "outside", "detach_mask"),
        *("align_corners", "minimum_over", "depth_range_mask", "reverse_pair"),
        *("projection_epsilon", "difference_epsilon"),
    )
    SMALL: ClassVar[Mapping[str, Any]] = {"height": 64, "width": 64, "batch_size": 1, "steps_per_epoch": 2}
    # The official program's names, and those of the unofficial one for KITTI.
    ALIASES: ClassVar[Mapping[str, str]] = {
        "lr": "learning_rate",
        "epochs": "num_epochs",
        "epoch_size": "steps_per_epoch",
        "photo_weight": "photometric_weight",
        "smooth_weight": "smoothness_weight",
        "dynamic_mask": "self_discovered_mask",
        "min_optimize": "minimum",
        "val_mode": "validation_mode",
        "skip_frames": "frame_step",
        "resnet_layers": "num_layers",
        "exp_name": "model_name",
        "dataset_dir": "data_path",
        "kitti_dir": "data_path",
        "train_split": "split",
        "val_split": "validation_split",
        "gt_path": "ground_truth",
        "ckpt": "load_weights_folder",
        "ckpt_path": "load_weights_folder",
        "checkpoint": "load_weights_folder",
    }
    TRANSLATED: ClassVar[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {
        "dataset_name": _data_set,
        "model_version": _version,
        "depth_encode": _depth_layers,
        "depth_encoder": _depth_layers,
        "pose_encode": _pose_layers,
        "pose_encoder": _pose_layers,
        "depth_encode_pretrained": lambda words: {"depth_weights_init": _start(words)},
        "pose_encode_pretrained": lambda words: {"pose_weights_init": _start(words)},
        "pretrained": lambda words: {"weights_init": _start(words)},
        "ref_ids": _sources,
        "sources": _sources,
        "sequence_length": lambda words: {"frame_ids": _offsets(words)},
        "devices": one_gpu,
        "cuda": lambda words: {} if _truth(words) else {"device": "cpu"},  # whatever devices says
    }
    REJECTED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            *("rot_t_weight", "rot_c_weight"),
            *("mask_rank_weight", "normal_matching_weight", "normal_rank_weight"),
        ),
        LATER,
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "corrected": {},
        "official": {"behind_camera": "keep"},
        "release2021": {
            "behind_camera": "clamp",
            "outside": "far",
            "detach_mask": False,
            "geometry_weight": 0.5,
            "protocol": "sc_depth_release2021",
        },
        "seed": {
            "behind_camera": "keep",
            "projection_epsilon": 1e-6,
            "difference_epsilon": 1e-6,
            "depth_range_mask": True,
            "reverse_pair": "depth",
            "resize": "pil",
            "num_epochs": 200,
            "protocol": "sc_depth_seed",
        },
    }

    method: str = option("sc_depth", "which paper", choices=method_names)
    model_name: str = option("sc_depth", "the run folder is LOG_DIR/MODEL_NAME")
    height: int = option(256, "height of the network input, a multiple of 32")
    width: int = option(832, "width of the network input, a multiple of 32")
    batch_size: int = option(4, "samples per step, of each process and each accumulated batch")
    num_workers: int = option(4, "threads that load samples; 0 loads in the main thread")
    num_epochs: int = option(100, "epochs of steps_per_epoch steps; 0 only writes the initial weights")
    steps_per_epoch: int = option(1000, "steps of an epoch, its samples drawn with replacement")
    protocol: str = option(
        "sc_depth",
        "how depth is measured where it is known, in the log and in validations",
        choices=measuring_names,
    )
    models_to_load: list[str] = option(NETWORKS, "which networks to load from it", choices=NETWORKS)
    compatibility: str = option(
        "corrected",
        "switches as a program had them: official formulas with points behind the camera dropped, the official last "
        "state, its release of 2021, or the unofficial program for KITTI, mistakes included",
        choices=("corrected", "official", "release2021", "seed"),
    )
    pose_layers: int = option(18, "layers of the pose encoder's ResNet", choices=RESNET_LAYERS)
    depth_weights_init: str | None = option(
        None, "of the depth encoder; none: as weights_init", choices=("pretrained", "scratch")
    )
    pose_weights_init: str | None = option(
        None, "of the pose encoder; none: as weights_init", choices=("pretrained", "scratch")
    )
    frame_step: int = option(1, "multiplies the offsets of frame_ids")
    validation_mode: str = option(
        "depth",
        "the best checkpoint has the least abs_rel, which takes true depth, or the least photometric loss (photo)",
        choices=("depth", "photo"),
    )
    validation_split: str | None = option(
        None, "list to validate on: a folder or a file of lines; none: that of split", path=True
    )
    ground_truth: str | None = option(
        None, "gt_depths.npz of the validation list; none: the data set's own depth", path=True
    )
    scenes: str = option("kitti", "dataset scenes: whose depth files they are", choices=SCENES)
    use_frame_index: bool = option(False, "dataset scenes: only the frames in frame_index.txt")
    calibration: bool = option(
        False, "KITTI raw: the intrinsics of its calibration files, not the same for all"
    )
    resize: str = option(
        "opencv", "bilinear on float32, or Pillow's on bytes with antialiasing", choices=("opencv", "pil")
    )
    photometric_weight: float = option(1.0, "weight of the photometric loss")
    geometry_weight: float = option(0.1, "weight of the geometry consistency loss (papers: 0.5)")
    smoothness_weight: float = option(0.1, "weight of the smoothness loss")
    ssim: bool = option(True, "photometric error with SSIM; otherwise L1 alone")
    auto_mask: bool = option(True, "mask pixels that look still")
    self_discovered_mask: bool = option(
        True, "pixels whose two depths disagree count less in the photometric loss"
    )
    minimum: bool = option(True, "per pixel the view that fits best; otherwise the mean over all")
    minimum_over: str = option(
        "all",
        "the minimum over the views in both directions, or over those in the target's plane",
        choices=("all", "target"),
    )
    behind_camera: str = option(
        "drop",
        "points behind the camera: not valid, mirrored as published, or put just before it",
        choices=("drop", "keep", "clamp"),
    )
    outside: str = option(
        "keep",
        "points beyond the border: half of their sample may be the border's, or far away",
        choices=("keep", "far"),
    )
    detach_mask: bool = option(True, "no gradient through the self-discovered mask")
    align_corners: bool = option(False, "warp without the published half pixel's contradiction")
    depth_range_mask: bool = option(False, "only depths between 0.01 and 100 are valid")
    reverse_pair: str = option(
        "image",
        "what is warped into the source's view: the target's image, or by mistake its depth",
        choices=("image", "depth"),
    )
    projection_epsilon: float = option(1e-7, "added to the depth that a projection divides by")
    difference_epsilon: float = option(0.0, "added to what the relative depth difference is divided by")

    @property
    def frames(self) -> list[Frame]:
        """The target 0 and the sources."""
        return [self.frame_step * offset for offset in self.frame_ids]

    @property
    def largest_depth(self) -> float | None:
        """Where the sigmoid is 0."""
        return 100.0

    def needs(self, part: str) -> Needs:
        """All frames as they are; the target alone where only its depth is measured."""
        alone = part == "val" and self.validation_mode == "depth"
        cure = "give --ground_truth FILE, another list, or --validation_mode photo" if alone else ""
        return Needs(frames=(0,) if alone else tuple(self.frames), augmented=False, truth=cure)

    def preparation(self, part: str) -> Preparation:
        """Mirrored and zoomed for training; no colours change."""
        policy = AugmentationPolicy(mirroring=0.5 if self.mirroring else 0.0, jitter=0.0)
        random = part == "train"
        return Preparation(
            self.height,
            self.width,
            filter="float_bilinear" if self.resize == "opencv" else "bilinear",
            mirror="edges",
            zoom=LARGEST_ZOOM if random else 1.0,
            augmentation=policy if random else None,
        )

    def listings(self, part: str) -> list[Listing]:
        """The validation list may be another one, with its own ground truth."""
        validating = part == "val"
        return [
            Listing(
                self.dataset,
                self.data_path,
                self.validation_split or self.split if validating else self.split,
                depth=self.scenes if self.dataset == "scenes" else None,
                ground_truth=self.ground_truth if validating else None,
                calibration=self.calibration,
                frame_index=self.use_frame_index,
                camera=camera,
            )
            for camera in self.cameras_of(self.dataset)
        ]

    def order(self) -> Order:
        """Drawn with replacement."""
        return Order(replacement=True, steps=self.steps_per_epoch)

    def rates(self, step: int, steps_per_epoch: int) -> list[float]:
        """One rate for depth and pose, always."""
        return [self.learning_rate, self.learning_rate]

    def imagenet(self) -> dict[str, int]:
        """Both encoders, each as its option says."""
        layers = {"encoder": self.num_layers, "pose_encoder": self.pose_layers}
        kinds = {"encoder": self.depth_weights_init, "pose_encoder": self.pose_weights_init}
        return {
            name: count
            for name, count in layers.items()
            if (kinds[name] or self.weights_init) == "pretrained"
        }

    def criterion(self, values: Mapping[str, float]) -> tuple[str, float]:
        """abs_rel, or the photometric loss.

        Raises:
            UserError: the validation has no true depth.
        """
        return criterion_of_mode(self.validation_mode, values)

    def describe(self) -> str:
        """One line, for certificates and logs: the model, its input, its weights."""
        frames = " ".join(map(str, self.frames))
        weights = self.load_weights_folder or f"made from seed {self.seed}"
        return (
            f"{self.method}, ResNet-{self.num_layers}, pose ResNet-{self.pose_layers}, {self.width}x{self.height}, "
            f"batch {self.batch_size}, frames {frames}, {self.compatibility}; weights: {weights}"
        )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        self._validate_validation()
        super().validate()
        require_at_least(self, 1, "steps_per_epoch", "frame_step")
        weights = ("photometric_weight", "geometry_weight", "smoothness_weight")
        for name in (*weights, "projection_epsilon", "difference_epsilon"):
            require(getattr(self, name) >= 0, f"option {name}: must not be negative")
        require(any(getattr(self, name) for name in weights), "options *_weight: all are 0, there is no loss")
        require(
            self.dataset == "scenes" or not self.use_frame_index,
            "option use_frame_index: only for --dataset scenes; leave it out",
        )
        require(
            self.dataset in ("kitti", "kitti_odom", "kitti_depth") or not self.calibration,
            f"option calibration: only for KITTI; {self.dataset} has its own intrinsics; leave it out",
        )

    def _validate_validation(self) -> None:
        """What is measured, and by whose rules."""
        require(
            self.ground_truth is None or self.validation_mode == "depth",
            "option ground_truth: only for --validation_mode depth; leave out one of them",
        )
        require(
            not self.split.lower().endswith(".txt") or self.validation_split is not None,
            f"option split: {self.split} is one list, which would be validated on as well; name another one by "
            "--validation_split",
        )
        require(
            self.photometric_weight > 0 or self.validation_mode == "depth",
            "option photometric_weight: 0 leaves --validation_mode photo nothing to compare; use depth",
        )
        # KITTI's crop and cap would measure them wrongly without a word.
        measured = PROTOCOLS[self.protocol].subject.name
        require(
            self.dataset != "scenes" or self.scenes == "kitti" or measured not in ("kitti", "kitti_eigen"),
            f"options scenes, protocol: {self.protocol} has the crop and cap of KITTI, but the scenes are of "
            f"{self.scenes}; use --protocol sc_depth_{self.scenes}",
        )
