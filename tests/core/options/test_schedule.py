"""The learning rate of Monodepth2's schedule (specification, section 6)."""

import pytest

from core.options.schedule import (
    falling_temperature,
    linear_warmup,
    milestones,
    ray_coefficient,
    step_decay,
)

STEPS = 7


def rate(epoch: int, **switches: bool) -> float:
    return step_decay(epoch * STEPS, STEPS, 1e-4, 15, **switches)


def test_first_fifteen_epochs_run_at_the_full_rate() -> None:
    assert [rate(epoch) for epoch in range(15)] == [1e-4] * 15
    assert rate(15) == pytest.approx(1e-5)
    assert rate(30) == pytest.approx(1e-6)


def test_rate_changes_at_the_first_step_of_an_epoch() -> None:
    assert step_decay(15 * STEPS - 1, STEPS, 1e-4, 15) == 1e-4
    assert step_decay(15 * STEPS, STEPS, 1e-4, 15) == pytest.approx(1e-5)


def test_switch_decays_one_epoch_early() -> None:
    assert rate(13, decay_one_epoch_early=True) == 1e-4
    assert rate(14, decay_one_epoch_early=True) == pytest.approx(1e-5)
    assert rate(29, decay_one_epoch_early=True) == pytest.approx(1e-6)


def test_gamma() -> None:
    assert step_decay(2, 1, 0.8, 1, gamma=0.5) == pytest.approx(0.2)


def test_milestones():
    rates = [milestones(epoch * STEPS, STEPS, 0.8, (2, 5), 0.5) for epoch in range(7)]
    assert rates == [0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2]
    assert milestones(2 * STEPS - 1, STEPS, 0.8, (2,)) == 0.8


def test_linear_warmup():
    assert [linear_warmup(step, 4, 1 / 3) for step in (0, 2, 4, 9)] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert linear_warmup(0, 0, 0.5) == 1


def test_ray_coefficient():
    """That of their program by its formula, whole from 0.3162 on; the paper's ramp over ten of fifty epochs."""
    found = [ray_coefficient(p) for p in (0, 0.02, 0.1, 0.2, 0.3, 10**-0.5, 1)]
    assert found == pytest.approx([0, 0.0252, 0.2154, 0.5429, 0.9322, 1, 1], abs=5e-5)
    assert [ray_coefficient(p, 10) for p in (0, 0.1, 0.2, 1)] == [0, 0.5, 1, 1]
    assert ray_coefficient(0, 0) == 1


def test_falling_temperature():
    assert falling_temperature(0) == 1e-4
    assert falling_temperature(1) == pytest.approx(0.9048e-4, rel=1e-4)
    assert falling_temperature(100) == 1e-8
