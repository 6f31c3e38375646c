"""Optimiser state and weights through files: training continues as if it had not stopped."""

import importlib
import resource
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import UserError
from core.files.whole import write_folder_atomically
from core.weights.pdparams import write_pdparams
from tests.core.files.test_full_disk import room_for
from tests.core.weight_files import write_pth

RATE = 1e-3


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(2, 4, 32, 32)).astype(np.float32)


@pytest.fixture
def make(backend):
    """`make()`: a fresh depth network of `tiny` and its Adam; the same initial weights every time."""
    module = importlib.import_module(f"tests.tiny.{backend.name}_method")

    def build(channels=4):
        backend.tensors.seed_everything(1)
        network = module.Depth(channels)
        network.train()
        groups = [{"params": [parameter for _, parameter in named(backend, network)]}]
        return network, backend.adam(groups, RATE)

    return build


def named(backend, network):
    return list(backend.module("checkpoint").named_parameters({"depth": network}))


def train(backend, network, optimizer, images, steps):
    for _ in range(steps):
        disparity = network(backend.tensor(images[:, :3]), backend.tensor(images[:, 3:]))
        backend.step(optimizer, (disparity * disparity).sum() + (disparity - 1).abs().sum())


def state(backend, network):
    return backend.module("checkpoint").network_state(network)


@pytest.mark.parametrize("done", [1, 3])
def test_saved_and_restored_training_continues_bit_for_bit(backend, make, images, tmp_path, done):
    straight, optimizer = make()
    train(backend, straight, optimizer, images, done + 2)

    checkpoint, file = backend.module("checkpoint"), tmp_path / "state.safetensors"
    first, optimizer = make()
    train(backend, first, optimizer, images, done)
    checkpoint.save_optimizer(optimizer, {"depth": first}, file, step=done)
    checkpoint.save_networks({"depth": first}, tmp_path, {})

    second, optimizer = make()
    train(backend, second, optimizer, images, 1)  # what was there before must not matter
    checkpoint.load_networks({"depth": second}, tmp_path, ["depth"])
    assert checkpoint.load_optimizer(optimizer, {"depth": second}, file) == done
    train(backend, second, optimizer, images, 2)
    expected, found = state(backend, straight), state(backend, second)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert not np.array_equal(state(backend, first)["head.bias"], expected["head.bias"])


@pytest.fixture
def full_disk():
    """No file of this process grows beyond 100 kB."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_state_below_a_key(backend, tmp_path):
    checkpoint = backend.module("checkpoint")
    path, state = tmp_path / f"a{checkpoint.EXTENSION}", {"w.weight": np.eye(2), "w.count": np.array(3)}
    checkpoint.write_weights(path, state, {}, "state_dict")
    found = checkpoint.read_weights(path)
    assert list(found) == list(state) and found["w.count"].shape == ()
    whole = backend.framework.load(str(path))  # our own file
    assert list(whole) == ["state_dict"] and list(whole["state_dict"]) == list(state)


def test_a_full_disk_is_said(backend, make, images, tmp_path, full_disk):
    network, optimizer = make(channels=1024)  # 147 kB, and as much again for each of two moments
    train(backend, network, optimizer, images, 1)
    checkpoint = backend.module("checkpoint")
    for fill in (
        lambda folder: checkpoint.save_networks({"depth": network}, folder, {}),
        lambda folder: checkpoint.save_optimizer(optimizer, {"depth": network}, folder / "state", 1),
    ):
        with pytest.raises(UserError, match=r"weights_0.*: cannot be written: "):
            write_folder_atomically(tmp_path / "weights_0", fill)
        assert list(tmp_path.iterdir()) == []


def test_the_file_has_moments_by_official_name(backend, make, images, tmp_path):
    network, optimizer = make()
    train(backend, network, optimizer, images, 3)
    backend.module("checkpoint").save_optimizer(optimizer, {"depth": network}, tmp_path / "state", step=7)
    arrays = load_file(tmp_path / "state")
    names = [name for name, _ in named(backend, network)]
    assert "depth/body.weight" in names
    kinds = ("exp_avg", "exp_avg_sq", "steps")
    assert set(arrays) == {"step"} | {f"{kind}/{name}" for kind in kinds for name in names}
    assert arrays["step"] == 7 and all(arrays[f"steps/{name}"] == 3 for name in names)
    assert arrays["exp_avg/depth/body.weight"].shape == (4, 4, 3, 3)
    assert arrays["exp_avg_sq/depth/body.weight"].min() >= 0


def test_steps_beyond_the_range_of_the_powers(backend, make, images, tmp_path):
    """After a million steps the bias corrections are 1, and the moments still arrive."""
    network, optimizer = make()
    train(backend, network, optimizer, images, 1)
    checkpoint, file = backend.module("checkpoint"), tmp_path / "state"
    checkpoint.save_optimizer(optimizer, {"depth": network}, file, step=1)
    arrays = {
        name: np.array(1_000_000) if name.startswith("steps/") else a for name, a in load_file(file).items()
    }
    save_file(arrays, file)
    checkpoint.load_optimizer(optimizer, {"depth": network}, file)
    before = state(backend, network)["head.bias"]
    train(backend, network, optimizer, images, 1)
    change = np.abs(state(backend, network)["head.bias"] - before).max()
    assert 0 < change < 10 * RATE


def test_state_of_another_network_is_refused(backend, make, images, tmp_path):
    network, optimizer = make()
    train(backend, network, optimizer, images, 1)
    checkpoint, file = backend.module("checkpoint"), tmp_path / "state"
    checkpoint.save_optimizer(optimizer, {"depth": network}, file, step=1)
    arrays = load_file(file)
    arrays["exp_avg/depth/body.weight"] = np.zeros((4, 9, 3, 3), np.float32)
    save_file(arrays, file)
    with pytest.raises(UserError, match=r"exp_avg/depth/body\.weight has shape 4×9×3×3"):
        checkpoint.load_optimizer(optimizer, {"depth": network}, file)
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="not a readable training state"):
        checkpoint.load_optimizer(optimizer, {"depth": network}, file)


def test_loading_is_strict_and_changes_nothing_when_it_fails(backend, make):
    network, _ = make()
    before = state(backend, network)
    wrong = {name: array + 1 for name, array in before.items()}
    wrong["body.weight"] = wrong["body.weight"][:, :3]
    wrong["surplus"] = wrong.pop("norm.bias")
    with pytest.raises(UserError, match=r"a\.file: .*missing: norm\.bias.*unexpected: surplus.*body\.weight"):
        backend.module("checkpoint").load_network_state(network, wrong, "a.file")
    after = state(backend, network)
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_numbers_travel_beside_the_weights(backend, make, tmp_path):
    network, _ = make()
    checkpoint = backend.module("checkpoint")
    checkpoint.save_networks({"encoder": network}, tmp_path, {"encoder": {"height": 192, "use_stereo": True}})
    arrays = checkpoint.read_weights(tmp_path / f"encoder{checkpoint.EXTENSION}")
    assert int(arrays["height"]) == 192 and bool(arrays["use_stereo"]) is True
    other, _ = make()
    checkpoint.load_networks({"encoder": other}, tmp_path, ["encoder"])


# ---- files of the other backend --------------------------------------------------------------------------

NUMBERS = np.random.default_rng(0)
OFFICIAL = {
    "0.weight": NUMBERS.normal(size=(3, 3)).astype(np.float32),  # square: a wrong layout has the right shape
    "0.bias": NUMBERS.normal(size=3).astype(np.float32),
    "1.weight": NUMBERS.normal(size=3).astype(np.float32),
    "1.bias": NUMBERS.normal(size=3).astype(np.float32),
    "1.running_mean": NUMBERS.normal(size=3).astype(np.float32),
    "1.running_var": NUMBERS.uniform(size=3).astype(np.float32),
    "1.num_batches_tracked": np.array(7),
}
PADDLE = {
    "0.weight": OFFICIAL["0.weight"].T,
    "0.bias": OFFICIAL["0.bias"],
    "1.weight": OFFICIAL["1.weight"],
    "1.bias": OFFICIAL["1.bias"],
    "1._mean": OFFICIAL["1.running_mean"],
    "1._variance": OFFICIAL["1.running_var"],
}
WRITERS = {
    "encoder.pth": lambda path: write_pth(path, OFFICIAL, height=192, use_stereo=True),
    "old/encoder.pth": lambda path: write_pth(path, OFFICIAL, legacy=True, height=192, use_stereo=True),
    "encoder.pdparams": lambda path: write_pdparams(path, PADDLE | {"height": np.array(192)}),
    "encoder.safetensors": lambda path: save_file(OFFICIAL, path),
}


@pytest.fixture
def small(backend):
    """`small()`: a network of the layers that the frameworks treat differently."""
    nn = backend.framework.nn
    norm = nn.BatchNorm2d if backend.name == "torch" else nn.BatchNorm2D
    return lambda: nn.Sequential(nn.Linear(3, 3), norm(3))


@pytest.mark.parametrize("file", WRITERS)
def test_files_of_either_backend_load(backend, small, tmp_path, file):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    WRITERS[file](path)
    network, checkpoint = small(), backend.module("checkpoint")
    checkpoint.load_networks({"encoder": network}, path.parent, ["encoder"])
    found = state(backend, network)
    assert set(OFFICIAL) - set(found) <= {"1.num_batches_tracked"}
    for name in set(OFFICIAL) & set(found) - {"1.num_batches_tracked"}:
        np.testing.assert_array_equal(found[name], OFFICIAL[name])


def test_what_a_backend_writes_comes_back(backend, small, tmp_path):
    network, other, checkpoint = small(), small(), backend.module("checkpoint")
    checkpoint.load_network_state(network, OFFICIAL, "test")
    checkpoint.save_networks({"encoder": network}, tmp_path, {"height": 192})
    checkpoint.load_networks({"encoder": other}, tmp_path, ["encoder"])
    for name, array in state(backend, network).items():
        np.testing.assert_array_equal(state(backend, other)[name], array)


def test_its_own_file_is_preferred(backend, small, tmp_path):
    network, checkpoint = small(), backend.module("checkpoint")
    checkpoint.save_networks({"encoder": network}, tmp_path, {})
    for file, write in WRITERS.items():
        if "/" not in file and not (tmp_path / file).exists():
            write(tmp_path / file)
    other = small()
    checkpoint.load_networks({"encoder": other}, tmp_path, ["encoder"])
    np.testing.assert_array_equal(state(backend, other)["0.weight"], state(backend, network)["0.weight"])


def test_absent_and_misshapen_files_of_the_other_backend(backend, small, tmp_path):
    checkpoint = backend.module("checkpoint")
    with pytest.raises(UserError, match=rf"encoder\{checkpoint.EXTENSION}: no such file; check"):
        checkpoint.load_networks({"encoder": small()}, tmp_path, ["encoder"])
    write_pdparams(tmp_path / "encoder.pdparams", PADDLE | {"1._mean": np.zeros(4, np.float32)})
    with pytest.raises(UserError, match=r"encoder\.pdparams: the weights do not fit.*1\.running_mean"):
        checkpoint.load_networks({"encoder": small()}, tmp_path, ["encoder"])


def test_a_full_disk(backend, tmp_path):
    """In the words of the framework's own writer it is one for us, too; and what was needed is said."""
    checkpoint = backend.module("checkpoint")
    state = {"one.weight": np.random.default_rng(0).normal(size=(64, 1000)).astype(np.float32)}
    name = f"depth{checkpoint.EXTENSION}"
    for size in (100, 100_000, 255_000):
        with (
            room_for(size),
            pytest.raises(
                UserError, match=r"weights_0: cannot be written: .*: \d+ MiB .*, and 2 MiB are needed"
            ),
        ):
            write_folder_atomically(
                tmp_path / "weights_0",
                lambda folder: checkpoint.write_weights(folder / name, state, {}),
                2 << 20,
            )
    assert list(tmp_path.iterdir()) == []
