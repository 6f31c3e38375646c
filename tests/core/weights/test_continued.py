"""Checkpoints of whole trainings that a training goes on from: their epoch, and Adam's moments."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.options import OPTIONS
from core.options.parsing import parse
from core.options.training import continued
from core.training.processes import Processes
from core.training.resume import resume_command
from core.weights.continued import kept_moments, with_start_epoch
from core.weights.families import FAMILIES
from core.weights.families.base import Prefixes
from core.weights.files import MAX_FILE_BYTES
from core.weights.pth import read_number, read_optimizer
from core.weights.sources import read_source
from tests.core.payloads import PAYLOADS
from tests.core.twin_family import TwinOptions, random_states, register
from tests.core.weight_files import Raw, call, name, tensor, whole, write_legacy, write_zip

PLACES = (140234866358528, 140234866358600, 7, 140234866359000, 3)  # what PyTorch 1.1 numbers parameters by
CONV, SCALE, SHIFT, HEAD, BIAS = range(5)


@dataclasses.dataclass
class ResumingOptions(TwinOptions):
    """A made-up method whose authors' --resume takes a file."""

    TRANSLATED = {"resume": continued}  # noqa: RUF012


@pytest.fixture
def twin(monkeypatch):
    """Its files keep their states beside each other, and an optimiser's."""
    register(monkeypatch)
    prefixes = Prefixes({"net.": "depth", "motion.": "pose"})
    family = dataclasses.replace(
        FAMILIES["twin"], split=prefixes.split, containers=("net", "motion"), optimised=("depth", "pose")
    )
    monkeypatch.setitem(FAMILIES, "twin", family)
    monkeypatch.setitem(OPTIONS, "twin", ResumingOptions)


def scalar(value: float) -> Raw:
    """A NumPy number, as metrics are."""
    dtype = call(name("numpy", "dtype"), "f8", 0, 1)
    state = Raw(dtype.content + whole((3, "<", None, None, None, -1, -1, 0))[2:-1] + b"b")
    encoded = call(name("_codecs", "encode"), np.float64(value).tobytes().decode("latin1"), "latin1")
    return call(name("numpy.core.multiarray", "scalar"), state, encoded)


class File:
    """A checkpoint in the making: its states, and what lies beside them."""

    def __init__(self, legacy: bool = True) -> None:
        self.storages: dict[str, np.ndarray] = {}
        self.legacy = legacy

    def tensor(self, array: np.ndarray) -> Raw:
        key = str(len(self.storages))
        self.storages[key] = array
        return tensor(array, key, *([None] if self.legacy else []))

    def states(self) -> dict:
        states = random_states()
        return {
            part: {own: self.tensor(array) for own, array in states[file].items()}
            for part, file in (("net", "depth"), ("motion", "pose"))
        }

    def optimizer(self, steps: dict[int, object], shapes=((4, 3, 3, 3), (4,), (4,), (3, 3), (3,))) -> dict:
        """Of the parameters in their order; those without steps were never updated."""
        state = {
            PLACES[row]: {
                "step": step,
                "exp_avg": self.tensor(np.full(shapes[row], row + 0.5, np.float32)),
                "exp_avg_sq": self.tensor(np.full(shapes[row], row + 0.25, np.float32)),
            }
            for row, step in steps.items()
        }
        places = list(PLACES[: len(shapes)])
        groups = [{"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False, "params": places}]
        return {"state": state, "param_groups": groups}

    def write(self, path: Path, content: dict) -> Path:
        if self.legacy:
            storages = {key: (a.size, a.tobytes()) for key, a in self.storages.items()}
            return write_legacy(path, whole(content), storages)
        return write_zip(path, whole(content), {key: a.tobytes() for key, a in self.storages.items()})


def write(path: Path, legacy: bool = True, **beside: object) -> Path:
    """The states, and beside them what a program writes."""
    file = File(legacy)
    given = {key: value(file) if callable(value) else value for key, value in beside.items()}
    return file.write(path, file.states() | given)


def moments(path: Path):
    files = {file.network.file: file.state for file in read_source(path)}
    return kept_moments(path, files, "twin")


# ---- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [True, False])
def test_moments_by_the_order_of_parameters(twin, tmp_path: Path, capsys, legacy: bool) -> None:
    """Whatever numbers the optimiser gave them; the statistics of a normalisation are none."""
    scheduler = {"step_size": 15, "base_lrs": [1e-4], "last_epoch": 6, "gamma": 0.1}
    path = write(
        tmp_path / "a.pth.tar",
        legacy,
        epoch=5,
        abs_rel=scalar(0.1),
        lr_scheduler=scheduler,
        optimizer=lambda file: file.optimizer({HEAD: 9, CONV: 7}),
    )
    found = moments(path)
    assert found.keys() == {"step"} | {
        f"{key}/{own}"
        for key in ("steps", "exp_avg", "exp_avg_sq")
        for own in ("depth/conv.weight", "pose/head.weight")
    }
    assert found["exp_avg/depth/conv.weight"].shape == (4, 3, 3, 3) and found["step"] == 9
    assert (found["exp_avg/depth/conv.weight"] == 0.5).all() and found["steps/depth/conv.weight"] == 7
    assert (found["exp_avg_sq/pose/head.weight"] == 3.25).all() and found["steps/pose/head.weight"] == 9
    assert "a.pth.tar: goes on with Adam's moments of 2 parameters" in capsys.readouterr().err
    assert read_number(path, "epoch") == 5 and read_number(path, "abs_rel") is None


def test_steps_of_later_versions_are_tensors(twin, tmp_path: Path) -> None:
    step = np.full((), 4, np.float32)
    path = write(tmp_path / "a.pth", optimizer=lambda file: file.optimizer({BIAS: file.tensor(step)}))
    assert moments(path)["steps/pose/head.bias"] == 4


@pytest.mark.parametrize("shapes", [((4, 3, 3, 3), (4,)), ((3, 4, 3, 3), (4,), (4,), (3, 3), (3,)), ()])
def test_moments_of_other_networks_are_left(twin, tmp_path: Path, capsys, shapes) -> None:
    steps = {CONV: 7} if shapes else {}
    path = write(tmp_path / "a.pth", optimizer=lambda file: file.optimizer(steps, shapes))
    assert moments(path) == {}
    assert "Adam's moments begin at zero" in capsys.readouterr().err


def test_moments_without_those_of_frozen_networks(twin, tmp_path: Path, monkeypatch, capsys) -> None:
    """The optimiser may have been given what learns alone, or everything."""
    path = write(
        tmp_path / "a.pth", optimizer=lambda file: file.optimizer({CONV: 7}, ((4, 3, 3, 3), (4,), (4,)))
    )
    assert moments(path) == {}
    monkeypatch.setitem(FAMILIES, "twin", dataclasses.replace(FAMILIES["twin"], frozen=("pose",)))
    assert {name for name in moments(path) if "/" in name} == {
        f"{key}/depth/conv.weight" for key in ("steps", "exp_avg", "exp_avg_sq")
    }
    path = write(tmp_path / "b.pth", optimizer=lambda file: file.optimizer({HEAD: 9}))
    assert (moments(path)["exp_avg/pose/head.weight"] == 3.5).all()
    path = write(tmp_path / "c.pth", optimizer=lambda file: file.optimizer({CONV: 7}, ((4, 3, 3, 3), (4,))))
    assert moments(path) == {}


def test_files_without_moments(twin, tmp_path: Path, capsys) -> None:
    assert moments(write(tmp_path / "a.pth")) == {}
    assert "a.pth: it has no optimizer's state; Adam's moments begin at zero" in capsys.readouterr().err
    assert kept_moments(tmp_path / "a.pth", {}, "monodepth2") == {}


@pytest.mark.parametrize(
    "kept",
    [
        3,
        {},
        {"state": {}, "param_groups": [{"params": [0] * 10_001}]},
        {"state": {}, "param_groups": [{"params": ["0"]}]},
        {"state": {}, "param_groups": [{}]},
        {"state": {0: 3}, "param_groups": [{"params": [0]}]},
        {"state": {0: {"step": 1, "exp_avg": 0.5, "exp_avg_sq": 0.5}}, "param_groups": [{"params": [0]}]},
        {"state": {0: {"momentum_buffer": None}}, "param_groups": [{"params": [0]}]},
    ],
)
def test_states_that_are_none_of_adams(tmp_path: Path, kept: object) -> None:
    path = write_zip(tmp_path / "a.pth", whole({"optimizer": kept}), {})
    with pytest.raises(UserError, match=r"a\.pth: not a readable .*optimizer"):
        read_optimizer(path)


def test_moments_that_declare_more_than_the_file_holds(tmp_path: Path) -> None:
    """The same numbers for every parameter."""
    shared = np.zeros(1 << 16, np.float32)
    one = {"step": 1, "exp_avg": tensor(shared, "0"), "exp_avg_sq": tensor(shared, "0")}
    kept = {"state": dict.fromkeys(range(200), one), "param_groups": [{"params": list(range(200))}]}
    path = write_zip(tmp_path / "a.pth", whole({"optimizer": kept}), {"0": shared.tobytes()})
    with pytest.raises(UserError, match="it declares more numbers than the file holds"):
        read_optimizer(path)


def test_hostile_states(twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused = 0
    for payload in PAYLOADS.values():
        path = write_zip(tmp_path / "bad.pth", whole({"optimizer": Raw(payload), "epoch": 1}), {})
        try:
            assert read_optimizer(path) == []  # such as a call of a stand-in that gives nothing
        except UserError as error:
            refused += "bad.pth: not a readable .pth file of tensors" in str(error)
    assert refused >= len(PAYLOADS) - 1
    assert [file.name for file in tmp_path.iterdir()] == ["bad.pth"]


def test_a_state_that_lacks_its_neighbour(twin, tmp_path: Path) -> None:
    file = File(legacy=False)
    states = file.states()
    for motion in ({}, {"motion": {}}, {"motion": 3}):
        path = file.write(tmp_path / "a.pth.tar", {"epoch": 3, "net": states["net"]} | motion)
        with pytest.raises(
            UserError, match=r"a\.pth\.tar: .*it lacks motion, a network that such files have beside net"
        ):
            read_source(path)


def test_the_largest_model_fits() -> None:
    """A ResNet-152 with a decoder of 30 million, two moments for every parameter but those of the classifier."""
    assert MAX_FILE_BYTES > 4 * (3 * (60_192_808 + 30_433_242) - 2 * 2_049_000)


# ---- where a training begins ---------------------------------------------------------------------------------


def options(*words: object) -> TwinOptions:
    return parse(ResumingOptions, [*map(str, words)])


def test_a_number_of_epochs_that_are_done(twin, tmp_path: Path, monkeypatch, capsys) -> None:
    """Some programs write that one, deeper in their files; what has its name at the top is none."""
    family = dataclasses.replace(FAMILIES["twin"], finished=("meta", "epoch"))
    monkeypatch.setitem(FAMILIES, "twin", family)
    path = write(tmp_path / "epoch_5.pth", epoch=9, meta={"epoch": 5, "iter": 50, "config": "a = 1"})
    assert with_start_epoch(options("--resume", path)).start_epoch == 5
    assert "saved in epoch 4; goes on with epoch 5" in capsys.readouterr().err
    for meta in ({"epoch": 0}, {"epoch": "5"}, {}, 5):
        path = write(tmp_path / "b.pth", epoch=9, meta=meta)
        with pytest.raises(UserError, match=r"b\.pth: does not say after which epoch"):
            with_start_epoch(options("--resume", path))


def test_the_epoch_after_that_of_the_file(twin, tmp_path: Path, capsys) -> None:
    path = write(tmp_path / "checkpoint_epoch5.pth.tar", epoch=5)
    found = options("--resume", path)
    assert (found.load_weights_folder, found.start_epoch, found.resume) == (str(path), -1, False)
    assert with_start_epoch(found) == dataclasses.replace(found, start_epoch=6)
    assert "saved in epoch 5; goes on with epoch 6" in capsys.readouterr().err
    given = options("--resume", path, "--start_epoch", 2)
    assert with_start_epoch(given) is given and given.start_epoch == 2


def test_no_epoch(twin, tmp_path: Path) -> None:
    for beside in ({}, {"epoch": 2.5}, {"epoch": -3}, {"epoch": "5"}):
        path = write(tmp_path / "a.pth", **beside)
        with pytest.raises(
            UserError, match=r"a\.pth: does not say after which epoch it was saved; give --start"
        ):
            with_start_epoch(options("--resume", path))
    with pytest.raises(UserError, match="does not say"):
        with_start_epoch(options("--resume", tmp_path))


def test_nothing_left_to_train(twin, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", epoch=19)
    with pytest.raises(
        UserError, match="option start_epoch: 20 is no epoch of the 20 that --num_epochs asks for"
    ):
        with_start_epoch(options("--resume", path))
    assert with_start_epoch(options("--resume", path, "--num_epochs", 30)).start_epoch == 20
    with pytest.raises(UserError, match="option start_epoch: the epochs before it left weights; name them"):
        options("--start_epoch", 3)


def test_the_flag_stays_one(twin, tmp_path: Path) -> None:
    """Without a file; beside one; taken back; in YAML."""
    assert options("--resume").resume and not options("--resume", "--no_resume").resume
    both = options("--resume", "a.pth", "--resume")
    assert both.resume and both.load_weights_folder == "a.pth"
    with pytest.raises(UserError, match="option --resume: 'a b' is not one file"):
        options("--resume", "a", "b")
    for text, expected in (("true", (True, None, 0)), ("a.pth", (False, "a.pth", -1))):
        path = tmp_path / "options.yml"
        path.write_text(f"resume: {text}\n")
        found = options("--config", path)
        assert (found.resume, found.load_weights_folder, found.start_epoch) == expected


def test_the_command_that_continues_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that began with a file goes on from its own checkpoint."""
    for words, expected in (
        (["--resume", "a.pth"], "--resume a.pth --resume"),
        (["--resume", "a.pth", "--seed", "1"], "--resume a.pth --seed 1 --resume"),
        (["--resume", "--seed", "1"], "--resume --seed 1"),
        (["--seed", "1", "--resume"], "--seed 1 --resume"),
        (["--seed", "1"], "--seed 1 --resume"),
    ):
        monkeypatch.setattr("sys.orig_argv", ["python", "train.py", *words])
        assert resume_command(Processes()) == f"python train.py {expected}"
