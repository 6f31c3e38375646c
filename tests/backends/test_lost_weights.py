"""Weights that are no numbers: refused where they are read, looked at in training; alike in both backends."""

import numpy as np
import pytest

from core.errors import UserError
from tests.backends.drive import tiny_trainer

pytestmark = pytest.mark.usefixtures("tiny")


def state_of(backend, trainer) -> dict[str, np.ndarray]:
    return backend.module("checkpoint").network_state(trainer.networks["tiny"])


def spoilt(state: dict[str, np.ndarray], name: str, value: float) -> dict[str, np.ndarray]:
    array = state[name].copy()
    array.flat[0] = value
    return state | {name: array}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("depth.body.weight", np.nan, r"depth\.body\.weight holds numbers that are not finite \(1 of"),
        ("depth.norm.running_var", -1.0, r"holds negative variances"),
    ],
)
def test_such_weights_are_not_started_from(backend, drive, tiny_trained, tmp_path, name, value, words):
    checkpoint = backend.module("checkpoint")
    file = f"tiny{checkpoint.EXTENSION}"
    state = checkpoint.read_weights(tiny_trained / file)
    (tmp_path / "weights").mkdir()
    checkpoint.write_weights(tmp_path / "weights" / file, spoilt(state, name, value), {})
    with pytest.raises(UserError, match=words) as error:
        tiny_trainer(backend, drive, tmp_path, "run", "--load_weights_folder", tmp_path / "weights")
    assert str(tmp_path / "weights" / file) in str(error.value) and not (tmp_path / "run").exists()


def test_gradients_that_are_not_finite_end_a_training(backend, drive, runs, monkeypatch):
    """Under a finite loss; the weights that are kept with the batch are those before the step."""
    trainer = tiny_trainer(backend, drive, runs, "run")
    before, losses = state_of(backend, trainer), trainer.method.losses

    def with_lost_gradients(batch):
        found = losses(batch)
        found.loss = found.loss + (trainer.trained[0] * 0).square().sum().sqrt()  # whose derivative is 0 / 0
        return found

    monkeypatch.setattr(trainer.method, "losses", with_lost_gradients)
    with pytest.raises(
        UserError, match=r"step 0: the gradients are not finite \(tiny/depth\.body\.weight;"
    ) as error:
        trainer.run()
    assert "\n" not in str(error.value) and "lower --learning_rate" in str(error.value)
    after = state_of(backend, trainer)
    assert all(np.array_equal(after[key], before[key]) for key in before if ".norm." not in key)
    assert (runs / "run" / "nonfinite_step_0" / "batch.npz").is_file() and not (
        runs / "run" / "models"
    ).exists()


def test_lost_weights_are_not_written(backend, drive, runs, monkeypatch):
    """Statistics that no training step computes with, so that losses and gradients stay finite."""
    trainer = tiny_trainer(backend, drive, runs, "run")
    update, checkpoint = trainer._update, backend.module("checkpoint")

    def and_spoil(*arguments):
        update(*arguments)
        state = spoilt(state_of(backend, trainer), "depth.norm.running_mean", np.inf)
        checkpoint.load_network_state(trainer.networks["tiny"], state, "test")

    monkeypatch.setattr(trainer, "_update", and_spoil)
    with pytest.raises(
        UserError, match=r"the weights are lost: tiny: depth\.norm\.running_mean holds 1 number"
    ) as error:
        trainer.run()
    assert "is not written, checkpoints before it stay" in str(error.value)
    assert not (runs / "run" / "models" / "weights_0").exists()


def test_a_sum_that_overflows_is_no_loss(backend):
    all_finite = backend.module("trainer").all_finite
    large = backend.tensor(np.full(4, 3e38, np.float32))
    lost = backend.tensor(np.array([1, np.nan, 2], np.float32))
    assert all_finite([large]) and not all_finite([large, lost])
