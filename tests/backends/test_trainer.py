"""The trainer: repeatable, independent of its workers, starting from what it is told to."""

import json

import h5py
import numpy as np
import pytest

import train
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import parse
from core.weights.releases import VARIABLE
from tests.backends.drive import tiny_trainer, tiny_training, training, weights_of
from tests.tiny.options import STEPS

pytestmark = pytest.mark.usefixtures("tiny")

STATE = "training_state.safetensors"


def make(backend, *arguments):
    """A trainer that has not begun."""
    return backend.module("trainer").Trainer(parse(Monodepth2Options, training(backend.name, *arguments)))


def states(backend, trainer) -> dict[str, dict[str, np.ndarray]]:
    networks = trainer.networks.items()
    return {name: backend.module("checkpoint").network_state(network) for name, network in networks}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Bit for bit."""
    assert set(one) == set(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


# ---- the same again --------------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bits_whatever_the_workers(backend, drive, runs):
    """Weights, moments and logged losses of runs that load in the main thread, or with one or four workers."""
    from safetensors.numpy import load_file

    logged = []
    for workers in (0, 1, 4):
        name = f"workers_{workers}"
        train.main(tiny_training(backend.name, drive, runs, name, "--num_workers", workers))
        logged.append([json.loads(line) for line in (runs / name / "scalars.jsonl").open()])
    assert logged[0] == logged[1] == logged[2]
    checkpoint = backend.module("checkpoint")
    one, other = (weights_of(runs, name) for name in ("workers_0", "workers_4"))
    file = f"tiny{checkpoint.EXTENSION}"
    assert_same(checkpoint.read_weights(one / file), checkpoint.read_weights(other / file))
    assert_same(load_file(one / STATE), load_file(other / STATE))


def test_seed_decides_the_initial_weights(backend, drive, runs):
    trainers = [tiny_trainer(backend, drive, runs, "run", "--seed", seed) for seed in (3, 3, 4)]
    first, same, other = (states(backend, trainer) for trainer in trainers)
    for network in first:
        assert_same(first[network], same[network])
    kernel = "depth.body.weight"
    assert np.abs(first["tiny"][kernel] - other["tiny"][kernel]).max() > 0.01
    assert not runs.exists()  # nothing is written before `run`


# ---- where it starts -------------------------------------------------------------------------------------------


def test_zero_epochs_write_the_initial_weights(backend, drive, runs):
    trainer = tiny_trainer(backend, drive, runs, "run", "--num_epochs", 0)
    initial = states(backend, trainer)
    trainer.run()
    assert [folder.name for folder in (runs / "run" / "models").iterdir()] == ["weights_initial"]
    more = ["--load_weights_folder", runs / "run" / "models" / "weights_initial", "--seed", 1]
    loaded = states(backend, tiny_trainer(backend, drive, runs, "other", *more))
    for network in initial:
        assert_same(initial[network], loaded[network])


def test_moments_come_with_the_weights(backend, drive, tiny_trained, runs, tmp_path):
    from safetensors.numpy import load_file

    trainer = tiny_trainer(backend, drive, runs, "run", "--load_weights_folder", tiny_trained)
    checkpoint = backend.module("checkpoint")
    checkpoint.save_optimizer(trainer.optimizer, trainer.networks, tmp_path / "state", STEPS)
    assert_same(load_file(tiny_trained / STATE), load_file(tmp_path / "state"))


def test_saved_and_restored_moments_are_those_in_memory(backend, drive, runs):
    """Values, not bytes: tensors in channels-last order must not be written in that order."""
    from safetensors.numpy import load_file

    trainer = tiny_trainer(backend, drive, runs, "run")
    trainer.run()
    folder = weights_of(runs, "run")
    file = load_file(folder / STATE)
    again = tiny_trainer(backend, drive, runs, "again", "--load_weights_folder", folder)
    for one in (trainer, again):
        names = 0
        named = backend.module("checkpoint").named_parameters(one.networks)
        for name, parameter in ((name, p) for name, p in named if backend.is_trainable(p)):
            for key, moment in backend.moments(one.optimizer, parameter).items():
                np.testing.assert_array_equal(file[f"{key}/{name}"], moment, err_msg=f"{key}/{name}")
                names += 1
        assert (
            names == len(file) * 2 // 3 > 0
        )  # two moments and a counter for each parameter, one step for all


def test_the_schedule_reaches_the_optimizer(backend, drive, runs):
    """That of the last step, which is still warming up: three quarters."""
    trainer = tiny_trainer(backend, drive, runs, "run", "--learning_rate", 1e-4)
    trainer.run()
    assert trainer.options.rates(STEPS - 1, STEPS)[0] == pytest.approx(0.75e-4)
    assert backend.learning_rate(trainer.optimizer) == pytest.approx(0.75e-4, rel=1e-6)


def test_an_option_reaches_the_schedule():
    words = ["--scheduler_step_size", "1", "--learning_rate", "1e-4"]
    options = parse(Monodepth2Options, words)
    assert [options.rates(step, 2) for step in (0, 1, 2)] == [[1e-4], [1e-4], pytest.approx([1e-5])]


def test_no_network_to_load_is_said(backend, drive, trained_whole, runs):
    with pytest.raises(
        UserError, match="--models_to_load pose: this model has none of them, but encoder, depth"
    ):
        make(
            backend,
            drive,
            runs,
            "run",
            "stereo",
            "--load_weights_folder",
            trained_whole,
            "--models_to_load",
            "pose",
        )


def test_only_the_named_networks_are_loaded(backend, drive, trained_whole, runs, tmp_path):
    from safetensors.numpy import load_file

    fresh = states(backend, make(backend, drive, runs, "run", "mono"))
    more = ["--load_weights_folder", trained_whole, "--models_to_load", "encoder"]
    trainer = make(backend, drive, runs, "run", "mono", *more)
    loaded, checkpoint = states(backend, trainer), backend.module("checkpoint")
    assert_same(fresh["depth"], loaded["depth"])
    assert_same(fresh["pose"], loaded["pose"])
    kernel = "encoder.conv1.weight"
    file = checkpoint.read_weights(trained_whole / f"encoder{checkpoint.EXTENSION}")
    np.testing.assert_array_equal(loaded["encoder"][kernel], file[kernel])
    checkpoint.save_optimizer(trainer.optimizer, trainer.networks, tmp_path / "state", 0)
    assert all("/encoder/" in name for name in load_file(tmp_path / "state") if name != "step")


def test_checkpoints_every_few_epochs_and_after_the_last(backend, drive, runs):
    more = ["--num_epochs", 3, "--save_frequency", 2, "--log_frequency", 100]
    train.main(tiny_training(backend.name, drive, runs, "run", *more))
    folders = {folder.name for folder in (runs / "run" / "models").iterdir()}
    assert folders == {"weights_1", "weights_2"}
    steps = [json.loads(line)["step"] for line in (runs / "run" / "scalars.jsonl").open()]
    assert steps == [0, 0, STEPS, STEPS, 2 * STEPS, 2 * STEPS]  # the first batch of every epoch


# ---- ImageNet weights ------------------------------------------------------------------------------------------


@pytest.fixture
def imagenet(backend, monkeypatch, tmp_path):
    """A file as torchvision's ResNet-18 would give, of numbers by name; returns it as arrays."""
    network = backend.module("networks.resnet").ResNetEncoder(18)
    rng = np.random.default_rng(0)
    content = {"fc.weight": np.zeros((1000, 512), np.float32), "fc.bias": np.zeros(1000, np.float32)}
    for name, array in backend.module("checkpoint").network_state(network).items():
        if not name.endswith("num_batches_tracked"):
            content[name.removeprefix("encoder.")] = rng.uniform(0.5, 1, array.shape).astype(np.float32)
    with h5py.File(tmp_path / "resnet18_pretrain.h5", "w") as file:
        for name, array in content.items():
            file[name] = array
    (tmp_path / "zoo.yml").write_text("families: {}\nreleases: {}\n")  # nothing to fetch
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return content


def test_imagenet_weights_fill_both_encoders(backend, drive, runs, imagenet):
    loaded = states(backend, make(backend, drive, runs, "run", "mono", "--weights_init", "pretrained"))
    for network, images in (("encoder", 1), ("pose_encoder", 2)):
        for name, array in imagenet.items():
            if name.startswith("fc"):
                continue
            expected = np.tile(array / images, (1, images, 1, 1)) if name == "conv1.weight" else array
            np.testing.assert_allclose(
                loaded[network][f"encoder.{name}"], expected, rtol=1e-6, err_msg=f"{network} {name}"
            )


def test_imagenet_weights_are_not_read_for_what_the_folder_brings(
    backend, drive, runs, trained_whole, imagenet
):
    more = [
        "--weights_init",
        "pretrained",
        "--load_weights_folder",
        trained_whole,
        "--models_to_load",
        "encoder",
    ]
    loaded = states(backend, make(backend, drive, runs, "run", "mono", *more))
    name = "layer4.1.conv2.weight"
    assert np.abs(loaded["encoder"][f"encoder.{name}"] - imagenet[name]).min() > 0
    np.testing.assert_array_equal(loaded["pose_encoder"][f"encoder.{name}"], imagenet[name])


def test_imagenet_weights_of_another_network(backend, drive, runs, imagenet, tmp_path):
    (tmp_path / "resnet18_pretrain.h5").rename(tmp_path / "resnet34_pretrain.h5")
    more = ["--weights_init", "pretrained", "--num_layers", 34]
    with pytest.raises(UserError, match=r"resnet34_pretrain\.h5: the weights do not fit the network"):
        make(backend, drive, runs, "run", "stereo", *more)
    with pytest.raises(UserError, match=r"resnet18_pretrain\.h5: no such file, .*--weights_init scratch"):
        make(backend, drive, runs, "run", "stereo", "--weights_init", "pretrained")
