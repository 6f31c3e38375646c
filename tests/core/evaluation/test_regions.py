"""What moves and what does not, measured apart; and the scale of each sequence."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.evaluation.comparison import Scaling
from core.evaluation.depth import evaluate_depth, printed_scales, save_json
from core.options.protocols import Crop, Protocol, Rule, Subject
from tests.tolerances import assert_close

PROTOCOL = Protocol(
    "made_up",
    Subject("made_up", "folder", None, Crop("left", columns=(0, 8), rows=(0, 6), pixels=True), 80.0),
    Rule("made_up", empty="skip", metrics=("abs_rel", "a1")),
)
SHAPE = (6, 10)


def images() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, truth and what moves of three images: in the third nothing moves; some truth is unknown."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 60, (3, *SHAPE)) * (rng.uniform(size=(3, *SHAPE)) < 0.8)
    depth = rng.uniform(1, 60, (3, *SHAPE))
    moving = rng.uniform(size=(3, *SHAPE)) < 0.3
    moving[2, :, :8] = False
    return depth, truth, moving


def test_each_region_under_the_scale_of_all_pixels() -> None:
    depth, truth, moving = images()
    found = evaluate_depth(1 / depth, truth, PROTOCOL, moving=moving)
    expected: dict[str, list[float]] = {"dynamic": [], "static": []}
    for d, t, m in zip(depth[:, :, :8], truth[:, :, :8], moving[:, :, :8], strict=True):
        known = t > 0
        error = abs(np.clip(d * np.median(t[known]) / np.median(d[known]), 1e-3, 80) - t)
        for name, chosen in (("dynamic", known & m), ("static", known & ~m)):
            if chosen.any():
                expected[name].append(np.mean(error[chosen] / t[chosen]))
    assert [len(values) for values in expected.values()] == [2, 3]
    for name, values in expected.items():
        assert_close(found.regions[name].mean[0], np.mean(values))
    assert np.isnan(found.regions["dynamic"].per_image[2]).all()
    dynamic, static = (found.regions[name].valid_pixels for name in ("dynamic", "static"))
    assert (dynamic + static).tolist() == found.valid_pixels.tolist()
    whole = evaluate_depth(1 / depth, truth, PROTOCOL)
    assert_close(found.per_image, whole.per_image, "exact")  # images with dynamic pixels count once


def test_the_report(tmp_path: Path) -> None:
    depth, truth, moving = images()
    found = evaluate_depth(1 / depth, truth, PROTOCOL, moving=moving)
    lines = found.printed().splitlines()
    assert lines[3].startswith(" dynamic pixels of 2 images, pixels compared: ")
    assert lines[5].startswith(" static pixels of 3 images, pixels compared: ")
    assert lines[4] == "".join(f"&{value:8.3f}  " for value in found.regions["dynamic"].mean) + "\\\\"
    save_json(tmp_path / "a.json", found, ["a", "b", "c"])
    regions = json.loads((tmp_path / "a.json").read_text())["regions"]
    assert regions["dynamic"]["images"] == 2 and regions["dynamic"]["per_image"][2] == [None, None]
    assert regions["static"]["mean"]["a1"] == pytest.approx(found.regions["static"].mean[1])


def test_where_nothing_moves_at_all() -> None:
    depth, truth, moving = images()
    found = evaluate_depth(1 / depth, truth, PROTOCOL, moving=moving & False)
    assert found.printed().splitlines()[3] == " dynamic pixels of 0 images, pixels compared: none"
    assert found.to_json()["regions"]["dynamic"]["mean"] == {"abs_rel": None, "a1": None}
    assert_close(found.regions["static"].mean, found.mean, "exact")


def test_an_image_without_truth_has_no_regions() -> None:
    depth, truth, moving = images()
    truth[0] = 0
    found = evaluate_depth(1 / depth, truth, PROTOCOL, moving=moving)
    assert "1 without truth skipped" in found.describe()
    assert [region.images for region in found.regions.values()] == [1, 2]


def test_a_mask_of_another_size() -> None:
    depth, truth, moving = images()
    with pytest.raises(UserError, match=r"image 0 .*: the mask of what moves is 6x8 .*, the truth 6x10"):
        evaluate_depth(1 / depth, truth, PROTOCOL, moving=moving[:, :, :8])


# ---- the scale of each sequence ------------------------------------------------------------------------------------


def test_scales_by_sequence(tmp_path: Path) -> None:
    truth = np.full((5, *SHAPE), 6.0)
    truth[4] = 0  # skipped
    ratios = np.array([2.0, 3.0, 1.0, 2.5, 9.0])
    depth = np.array([6.0 / ratio * np.ones(SHAPE) for ratio in ratios])
    found = evaluate_depth(1 / depth, truth, PROTOCOL)
    sequences = ["a", "a", "b", "a", "b"]
    scales = found.scale_by_sequence(sequences)
    assert {name: count for name, (count, *_) in scales.items()} == {"a": 3, "b": 1}
    assert_close(scales["a"][1:], np.array([2.5, np.std(np.array([2.0, 3.0, 2.5]) / 2.5)]))
    assert scales["b"][1:] == pytest.approx((1.0, 0.0))
    assert printed_scales(scales).splitlines()[1].endswith("| med: 1.000 | std: 0.000 | 1 images of b")
    save_json(tmp_path / "a.json", found, list("12345"), sequences)
    written = json.loads((tmp_path / "a.json").read_text())["scale_by_sequence"]
    assert list(written) == ["a", "b"] and written["a"]["images"] == 3
    assert written["a"]["relative_deviation"] == pytest.approx(scales["a"][2])


def test_without_medians_there_is_no_scale() -> None:
    truth = np.full((1, *SHAPE), 6.0)
    assert evaluate_depth(1 / truth, truth, PROTOCOL, Scaling("none")).scale_by_sequence(["a"]) == {}
