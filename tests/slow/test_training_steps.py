"""All recorded training steps that can be compared, of which tests/backends/test_training.py takes the first."""

import pytest

from tests.backends.test_training import recorded, take_steps

__all__ = ["recorded"]
STEPS = {
    "float64": 5,
    "float32_small_rate": 10,
}  # later ones in double precision, and others, have drifted apart


@pytest.mark.parametrize("precision", list(STEPS))
def test_training_steps(backend, golden, recorded, arrays, monkeypatch, precision):
    take_steps(backend, golden, recorded, arrays, monkeypatch, precision, STEPS[precision])
