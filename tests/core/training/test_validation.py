"""Means over a list, the better of two validations, losses that are not finite, and guards of the training."""

import types
from pathlib import Path

import numpy as np
import pytest

from core.datasets.loader import batches
from core.datasets.sample import Truth
from core.evaluation.depth import evaluate_depth, training_metrics
from core.evaluation.metrics import IN_LOG
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.protocols import PROTOCOLS
from core.options.schedule import step_seed
from core.training.collapse import CollapseGuard
from core.training.loss_scale import GROWTH_INTERVAL, LARGEST, LossScale
from core.training.validation import (
    Means,
    NotFiniteError,
    WithTruths,
    batch_metrics,
    check_finite,
    describe,
    image_metrics,
    is_better,
)

OPTIONS = Monodepth2Options()


def test_means_weigh_each_number_by_its_samples() -> None:
    means = Means()
    means.add({"loss": 1.0}, samples=3)
    means.add({"loss": 2.0, "de/abs_rel": 0.5})
    assert means.values() == {"loss": 1.25, "de/abs_rel": 0.5}


def test_images_without_ground_truth_do_not_count() -> None:
    rng = np.random.default_rng(0)
    disparity = 1 / rng.uniform(1, 50, (2, 1, 24, 80)).astype(np.float32)
    truth = np.zeros((2, 1, 375, 1242), np.float32)
    truth[1, 0, 200:300] = rng.uniform(1, 50, (100, 1242))
    metrics = image_metrics(OPTIONS, disparity, [None, Truth(truth[1, 0])])
    assert image_metrics(OPTIONS, disparity, [Truth(depth) for depth in truth[:, 0]]) == metrics
    expected = training_metrics(disparity[1], truth[1], PROTOCOLS["monodepth2_log"])
    assert expected is not None and metrics == [expected | {"truth/few_pixels": 0.0}]


@pytest.mark.parametrize(("known", "few"), [(40, True), (99, True), (100, False), (4000, False)])
def test_how_many_pixels_counted_is_said(known: int, few: bool) -> None:
    """Of the two images with truth one has plenty; a third has none."""
    disparity = np.random.default_rng(0).uniform(0.02, 1, (3, 1, 24, 80)).astype(np.float32)
    truths = [np.zeros((60, 200), np.float32) for _ in disparity]
    truths[0].ravel()[:known], truths[1][:40] = 10, 20
    means = Means()
    for metrics in image_metrics(
        Monodepth2Options(protocol="eigen_benchmark"), disparity, [Truth(depth) for depth in truths]
    ):
        means.add(metrics)
    values = means.values()
    assert values["truth/pixels"] == (known + 8000) / 2 and values["truth/few_pixels"] == (0.5 if few else 0)
    words = describe(OPTIONS, values)
    assert f"pixels compared: {(known + 8000) / 2:.0f} an image" in words
    assert ("FEW: 50% of the images with truth have less than 100" in words) == few


@pytest.mark.parametrize("name", ["eigen", "make3d"])
def test_the_protocol_of_the_run_measures(name: str) -> None:
    rng = np.random.default_rng(0)
    disparity = rng.uniform(0.02, 1, (2, 1, 24, 80)).astype(np.float32)
    truth = rng.uniform(1, 100, (2, 1, 60, 200)).astype(np.float32)
    found = image_metrics(
        Monodepth2Options(protocol=name), disparity, [Truth(depth) for depth in truth[:, 0]]
    )
    expected = evaluate_depth(disparity[:, 0], truth[:, 0], PROTOCOLS[name])
    logged = [IN_LOG[metric] for metric in PROTOCOLS[name].rule.metrics]
    assert [[values[name] for name in logged] for values in found] == expected.per_image.tolist()
    assert [values["truth/pixels"] for values in found] == expected.valid_pixels.tolist()
    assert list(found[0]) == [*logged, "truth/pixels", "truth/few_pixels"]


def test_a_run_may_scale_by_its_unit() -> None:
    class Metric(Monodepth2Options):
        scaling = "unit"

    disparity, truth = np.full((1, 1, 8, 8), 0.5, np.float32), np.full((1, 1, 60, 200), 10.8, np.float32)
    truth = [Truth(truth[0, 0])]
    options = Metric(protocol="eigen", use_stereo=True)
    found = batch_metrics(options, disparity, truth)
    assert found is not None and found["de/abs_rel"] == pytest.approx(0, abs=1e-6)
    assert (batch_metrics(options, 2 * disparity, truth) or {})["de/abs_rel"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="a unit that is not known"):
        batch_metrics(Metric(protocol="eigen"), disparity, truth)


def test_the_better_has_the_smaller_abs_rel_or_else_photometric_loss() -> None:
    one = {"loss": 1.0, "photometric/0": 0.2, "photometric/1": 0.2, "smoothness/0": 9.0}
    other = {"loss": 9.0, "photometric/0": 0.1, "photometric/1": 0.2, "smoothness/0": 0.0}
    assert (
        is_better(OPTIONS, one, {}) and is_better(OPTIONS, other, one) and not is_better(OPTIONS, one, other)
    )
    assert not is_better(OPTIONS, one, one)
    deep = [values | {"de/abs_rel": metric} for values, metric in ((one, 0.1), (other, 0.2))]
    assert is_better(OPTIONS, deep[0], deep[1]) and not is_better(OPTIONS, deep[1], deep[0])
    assert describe(OPTIONS, deep[0]) == "loss 1.00000, abs_rel 0.10000"
    assert describe(OPTIONS, one) == "loss 1.00000, photometric 0.40000"


def test_terms_that_are_not_finite_are_named_with_their_samples() -> None:
    dataset = types.SimpleNamespace(
        lines=["a", "b"],
        describe=lambda index: f"line {index + 1}",
        target_path=lambda index: Path(f"/data/{'ab'[index]}_0.jpg"),
    )
    batch = {"index": np.array([1])}
    check_finite({"loss": 1.0}, batch, dataset)  # type: ignore[arg-type]
    values = {"loss": float("nan"), "photometric/2": float("inf"), "smoothness/0": 0.0}
    with pytest.raises(NotFiniteError) as caught:
        check_finite(values, batch, dataset)  # type: ignore[arg-type]
    assert "(loss nan, photometric/2 inf) for line 2 in /data/b_0.jpg; lower --learning_rate" in str(
        caught.value
    )
    assert caught.value.batch is batch


def test_a_stuck_scale_is_told_once() -> None:
    guard = CollapseGuard(OPTIONS.COLLAPSE_CURE)
    healthy, far, near = (0.2, 0.7), (0.0, 0.0005), (0.9995, 1.0)
    told = [guard.warnings({"0": healthy, "1": far}) for _ in range(12)]
    assert [len(lines) for lines in told] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert told[4][0].startswith(
        "warning: scale 1 predicts max_depth for every pixel of the last 5 log entries"
    )
    assert not guard.warnings({"0": near, "1": healthy})
    for _ in range(3):
        assert not guard.warnings({"0": near})
    assert "scale 0 predicts min_depth" in guard.warnings({"0": near})[0]


def test_a_scale_that_moves_again_is_not_told() -> None:
    guard = CollapseGuard(OPTIONS.COLLAPSE_CURE)
    for n in range(20):
        assert not guard.warnings({"0": (0.0, 0.0001) if n % 5 else (0.0, 0.002)})


def test_loss_scale() -> None:
    scale = LossScale()
    assert not scale.update(finite=False) and scale.factor == LARGEST / 2
    for _ in range(GROWTH_INTERVAL - 1):
        assert scale.update(finite=True)
    assert scale.factor == LARGEST / 2
    again = LossScale(*scale.state())  # as a checkpoint brings it back
    assert again.update(finite=True) and again.state() == [LARGEST, 0]


def test_step_seeds_are_a_function_and_all_different() -> None:
    seeds = {step_seed(seed, step, part) for seed in range(3) for step in range(30) for part in range(3)}
    assert len(seeds) == 270 and all(0 <= seed < 2**31 for seed in seeds)
    assert step_seed(1, 2) == step_seed(1, 2, 0) == step_seed(1, 2)


@pytest.mark.parametrize("factor", [LARGEST, LARGEST / 2])
def test_scaling_changes_no_digit(factor: float) -> None:
    gradient = np.random.default_rng(0).normal(size=100).astype(np.float32)
    np.testing.assert_array_equal(gradient * np.float32(factor) / np.float32(factor), gradient)


def test_truths_come_with_their_batches() -> None:
    """Also where samples are replaced by others; a batch takes what is its own, and nothing stays behind."""

    class Samples:
        lines = range(6)

        def __len__(self) -> int:
            return 6

        def __getitem__(self, key: tuple[int, int]) -> dict[str, np.ndarray]:
            return {"index": np.array(max(key[1], 1))}  # 0 is damaged: 1 comes in its place

        def sample_truth(self, epoch: int, index: int) -> Truth | None:
            return None if index == 4 else Truth(np.full((index, 2), 1.0, np.float32))

        def describe(self, index: int) -> str:
            return str(index)

    samples = WithTruths(Samples())  # type: ignore[arg-type]
    found = []
    for arrays in batches(samples, 0, 2, shuffle=False, seed=0, num_workers=3, drop_last=False):
        truths = samples.take(arrays)
        assert set(arrays) == {"index"}
        found += [None if truth is None else len(truth.depth) for truth in truths]
    assert found == [1, 1, 2, 3, None, 5] and not samples._truths
