"""FeatDepth is compared by `eigen`, with a unit of 36 metres where stereo taught: recorded numbers."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from core.disparity import sigmoid_to_disparity
from core.evaluation.comparison import Known, Scaling
from core.evaluation.depth import evaluate_depth as evaluate
from core.evaluation.resizing import resize
from core.options.methods.featdepth import FeatDepthOptions
from core.options.protocols import PROTOCOLS
from tests.tolerances import assert_close

BOUND = (1e-5, 0.0)
PROTOCOL = PROTOCOLS["eigen"]


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Any]) -> Any:
    return golden("featdepth/evaluation.npz")


@pytest.fixture(scope="module")
def truths(recorded: Any) -> list[Known]:
    """Of three images of KITTI, of two sizes."""
    names = [f"truth_{number}" for number in range(3)]
    return [
        Known(tuple(recorded[f"{name}/shape"].tolist()), recorded[f"{name}/index"], recorded[f"{name}/depth"])
        for name in names
    ]


@pytest.fixture(scope="module")
def disparities(arrays: ModuleType, recorded: Any) -> np.ndarray:
    """(3, 80, 256), of the range of training."""
    size = tuple(recorded["sigmoid_size"].tolist())
    sigmoid = arrays.smooth("golden/featdepth/evaluation_sigmoid", (3, 1, *size), (6, 12), 0.003, 0.09)
    return sigmoid_to_disparity(sigmoid[:, 0], 0.1, 100).astype(np.float32)


def test_recorded_resizing(recorded: Any, truths: list[Known], disparities: np.ndarray) -> None:
    """Of the disparity, not of the depth: the first, a middle and a late row of the first image."""
    found = resize(disparities[0], *truths[0].shape, PROTOCOL.rule.interpolation)
    assert_close(found[[0, 187, 373]], recorded["resized_disparity_rows"], BOUND)


def test_recorded_crops(recorded: Any, truths: list[Known]) -> None:
    for number, truth in enumerate(truths):
        assert list(PROTOCOL.subject.bounds(*truth.shape)) == recorded[f"crop_{number}"].tolist()


@pytest.mark.parametrize("kind", ["median", "stereo"])
def test_recorded_metrics(recorded: Any, truths: list[Known], disparities: np.ndarray, kind: str) -> None:
    options = FeatDepthOptions(use_stereo=kind == "stereo")
    factor = options.metres_per_unit
    assert (options.scaling, factor) == (
        ("unit", pytest.approx(36)) if options.use_stereo else ("median", None)
    )
    found = evaluate(disparities, truths, PROTOCOL, Scaling(options.scaling, factor or 1.0))
    assert list(found.names) == recorded["names"].tolist()
    assert_close(found.per_image, recorded[f"{kind}/metrics"], BOUND)
    assert_close(found.mean, recorded[f"{kind}/mean"], BOUND)
    if kind == "median":
        assert_close(found.scale_ratios, recorded["ratios"], BOUND)
        assert_close(np.median(found.scale_ratios), recorded["ratio_median"], BOUND)
