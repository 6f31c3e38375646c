"""PackNet's protocol and its four variants: recorded numbers, and what the switches change."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from core.disparity import blend_mirrored
from core.errors import UserError
from core.evaluation.comparison import Known, Scaling, floored_depth
from core.evaluation.depth import evaluate_depth, training_metrics
from core.evaluation.metrics import IN_LOG
from core.evaluation.resizing import pasted, resize
from core.evaluation.variants import BLENDED, Variants, evaluate_variants
from core.options.protocols import CROPS, PROTOCOLS, SEVEN, Protocol, change, on_list
from tests.tolerances import assert_close

SEED = "golden/packnet"
AS_IT_IS, MEDIAN = Scaling("none"), Scaling("median")
RESIZED, LAID_IN = PROTOCOLS["packnet"], PROTOCOLS["packnet_top_center"]
CLOSE = (1e-5, 0.0)
CASES = {
    "garg_0_80": {},
    "none_0_80": {"crop": CROPS["none"]},
    "garg_1_50": {"min_depth": 1.0, "depth_cap": 50.0},
    "none_0_200": {"crop": CROPS["none"], "depth_cap": 200.0},
}


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Any]) -> Any:
    return golden("packnet/metrics.npz")


@pytest.fixture(scope="module")
def truths(recorded: Any) -> list[Known]:
    height, width = recorded["truth_shape"].tolist()
    places = (f"truth_{number}" for number in range(2))
    return [
        Known((height, width), recorded[f"{place}/index"], recorded[f"{place}/depth"]) for place in places
    ]


@pytest.fixture(scope="module")
def plain(arrays: ModuleType) -> np.ndarray:
    return arrays.smooth(f"{SEED}/prediction", (2, 1, 96, 320), (6, 12), 0.02, 0.4)[:, 0]


@pytest.fixture(scope="module")
def flipped(arrays: ModuleType) -> np.ndarray:
    """The prediction of the mirrored image, mirrored back."""
    return arrays.smooth(f"{SEED}/prediction_flipped", (2, 1, 96, 320), (6, 12), 0.02, 0.4)[:, 0, :, ::-1]


@pytest.fixture(scope="module")
def laid_in(arrays: ModuleType) -> np.ndarray:
    return arrays.smooth(f"{SEED}/cropped_prediction", (2, 1, 352, 1216), (6, 12), 0.02, 0.4)[:, 0]


# ---- recorded ------------------------------------------------------------------------------------------------------


def test_recorded_fusion(recorded: Any, plain: np.ndarray, flipped: np.ndarray) -> None:
    fused = blend_mirrored(plain, flipped)
    expected = recorded["post_processed_inverse_depth"][:, 0]
    assert_close(fused[:, ::4].astype(np.float32), expected, CLOSE)
    left = 1 - np.clip(20 * (np.linspace(0, 1, plain.shape[-1]) - 0.05), 0, 1)
    middle = 1 - left - left[::-1]  # where the greater or the lesser may stand for the mean
    for name, chosen in (("max", np.maximum), ("min", np.minimum)):
        total = np.sum(fused + middle * (chosen(plain, flipped) - (plain + flipped) / 2))
        assert total == pytest.approx(float(recorded[f"post_processed_{name}_sum"]), rel=1e-6)


def test_recorded_resizing(recorded: Any, plain: np.ndarray) -> None:
    for number, disparity in enumerate(plain):
        depth = resize(floored_depth(disparity, RESIZED.rule), 375, 1242, "align_corners")
        assert_close(depth[[0, 150, 374]], recorded["resized_depth_rows"][number], CLOSE)


@pytest.mark.parametrize("case", CASES)
def test_recorded_variants(
    recorded: Any, truths: list[Known], plain: np.ndarray, flipped: np.ndarray, case: str
) -> None:
    protocol = change(RESIZED, **CASES[case])
    predictions = {"": plain, BLENDED: blend_mirrored(plain, flipped)}
    found = evaluate_variants(predictions, truths, protocol, AS_IT_IS, MEDIAN)
    assert list(found.metrics) == ["depth", "depth_pp", "depth_gt", "depth_pp_gt"]
    theirs = [{"sqr_rel": "sq_rel"}.get(name, name) for name in recorded["names"].tolist()]
    assert theirs == list(found.names) == list(SEVEN)
    for name, metrics in found.metrics.items():
        assert_close(metrics.mean, recorded[f"{case}/resize/{name}"], CLOSE)
        assert_close(metrics.per_image[0], recorded[f"{case}/resize/{name}/sample_0"], CLOSE)


def test_recorded_placement(recorded: Any, truths: list[Known], laid_in: np.ndarray) -> None:
    shape = truths[0].shape
    top, bottom, left, right = pasted(laid_in.shape[1:], *shape)
    assert [top, left] == recorded["top_center/first_row_column"].tolist()
    assert [bottom - top, right - left] == recorded["top_center/size"].tolist()
    found = evaluate_variants({"": laid_in}, truths, LAID_IN, AS_IT_IS, MEDIAN)
    assert list(found.metrics) == ["depth", "depth_gt"]
    for name, metrics in found.metrics.items():
        assert_close(metrics.mean, recorded[f"garg_0_80/top_center/{name}"], CLOSE)


def test_recorded_zeros_of_an_empty_image(recorded: Any, truths: list[Known], plain: np.ndarray) -> None:
    """Left out by itself; by the switch in the mean, as the authors' program has it."""
    second = [truths[0], Known.of(np.zeros(truths[1].shape))]
    counted = evaluate_depth(plain, second, change(RESIZED, empty="zeros"))
    assert_close(counted.mean, recorded["empty_sample/garg_0_80/resize/depth_gt"], CLOSE)
    assert counted.protocol.title == "packnet, images without truth: zeros"
    left_out = evaluate_depth(plain, second, RESIZED)
    assert_close(left_out.mean, recorded["garg_0_80/resize/depth_gt/sample_0"], CLOSE)


# ---- what is not recorded ------------------------------------------------------------------------------------------


def test_only_what_the_prediction_covers_counts_without_a_crop(
    truths: list[Known], laid_in: np.ndarray
) -> None:
    protocol = change(LAID_IN, crop=CROPS["none"])
    found = evaluate_depth(laid_in, truths, protocol, AS_IT_IS)
    for truth, count in zip(truths, found.valid_pixels, strict=True):
        rows, columns = np.divmod(truth.index, truth.shape[1])
        covered = (rows >= 23) & (columns >= 13) & (columns < 13 + 1216)
        near = truth.values < 80
        assert count == np.sum(covered & near) < np.sum(near)
    assert np.isfinite(found.mean).all()


def test_a_network_that_sees_nothing_is_a_million_metres_away() -> None:
    """1 / 1e-6, before the clamp; half of it next to 0.5 m, between the corners."""
    truth, disparity = np.full((1, 3), 40.0), np.array([[0.0, 2.0]], np.float32)
    uncropped = change(RESIZED, crop=CROPS["none"], depth_cap=1e9)
    found = evaluate_depth([disparity], [truth], uncropped, AS_IT_IS)
    expected = (np.array([1e6, 0.5e6 + 0.25, 0.5]) - 40) / 40
    assert found.mean[0] == pytest.approx(np.abs(expected).mean(), rel=1e-6)


def test_the_table_of_variants_never_names_two_protocols(truths: list[Known], plain: np.ndarray) -> None:
    found = evaluate_variants({"": plain}, truths, RESIZED, AS_IT_IS, MEDIAN)
    assert isinstance(found, Variants) and {one.protocol for one in found.metrics.values()} == {RESIZED}
    assert found.describe().startswith("protocol packnet | split eigen | crop garg | cap 80 m | _gt: median")


def test_lists_of_ones_own_and_annotated_depth() -> None:
    laid_in = PROTOCOLS["packnet_top_center_annotated"]
    assert (laid_in.rule, laid_in.subject) == (LAID_IN.rule, PROTOCOLS["packnet_annotated"].subject)
    annotated = PROTOCOLS["packnet_annotated"]
    assert annotated.rule == RESIZED.rule and annotated.subject.list == "eigen_benchmark"
    own: Protocol = on_list("packnet", "my/list.txt")
    assert own.rule == RESIZED.rule and own.subject.list == "my/list.txt"


def test_the_log_is_by_the_same_rule(recorded: Any, truths: list[Known], plain: np.ndarray) -> None:
    """A validation measures image by image, as the table does."""
    dense = np.zeros(truths[0].shape, np.float32)
    dense.ravel()[truths[0].index] = truths[0].values
    logged = training_metrics(plain[:1], [dense], RESIZED)
    assert logged is not None
    expected = dict(zip(SEVEN, recorded["garg_0_80/resize/depth_gt/sample_0"], strict=True))
    assert logged["de/abs_rel"] == pytest.approx(expected["abs_rel"], rel=1e-5)
    assert list(logged) == [*(IN_LOG[name] for name in SEVEN), "truth/pixels"]


def test_a_prediction_larger_than_the_image() -> None:
    with pytest.raises(UserError, match="is larger than the truth"):
        evaluate_depth([np.ones((9, 9))], [np.ones((8, 8))], LAID_IN)
