"""Every value that a protocol can have, in a made-up one, against plain formulas; the table and its aliases."""

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserError
from core.evaluation.comparison import Scaling, z_disparity
from core.evaluation.depth import evaluate_depth, save_csv, training_metrics
from core.options import DATASETS, OPTIONS, EvaluationOptions
from core.options.parsing import parse
from core.options.protocols import CROPS, OWN_LISTS, PROTOCOLS, Crop, Protocol, Rule, Subject, measuring_names
from tests.tolerances import assert_close

ROOT = Path(__file__).resolve().parents[3]
SMALL, LARGE = (7, 11), (12, 20)  # of the prediction and of the truth, height and width
AS_IT_IS = Scaling("none")
WHOLE = Crop("whole")


def made_up(crop: Crop = WHOLE, cap: float = 80.0, **rule: Any) -> Protocol:
    return Protocol("made_up", Subject("made_up", "folder", None, crop, cap), Rule("made_up", **rule))


@pytest.fixture
def disparity() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.02, 0.9, SMALL)


@pytest.fixture
def truth() -> np.ndarray:
    """Half of it known, some beyond 80 m."""
    rng = np.random.default_rng(1)
    return rng.uniform(1, 90, LARGE) * (rng.uniform(size=LARGE) < 0.5)


# ---- what is resized, and how --------------------------------------------------------------------------------------


def half_pixels(n: int, count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) * n / count - 0.5


def corners(n: int, count: int) -> np.ndarray:
    return np.linspace(0, n - 1, count)


def bilinear(values: np.ndarray, size: tuple[int, int], places: Callable = half_pixels) -> np.ndarray:
    """By NumPy's own interpolation, along one axis and then the other."""
    for _ in range(2):  # rows, then columns, and transposed back
        at, known = places(len(values), size[0]), np.arange(len(values))
        values = np.stack([np.interp(at, known, column) for column in values.T])
        size = size[::-1]
    return values


def floors(values: np.ndarray, size: tuple[int, int], offset: float) -> np.ndarray:
    rows, columns = (
        np.floor((np.arange(count) + offset) * n / count).astype(int)
        for n, count in zip(values.shape, size, strict=True)
    )
    return values[rows][:, columns]


MIDDLE = (slice(5, 12), slice(4, 15))  # where 7x11 lies in 12x20, at the bottom and in the middle
Maps = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
RESIZING: list[tuple[dict[str, Any], Maps]] = [
    ({}, lambda d, t: (1 / bilinear(d, LARGE), t)),
    ({"interpolation": "align_corners"}, lambda d, t: (1 / bilinear(d, LARGE, corners), t)),
    ({"interpolation": "nearest"}, lambda d, t: (1 / floors(d, LARGE, 0), t)),
    ({"interpolation": "nearest_centres"}, lambda d, t: (1 / floors(d, LARGE, 0.5), t)),
    ({"interpolation": "top_center"}, lambda d, t: (1 / d, t[MIDDLE])),
    ({"quantity": "depth"}, lambda d, t: (bilinear(1 / d, LARGE), t)),
    (
        {"quantity": "depth", "interpolation": "align_corners"},
        lambda d, t: (bilinear(1 / d, LARGE, corners), t),
    ),
    ({"quantity": "depth", "interpolation": "top_center"}, lambda d, t: (1 / d, t[MIDDLE])),
    ({"resize": "truth", "interpolation": "nearest"}, lambda d, t: (1 / d, floors(t, SMALL, 0))),
    ({"resize": "truth", "interpolation": "nearest_centres"}, lambda d, t: (1 / d, floors(t, SMALL, 0.5))),
    ({"resize": (15, 26)}, lambda d, t: (1 / bilinear(d, (15, 26)), floors(t, (15, 26), 0.5))),
    (
        {"resize": (5, 8), "quantity": "depth"},
        lambda d, t: (bilinear(1 / d, (5, 8)), floors(t, (5, 8), 0.5)),
    ),
]


def plain(depth: np.ndarray, truth: np.ndarray) -> list[float]:
    """abs_rel, rmse, a1 of maps, scaled by medians, of truth up to 80 m."""
    known = (truth > 1e-3) & (truth < 80)
    depth, truth = depth[known], truth[known]
    depth = np.clip(depth * np.median(truth) / np.median(depth), 1e-3, 80)
    error = depth - truth
    ratio = np.maximum(depth / truth, truth / depth)
    return [np.mean(abs(error) / truth), np.sqrt(np.mean(error**2)), np.mean(ratio < 1.25)]


@pytest.mark.parametrize(("rule", "maps"), RESIZING, ids=[str(rule) for rule, _ in RESIZING])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_is_resized(
    disparity: np.ndarray, truth: np.ndarray, rule: dict[str, Any], maps: Maps, kind: type
) -> None:
    protocol = made_up(metrics=("abs_rel", "rmse", "a1"), **rule)
    found = evaluate_depth([disparity.astype(kind)], [truth], protocol)
    depth, expected_truth = maps(disparity, truth)
    assert_close(found.per_image[0], np.array(plain(depth, expected_truth)), "operator")
    assert found.valid_pixels.tolist() == [np.sum((expected_truth > 1e-3) & (expected_truth < 80))]


def test_all_of_them_differ(disparity: np.ndarray, truth: np.ndarray) -> None:
    """Otherwise the comparisons above would not tell them apart."""
    values = {round(plain(*maps(disparity, truth))[0], 6) for _, maps in RESIZING}
    assert len(values) == len(RESIZING) - 1  # laid into the image, disparity and depth are the same


def test_a_prediction_that_does_not_fit_into_the_truth(truth: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"13x20 .* is larger than the truth, 12x20"):
        evaluate_depth([np.ones((13, 20))], [truth], made_up(interpolation="top_center"))


def test_truth_is_never_interpolated() -> None:
    with pytest.raises(ValueError, match="truth has gaps"):
        Rule("bad", resize="truth")


# ---- what counts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        (WHOLE, slice(0, 12), slice(0, 20)),
        (Crop("shares", (0.26, 0.76), (0.1, 0.99)), slice(3, 9), slice(2, 19)),
        (Crop("pixels", (2, 10), (1, 17), pixels=True), slice(2, 10), slice(1, 17)),
    ],
)
def test_crops(truth: np.ndarray, crop: Crop, rows: slice, columns: slice) -> None:
    found = evaluate_depth([np.full(SMALL, 0.1)], [truth], made_up(crop), AS_IT_IS)
    inside = truth[rows, columns]
    inside = inside[(inside > 0) & (inside < 80)]
    assert found.valid_pixels.tolist() == [inside.size]
    assert_close(found.mean[0], np.mean(abs(10 - inside) / inside))


@pytest.mark.parametrize(
    ("rule", "counted"),
    [
        ({}, [0.05, 0.5, 2, 79]),
        ({"min_truth": 0.1}, [0.5, 2, 79]),
        ({"min_truth": 0.5}, [2, 79]),  # strictly
        ({"limit_truth": False, "min_truth": 0.1}, [0.05, 0.5, 2, 79, 80, 200]),
    ],
)
def test_limits_of_the_truth(rule: dict[str, Any], counted: list[float]) -> None:
    truth = np.array([[0.0, 0.05, 0.5, 2, 79, 80, 200]])
    found = evaluate_depth([np.ones((1, 7))], [truth], made_up(**rule), AS_IT_IS)
    assert found.valid_pixels.tolist() == [len(counted)]
    assert_close(found.mean[0], np.mean([abs(1 - value) / value for value in counted]))


@pytest.mark.parametrize(
    ("cap", "clamp", "expected"), [(80.0, 1e-3, 75.0), (10.0, 0.5, 5.0), (60.0, 0.0, 55.0)]
)
def test_predictions_are_clamped(cap: float, clamp: float, expected: float) -> None:
    """1000 m to the cap, 0.01 m to the clamp: absolute differences to 5 m."""
    protocol = made_up(cap=cap, clamp=clamp, metrics=("abs_diff",))
    far = evaluate_depth([np.full((2, 2), 1e-3)], [np.full((2, 2), 5.0)], protocol, AS_IT_IS)
    near = evaluate_depth([np.full((2, 2), 100.0)], [np.full((2, 2), 5.0)], protocol, AS_IT_IS)
    assert_close([far.mean[0], near.mean[0]], np.array([expected, 5 - max(clamp, 0.01)]))


@pytest.mark.parametrize(("first", "ratio"), [(False, 40 / 200), (True, 40 / 80)])
def test_what_is_clamped_before_the_medians(first: bool, ratio: float) -> None:
    protocol = made_up(clamp_first=first)
    found = evaluate_depth([np.full((1, 3), 1 / 200)], [np.full((1, 3), 40.0)], protocol)
    assert found.scale_ratios is not None
    assert_close(found.scale_ratios[0], ratio)


def test_the_first_clamp_is_of_the_precision_of_the_prediction() -> None:
    """As the log of training always had it: 0.001 in float32 is a little more."""
    protocol = made_up(quantity="depth", clamp_first=True)
    found = evaluate_depth([np.full((1, 3), 1e6, np.float32)], [np.full((1, 3), 1.0)], protocol)
    assert found.scale_ratios is not None and found.scale_ratios[0] == 1 / float(np.float32(1e-3))


@pytest.mark.parametrize(("kind", "ratio"), [("mean", 2.5 / 1.5), ("lower", 2.0)])
def test_medians_of_an_even_count(kind: str, ratio: float) -> None:
    truth, depth = np.array([[1.0, 2, 3, 50]]), np.array([[1.0, 1, 2, 2]])
    found = evaluate_depth([1 / depth], [truth], made_up(median=kind))
    assert found.scale_ratios is not None
    assert_close(found.scale_ratios[0], ratio)
    assert_close(found.mean[0], np.mean(abs(depth * ratio - truth) / truth))


@pytest.mark.parametrize("scaling", [Scaling("unit", 5.4), Scaling("none", 2.0), Scaling("none")])
@pytest.mark.parametrize("quantity", ["disparity", "depth"])
def test_scaling_by_a_factor(scaling: Scaling, quantity: str) -> None:
    protocol = made_up(quantity=quantity, metrics=("abs_diff",))
    found = evaluate_depth([np.full((2, 2), 0.5)], [np.full((4, 4), 20.0)], protocol, scaling)
    assert_close(found.mean[0], 20 - 2 * scaling.factor)
    assert found.scale_ratios is None


@pytest.mark.parametrize("quantity", ["disparity", "depth"])
def test_a_floor_of_what_is_inverted(quantity: str) -> None:
    """Before the resizing, and zero is a disparity then; without a floor it is none."""
    truth, disparity = np.full((1, 4), 10.0), np.array([[0.0, 0.2]])
    rule = {"quantity": quantity, "interpolation": "nearest", "metrics": ("abs_diff",), "clamp": 0.0}
    found = evaluate_depth([disparity], [truth], made_up(cap=1e9, floor=1e-3, **rule), AS_IT_IS)
    assert_close(found.mean[0], (990 + 5) / 2)
    with pytest.raises(UserError, match="must be positive and finite"):
        evaluate_depth([disparity], [truth], made_up(**rule), AS_IT_IS)
    with pytest.raises(UserError, match="must be positive and finite"):
        evaluate_depth([-disparity], [truth], made_up(floor=1e-3, **rule), AS_IT_IS)


# ---- images without truth ------------------------------------------------------------------------------------------

THREE = [np.full((2, 2), 10.0), np.zeros((2, 2)), np.full((2, 2), 90.0)]  # metres: one of three counts


@pytest.mark.parametrize(("empty", "mean"), [("skip", 0.5), ("zeros", 0.5 / 3)])
def test_images_without_truth(tmp_path: Path, empty: str, mean: float) -> None:
    found = evaluate_depth([np.full((2, 2), 0.2)] * 3, THREE, made_up(empty=empty), AS_IT_IS)
    assert_close(found.mean[0], mean)
    assert found.valid_pixels.tolist() == [4, 0, 0]
    what = {"skip": "skipped", "zeros": "counted as zeros"}[empty]
    assert found.describe().endswith(f"| 3 images, 2 without truth {what}")
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    nothing = [{"skip": None, "zeros": 0.0}[empty]] * 7
    assert written["images"] == 3 and written["per_image"][1:] == [nothing, nothing]
    save_csv(tmp_path / "a.csv", found, ["a", "b", "c"])
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[2] == ["1", "b", *({"skip": "", "zeros": "0.0"}[empty] for _ in range(7)), "", "0"]


@pytest.mark.parametrize("empty", ["skip", "zeros"])
def test_ratios_of_images_without_truth(empty: str) -> None:
    found = evaluate_depth([np.full((2, 2), 0.2)] * 3, THREE, made_up(empty=empty))
    assert found.scale_summary() == (2.0, 0.0)
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["scale_ratios"] == [2.0, None, None]


@pytest.mark.parametrize("empty", ["error", "skip", "zeros"])
def test_no_image_with_truth(empty: str) -> None:
    with pytest.raises(UserError, match=r"no ground truth inside crop whole|no image has ground truth"):
        evaluate_depth([np.ones((2, 2))] * 2, THREE[1:], made_up(empty=empty))


def test_a_run_goes_on_without_truth() -> None:
    one, empty = [np.full((2, 2), 0.2)], [np.zeros((2, 2))]
    assert training_metrics(one, empty, made_up(empty="error")) is None
    assert training_metrics(one, empty, made_up(empty="skip")) is None
    assert set((training_metrics(one, empty, made_up(empty="zeros")) or {}).values()) == {0.0}


# ---- what is measured ----------------------------------------------------------------------------------------------


def test_metrics_are_chosen_and_ordered() -> None:
    truth, depth = np.array([[2.0, 10.0]]), np.array([[20.0, 1.0]])
    found = evaluate_depth([1 / depth], [truth], made_up(metrics=("log10", "abs_diff", "a3")), AS_IT_IS)
    assert found.names == ("log10", "abs_diff", "a3")
    assert_close(found.mean, np.array([1.0, 13.5, 0.0]), "float64")
    assert [word.strip() for word in found.printed().splitlines()[0].split("|")[:-1]] == list(found.names)
    logged = training_metrics([1 / depth], [truth], made_up(metrics=("log10", "a3")), AS_IT_IS)
    assert logged == pytest.approx({"de/log10": 1.0, "da/a3": 0.0, "truth/pixels": 2})


def test_z_of_a_range_along_rays() -> None:
    """Of a pinhole camera, whose rays are (x, y, 1) / |(x, y, 1)|."""
    rng = np.random.default_rng(0)
    z, x, y = rng.uniform(1, 50, (2, 1, 4, 6)), rng.normal(size=(2, 1, 4, 6)), rng.normal(size=(2, 1, 4, 6))
    rays = np.concatenate([x, y, np.ones_like(x)], axis=1)
    length = np.sqrt((rays**2).sum(axis=1, keepdims=True))
    assert_close(1 / z_disparity(1 / (z * length), rays / length), z, "float64")


def test_rays_beyond_a_right_angle_have_no_depth() -> None:
    rays = np.zeros((1, 3, 1, 3), np.float32)
    rays[0, 2, 0] = 1, 0, -1
    depth = 1 / z_disparity(np.full((1, 1, 1, 3), 0.5, np.float32), rays)
    assert depth.shape == (1, 1, 1, 3) and depth[0, 0, 0, 0] == 2
    assert (depth[0, 0, 0, 1:] > 0).all() and (depth[0, 0, 0, 1:] < 1e-6).all()


# ---- the table -----------------------------------------------------------------------------------------------------


def test_names_and_readers() -> None:
    assert all(name == protocol.name == protocol.title for name, protocol in PROTOCOLS.items())
    assert {p.subject.reader for p in PROTOCOLS.values()} <= {*DATASETS, *OWN_LISTS}
    assert set(measuring_names()) == set(PROTOCOLS) - {"benchmark"}
    assert {options().protocol for options in OPTIONS.values()} <= set(measuring_names())


def test_the_log_of_monodepth2() -> None:
    """As its authors' program has it, in numbers written down here once more."""
    log = PROTOCOLS["monodepth2_log"]
    assert log.subject.crop.bounds(375, 1242) == (153, 371, 44, 1197)
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.1, 200, (2, 375, 1242)).astype(np.float32)
    truth = rng.uniform(1, 90, depth.shape).astype(np.float32) * (rng.uniform(size=depth.shape) < 0.01)
    truth = truth.astype(np.float32)
    part = (slice(None), slice(153, 371), slice(44, 1197))
    known = truth[part] > 0
    found, true = np.clip(1 / (1 / depth), 1e-3, 80)[part][known], truth[part][known]
    found = found.astype(np.float64) * (
        np.sort(true)[(true.size - 1) // 2] / np.sort(found)[(found.size - 1) // 2]
    )
    found = np.clip(found, 1e-3, 80)
    metrics = training_metrics(1 / depth, truth, log)
    assert metrics is not None
    assert metrics["de/abs_rel"] == pytest.approx(np.mean(abs(found - true) / true), rel=1e-6)
    assert metrics["de/rms"] == pytest.approx(np.sqrt(np.mean((found - true) ** 2)), rel=1e-6)


def test_a_protocol_comes_back_from_json() -> None:
    for protocol in PROTOCOLS.values():
        assert Protocol.from_json(json.loads(json.dumps(dataclasses.asdict(protocol)))) == protocol


def test_only_the_table_knows_a_crop() -> None:
    numbers = re.compile(r"0\.4081|0\.9918|0\.0359|0\.9640|0\.3324|0\.9135|\b153\b|\b371\b|\b1197\b")
    files = [*(ROOT / "core").rglob("*.py"), *(ROOT / "backends").rglob("*.py"), *ROOT.glob("*.py")]
    found = {path.name for path in files if numbers.search(path.read_text(encoding="utf-8"))}
    assert found == {"protocols.py"}


# ---- options -------------------------------------------------------------------------------------------------------

SAVED = ("--ext_disp_to_eval", "a.npy", "--eval_mono")


def chosen(*words: str) -> EvaluationOptions:
    return parse(EvaluationOptions, [*SAVED, *words])


@pytest.mark.parametrize("name", ["eigen", "eigen_benchmark", "make3d"])
def test_eval_split_is_an_alias(name: str) -> None:
    new, old = chosen("--protocol", name), chosen("--eval_split", name)
    assert new.chosen_protocol == old.chosen_protocol == PROTOCOLS[name]
    assert (new.split, new.reader) == (old.split, old.reader)
    assert chosen("--protocol", name, "--eval_split", name).chosen_protocol == PROTOCOLS[name]


def test_a_protocol_on_a_list_of_ones_own() -> None:
    options = chosen("--protocol", "eigen", "--eval_split", "my/list")
    protocol = options.chosen_protocol
    assert options.split == "my/list" and protocol.name == "eigen"
    assert protocol.rule == PROTOCOLS["eigen"].rule and protocol.subject.crop == CROPS["garg"]
    own = chosen("--eval_split", "my/list").chosen_protocol
    assert own.name == own.title == "my/list" and own.rule == PROTOCOLS["eigen_benchmark"].rule
    log = chosen("--protocol", "monodepth2_log", "--eval_split", "eigen").chosen_protocol
    assert log.subject.list == "eigen" and log.rule == PROTOCOLS["monodepth2_log"].rule


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--protocol", "egien"], "option --protocol: 'egien' is none of eigen, eigen_benchmark"),
        (["--protocol", "eigen", "--eval_split", "eigen_benchmark"], "eigen_benchmark is another protocol"),
        (["--protocol", "eigen", "--eval_split", "make3d"], "make3d is another protocol than eigen"),
        (["--protocol", "monodepth2_log", "--eval_split", "make3d"], "make3d is another protocol"),
        (["--protocol", "make3d", "--eval_split", "my/list"], "make3d has no list"),
        (["--eval_split", "monodepth2_log"], "is a protocol; use --protocol monodepth2_log"),
        (["--protocol", "monodepth2_log"], "monodepth2_log has no list of its own; name one"),
        (["--protocol", "make3d", "--crop", "garg"], "option crop: make3d has its own"),
        (["--protocol", "benchmark"], "benchmark has no ground truth to scale by"),
        (["--protocol", "eigen", "--eval_eigen_to_benchmark"], "eval_eigen_to_benchmark: needs"),
        (["--protocol", "eigen", "--eval_stereo"], "choose exactly one of --eval_mono and --eval_stereo"),
    ],
)
def test_contradictions(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        chosen(*words)
    assert message in str(error.value) and "\n" not in str(error.value)
