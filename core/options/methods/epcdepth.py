"""Options of EPCDepth (Peng et al., ICCV 2021), with the depth hints of Watson et al. (ICCV 2019)."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from core.options.base import KITTI_BASELINE, option, require
from core.options.mixins import DepthHints, ResNetOptions, SigmoidRange, StepDecay
from core.options.needs import AugmentationPolicy, Frame, Needs, Preparation
from core.options.protocols import measuring_names
from core.options.training import continued, method_names, one_gpu

NETWORKS = ("encoder", "depth")
# Least sides where reflection needs three pixels of the coarsest map.
LEAST_REFLECTED = 160
EVALUATE = "use evaluate_depth.py"


def _no_words(values: Mapping[str, Any]) -> Callable[[list[str]], dict[str, Any]]:
    """A flag that stands for these values."""

    def translate(words: list[str]) -> dict[str, Any]:
        if words not in ([], ["true"], ["True"]):
            raise ValueError(f"{' '.join(words)[:80]!r}: is a flag, which takes no value")
        return dict(values)

    return translate


def _validation_split(words: list[str]) -> dict[str, Any]:
    if words != ["eigen"]:
        raise ValueError(f"{' '.join(words)[:80]!r} is not eigen, whose list is that of split eigen_full")
    return {}


@dataclass
class EPCDepthOptions(DepthHints, ResNetOptions, SigmoidRange, StepDecay):
    """EPCDepth (Peng et al. 2021)."""

    NETWORKS: ClassVar[tuple[str, ...]] = NETWORKS
    LEAST_SIDE: ClassVar[int] = 32
    COLLAPSE_CURE: ClassVar[str] = (
        "a lower --learning_rate, --use_depth_hints, --disable_automasking from scratch, or another --seed"
    )
    MODEL: ClassVar[tuple[str, ...]] = (
        *("num_layers", "min_depth", "max_depth", "use_full_scale", "padding", "output_scale"),
        *("use_data_graft", "graft_groups", "use_spp_distillate", "spp_loss", "use_depth_hints"),
        *("disable_automasking", "disparity_smoothness", "align_corners"),
    )
    PREDICTION: ClassVar[tuple[str, ...]] = ("output_scale", "padding")
    JUMPING_TERMS: ClassVar[tuple[str, ...]] = (*DepthHints.JUMPING_TERMS, "distillation")
    SMALL: ClassVar[Mapping[str, Any]] = {
        **{"num_layers": 18, "height": 64, "width": 64, "batch_size": 2},
        **{"use_data_graft": True, "use_spp_distillate": True},
    }
    ALIASES: ClassVar[Mapping[str, str]] = {
        "img_height": "height",
        "img_width": "width",
        "epochs": "num_epochs",
        "use_depth_hint": "use_depth_hints",
        "use_spp_distillation": "use_spp_distillate",
        "models_dir": "log_dir",
        "model_dir": "log_dir",
    }
    TRANSLATED: ClassVar[Mapping[str, Callable[[list[str]], dict[str, Any]]]] = {
        "resume": continued,
        "pretrained": _no_words({"weights_init": "pretrained"}),
        "no_cuda": _no_words({"device": "cpu"}),
        "gpu_id": one_gpu,
        "val_split": _validation_split,
    }
    REJECTED: ClassVar[Mapping[str, str]] = {
        "val": f"{EVALUATE} --eval_stereo --protocol epcdepth_eigen",
        "post_process": f"acts on evaluation only: {EVALUATE} --post_process",
        "vis": "use visualize_disparities.py FILE.npy",
        "disps_path": f"of evaluation: {EVALUATE} --disps_path",
        "logs_dir": "the log lies beside the weights, in LOG_DIR/MODEL_NAME; use --log_dir",
    }
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "corrected": {},
        "official": {"graft_groups": "side"},
        "today": {"graft_groups": "side", "padding": "reflect", "align_corners": False},
    }

    method: str = option("epcdepth", "which paper", choices=method_names)
    model_name: str = option("epcdepth", "the run folder is LOG_DIR/MODEL_NAME")
    split: str = option(
        "eigen_full",
        "folder in splits/, or a path, with train_files.txt and val_files.txt; or one list file",
        path=True,
    )
    height: int = option(320, "height of the network input, a multiple of 32")
    width: int = option(1024, "width of the network input, a multiple of 32")
    batch_size: int = option(8, "samples per step, of each process and each accumulated batch")
    num_workers: int = option(4, "threads that load samples; 0 loads in the main thread")
    protocol: str = option(
        "epcdepth_eigen",
        "how depth is measured where it is known, in the log and in validations",
        choices=measuring_names,
    )
    models_to_load: list[str] = option(NETWORKS, "which networks to load from it", choices=NETWORKS)
    compatibility: str = option(
        "corrected",
        "switches as the program had them: what its authors ran with data grafting mended, as they ran it (official), "
        "or as the same program runs on today's PyTorch",
        choices=("corrected", "official", "today"),
    )
    use_full_scale: bool = option(False, "the full-scale decoder of U-blocks, ten outputs; otherwise four")
    use_data_graft: bool = option(False, "the lower parts of two images of a batch are exchanged")
    use_spp_distillate: bool = option(False, "every output learns from the best one of each pixel")
    spp_loss: float = option(1.0, "weight of the self-distillation")
    disparity_smoothness: float = option(0.0, "weight of the smoothness loss")
    disable_automasking: bool = option(False, "do not mask pixels that the other view explains as it is")
    output_scale: int = option(
        0,
        "the prediction: output 0, 1, 2 of full, half, quarter size, or -1, their mean",
        choices=(-1, 0, 1, 2),
    )
    padding: str = option(
        "zeros",
        "of the full-scale decoder: what PyTorch 1.1 computed, or what the authors' source asks for",
        choices=("zeros", "reflect"),
    )
    align_corners: bool = option(True, "warp as PyTorch 1.1 did, without today's half pixel")
    graft_groups: str = option(
        "sign",
        "parts are exchanged among samples with the same sign of the baseline, or of the same camera, as published",
        choices=("sign", "side"),
    )

    @property
    def frames(self) -> list[Frame]:
        """The target 0, and the other camera of the pair."""
        return [0, "s"]

    @property
    def metres_per_unit(self) -> float | None:
        """Training calls the distance of the cameras `NOMINAL_BASELINE`; None where nobody knows it in metres."""
        baseline = self.baseline
        if baseline is None and self.dataset != "folder":
            baseline = KITTI_BASELINE
        return None if baseline is None else baseline / self.NOMINAL_BASELINE

    @property
    def scaling(self) -> Literal["median", "unit", "none"]:
        """Depth is metric wherever the distance of the cameras is known."""
        return "median" if self.metres_per_unit is None else "unit"

    def needs(self, part: str) -> Needs:
        """The pair; hints where they teach."""
        return Needs(
            frames=(0, "s"),
            augmented_sources=False,
            side=True,
            extras=self.hints(part),
            baseline=self.NOMINAL_BASELINE,
        )

    def preparation(self, part: str) -> Preparation:
        """Mirrored, colours changed; the principal point stays in the middle."""
        policy = AugmentationPolicy(mirroring=0.5 if self.mirroring else 0.0)
        return Preparation(
            self.height, self.width, mirror="edges", augmentation=policy if part == "train" else None
        )

    def imagenet(self) -> dict[str, int]:
        """The encoder."""
        return {"encoder": self.num_layers} if self.weights_init == "pretrained" else {}

    def describe(self) -> str:
        """One line, for certificates and logs: the model, its input, its weights."""
        decoder = "full scale" if self.use_full_scale else "plain"
        parts = {
            "data grafting": self.use_data_graft,
            "self-distillation": self.use_spp_distillate,
            "depth hints": self.use_depth_hints,
        }
        used = "".join(f", {name}" for name, on in parts.items() if on)
        weights = self.load_weights_folder or f"made from seed {self.seed}"
        return (
            f"{self.method}, ResNet-{self.num_layers}, {decoder}{used}, {self.width}x{self.height}, batch "
            f"{self.batch_size}, {self.compatibility}; weights: {weights}"
        )

    def validate(self) -> None:
        """Raises UserError for values that cannot work, alone or together."""
        super().validate()
        for name in ("spp_loss", "disparity_smoothness"):
            require(getattr(self, name) >= 0, f"option {name}: must not be negative")
        require(
            not self.use_full_scale
            or self.padding == "zeros"
            or min(self.height, self.width) >= LEAST_REFLECTED,
            f"options height, width: {self.height} x {self.width}: with --padding reflect the full-scale decoder takes "
            f"{LEAST_REFLECTED} or more on each side",
        )
