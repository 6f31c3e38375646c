"""Options of PackNet-SAN (Guizilini et al., CVPR 2021): one network for prediction and completion."""
# ruff: noqa: RUF009 - `option` makes a dataclass field, which ruff cannot see

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.options.base import option, require, require_share
from core.options.methods.packnet import GROUPS, PackNetOptions, broadcast, depth_of
from core.options.needs import DEPTH_RESIZES, USUAL, Listing, Preparation
from core.options.training import method_names

SHAPES = {"packnet_san01": ((32, 32, 64, 128, 256, 512), 4)}
DIVISORS = (1, 2, 4)
SUPERVISIONS = ("semi", "full")


def shape_of(network: str, divisor: int) -> tuple[tuple[int, ...], int]:
    """Channels and 3-D features of a network of `SHAPES`, divided; channels are at least a group's number."""
    channels, features = SHAPES[network]
    return tuple(max(GROUPS, count // divisor) for count in channels), features // divisor


@dataclass
class PackNetSANOptions(PackNetOptions):
    """PackNet-SAN (Guizilini et al. 2021)."""

    MODEL: ClassVar[tuple[str, ...]] = (
        *PackNetOptions.MODEL,
        *("weight_rgbd", "flip_rgbd_outputs", "freeze_encoder", "test_input_depth_resize"),
    )
    PREDICTION: ClassVar[tuple[str, ...]] = (*PackNetOptions.PREDICTION, "test_input_depth_resize")
    SHAPES: ClassVar[Mapping[str, tuple[tuple[int, ...], int]]] = SHAPES
    SMALL: ClassVar[Mapping[str, Any]] = {**PackNetOptions.SMALL, "width": 64}

    method: str = option("packnet_san", "which paper", choices=method_names)
    model_name: str = option("packnet_san", "the run folder is LOG_DIR/MODEL_NAME")
    batch_size: int = option(1, "samples per step, of each process and each accumulated batch")

    # --- networks ---
    depth_network: str = option("packnet_san01", "the depth network", choices=tuple(SHAPES))
    dropout: float = option(0.5, "share of the channels of the encoder's shortcuts that are 0 in training")
    width_divisor: int = option(
        1, "divides the channels, for trials on small machines: no published network", DIVISORS
    )
    freeze_encoder: bool = option(
        False,
        "the encoder of images stays as it is, as in the second of the paper's two stages; load it by "
        "--load_weights_folder or --depth_weights_folder",
    )

    # --- supervision ---
    supervision: str = option(
        "semi",
        "measured depth beside the views, by supervised_loss_weight (semi), or alone (full); depth is in metres",
        choices=SUPERVISIONS,
    )
    supervised_method: str = option(
        "sparse-silog",
        "how measured disparity teaches; sparse-: where it is known",
        choices=PackNetOptions.__dataclass_fields__["supervised_method"].metadata["choices"],
    )
    supervised_num_scales: int = option(1, "scales that measured depth teaches", choices=(1, 2, 3, 4))
    supervised_loss_weight: float = option(
        1.0, "weight of the supervised loss, the rest is the views'; 1: as supervision full"
    )
    weight_rgbd: float = option(
        1.0, "weight of the supervised loss with depth beside the image, in units of that without"
    )
    flip_rgbd_outputs: bool = option(
        True,
        "of a mirrored batch, disparity with depth beside the image is mirrored back, too; off: as published",
    )

    # --- schedule ---
    learning_rate: float = option(1e-4, "rate of Adam")

    # --- data ---
    input_depth_type: list[str] | None = option(
        None,
        "which measured depth the network sees, of each training list, in the words of depth_type; none: the reader's "
        "usual one, of KITTI the projected scan",
    )
    validation_input_depth_type: list[str] | None = option(
        None,
        "with which depth beside the image a validation measures, of each validation list, in the same words, or "
        "usual; none: the prediction, without",
    )
    input_depth_points: float = option(
        1.0,
        "share of its points that the network sees: in training drawn anew for every sample, in validations the same "
        "every time",
    )
    least_input_depth_points: float = option(
        0.0,
        "above 0: the share itself is drawn for every training sample, between this and input_depth_points, evenly in "
        "its logarithm, so that the network learns from many points and from few",
    )
    test_input_depth_resize: str = option(
        "points",
        "how that depth comes to the network's size where it is not trained: every point, or only those that the "
        "nearest pixels hit, as the published test has it",
        choices=DEPTH_RESIZES,
    )

    def preparation(self, part: str) -> Preparation:
        """As PackNet's, with a share of the points of the depth that the network sees."""
        resize = "points" if part == "train" else self.test_input_depth_resize
        return replace(
            super().preparation(part),
            input_depth=resize,
            input_depth_points=self.input_depth_points,
            least_input_depth_points=self.least_input_depth_points,
        )

    @property
    def jumping_terms(self) -> tuple[str, ...]:
        """Those of the image alone, and of the passes with depth beside it."""
        return tuple(f"{term}{ending}" for term in super().jumping_terms for ending in ("", "_rgbd"))

    @property
    def widths(self) -> tuple[tuple[int, ...], int]:
        """Channels and 3-D features."""
        return shape_of(self.depth_network, self.width_divisor)

    def listings(self, part: str) -> list[Listing]:
        """With the depth that the network sees: in training always, in validations where it is asked for."""
        listings = super().listings(part)
        given = self.input_depth_type or ["none"] if part == "train" else self.validation_input_depth_type
        if given is None:
            return listings
        require(
            len(given) in (1, len(listings)),
            f"option {'' if part == 'train' else 'validation_'}input_depth_type: {len(given)} words for "
            f"{len(listings)} lists; give one for all, or one for each",
        )
        return [
            replace(one, input_depth=(word == USUAL and USUAL) or depth_of(one.dataset, word) or USUAL)
            for one, word in broadcast([listings, given])
        ]

    def _validate_losses(self) -> None:
        super()._validate_losses()
        require(self.weight_rgbd >= 0, "option weight_rgbd: must not be negative")

    def _validate_data(self) -> None:
        super()._validate_data()
        require_share(self.input_depth_points, "input_depth_points")
        least = self.least_input_depth_points
        require(
            0 <= least <= self.input_depth_points,
            f"option least_input_depth_points: {least} is not between 0 and input_depth_points, "
            f"{self.input_depth_points}",
        )
        self.listings("val")  # refuses numbers of words that do not fit
