"""The protocols and the table against the published program; what evaluation refuses."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from core.disparity import blend_mirrored, resize_map
from core.errors import UserError
from core.evaluation.comparison import Scaling, select
from core.evaluation.depth import describe, evaluate_depth, save_csv, save_json
from core.options import EvaluationOptions
from core.options.protocols import CROPS, PROTOCOLS, Protocol, change
from tests.tolerances import assert_close

IMAGES = 8
ERRORS, SHARES = (1e-6, 0), (0, 1e-5)  # stated beside the golden file

EIGEN, EIGEN_BENCHMARK = PROTOCOLS["eigen"], PROTOCOLS["eigen_benchmark"]
MODES = {
    "mono": (EIGEN, Scaling()),
    "stereo": (EIGEN, Scaling("unit", 5.4)),
    "no_median_scaling": (EIGEN, Scaling("none", 3)),
    "mono_eigen_benchmark": (EIGEN_BENCHMARK, Scaling()),
    "stereo_eigen_benchmark": (EIGEN_BENCHMARK, Scaling("unit", 5.4)),
}


@dataclass
class Truth:
    """A sparse depth map, as `core.datasets.ground_truth` makes it."""

    shape: tuple[int, int]
    index: np.ndarray
    values: np.ndarray


def sparse(depth: np.ndarray) -> Truth:
    index = np.flatnonzero(depth)
    return Truth(depth.shape, index, depth.ravel()[index])


@pytest.fixture(scope="module")
def recorded(golden: Callable[[str], Any]) -> Any:
    return golden("monodepth2/evaluation.npz")


@pytest.fixture(scope="module")
def truths(golden: Callable[[str], Any], arrays: ModuleType, recorded: Any) -> list[Truth]:
    scans = golden("monodepth2/ground_truth.npz")
    names = [f"frame_{frame}/camera_{camera}" for frame in (0, 2) for camera in (2, 3)]
    result = [
        Truth(tuple(scans[f"{n}/shape"].tolist()), scans[f"{n}/index"], scans[f"{n}/velodyne_x"])
        for n in names
    ]
    for i, shape in enumerate(recorded["shapes"][4:].tolist()):
        depth = arrays.smooth(f"golden/evaluation/ground_truth_{i}", tuple(shape), (5, 9), 1, 95)
        mask = arrays.uniform(f"golden/evaluation/ground_truth_mask_{i}", tuple(shape)) < np.float32(0.04)
        result.append(sparse(np.where(mask, depth, np.float32(0))))
    return result


@pytest.fixture(scope="module")
def disparities(arrays: ModuleType) -> list[np.ndarray]:
    names = [f"golden/evaluation/disparity_{i}" for i in range(IMAGES)]
    return [arrays.smooth(name, (192, 640), (6, 12), 0.05, 1.5) for name in names]


@pytest.fixture(scope="module")
def blended(arrays: ModuleType, disparities: list[np.ndarray]) -> list[np.ndarray]:
    result = []
    for i, disparity in enumerate(disparities):
        other = arrays.smooth(f"golden/evaluation/flipped_disparity_{i}", (192, 640), (6, 12), 0.05, 1.5)
        mirrored = (0.7 * disparity[:, ::-1].astype(np.float64) + 0.3 * other).astype(np.float32)
        result.append(blend_mirrored(disparity, mirrored[:, ::-1]))
    return result


def check(
    recorded: Any,
    mode: str,
    maps: list[np.ndarray],
    truths: list[Truth],
    protocol: Protocol,
    scaling: Scaling,
) -> None:
    metrics = evaluate_depth(maps, truths, protocol, scaling)
    for column in range(7):
        for actual, name in ((metrics.per_image, "metrics"), (metrics.mean[None], "mean")):
            expected = np.atleast_2d(recorded[f"{mode}/{name}"])[:, column]
            tolerance = ERRORS if column < 4 else SHARES
            assert_close(actual[:, column], expected, tolerance, label=f"{mode}/{name} {column}")
    if scaling.kind != "median":
        assert metrics.scale_ratios is None and metrics.scale_summary() is None
        return
    assert metrics.scale_ratios is not None
    median = float(np.median(metrics.scale_ratios))
    assert_close(median, recorded[f"{mode}/scale_ratio_median"])
    assert_close(metrics.scale_ratios / median, recorded[f"{mode}/scale_ratio_over_median"])
    assert metrics.printed() == str(recorded[f"{mode}/printed"])


@pytest.mark.parametrize("mode", MODES)
def test_as_published(recorded: Any, disparities: Any, truths: list[Truth], mode: str) -> None:
    check(recorded, mode, disparities, truths, *MODES[mode])


@pytest.mark.parametrize("mode", ["mono", "stereo"])
def test_post_processed_as_published(recorded: Any, blended: Any, truths: list[Truth], mode: str) -> None:
    check(recorded, f"post_processed_{mode}", blended, truths, *MODES[mode])


def test_blend_as_published(recorded: Any, blended: list[np.ndarray]) -> None:
    assert_close(blended[0][::4, ::4], recorded["post_processed/disparity_0"])


def test_small_network_as_published(recorded: Any, arrays: ModuleType, truths: list[Truth]) -> None:
    names = [f"golden/evaluation/small_disparity_{i}" for i in range(IMAGES)]
    maps = [arrays.smooth(name, (96, 320), (4, 6), 0.02, 0.9) for name in names]
    check(recorded, "small_mono", maps, truths, *MODES["mono"])


@pytest.mark.parametrize("number", [0, 5])
def test_resizing_as_published(recorded: Any, disparities: Any, truths: list[Truth], number: int) -> None:
    resized = resize_map(disparities[number], *truths[number].shape)[::5, ::7]
    assert_close(resized, recorded[f"resized_disparity_{number}_slice"])


def test_crops_and_inputs_as_published(recorded: Any, truths: list[Truth]) -> None:
    for number, shape in enumerate(recorded["shapes"].tolist()):
        assert EIGEN.subject.crop.bounds(*shape) == tuple(recorded[f"crop_{number}"].tolist())
    for number in (0, 5):
        assert len(truths[number].index) == recorded[f"ground_truth_{number}_valid"]


def test_sparse_and_dense_selection_agree() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0, 100, (40, 70)) * (rng.uniform(size=(40, 70)) < 0.5)
    for crop in ("garg", "eigen", "none"):
        protocol = replace(EIGEN, subject=replace(EIGEN.subject, crop=CROPS[crop]))
        top, bottom, left, right = protocol.subject.crop.bounds(40, 70)
        inside = np.zeros(depth.shape, bool)
        inside[top:bottom, left:right] = True
        expected = depth[inside & (depth > 1e-3) & (depth < 80)]
        truth = sparse(depth)
        assert_close(truth.values[select(truth, protocol)], expected, "exact")


def test_the_two_crops_of_a_kitti_image() -> None:
    assert CROPS["garg"].bounds(375, 1242) == (153, 371, 44, 1197)
    assert CROPS["eigen"].bounds(375, 1242) == (124, 342, 44, 1197)


def test_perfect_prediction() -> None:
    depth = np.random.default_rng(0).uniform(1, 70, (60, 90))
    metrics = evaluate_depth([1 / (3 * depth)], [sparse(depth)], EIGEN)
    assert_close(metrics.mean, np.array([0, 0, 0, 0, 1, 1, 1]), (0, 1e-12))
    assert metrics.scale_ratios is not None
    assert_close(metrics.scale_ratios, np.array([1 / 3]), "float64")


def test_predictions_are_clamped_after_scaling() -> None:
    truth = sparse(np.full((4, 4), 100.0))
    metrics = evaluate_depth([np.full((4, 4), 1e-3)], [truth], EIGEN_BENCHMARK, Scaling("none"))
    assert metrics.mean[0] == pytest.approx(0.2)  # 1000 m becomes 80 m; the ground truth stays


def options(**values: Any) -> EvaluationOptions:
    return EvaluationOptions(load_weights_folder="w", **values)


def test_protocol_from_options() -> None:
    mono, stereo = options(eval_mono=True), options(eval_stereo=True)
    assert (mono.chosen_protocol, mono.scaling, stereo.chosen_protocol, stereo.scaling) == (
        EIGEN,
        "median",
        EIGEN,
        "unit",
    )
    own = options(eval_mono=True, eval_split="my/eigen").chosen_protocol
    assert own.subject.crop == CROPS["garg"] and own.rule == EIGEN.rule and own.name == "my/eigen"
    assert options(eval_mono=True, eval_split="eigen_benchmark").chosen_protocol == EIGEN_BENCHMARK
    other = options(
        eval_mono=True, eval_split="own", crop="eigen", depth_cap=50.0, disable_median_scaling=True
    )
    assert other.scaling == "none"
    found = other.chosen_protocol
    assert (found.subject.list, found.subject.crop, found.subject.cap) == ("own", CROPS["eigen"], 50.0)
    assert found.rule == replace(EIGEN_BENCHMARK.rule, limit_truth=True)
    assert found.title == "own, crop eigen, depth_cap 50"


def test_description() -> None:
    """The line that users know, as long as the protocol is that of the table."""
    line = describe(EIGEN, Scaling(), 697)
    assert line == "split eigen | crop garg | cap 80 m | median scaling | 697 images"
    line = describe(EIGEN_BENCHMARK, Scaling("unit", 5.4))
    assert (
        line
        == "split eigen_benchmark | crop none | cap 80 m (predictions only) | no median scaling, depth x 5.4"
    )


@pytest.mark.parametrize(
    ("changes", "named", "rest"),
    [
        ({"depth_cap": 60.0}, "depth_cap 60", "crop garg | cap 60 m"),
        ({"crop": CROPS["none"]}, "crop none", "crop none | cap 80 m (predictions only)"),
        ({"min_depth": 0.1}, "min_depth 0.1", "crop garg | cap 80 m"),
        ({"min_depth": 0.0}, "min_depth 0", "crop garg | cap 80 m"),
        ({"empty": "zeros"}, "images without truth: zeros", "crop garg | cap 80 m"),
    ],
)
def test_a_changed_protocol_never_passes_for_the_published_one(
    changes: dict[str, Any], named: str, rest: str
) -> None:
    changed = change(EIGEN, **changes)
    assert describe(changed, Scaling()) == f"protocol eigen, {named} | split eigen | {rest} | median scaling"
    truth = sparse(np.full((60, 90), 5.0))
    written = evaluate_depth([np.ones((20, 30))], [truth], changed).to_json()
    assert written["protocol"]["changed"] == (named,) and f"eigen, {named}" in written["description"]
    assert Protocol.from_json(json.loads(json.dumps(written["protocol"]))) == changed


def test_what_is_as_the_table_has_it_is_no_change() -> None:
    assert change(EIGEN, crop=CROPS["garg"], depth_cap=80.0, min_depth=1e-3) == EIGEN


def test_a_changed_minimum_is_that_of_truth_and_prediction() -> None:
    depth = np.full((60, 90), 5.0)
    depth[30] = 0.5
    metrics = evaluate_depth([np.ones((20, 30)) * 2], [depth], change(EIGEN, min_depth=0.8), Scaling("none"))
    assert metrics.valid_pixels.tolist() == [(59 - 24 - 1) * (86 - 3)]  # without the row of 0.5 m
    assert_close(metrics.mean[0], (5 - 0.8) / 5)  # and 0.5 m becomes 0.8 m


def test_json() -> None:
    depth = np.random.default_rng(0).uniform(1, 70, (60, 90))
    for scaling in (Scaling(), Scaling("none")):
        metrics = evaluate_depth([1 / depth] * 2, [sparse(depth)] * 2, EIGEN, scaling)
        content = json.loads(json.dumps(metrics.to_json(), allow_nan=False))
        assert content["images"] == 2
        assert content["mean"]["a1"] == 1
        assert content["protocol"]["name"] == "eigen" and content["protocol"]["changed"] == []
        assert content["protocol"]["subject"]["crop"]["name"] == "garg"
        assert content["scaling"] == {"kind": scaling.kind, "factor": 1.0}
        assert np.shape(content["per_image"]) == (2, 7)


@pytest.mark.parametrize("scaling", ["median", "none"])
def test_the_table_says_what_the_json_says(tmp_path: Path, scaling: Any) -> None:
    rng = np.random.default_rng(0)
    truths = [sparse(rng.uniform(1, 90, (60, 90)) * (rng.uniform(size=(60, 90)) < 0.5)) for _ in range(3)]
    lines = ["a, b 1 l", 'c"d 2 r', "e 3 l"]
    metrics = evaluate_depth(
        [rng.uniform(0.01, 1, (20, 30)) for _ in truths], truths, EIGEN, Scaling(scaling)
    )
    save_json(tmp_path / "all.json", metrics, lines)
    save_csv(tmp_path / "all.csv", metrics, lines)
    written = json.loads((tmp_path / "all.json").read_text())
    with (tmp_path / "all.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["index", "line", *written["names"], "scale_ratio", "valid_pixels"]
    assert [row[0] for row in rows] == ["0", "1", "2"] and [row[1] for row in rows] == lines == written[
        "lines"
    ]
    assert [[float(word) for word in row[2:9]] for row in rows] == written["per_image"]
    ratios = [float(row[9]) for row in rows] if scaling == "median" else None
    assert ratios == written["scale_ratios"] and (ratios is not None or {row[9] for row in rows} == {""})
    pixels = [int(select(truth, EIGEN).sum()) for truth in truths]
    assert [int(row[10]) for row in rows] == written["valid_pixels"] == pixels


def test_what_is_refused() -> None:
    truth, disparity = sparse(np.full((60, 90), 5.0)), np.ones((20, 30))
    empty = sparse(np.full((60, 90), 90.0))
    cases: list[tuple[list[np.ndarray], list[Any], str]] = [
        ([disparity], [truth, truth], "1 predictions but 2 ground truths"),
        ([], [], "no image to evaluate"),
        ([disparity] * 2, [truth, empty], r"image 1 .* no ground truth inside crop garg"),
        ([disparity, disparity * 0], [truth] * 2, "prediction 1 .* positive and finite"),
        ([disparity * np.nan], [truth], "prediction 0 .* positive and finite"),
        ([disparity[None]], [truth], r"prediction 0 .* shape \(1, 20, 30\)"),
    ]
    for maps, ground_truth, message in cases:
        with pytest.raises(UserError, match=message):
            evaluate_depth(maps, ground_truth, EIGEN)
