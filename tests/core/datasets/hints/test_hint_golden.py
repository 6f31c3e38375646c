"""Matching and fusion against the published program's numbers, real pairs, and known depth."""

from typing import Any

import numpy as np
import pytest

from core.datasets.hints import fusion, matching
from core.datasets.hints.files import MATCHED_STEP, Coded, depth_of
from core.datasets.hints.fusion import Fused

FOCAL, BASELINE = 0.58, 0.1
SIDES = {"left": -1, "right": 1, "cones": -1}


def numerator(width: int) -> float:
    return FOCAL * width * BASELINE


def pair(recorded: Any, name: str) -> list[np.ndarray]:
    """Target and source; those of `right` are those of `left`, exchanged."""
    if name == "right":
        return [recorded["left/source"], recorded["left/target"]]
    return [recorded[f"{name}/{view}"] for view in ("target", "source")]


def error(recorded: Any, name: str, align_corners: bool) -> np.ndarray:
    """Of the recorded candidates."""
    found = recorded[f"{name}/disparity_x16"]
    width = found.shape[2]
    depths = depth_of(found.astype(np.float32) * np.float32(MATCHED_STEP), numerator(width))
    target, source = pair(recorded, name)
    return fusion.errors(target, source, depths, FOCAL * width, SIDES[name] * BASELINE, align_corners)


def depth(fused: Fused) -> np.ndarray:
    return Coded(fused.chosen, MATCHED_STEP, numerator(fused.chosen.shape[1])).depth()


@pytest.mark.parametrize("name", list(SIDES))
def test_the_eight_disparities_are_equal(golden, name):
    recorded = golden("epcdepth/hints.npz")
    found = matching.candidates(*pair(recorded, name), SIDES[name])
    np.testing.assert_array_equal(found, recorded[f"{name}/disparity_x16"])


@pytest.mark.parametrize("name", list(SIDES))
def test_fusion(golden, name):
    recorded = golden("epcdepth/hints.npz")
    candidates, best = (recorded[f"{name}/{what}"] for what in ("disparity_x16", "best_candidate"))
    errors = error(recorded, name, True)
    np.testing.assert_allclose(errors[:, ::8, ::8], recorded[f"{name}/error_stride8"], rtol=0, atol=2e-4)
    fused = fusion.fuse(candidates, errors)
    np.testing.assert_allclose(
        fused.error[::4, ::4], recorded[f"{name}/best_error_stride4"], rtol=0, atol=2e-4
    )
    same = fused.best == best
    assert same.mean() >= 0.995
    hint, expected = depth(fused), recorded[f"{name}/hint"]
    assert hint.dtype == np.float32 and (hint == expected).mean() >= 0.998
    np.testing.assert_array_equal(hint[0][same], expected[0][same])
    other = fusion.fuse(candidates, error(recorded, name, False))
    assert (other.best == recorded[f"{name}/best_candidate_align_corners_false"]).mean() >= 0.995
    known = hint > 0
    lost = (fused.chosen == 0) & (candidates > 0).any(0)
    statistics = [
        known.mean(), hint[known].mean(), np.median(hint[known]), lost.mean(), (depth(other) == hint).mean(),
    ]  # fmt: skip
    np.testing.assert_allclose(statistics, recorded[f"{name}/hint_statistics"], rtol=2e-3, atol=1e-3)
    assert lost.any()
    kept = fusion.fuse(candidates, errors, exclude_invalid=True)
    np.testing.assert_array_equal(kept.chosen > 0, (candidates > 0).any(0))
    found = fused.chosen > 0
    np.testing.assert_array_equal(kept.chosen[found], fused.chosen[found])


def test_the_recorded_winners_give_the_recorded_truth(golden):
    """Cones: share of all pixels, mean, median error in pixels, shares above 1 and 3 pixels."""
    recorded = golden("epcdepth/hints.npz")
    fused = fusion.fuse(recorded["cones/disparity_x16"], error(recorded, "cones", True))
    truth = recorded["cones/ground_truth_disparity_x4"] / 4
    both = (truth > 0) & (fused.chosen > 0)
    off = np.abs(fused.chosen / 16 - truth)[both]
    found = [both.mean(), off.mean(), np.median(off), (off > 1).mean(), (off > 3).mean()]
    np.testing.assert_allclose(found, recorded["cones/ground_truth_error"], rtol=1e-2, atol=1e-3)
    assert np.median(off) < 0.25


def carried(depth: np.ndarray, shift: float, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """The row-by-row warp, and the oracle of both backends."""
    from core.geometry import warp

    height, width = depth.shape
    source = np.random.default_rng(0).random((height, width, 3)).astype(np.float32)
    K = np.array([[FOCAL * width, 0, width / 2], [0, 1.92 * height, height / 2], [0, 0, 1]])
    T = np.eye(4)
    T[0, 3] = shift
    image = np.moveaxis(source.astype(np.float64), 2, 0)[None]
    expected = warp(image, depth[None, None].astype(np.float64), K[None], T[None], align_corners)
    carry = fusion.Carrier(source, FOCAL * width, shift, align_corners)
    return carry(depth), np.moveaxis(expected[0], 0, 2)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("shift", [-0.1, 0.1])
def test_rows_are_carried_as_the_whole_projection_does(shift, align_corners):
    """Also where there is no depth: a corner of the top row."""
    depth = np.random.default_rng(1).uniform(0.3, 60, (12, 40)).astype(np.float32)
    depth[3:6, 10:20] = 0
    found, expected = carried(depth, shift, align_corners)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-4)
    np.testing.assert_allclose(found[4, 15], expected[4, 15], rtol=0, atol=1e-6)
    assert (found[3:6, 10:20] == found[4, 15]).all()


def test_the_first_of_equals_wins():
    candidates = np.array([[[5, 0, 7]], [[5, 9, 0]], [[6, 9, 0]]], np.uint16)
    errors = np.array([[[0.1, 0.1, 0.3]], [[0.1, 0.2, 0.2]], [[0.1, 0.2, 0.2]]], np.float32)
    fused = fusion.fuse(candidates, errors)
    assert fused.best.tolist() == [[0, 0, 1]] and fused.chosen.tolist() == [[5, 0, 0]]
    assert fusion.fuse(candidates, errors, exclude_invalid=True).chosen.tolist() == [[5, 9, 7]]
    nothing = fusion.fuse(candidates * 0, errors, exclude_invalid=True)
    assert not nothing.chosen.any()
