"""Options of Monodepth2 (Godard et al., ICCV 2019)."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from core.options.base import option, require
from core.options.mixins import DepthHints, ResNetOptions, SigmoidRange, StepDecay, StereoSources
from core.options.needs import Needs
from core.options.protocols import measuring_names
from core.options.schedule import step_decay
from core.options.training import DEPTH_METRIC, method_names

NETWORKS = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")
TERMS = ("photometric", "hint", "smoothness", "mask")  # of the loss, each of every scale


@dataclass
class Monodepth2Options(StereoSources, DepthHints, ResNetOptions, SigmoidRange, StepDecay):
    """Monodepth2 (Godard et al. 2019)."""

    NETWORKS: ClassVar[tuple[str, ...]] = NETWORKS
    COLLAPSE_CURE: ClassVar[str] = (
        "a lower --learning_rate, --disable_automasking for stereo from scratch, or another --seed"
    )
    MODEL: ClassVar[tuple[str, ...]] = (
        *("num_layers", "frame_ids", "use_stereo", "known_poses", "scales", "min_depth", "max_depth"),
        *("v1_multiscale", "avg_reprojection", "disable_automasking", "predictive_mask", "no_ssim"),
        *(
            "use_depth_hints",
            "disparity_smoothness",
            "pose_model_type",
            "pose_model_input",
            "warp_align_corners_false",
        ),
    )
    SMALL: ClassVar[Mapping[str, Any]] = {
        **{"num_layers": 18, "pose_model_type": "posecnn", "height": 64, "width": 64, "batch_size": 1},
        "scales": [0],
    }

    method: str = option("monodepth2", "which paper", choices=method_names)
    protocol: str = option(
        "monodepth2_log",
        "how depth is measured where it is known, in the log and in validations",
        choices=measuring_names,
    )
    models_to_load: list[str] = option(
        ("encoder", "depth", "pose_encoder", "pose"), "which networks to load from it", choices=NETWORKS
    )
    decay_one_epoch_early: bool = option(
        False, "divide the rate one epoch early, as the published program does today"
    )
    scales: list[int] = option(
        (0, 1, 2, 3), "scales of the decoder's outputs and of the loss", choices=(0, 1, 2, 3)
    )
    disparity_smoothness: float = option(1e-3, "weight of the smoothness loss")
    v1_multiscale: bool = option(False, "loss of scale s at the resolution of scale s, as in Monodepth 1")
    avg_reprojection: bool = option(False, "mean over the sources, not minimum")
    disable_automasking: bool = option(False, "do not mask pixels that look still")
    predictive_mask: bool = option(False, "learned mask as in SfMLearner; requires disable_automasking")
    no_ssim: bool = option(False, "photometric error without SSIM, L1 only")
    pose_model_type: str = option(
        "separate_resnet", "network for the pose", choices=("separate_resnet", "shared", "posecnn")
    )
    pose_model_input: str = option("pairs", "images the pose network sees at once", choices=("pairs", "all"))
    warp_align_corners_false: bool = option(
        False, "sample the warp with align_corners False, as the published program does on today's PyTorch"
    )

    def needs(self, part: str) -> Needs:
        """All frames; the pyramid of the target, of the sources only where the loss is taken at each scale's size."""
        return Needs(
            frames=tuple(self.frames),
            scales=tuple(self.scales),
            all_scales=self.v1_multiscale,
            motion=self.known_poses,
            extras=self.hints(part),
            baseline=self.NOMINAL_BASELINE,
        )

    def rates(self, step: int, steps_per_epoch: int) -> list[float]:
        """One rate for all parameters."""
        early = self.decay_one_epoch_early
        size = self.scheduler_step_size
        return [step_decay(step, steps_per_epoch, self.learning_rate, size, decay_one_epoch_early=early)]

    def imagenet(self) -> dict[str, int]:
        """Both encoders."""
        if self.weights_init != "pretrained":
            return {}
        return dict.fromkeys(("encoder", "pose_encoder"), self.num_layers)

    def derived(self, values: Mapping[str, float]) -> dict[str, float]:
        """`loss/<scale>` as the published program logs it: all terms of a scale, before the mean over the scales."""
        parts = [(name.partition("/"), value) for name, value in values.items()]
        scales = sorted({scale for (kind, _, scale), _ in parts if kind in TERMS})
        return {
            f"loss/{wanted}": len(scales)
            * sum(value for (kind, _, scale), value in parts if kind in TERMS and scale == wanted)
            for wanted in scales
        }

    def criterion(self, values: Mapping[str, float]) -> tuple[str, float]:
        """abs_rel where there is depth, else the photometric loss."""
        if DEPTH_METRIC in values:
            return DEPTH_METRIC, values[DEPTH_METRIC]
        return "photometric", sum(v for name, v in values.items() if name.startswith("photometric/"))

    def describe(self) -> str:
        """One line, for certificates and logs: the model, its input, its weights."""
        frames = " ".join(map(str, self.frames))
        pose = "known" if self.known_poses else f"{self.pose_model_type} {self.pose_model_input}"
        pose = f", pose {pose}" if len(self.frame_ids) > 1 else ""
        weights = self.load_weights_folder or f"made from seed {self.seed}"
        return (
            f"{self.method}, ResNet-{self.num_layers}, {self.width}x{self.height}, batch {self.batch_size}, "
            f"frames {frames}{pose}; weights: {weights}"
        )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        require(self.disparity_smoothness >= 0, "option disparity_smoothness: must not be negative")
        require(0 in self.scales, f"option scales: {self.scales} lacks 0, the scale of the prediction")
        require(
            len(set(self.scales)) == len(self.scales), f"option scales: {self.scales} names a scale twice"
        )
        for name in ("pose_model_type", "pose_model_input") if self.known_poses else ():
            require(
                getattr(self, name) == getattr(type(self), name),
                f"option {name}: with known_poses there is no pose network; leave one of the two out",
            )
        if self.use_depth_hints:
            require(
                self.use_stereo, "option use_depth_hints: hints are depth from stereo pairs; add --use_stereo"
            )
            for name in ("v1_multiscale", "predictive_mask"):
                require(
                    not getattr(self, name),
                    f"options use_depth_hints, {name}: were never trained together; leave out one of the two",
                )
        if self.predictive_mask:
            require(self.disable_automasking, "option predictive_mask: requires disable_automasking as well")
