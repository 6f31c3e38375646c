"""Conversion of weights: the same bits in every format, and no file mixed up, half-written or lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.files.whole import add_files_atomically
from core.weights import conversion, format_of, verification
from core.weights.conversion import WRITERS, convert
from core.weights.families.monodepth2 import Decoder, Encoder, PoseDecoder
from core.weights.families.torchvision import ImageNetResNet
from core.weights.folder import OPTIONS_FILE
from core.weights.layouts import State, read_state
from core.weights.safetensors_file import write_safetensors
from core.weights.sources import digest, read_network, read_source
from tests.conftest import ROOT
from tests.core.payloads import HASHINGS, HEAVY, MARKER, PAYLOADS
from tests.core.weight_files import write_pth
from tests.core.weights.test_hostile_weights import FORMATS
from tests.scripts import listing, refused, succeeds

FRAMEWORKS = ("torch", "paddle")
NUMBERS = {"height": np.array(64), "width": np.array(96), "use_stereo": np.array(True)}
POSE = PoseDecoder(False)
SMALL = {"pose": POSE, "depth": Decoder(False, (0,))}


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of megabytes: that they reach the disk is tested elsewhere."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)


def random_state(network, seed: int = 0) -> State:
    """Numbers of every kind that the official file has."""
    rng, state = np.random.default_rng(seed), {}
    for name, shape in network.shapes.items():
        if name in NUMBERS:
            state[name] = NUMBERS[name]
        elif name.endswith("num_batches_tracked"):
            state[name] = np.array(rng.integers(1 << 40))
        else:
            # Repeated with a prime period: no two places that a mistake could swap have the same.
            state[name] = np.resize(rng.standard_normal(10007, np.float32), shape)
            if name.endswith("running_var"):
                state[name] = np.abs(state[name])
    return state


def write_source(folder: Path, networks: dict, legacy: bool = True, seed: int = 0) -> Path:
    """A folder as a release has it."""
    folder.mkdir(parents=True)
    for row, (name, network) in enumerate(networks.items()):
        state = random_state(network, seed + row)
        numbers = {key: state.pop(key).item() for key in NUMBERS if key in state}
        write_pth(folder / f"{name}.pth", state, legacy, **numbers)
    return folder


def main(*arguments: object) -> None:
    convert_weights.main(list(map(str, arguments)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source", SMALL)


def assert_same_bits(state: State, expected: State) -> None:
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        assert state[name].dtype == array.dtype and state[name].shape == array.shape, name
        assert state[name].tobytes() == array.tobytes(), name


# ---- formats; the round trip is in tests/backends/test_native_files.py ----------------------------------------


@pytest.mark.parametrize("to", WRITERS)
def test_formats_that_need_no_framework(source: Path, tmp_path: Path, to: str) -> None:
    printed = succeeds(
        "convert_weights.py", source, "--to", to, "--output", tmp_path / "new", without=FRAMEWORKS, here=True
    )
    extension = conversion.EXTENSIONS[to]
    for name in SMALL:
        path = tmp_path / "new" / f"{name}{extension}"
        assert format_of(path) == extension.removeprefix(".")
        expected = read_state(source / f"{name}.pth")[0]
        assert_same_bits(read_state(path)[0], expected)
        assert printed.count(digest(expected, expected)) == 2
    assert "bit-identical" in printed and "1,314,572" in printed and "Monodepth2" in printed


def test_pth_needs_torch(source: Path, tmp_path: Path) -> None:
    message = refused(
        "convert_weights.py", source, "--to", "torch", folder=tmp_path, without=FRAMEWORKS, here=True
    )
    assert message.startswith("--to torch: .pth files are written by PyTorch, which is not installed")


@pytest.mark.parametrize("dtype", ["f2", "f8"])
@pytest.mark.parametrize("to", WRITERS)
def test_types_and_strides(tmp_path: Path, to: str, dtype: str) -> None:
    """Arrays that are views, as transposed ones are, and the smallest numbers and -0.0."""
    state = {
        name: np.asfortranarray(array.astype(dtype)) if array.ndim else array
        for name, array in random_state(ImageNetResNet(18)).items()
        if not name.startswith(("layer2.", "layer3.", "layer4."))  # larger, and of the same kinds
    }
    state["fc.weight"][0, :3] = np.finfo(dtype).smallest_subnormal, -0.0, np.finfo(np.float16).max
    WRITERS[to](tmp_path / "a", state)
    assert_same_bits(read_state(tmp_path / "a")[0], state)


def test_what_becomes_of_a_paddle_trained_encoder(tmp_path: Path) -> None:
    """It has neither counters nor classifier; PyTorch's files have the one, the published program wants the other."""
    network = Encoder(18)
    trained = {name: a for name, a in random_state(network).items() if name not in network.optional}
    (tmp_path / "new").mkdir()
    WRITERS["paddle"](tmp_path / "encoder.pdparams", trained | NUMBERS)
    file = read_network(tmp_path / "encoder.pdparams")
    assert file.family == "Paddle Monodepthv2" and file.tensors == 100
    assert len(read_state(tmp_path / "encoder.pdparams")[0]) == 103
    for classifier, added in (
        (False, {"counters": 20}),
        (True, {"counters": 20, "arrays of the classifier": 2}),
    ):
        (done,) = convert([file], "torch", tmp_path / "new", write_pth, classifier)
        assert done.identical and done.added == added
        written = read_state(tmp_path / "new" / "encoder.pth")[0]
        assert all(not written[name].any() for name in written.keys() - file.state.keys())
        assert [name for name in network.shapes if name in written] == list(written)  # the official order
    assert written.keys() == network.shapes.keys()
    (done,) = convert([file], "h5", tmp_path / "new", WRITERS["h5"])
    assert done.added == {} and done.result.state.keys() == file.state.keys()


def test_a_changed_value_changes_the_digest() -> None:
    state = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3)}
    others = [
        state | {"w": np.nextafter(state["w"], np.float32(9))},
        state | {"w": state["w"].reshape(3, 2)},
        state | {"w": state["w"].astype(np.float64)},
        state | {"n": np.array([3])},
        {"v": state["w"], "n": state["n"]},
    ]
    digests = {digest(one, state) for one in others}
    assert len(digests) == len(others) and digest(state, state) not in digests
    big_endian = {"w": state["w"].astype(">f4"), "n": state["n"]}
    transposed = {"w": np.asfortranarray(state["w"]), "n": state["n"]}
    assert digest(big_endian, state) == digest(transposed, state) == digest(state, state)


# ---- what is taken, and where it goes ------------------------------------------------------------------------


def test_a_folder(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options go along; what is no network stays, and is named; the content tells the format."""
    (source / OPTIONS_FILE).write_text("height: 64\n")
    (source / "poses.npy").touch()
    (source / "depth.png").write_bytes(b"\x89PNG")
    (source / "pose.pth").rename(source / "pose.checkpoint")
    main(source, "--to", "safetensors")
    output = tmp_path / "source_safetensors"
    assert sorted(os.listdir(output)) == ["depth.safetensors", OPTIONS_FILE, "pose.safetensors"]
    assert (output / OPTIONS_FILE).read_text() == "height: 64\n"
    printed = capsys.readouterr().out
    assert "left out: depth.png, poses.npy\n" in printed
    assert printed.endswith(f"written: depth.safetensors, pose.safetensors in {output}\n")


def test_a_file(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source / "pose.pth").rename(source / "the best one.tar")
    main(source / "the best one.tar", "--to", "paddle")
    assert (source / "pose.pdparams").is_file()
    assert "PoseCNN" not in capsys.readouterr().out


def test_torchvision(tmp_path: Path) -> None:
    """The ImageNet file of this project: flat names, as HDF5."""
    write_pth(tmp_path / "resnet18-abc.pth", random_state(ImageNetResNet(18)))
    main(tmp_path / "resnet18-abc.pth", "--to", "h5", "--output", tmp_path / "weights")
    state, _ = read_state(tmp_path / "weights" / "resnet18_pretrain.h5")
    assert_same_bits(state, read_state(tmp_path / "resnet18-abc.pth")[0])


def test_a_mask_of_one_source_keeps_its_name(tmp_path: Path) -> None:
    write_source(tmp_path / "a", {"depth": Decoder(False), "predictive_mask": Decoder(False)})
    assert [file.network.file for file in read_source(tmp_path / "a")] == ["depth", "predictive_mask"]


def test_nothing_is_replaced_without_force(source: Path, tmp_path: Path) -> None:
    main(source, "--to", "paddle")
    before = listing(tmp_path)
    with pytest.raises(UserError, match=r"source_paddle/depth\.pdparams: is there already; .*--force"):
        main(source, "--to", "paddle")
    with pytest.raises(UserError, match="source_paddle: holds weights already; choose another --output"):
        main(source, "--to", "h5", "--output", tmp_path / "source_paddle")
    with pytest.raises(UserError, match=r"new\.h5: --output is a folder"):
        main(source / "pose.pth", "--to", "h5", "--output", tmp_path / "new.h5")
    assert listing(tmp_path) == before
    main(source, "--to", "paddle", "--force")
    assert listing(tmp_path) != before and len(listing(tmp_path)) == len(before)


def test_beside_the_source(source: Path) -> None:
    main(source, "--to", "paddle", "--output", source)
    assert sorted(os.listdir(source)) == ["depth.pdparams", "depth.pth", "pose.pdparams", "pose.pth"]
    main(source, "--to", "h5", "--output", source)  # two files of each network, with the same values


@pytest.mark.parametrize("link", [False, True])
def test_into_an_empty_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    main(source, "--to", "h5", "--output", tmp_path / "link" if link else ".")
    assert sorted(os.listdir(tmp_path / "real")) == ["depth.h5", "pose.h5"]
    assert sorted(os.listdir(tmp_path)) == ["link", "real", "source"] and (tmp_path / "link").is_symlink()


def test_options_are_not_replaced_without_force(source: Path, tmp_path: Path) -> None:
    (source / OPTIONS_FILE).write_text("height: 64\n")
    output = tmp_path / "new"
    output.mkdir()
    (output / OPTIONS_FILE).write_text("mine")
    with pytest.raises(UserError, match=r"new/options\.yaml: is there already; .*--force"):
        main(source, "--to", "h5", "--output", output)
    assert os.listdir(output) == [OPTIONS_FILE] and (output / OPTIONS_FILE).read_text() == "mine"
    main(source, "--to", "h5", "--output", output, "--force")
    assert (output / OPTIONS_FILE).read_text() == "height: 64\n"


def test_options_that_are_a_link_bring_nothing_along(source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key")
    (source / OPTIONS_FILE).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"source/options\.yaml: is no regular file"):
        main(source, "--to", "h5")
    assert sorted(os.listdir(tmp_path)) == ["secret", "source"]


@pytest.mark.parametrize("to", WRITERS)
def test_numbers_of_another_type_or_shape(tmp_path: Path, to: str) -> None:
    """Their values are what counts: a `.pth` file has Python's numbers."""
    state = random_state(Encoder(18))
    odd = {"height": np.array([64], np.int32), "width": np.array(96.0), "use_stereo": np.array([[1]])}
    write_safetensors(tmp_path / "encoder.safetensors", state | odd)
    (tmp_path / "new").mkdir()
    file = read_network(tmp_path / "encoder.safetensors")
    assert_same_bits({name: file.state[name] for name in NUMBERS}, NUMBERS)
    assert convert([file], to, tmp_path / "new", WRITERS[to])[0].identical


@pytest.mark.parametrize("value", [[64, 64], 64.5, np.nan, np.inf, 2.0**40], ids=str)
def test_numbers_that_are_none(tmp_path: Path, value: object) -> None:
    write_safetensors(tmp_path / "a.safetensors", random_state(Encoder(18)) | {"height": np.array(value)})
    with pytest.raises(UserError, match=r"a\.safetensors: height is no single whole number; save it again"):
        read_network(tmp_path / "a.safetensors")


def test_two_files_of_one_network_that_differ(source: Path, tmp_path: Path) -> None:
    WRITERS["paddle"](source / "pose.pdparams", random_state(POSE, seed=9))
    before = listing(tmp_path)
    with pytest.raises(UserError, match=r"pose\.pdparams and pose\.pth hold different weights; remove one"):
        main(source, "--to", "safetensors")
    assert listing(tmp_path) == before
    main(source / "pose.pth", "--to", "safetensors")


def wrong_name(folder: Path) -> None:
    (folder / "depth.pth").rename(folder / "encoder.pth")


def two_models(folder: Path) -> None:
    network = PoseDecoder(True)
    write_pth(folder / "pose.pth", random_state(network))
    write_pth(folder / "encoder.pth", random_state(Encoder(18)))


def truncated(folder: Path) -> None:
    (folder / "depth.pth").write_bytes((folder / "depth.pth").read_bytes()[:-1])


def misspelt(folder: Path) -> None:
    state = read_state(folder / "pose.pth")[0]
    state["net.1.wieght"] = state.pop("net.1.weight")
    write_pth(folder / "pose.pth", state)


def surplus(folder: Path) -> None:
    state = read_state(folder / "pose.pth")[0]
    write_pth(folder / "pose.pth", state | {"a\nb": np.zeros(1)})


def unknown(folder: Path) -> None:
    write_pth(folder / "pose.pth", {"kernel": np.zeros((2, 2))})


def below(folder: Path) -> None:
    names = ("a.net.b.0", "a.net.c.1", "a.net.c.2", "a.net.c")
    write_pth(folder / "pose.pth", dict.fromkeys(names, np.zeros(2)))


MISTAKES: dict[Callable[[Path], None], str] = {
    wrong_name: r"encoder\.pth: holds Monodepth2's depth decoder .*, not what its name says; rename it",
    two_models: r"pose\.pth: is .*ResNet-50 and deeper.*encoder\.pth is .*ResNet-18; the files of two models",
    truncated: r"depth\.pth: not a readable \.pth file",
    misspelt: r"pose\.pth: .*1 missing: net\.1\.weight; 1 unexpected: net\.1\.wieght \(for net\.1\.weight\?\)",
    surplus: r"pose\.pth: .*1 unexpected: a\?b; it looks like .*pose decoder.*, but is not quite that",
    unknown: r"pose\.pth: holds arrays of no network that is known: 1 such as kernel; "
    r"expected are names such as encoder\.conv1\.weight, decoder\.0\.conv\.conv\.weight",
    below: r"pose\.pth: .*: 4 such as a\.net\.b\.0, a\.net\.c\.1, a\.net\.c\.2, all below a\.net; expected are names",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_mistakes(source: Path, tmp_path: Path, mistake: Callable[[Path], None]) -> None:
    mistake(source)
    before = listing(tmp_path)
    with pytest.raises(UserError, match=MISTAKES[mistake]):
        main(source, "--to", "safetensors")
    assert listing(tmp_path) == before


def test_command_line(tmp_path: Path) -> None:
    assert refused("convert_weights.py", folder=tmp_path, here=True).startswith("SOURCE is missing")
    assert refused("convert_weights.py", "a", folder=tmp_path, here=True).startswith("--to is missing")
    assert refused("convert_weights.py", "absent", "--to", "h5", folder=tmp_path, here=True).startswith(
        "absent: no such"
    )
    assert "holds no weights" in refused("convert_weights.py", ".", "--to", "h5", folder=tmp_path, here=True)
    assert "'b'" in refused("convert_weights.py", "a", "b", "--to", "h5", folder=tmp_path, here=True)


def test_files_are_added_together_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def fill(folder: Path) -> None:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")
        if failing:
            raise OSError("no space")

    failing = True
    with pytest.raises(UserError, match="no space"):
        add_files_atomically(tmp_path, fill)
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"
    failing = False
    add_files_atomically(tmp_path, fill)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new"}


# ---- what must not pass --------------------------------------------------------------------------------------


def test_a_writer_that_loses_a_bit(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lossy(path: Path, state: State) -> None:
        state = {name: array.copy() for name, array in state.items()}
        state["net.3.bias"].view(np.uint32)[0] ^= 1
        WRITERS["h5"](path, state)

    monkeypatch.setitem(WRITERS, "safetensors", lossy)
    before = listing(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(source / "pose.pth", "--to", "safetensors", "--output", tmp_path / "new")
    assert stopped.value.code == 1 and listing(tmp_path) == before
    assert "CHANGED: pose.safetensors\nfailed: nothing was written" in capsys.readouterr().out


@pytest.mark.parametrize("difference", [9e-6, 2e-5, np.nan])
def test_verification(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    difference: float,
) -> None:
    asked = []

    def outputs(backend: str, files: list[Path]) -> dict[str, np.ndarray]:
        asked.append((backend, [path.name for path in files]))
        change = difference * 4 if len(asked) == 2 else 0
        return {"pose/0": np.array([1.0, -4.0]), "pose/1": np.array([4.0 + change, 0.0])}

    monkeypatch.setattr(verification, "outputs_in_process", outputs)
    monkeypatch.setattr("backends.installed_backends", lambda: ["torch", "paddle"])
    before, passes = listing(tmp_path), difference < 1e-5
    try:
        main(source / "pose.pth", "--to", "paddle", "--output", tmp_path / "new", "--verify")
        assert passes
    except SystemExit as stopped:
        assert not passes and stopped.code == 1 and listing(tmp_path) == before
    printed = capsys.readouterr().out
    assert asked == [("torch", ["pose.pth"]), ("paddle", ["pose.pdparams"])]
    assert "source in PyTorch, result in PaddlePaddle" in printed and "bound 1e-05" in printed
    assert (": ok" in printed) == passes and ("failed: nothing was written" in printed) != passes


def test_verification_of_linked_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name that the user gave tells a mask from a depth decoder, not that of the file behind it."""
    (tmp_path / "blob").touch()
    (tmp_path / "depth.pth").symlink_to("blob")
    commands = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "error: stop")

    monkeypatch.setattr(verification.subprocess, "run", run)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="verification in torch: stop"):
        verification.outputs_in_process("torch", [Path("depth.pth")])
    assert commands[0][-1] == str(tmp_path / "depth.pth")


def test_verification_of_different_networks() -> None:
    one, other = {"depth/0": np.zeros(1)}, {"predictive_mask/0": np.zeros(1)}
    with pytest.raises(UserError, match="--verify: only one side has the outputs depth/0, predictive_mask/0"):
        verification.compare(one, other)


def test_backends_of_the_verification() -> None:
    both = ["torch", "paddle"]
    choose = verification.choose_backends
    assert choose({"torch"}, "paddle", both) == ("torch", "paddle")
    assert choose({"paddle"}, "torch", both) == ("paddle", "torch")
    assert choose({"torch"}, "h5", both) == ("torch", "paddle")
    assert choose({"paddle"}, "safetensors", both) == ("paddle", "torch")
    assert choose({"torch"}, "paddle", ["torch"]) == ("torch", "torch")
    assert choose({"torch"}, "h5", ["paddle"]) == ("paddle", "paddle")
    with pytest.raises(UserError, match="--verify: takes PyTorch or PaddlePaddle"):
        choose({"torch"}, "h5", [])


# Converts every file under an audit hook; prints what became of each.
WATCHER = """
import json, os, sys, time
import convert_weights
from pathlib import Path
from core.errors import UserError
from tests.core.payloads import hashing
os.chdir(sys.argv[1])
unit = hashing()
convert_weights.main(["good.pth", "--to", "safetensors", "--output", "fine"])  # everything is imported now
seen, watching = [], False
def hook(event, arguments):
    if watching and event not in ("os.listdir", "os.scandir", "glob.glob", "glob.glob/2", "pathlib.Path.glob"):
        reading = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if not reading:
            seen.append(f"{event} {arguments!r}"[:200])
sys.addaudithook(hook)
for path in sorted(Path("bad").iterdir()):
    seen.clear()
    start, watching = time.process_time(), True
    try:
        convert_weights.main([str(path), "--to", "safetensors", "--output", "new"])
        message = None
    except UserError as error:
        message = str(error)
    watching = False
    print("OUTCOME", json.dumps([path.name, message, (time.process_time() - start) / unit, seen]))
"""


def test_hostile_files(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    write_pth(tmp_path / "good.pth", random_state(POSE))
    attempts = [one for name, one in PAYLOADS.items() if name not in HEAVY]
    for number, payload in enumerate(attempts):  # each in every format: test_hostile_weights.py
        kind = ("pth", "legacy", "pdparams")[number % 3]
        FORMATS[kind](tmp_path / "bad" / f"{number:03}.{kind}", payload)
    done = subprocess.run(
        [sys.executable, "-c", WATCHER, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    outcomes = [line.removeprefix("OUTCOME ") for line in done.stdout.splitlines() if "OUTCOME" in line]
    assert len(outcomes) == len(attempts) > 100
    for file, message, hashings, events in map(json.loads, outcomes):
        assert message is not None and message.startswith(f"bad/{file}: "), file
        assert message.isprintable() and len(message) < 500 and events == [], (file, events)
        assert hashings < HASHINGS, file
    assert sorted(os.listdir(tmp_path)) == ["bad", "fine", "good.pth"] and not (tmp_path / MARKER).exists()


def test_a_hostile_file_from_the_command_line(tmp_path: Path) -> None:
    FORMATS["pth"](tmp_path / "encoder.pth", PAYLOADS["name with newlines"])
    for source in ("encoder.pth", "."):
        message = refused("convert_weights.py", source, "--to", "h5", folder=tmp_path, here=True)
        assert "encoder.pth: not a readable .pth file of tensors" in message
