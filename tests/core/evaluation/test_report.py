"""Yardsticks against brute force, the table and the picture."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from core.datasets.ground_truth import SparseDepth
from core.evaluation.comparison import Scaling, select
from core.evaluation.depth import evaluate_depth
from core.evaluation.metrics import METRIC_NAMES
from core.evaluation.report import ERROR_LIMIT, MARGIN, picture, spread, table, yardsticks
from core.files.colour import colour_map
from core.options.protocols import PROTOCOLS, change

HEIGHT, WIDTH = 12, 40
PROTOCOL = PROTOCOLS["eigen_benchmark"]
PLAIN = PROTOCOL, Scaling("none")


def sparse(depth: np.ndarray) -> SparseDepth:
    return SparseDepth.from_dense(depth, "line")


def street(seed: int, known: float = 0.7) -> SparseDepth:
    """Nearer towards the bottom, different from pixel to pixel, with holes."""
    rng = np.random.default_rng(seed)
    depth = np.linspace(40, 4, HEIGHT)[:, None] * rng.uniform(0.5, 1.5, (HEIGHT, WIDTH))
    return sparse(np.where(rng.uniform(size=depth.shape) < known, depth, 0).astype(np.float32))


@pytest.fixture(scope="module")
def training() -> list[SparseDepth]:
    return [street(seed) for seed in range(6)]


def abs_rel_of(guess: np.ndarray, maps: list[SparseDepth]) -> float:
    return float(evaluate_depth([1 / guess.astype(np.float32)] * len(maps), maps, *PLAIN).mean[0])


def test_yardsticks_are_the_best_of_their_kind(training: list[SparseDepth]) -> None:
    found = {name: metrics.mean[0] for name, metrics in yardsticks(training, training, *PLAIN).items()}
    names = ("best constant depth", "best depth per image row", "median depth per pixel")
    assert tuple(found) == names
    assert found[names[0]] > found[names[1]] > found[names[2]]
    constants = np.linspace(1, 60, 600)
    scores = [np.mean([np.mean(np.abs(c - m.values) / m.values) for m in training]) for c in constants]
    assert found[names[0]] <= min(scores) * 1.01  # pixels weigh alike there, images weigh alike here
    assert found[names[0]] < abs_rel_of(np.full((HEIGHT, WIDTH), np.median(training[0].values)), training)


def test_pixels_that_training_never_saw_take_the_row_and_rows_the_constant() -> None:
    seen = np.zeros((HEIGHT, WIDTH), np.float32)
    seen[4, :10] = 5
    seen[5, :10] = 7
    full = sparse(np.full((HEIGHT, WIDTH), 5, np.float32))
    results = yardsticks([sparse(seen)], [full], *PLAIN)
    rows = np.full((HEIGHT, WIDTH), 5.0)  # the constant: the median weighted by 1 / depth
    rows[5] = 7
    for name in ("best depth per image row", "median depth per pixel"):
        assert results[name].mean[0] == pytest.approx(np.mean(np.abs(rows - 5) / 5), rel=1e-5)


def test_yardsticks_know_only_the_pixels_of_the_protocol(training: list[SparseDepth]) -> None:
    garg = change(PROTOCOLS["eigen"], depth_cap=20)

    def spoil(maps: list[SparseDepth]) -> list[SparseDepth]:
        spoilt = []
        for depth in maps:
            values = depth.values.copy()
            values[~select(depth, garg)] = 79
            spoilt.append(SparseDepth(depth.shape, depth.index, values, depth.line))
        return spoilt

    test = [street(9)]
    plain, spoilt = (yardsticks(maps, test, garg, Scaling()) for maps in (training, spoil(training)))
    for name in plain:
        np.testing.assert_array_equal(plain[name].mean, spoilt[name].mean)


def test_median_scaling_makes_all_constants_alike(training: list[SparseDepth]) -> None:
    protocol = PROTOCOL, Scaling()
    found = yardsticks(training, training, *protocol)["best constant depth"].mean
    other = evaluate_depth([np.full((2, 2), 0.3, np.float32)] * len(training), training, *protocol).mean
    np.testing.assert_allclose(found, other, rtol=1e-5)


def test_table() -> None:
    text = table({"short": np.arange(7) / 8, "a longer name": np.ones(7)})
    header, rule, *rows = text.splitlines()
    assert [cell.strip() for cell in header.split("|")[2:-1]] == list(METRIC_NAMES)
    assert len({len(line) for line in (header, rule, *rows)}) == 1
    assert [cell.strip() for cell in rows[0].split("|")[1:-1]] == [
        "short",
        *(f"{i / 8:.3f}" for i in range(7)),
    ]


@pytest.mark.parametrize(("scaling", "factor"), [("median", 1.0), ("none", 5.4)])
def test_picture(scaling: str, factor: float) -> None:
    truth, protocol = street(0), (PROTOCOL, Scaling(scaling, factor))
    exact = np.where(truth.dense() > 0, truth.dense(), 10).astype(np.float32)
    disparity = factor / exact if scaling == "none" else 1 / (exact * 3)  # the wrong scale, or the right one
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    shown = np.asarray(picture([image, image], [disparity, disparity * 2], [truth, truth], *protocol))
    top = shown.shape[0] - 2 * (HEIGHT + MARGIN) + MARGIN
    assert shown.shape[1] == 4 * (WIDTH + MARGIN) - MARGIN and top > 0
    row = [shown[top : top + HEIGHT, i * (WIDTH + MARGIN) :][:, :WIDTH] for i in range(4)]
    second = shown[top + HEIGHT + MARGIN :]
    known = truth.dense() > 0
    np.testing.assert_array_equal(row[0], image)
    np.testing.assert_array_equal(row[1][known], row[2][known])  # prediction and truth in the same colours
    assert (row[1][~known] > 0).any() and (row[2][~known] == 0).all()
    dark = colour_map(np.zeros((1, 1)), limits=(0, ERROR_LIMIT))[0, 0]
    assert (row[3][known] == dark).all()
    error = second[:, 3 * (WIDTH + MARGIN) :][known].mean()
    assert error == pytest.approx(row[3][known].mean(), abs=1) if scaling == "median" else error > 100


@pytest.mark.parametrize(("count", "wanted"), [(1, 5), (5, 5), (7, 5), (40, 5), (4, 1), (697, 3)])
def test_spread(count: int, wanted: int) -> None:
    chosen = spread(count, wanted)
    assert len(chosen) == len(set(chosen)) == min(count, wanted)
    assert chosen == sorted(chosen) and chosen[0] >= 0 and chosen[-1] < count
    gaps = [b - a for a, b in pairwise([-chosen[0] - 1, *chosen, 2 * count - 1 - chosen[-1]])]
    assert max(gaps) - min(gaps) <= 2
