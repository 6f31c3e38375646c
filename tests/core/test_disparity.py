"""Sigmoid to depth, and the blend of two passes."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from core.disparity import blend_mirrored, disparity_to_depth, resize_map, sigmoid_to_disparity
from tests.tolerances import assert_close


def test_default_range() -> None:
    disparity = sigmoid_to_disparity(np.array([0.0, 0.5, 1.0]), 0.1, 100)
    assert_close(disparity_to_depth(disparity), np.array([100, 0.1998002, 0.1]), (0, 1e-7))


@pytest.mark.parametrize("name", ["range_a", "range_b"])
def test_published_range(golden: Callable[[str], Any], arrays: ModuleType, name: str) -> None:
    recorded = golden("monodepth2/geometry.npz")
    sigmoid = arrays.uniform("golden/geometry/sigmoid", recorded[f"{name}/disparity"].shape)
    disparity = sigmoid_to_disparity(sigmoid, *recorded[f"{name}/min_max"].tolist())
    assert disparity.dtype == np.float32
    assert_close(disparity, recorded[f"{name}/disparity"])
    assert_close(disparity_to_depth(disparity), recorded[f"{name}/depth"])


def test_blend_takes_each_edge_from_the_pass_that_saw_it() -> None:
    plain, mirrored = np.full((2, 3, 101), 1.0), np.full((2, 3, 101), 3.0)
    blended = blend_mirrored(plain, mirrored)
    assert blended.dtype == np.float64
    assert_close(blended[..., :6], np.full((2, 3, 6), 3.0))
    assert_close(blended[..., 10:91], np.full((2, 3, 81), 2.0))
    assert_close(blended[..., -6:], np.full((2, 3, 6), 1.0))
    assert blended[0, 0, 7] == pytest.approx(3 - 0.4)  # x = 0.07: 0.6 of the mirrored pass, 0.4 of the mean


def test_resize_has_half_pixel_centres() -> None:
    resized = resize_map(np.array([[0.0, 1.0]], np.float32), 1, 4)
    assert_close(resized, np.array([[0, 0.25, 0.75, 1]]))
