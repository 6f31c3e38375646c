"""Options that several methods share, for their classes to choose from."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.options.base import (
    KITTI_BASELINE,
    RESNET_LAYERS,
    option,
    require,
    require_at_least,
    require_depth_range,
)
from core.options.needs import Frame, Listing
from core.options.schedule import step_decay
from core.options.training import Options, continued

HINT = "hint"  # the extra of a sample


@dataclass
class ResNetOptions(Options):
    """ResNet encoders."""

    num_layers: int = option(18, "layers of the ResNet encoders", choices=RESNET_LAYERS)
    weights_init: str = option(
        "pretrained",
        "ImageNet weights in the encoders, fetched if they are not there; or none",
        choices=("pretrained", "scratch"),
    )


@dataclass
class SigmoidRange(Options):
    """Depth from a sigmoid."""

    min_depth: float = option(0.1, "depth where the network's sigmoid is 1")
    max_depth: float = option(100.0, "depth where the network's sigmoid is 0")

    @property
    def largest_depth(self) -> float | None:
        """Where the sigmoid is 0."""
        return self.max_depth

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require_depth_range(self.min_depth, self.max_depth)


@dataclass
class StepDecay(Options):
    """A learning rate that falls in steps."""

    scheduler_step_size: int = option(15, "epochs between divisions of the learning rate by 10")

    def rates(self, step: int, steps_per_epoch: int) -> list[float]:
        """One rate for all parameters."""
        return [step_decay(step, steps_per_epoch, self.learning_rate, self.scheduler_step_size)]

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require_at_least(self, 1, "scheduler_step_size")


@dataclass
class DepthHints(Options):
    """Depth hints from stereo matching."""

    JUMPING_TERMS: ClassVar[tuple[str, ...]] = ("hint",)  # a mean over the pixels that the hint wins

    use_depth_hints: bool = option(
        False, "stereo matching teaches where it explains the image better; made by precompute_depth_hints.py"
    )
    depth_hints: str | None = option(
        None, "folder of the depth hints; none: depth_hints in data_path", path=True
    )

    def listings(self, part: str) -> list[Listing]:
        """With their folder."""
        return [replace(one, depth_hints=self.depth_hints) for one in super().listings(part)]

    def hints(self, part: str) -> tuple[str, ...]:
        """The extra of a sample of a part: hints teach, and measure nothing."""
        return (HINT,) if self.use_depth_hints and part == "train" else ()

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require(
            self.depth_hints is None or self.use_depth_hints,
            "option depth_hints: nothing reads them without --use_depth_hints; leave out one of the two",
        )


@dataclass
class VideoSources(Options):
    """Source views from video."""

    frame_ids: list[int] = option((0, -1, 1), "frames as offsets in time; the first, the target, is 0")

    @property
    def frames(self) -> list[Frame]:
        """The target 0 and the sources."""
        return list(self.frame_ids)

    @property
    def has_views(self) -> bool:
        """Whether the loss compares views, for which there must be a source."""
        return True

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        ids = self.frame_ids
        require(ids[0] == 0, f"option frame_ids: the first must be 0, the target, not {ids[0]}")
        require(len(set(ids)) == len(ids), f"option frame_ids: {ids} names a frame twice")
        stereo = " or use_stereo" if hasattr(self, "use_stereo") else ""
        require(
            len(self.frames) > 1 or not self.has_views,
            f"no source view: add frames to frame_ids (such as 0 -1 1){stereo}",
        )


@dataclass
class KnownPoses(VideoSources):
    """Video whose motion may be measured."""

    known_poses: bool = option(
        False,
        "the camera's motion is measured, not predicted, and depth is metric: oxts of KITTI raw, poses/ of KITTI "
        "odometry, poses.txt in the folder of each sequence",
    )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require(
            len(self.frame_ids) > 1 or not self.known_poses,
            "option known_poses: there is no motion to know; add frames to frame_ids (such as 0 -1 1)",
        )


@dataclass
class DepthAndPose(VideoSources):
    """A network of depth and one of motion, which learn from how views look."""

    NETWORKS: ClassVar[tuple[str, ...]] = ("depth", "pose")
    ALIASES: ClassVar[Mapping[str, str]] = {
        "max_epochs": "num_epochs",
        "lr": "learning_rate",
        "step_size": "scheduler_step_size",
        "gamma": "scheduler_gamma",
        "checkpoint_path": "load_weights_folder",
    }
    TRANSLATED: ClassVar[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {"resume": continued}

    models_to_load: list[str] = option(
        ("depth", "pose"), "which networks to load from it", choices=("depth", "pose")
    )
    depth_weights_folder: str | None = option(
        None, "weights that the depth network starts from, over load_weights_folder", path=True
    )
    pose_weights_folder: str | None = option(
        None, "weights that the pose network starts from, over load_weights_folder", path=True
    )
    ssim_loss_weight: float = option(0.85, "share of SSIM in the photometric error, the rest is L1's")
    smooth_loss_weight: float = option(0.001, "weight of the smoothness loss")
    photometric_reduce_op: str = option(
        "min", "per pixel the view that fits best, or the mean over all", choices=("min", "mean")
    )
    clip_loss: float = option(
        0.0, "errors are cut to their mean + so many standard deviations; 0: not at all"
    )
    automask_loss: bool = option(True, "mask pixels that look still; with photometric_reduce_op min")
    learning_rate: float = option(2e-4, "rate of Adam")
    pose_learning_rate: float | None = option(None, "of the pose network; none: learning_rate")
    depth_weight_decay: float = option(0.0, "weight decay of the depth network")
    pose_weight_decay: float = option(0.0, "weight decay of the pose network")
    scheduler_step_size: int = option(30, "epochs between multiplications of the rates by scheduler_gamma")
    scheduler_gamma: float = option(0.5, "what the rates are multiplied by")
    jittering: list[float] | None = option(
        (0.2, 0.2, 0.2, 0.05),
        "largest change of brightness, contrast, saturation, hue, and perhaps of each channel; none: none",
    )

    @property
    def predicts_motion(self) -> bool:
        """Whether there is a pose network."""
        return True

    def rates(self, step: int, steps_per_epoch: int) -> list[float]:
        """Of depth, and of pose where there is a pose network."""
        bases = [self.learning_rate]
        if self.predicts_motion:
            bases.append(self.learning_rate if self.pose_learning_rate is None else self.pose_learning_rate)
        schedule = self.scheduler_step_size, self.scheduler_gamma
        return [step_decay(step, steps_per_epoch, base, *schedule) for base in bases]

    def starts(self) -> dict[str, tuple[str, str]]:
        """Each network may have a folder or file of its own."""
        own = {"depth": self.depth_weights_folder, "pose": self.pose_weights_folder}
        found = {name: (folder, name) for name, folder in own.items() if folder is not None}
        return super().starts() | found

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        require_at_least(self, 1, "scheduler_step_size")
        for name in ("smooth_loss_weight", "clip_loss", "depth_weight_decay", "pose_weight_decay"):
            require(getattr(self, name) >= 0, f"option {name}: must not be negative")
        share = self.ssim_loss_weight
        require(0 <= share <= 1, f"option ssim_loss_weight: {share} is not from 0 to 1")
        require(self.scheduler_gamma > 0, "option scheduler_gamma: must be above 0")
        rate = self.pose_learning_rate
        require(rate is None or rate > 0, f"option pose_learning_rate: {rate} must be above 0")
        require(
            self.jittering is None
            or (len(self.jittering) in (4, 5) and all(0 <= a < 1 for a in self.jittering)),
            f"option jittering: {self.jittering} are not four or five numbers from 0 to below 1",
        )
        require(
            self.jittering is None or self.jittering[3] <= 0.5,
            "option jittering: the hue, the fourth, is above 0.5",
        )
        super().validate()


@dataclass
class StereoSources(KnownPoses):
    """Source views from video, from the other camera of a stereo pair, or from both."""

    use_stereo: bool = option(False, "add the other camera of the stereo pair as a source")

    @property
    def frames(self) -> list[Frame]:
        """The target 0, the sources in time, and "s" for the other camera."""
        return [*self.frame_ids, *(["s"] if self.use_stereo else [])]

    @property
    def stereo_scale_factor(self) -> float | None:
        """Metres in a unit of depth, for a model trained with stereo or known poses; None where it is not known.

        Training calls the baseline `NOMINAL_BASELINE`. Known poses of a single camera are divided by the unit of KITTI.
        """
        nominal = self.dataset != "folder" or (self.known_poses and not self.use_stereo)
        baseline = KITTI_BASELINE if self.baseline is None and nominal else self.baseline
        return None if baseline is None else baseline / self.NOMINAL_BASELINE

    @property
    def metres_per_unit(self) -> float | None:
        """`stereo_scale_factor` where training knew a distance between its views."""
        return self.stereo_scale_factor if self.use_stereo or self.known_poses else None
