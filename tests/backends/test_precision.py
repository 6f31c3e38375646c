"""Half precision, accumulated batches and the float16 loss scale: what they change, and what they must not."""

import numpy as np
import pytest

from core.datasets import open_dataset
from core.datasets.loader import batches
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse
from core.training.loss_scale import LossScale
from tests.backends.drive import training
from tests.backends.narrow import make_narrow


def make(backend, *arguments):
    words = training(backend.name, *arguments, "--pose_model_type", "posecnn")
    return backend.module("trainer").Trainer(parse(Monodepth2Options, words))


def gradients(backend, trainer) -> dict[str, np.ndarray]:
    """Adam's first moments after one step: a tenth of its gradients."""
    parameters = backend.module("checkpoint").named_parameters(trainer.networks)
    return {name: backend.moments(trainer.optimizer, p)["exp_avg"] for name, p in parameters}


@pytest.fixture
def small(backend, monkeypatch):
    """Narrow networks, where 16 bits are not the subject: few channels do not average their rounding."""
    make_narrow(backend, monkeypatch)


@pytest.fixture(scope="module")
def samples(backend, drive, tmp_path_factory):
    """Two batches of two samples."""
    words = training(backend.name, drive, tmp_path_factory.mktemp("runs"), "run", "mono", "--width", 64)
    dataset = open_dataset(parse(Monodepth2Options, words), "train")
    return list(batches(dataset, 0, 2, shuffle=True, seed=0, num_workers=0, drop_last=True))


def test_accumulated_batches_are_averaged(small, backend, drive, runs, samples):
    """The same batch twice is one batch; and the schedule counts updates."""
    more = ["--width", 64, "--batch_size", 2, "--disable_automasking"]  # noise differs from part to part
    one, two = (make(backend, drive, runs, "run", "stereo", *more, "--accumulate_steps", n) for n in (1, 2))
    assert (one.steps_per_epoch, two.steps_per_epoch) == (2, 1)
    values = [
        trainer.train_step(
            0, [samples[0] | {"T_stereo": stereo(2), "image_s_0": samples[0]["image_0_0"]}] * n
        )[0]
        for trainer, n in ((one, 1), (two, 2))
    ]
    assert values[0]["loss"] == pytest.approx(values[1]["loss"], rel=1e-6)
    found, expected = gradients(backend, two), gradients(backend, one)
    for name, gradient in expected.items():
        np.testing.assert_allclose(
            found[name], gradient, rtol=0, atol=1e-6 * np.abs(gradient).max(), err_msg=name
        )


def stereo(count):
    T = np.eye(4, dtype=np.float32)
    T[0, 3] = 0.1
    return np.repeat(T[None], count, axis=0)


def test_the_loss_scale_changes_no_bit(small, backend, drive, runs, samples):
    """A power of two, in float32, where nothing overflows; what would overflow leaves the weights alone."""
    plain, scaled = (make(backend, drive, runs, "run", "mono", "--width", 64) for _ in range(2))
    scaled.loss_scale = LossScale(2.0**10)
    for trainer in (plain, scaled):
        trainer.train_step(0, samples[:1])
    checkpoint = backend.module("checkpoint")
    for name, network in plain.networks.items():
        other = checkpoint.network_state(scaled.networks[name])
        for key, array in checkpoint.network_state(network).items():
            np.testing.assert_array_equal(array, other[key], err_msg=f"{name} {key}")
    scaled.loss_scale = LossScale(2.0**127)
    before = checkpoint.network_state(scaled.networks["depth"])
    scaled.train_step(1, samples[1:])
    assert scaled.loss_scale.factor == 2.0**126
    for key, array in checkpoint.network_state(scaled.networks["depth"]).items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)


def test_bfloat16(backend, drive, runs, samples):
    """The networks compute with 8 bits; the loss, the weights and their gradients keep 24."""
    more = ["--width", 64, "--precision", "bf16"]
    if backend.name == "paddle":
        with pytest.raises(
            UserError, match="--precision bf16: PaddlePaddle computes with 16 bits on GPUs only"
        ):
            make(backend, drive, runs, "run", "mono", *more)
        return
    half, single = (
        make(backend, drive, runs, "run", "mono", *more),
        make(backend, drive, runs, "run", "mono", *more[:2]),
    )
    rows = []
    for trainer in (half, single):
        values, maps, _ = trainer.train_step(0, samples[:1])
        assert all("float32" in str(tensor.dtype) for name, tensor in maps.items() if "automask" not in name)
        rows.append(values)
    assert rows[0] != rows[1]
    for name, value in rows[1].items():
        assert rows[0][name] == pytest.approx(value, rel=0.05), name
    found, expected = gradients(backend, half), gradients(backend, single)
    for name, gradient in expected.items():
        assert found[name].dtype == np.float32
        if name.startswith("depth/") and np.abs(gradient).max() > 1e-6:
            cosine = (found[name] * gradient).sum() / np.linalg.norm(found[name]) / np.linalg.norm(gradient)
            assert cosine > 0.9, (name, cosine)


def test_float16_is_for_gpus(backend, drive, runs):
    with pytest.raises(UserError, match=r"--precision 16:? .*GPUs"):
        make(backend, drive, runs, "run", "mono", "--precision", 16)


def test_prediction_in_bfloat16(backend, drive, runs, tmp_path):
    """float32 comes out, near that of float32 networks; a CPU of PaddlePaddle refuses."""
    make(backend, drive, runs, "run", "mono", "--width", 64).save(tmp_path / "weights_0")
    predictor = backend.module("predictor").Predictor
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    if backend.name == "paddle":
        with pytest.raises(
            UserError, match="--precision bf16: PaddlePaddle computes with 16 bits on GPUs only"
        ):
            predictor(tmp_path / "weights_0", "cpu", precision="bf16")
        return
    single = predictor(tmp_path / "weights_0", "cpu").disparity([image])
    half = predictor(tmp_path / "weights_0", "cpu", precision="bf16").disparity([image])
    assert half.dtype == single.dtype == np.float32
    assert not np.array_equal(half, single)
    np.testing.assert_allclose(half, single, rtol=0.05)
    with pytest.raises(UserError, match=r"--precision 16:? .*GPUs"):
        predictor(tmp_path / "weights_0", "cpu", precision="16")


def test_deterministic_changes_no_bit_on_a_cpu(small, backend, drive, runs, samples):
    """Whose kernels add in one order anyway; PyTorch is told all the same."""
    trainers = [make(backend, drive, runs, "run", "mono", "--width", 64)]
    trainers.append(make(backend, drive, runs, "run", "mono", "--width", 64, "--deterministic"))
    try:
        if backend.name == "torch":
            import torch

            assert torch.are_deterministic_algorithms_enabled()
        values = [trainer.train_step(0, samples[:1])[0] for trainer in trainers]
        assert values[0] == values[1]
    finally:
        if backend.name == "torch":
            torch.use_deterministic_algorithms(False)
