"""Sets of files: which family's they are, several networks in one file, and what a pickle of theirs may name."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.options import OPTIONS
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import save_options
from core.weights import families, read_weights_file
from core.weights.conversion import WRITERS
from core.weights.families import FAMILIES, matches, network_names, unused
from core.weights.families.base import DROPPED, MethodFamily, Prefixes, Shape
from core.weights.families.monodepth2 import Decoder, Encoder, PoseDecoder
from core.weights.folder import OPTIONS_FILE, Folder, model_options, results_folder, start_file
from core.weights.partial import completed
from core.weights.pdparams import write_pdparams
from core.weights.safetensors_file import write_safetensors
from core.weights.sources import network_files, read_files, read_network, read_source
from tests.conftest import ROOT
from tests.core.payloads import PAYLOADS
from tests.core.twin_family import (
    PREFIXES,
    Depth,
    Pose,
    TwinOptions,
    random_states,
    record,
    register,
    write_checkpoint,
    write_nested,
)
from tests.core.weight_files import Raw, call, name
from tests.syntax import tree_of


@pytest.fixture
def twin(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(one[key].tobytes() == other[key].tobytes() for key in one)


# ---- one file, several networks ------------------------------------------------------------------------------


def test_a_file_of_two_networks(twin, tmp_path: Path) -> None:
    states = random_states()
    files = read_source(write_checkpoint(tmp_path / "last.ckpt", states))
    assert [(file.network, file.family) for file in files] == [(Depth(4), "Twin"), (Pose(), "Twin")]
    assert all(same(file.state, states[file.network.file]) for file in files)
    with pytest.raises(UserError, match=r"last\.ckpt: holds several networks: depth, pose; convert_weights"):
        read_network(tmp_path / "last.ckpt")


@pytest.mark.parametrize("to", WRITERS)
def test_converted_to_a_file_of_each_and_back(twin, tmp_path: Path, capsys, to: str) -> None:
    states = random_states()
    path = write_checkpoint(tmp_path / "last.ckpt", states)
    convert_weights.main([str(path), "--to", to, "--output", str(tmp_path / "new")])
    printed = capsys.readouterr().out
    assert "bit-identical" in printed and printed.count("last.ckpt") == 2
    again = {file.network.file: file.state for file in read_source(tmp_path / "new")}
    assert all(same(again[name], states[name]) for name in states)
    joined = PREFIXES.join(again)
    assert same(joined, read_weights_file(path)) and set(PREFIXES.split(joined) or {}) == {"depth", "pose"}


@pytest.mark.parametrize("as_file", [True, False])
def test_a_file_of_two_networks_as_a_folder(twin, tmp_path: Path, as_file: bool) -> None:
    states = random_states(channels=6)
    path = write_checkpoint(tmp_path / "last.ckpt", states)
    (tmp_path / "notes.txt").write_text("of that run")
    place = path if as_file else tmp_path
    folder = Folder(place)
    assert list(folder) == ["depth", "pose"] and all(same(folder[name], states[name]) for name in folder)
    assert folder.paths(["pose"]) == {"pose": path} and folder.path("encoder") is None
    assert model_options(place, {}, {}) == TwinOptions(width_of_depth=6)
    assert start_file(folder, "pose", TwinOptions(), "pose") == path
    with pytest.raises(
        UserError, match=f"{place.name}: lacks encoder.pth; it holds .*(depth, pose|last.ckpt)"
    ):
        folder.paths(["encoder"])
    assert results_folder(place) == tmp_path
    words = r"last\.ckpt: holds no network e; check --load_w" if as_file else r"e\.pth: no such file; check"
    with pytest.raises(UserError, match=words):
        start_file(folder, "e", TwinOptions(), "e")


def test_one_file_of_a_model_for_each_half(twin, tmp_path: Path) -> None:
    """Of the networks in several files none may be there twice."""
    states = random_states()
    halves = {"depth": states["depth"], "pose": states["pose"]}
    write_checkpoint(tmp_path / "a.ckpt", halves)
    assert [file.path.name for file in read_source(tmp_path)] == ["a.ckpt", "a.ckpt"]
    write_checkpoint(tmp_path / "b.ckpt", halves)
    with pytest.raises(
        UserError, match=r"a\.ckpt and b\.ckpt hold the same networks; name one of these files"
    ):
        model_options(tmp_path, {}, {})
    write_safetensors(tmp_path / "depth.safetensors", states["depth"])  # files of single networks win
    assert list(Folder(tmp_path)) == ["depth"]


def test_a_file_of_one_network_is_no_model(twin, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "half.ckpt", {"depth": random_states()["depth"]})
    with pytest.raises(
        UserError, match=r"half\.ckpt: holds Twin's depth network, 4 channels alone; name the fol"
    ):
        model_options(path, {}, {})
    assert list(Folder(tmp_path)) == []
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"half\.ckpt: no file of weights: it is text"):
        Folder(tmp_path).paths(["depth"])


def test_a_folder_of_one_file_is_converted(twin, tmp_path: Path, capsys) -> None:
    (tmp_path / "run").mkdir()
    write_checkpoint(tmp_path / "run" / "last.ckpt", random_states())
    convert_weights.main([str(tmp_path / "run"), "--to", "paddle"])
    assert "left out" not in capsys.readouterr().out
    assert list(network_files(tmp_path / "run_paddle")) == ["depth", "pose"]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch."""

    def writer(key: str | None = None):
        return lambda path, state: write_nested(
            path, {key or "": {k: np.asarray(a) for k, a in state.items()}}
        )

    monkeypatch.setattr(convert_weights, "pth_writer", writer)


def test_joined_to_the_file_of_its_authors(twin, by_hand, tmp_path: Path, capsys) -> None:
    """From a file of each network; what comes out has their names, and converts to the same bits again."""
    states = random_states()
    for own, state in states.items():
        write_safetensors(tmp_path / f"{own}.safetensors", state)
    path = tmp_path / "made" / "last.ckpt"
    convert_weights.main([str(tmp_path), "--joined", str(path)])
    printed = capsys.readouterr().out
    assert "bit-identical" in printed and f"written: {path}" in printed and "left out: made" in printed
    assert same(read_weights_file(path), PREFIXES.join(states))
    again = {file.network.file: file.state for file in read_source(path)}
    assert all(same(again[own], states[own]) for own in states)
    with pytest.raises(UserError, match=r"last\.ckpt: is there already; choose another --joined, or --force"):
        convert_weights.main([str(tmp_path), "--joined", str(path)])
    with pytest.raises(UserError, match=r"made: --joined is a file; end its name in one of \.pth"):
        convert_weights.main([str(tmp_path), "--joined", str(path.parent)])


def test_joined_without_counters(twin, by_hand, tmp_path: Path, capsys) -> None:
    """They are added, as the authors' files have them."""
    states = random_states()
    del states["depth"]["norm.num_batches_tracked"]
    for own, state in states.items():
        write_safetensors(tmp_path / f"{own}.safetensors", state)
    convert_weights.main([str(tmp_path), "--joined", str(tmp_path / "last.ckpt"), "--to", "torch"])
    assert "added, of zeros: last.ckpt (1 counters)" in capsys.readouterr().out
    assert read_weights_file(tmp_path / "last.ckpt")["depth_net.norm.num_batches_tracked"].shape == ()


def test_nothing_is_joined_that_is_not_the_same(twin, monkeypatch, tmp_path: Path, capsys) -> None:
    for own, state in random_states().items():
        write_safetensors(tmp_path / f"{own}.safetensors", state)
    half = lambda path, state: write_nested(path, {"state_dict": {k: a / 2 for k, a in state.items()}})  # noqa: E731
    monkeypatch.setattr(convert_weights, "pth_writer", lambda key: half)
    with pytest.raises(SystemExit):
        convert_weights.main([str(tmp_path), "--joined", str(tmp_path / "last.ckpt")])
    assert "failed: nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "last.ckpt").exists()


def test_joined_where_each_network_has_a_file(by_hand, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "depth.safetensors", empty(Decoder(False).shapes))
    with pytest.raises(
        UserError, match="--joined: Monodepth2 has a file for each network; use --to torch and"
    ):
        convert_weights.main([str(tmp_path), "--joined", str(tmp_path / "a.ckpt")])
    assert not (tmp_path / "a.ckpt").exists()


@pytest.mark.parametrize(("option", "word"), [("--to", "paddle"), ("--output", "folder")])
def test_joined_and_something_else(option: str, word: str) -> None:
    with pytest.raises(UserError, match=f"--joined: .* leave {option}"):
        convert_weights.main(["folder", "--joined", "a.ckpt", option, word])


def test_what_is_no_such_file_is_not_split() -> None:
    assert PREFIXES.split({"depth_net.a": 1, "other.b": 2}) is None
    assert PREFIXES.split({"depth_net.a": 1}) == {"depth": {"a": 1}}
    assert FAMILIES["monodepth2"].parts("x", {"a": 1}) == {"x": {"a": 1}}


def test_a_damaged_part_is_named(twin, tmp_path: Path) -> None:
    states = random_states()
    states["pose"]["head.bais"] = states["pose"].pop("head.bias")
    write_checkpoint(tmp_path / "last.ckpt", states)
    with pytest.raises(UserError, match=r"last\.ckpt: .*1 missing: head\.bias; 1 unexpected: head\.bais"):
        read_source(tmp_path / "last.ckpt")


def test_a_part_that_is_another_network(twin, tmp_path: Path) -> None:
    states = random_states()
    write_checkpoint(tmp_path / "last.ckpt", {"depth": states["pose"], "pose": states["pose"]})
    with pytest.raises(UserError, match=r"last\.ckpt: holds Twin's pose network under the names of depth"):
        read_source(tmp_path / "last.ckpt")


def test_states_that_lie_beside_each_other(monkeypatch, tmp_path: Path) -> None:
    states = random_states()
    path = write_nested(tmp_path / "a.pth.tar", {"net": states["depth"], "motion": states["pose"]}, epoch=3)
    with pytest.raises(UserError, match="it holds no arrays by name, but several states, 'net', 'motion'"):
        read_weights_file(path)
    register(monkeypatch)
    prefixes = Prefixes({"net.": "depth", "motion.": "pose"})
    family = dataclasses.replace(FAMILIES["twin"], split=prefixes.split, containers=("net", "motion"))
    monkeypatch.setitem(FAMILIES, "twin", family)
    files = {file.network.file: file.state for file in read_source(path)}
    assert same(files["depth"], states["depth"]) and same(files["pose"], states["pose"])


# ---- whose files they are ------------------------------------------------------------------------------------


def test_a_folder_of_another_method(twin, tmp_path: Path) -> None:
    for own, state in random_states(channels=6).items():
        write_safetensors(tmp_path / f"{own}.safetensors", state)
    assert model_options(tmp_path, {}, {}) == TwinOptions(width_of_depth=6)
    assert list(network_files(tmp_path)) == ["depth", "pose"]
    with pytest.raises(UserError, match=r"--num_layers: .* a model of twin, which has no such option; leave"):
        model_options(tmp_path, {}, {"num_layers": 18, "min_depth": None})
    save_options(Monodepth2Options(height=64), tmp_path / OPTIONS_FILE)  # the options win
    assert model_options(tmp_path, {}, {}).height == 64


def test_names_of_files_are_asked_of_the_families(monkeypatch) -> None:
    before = network_names()
    assert before[:5] == ["encoder", "depth", "pose_encoder", "pose", "predictive_mask"]
    monkeypatch.setitem(
        FAMILIES, "other", MethodFamily("other", {"others": lambda _: None, "depth": lambda _: None})
    )
    assert network_names() == [*before, "others"]


@pytest.fixture
def few() -> Iterator[None]:
    """No families but the first method's and that of ImageNet's encoders. The order is given back, too: it counts."""
    before = dict(FAMILIES)
    for own in before.keys() - {"monodepth2", "torchvision"}:
        del FAMILIES[own]
    yield
    FAMILIES.clear()
    FAMILIES.update(before)


class OtherEncoder(Encoder):
    """Another method's, whose names and shapes are the same but for the numbers."""

    family: ClassVar[str] = "Other"
    numbers: ClassVar[dict[str, type]] = {}

    @property
    def shapes(self) -> dict[str, Shape]:
        return {key: shape for key, shape in super().shapes.items() if "." in key}


class OtherDepth(Depth):
    """Another method's decoder."""

    family: ClassVar[str] = "Other"


def other_family() -> MethodFamily:
    def encoder(shapes):
        found = FAMILIES["monodepth2"].recognise(shapes)
        return OtherEncoder(found.num_layers) if isinstance(found, Encoder) and found.images == 1 else None

    return MethodFamily(
        method="other",
        networks={
            "encoder": encoder,
            "depth": lambda shapes: OtherDepth(4) if "conv.weight" in shapes else None,
        },
        options_of=lambda networks, states: TwinOptions(width_of_depth=networks["encoder"].num_layers),
    )


def empty(shapes) -> dict[str, np.ndarray]:
    """A state that takes no memory."""
    return {key: np.broadcast_to(np.float32(64), shape) for key, shape in shapes.items()}


def test_an_encoder_of_either(few, monkeypatch, tmp_path: Path) -> None:
    encoder = {"encoder": empty(OtherEncoder(18).shapes)}
    assert model_options(tmp_path, encoder, {}).method == "monodepth2"
    monkeypatch.setitem(FAMILIES, "other", other_family())
    monkeypatch.setitem(OPTIONS, "twin", TwinOptions)
    words = "an encoder of either Monodepth2 or Other: give the folder with all its networks"
    with pytest.raises(UserError, match=words):
        model_options(tmp_path, encoder, {})
    ours = encoder | {"depth": empty(Decoder(False).shapes)}
    assert model_options(tmp_path, ours, {}).method == "monodepth2"
    others = encoder | {"depth": empty(Depth(4).shapes)}
    assert model_options(tmp_path, others, {}) == TwinOptions(width_of_depth=18)


def test_a_single_encoder_is_converted_whoever_wrote_it(few, monkeypatch, tmp_path: Path) -> None:
    """Only the name of the release is open."""
    monkeypatch.setitem(FAMILIES, "other", other_family())
    state = {key: np.zeros(shape, np.float32) for key, shape in OtherEncoder(18).shapes.items()}
    write_safetensors(tmp_path / "encoder.safetensors", state)
    assert read_network(tmp_path / "encoder.safetensors").family == "Monodepth2 or Other"
    family = FAMILIES["other"]
    networks = {**family.networks, "teacher": family.networks["encoder"]}
    monkeypatch.setitem(FAMILIES, "other", dataclasses.replace(family, networks=networks))
    write_safetensors(tmp_path / "teacher.safetensors", state)  # a name that one of them alone has
    assert read_network(tmp_path / "teacher.safetensors").family == "Other"
    (tmp_path / "teacher.safetensors").unlink()
    write_safetensors(tmp_path / "depth.safetensors", empty(Depth(4).shapes))
    both = read_files(sorted(tmp_path.iterdir()))
    assert [file.family for file in both] == ["Other", "Other"]
    monkeypatch.setattr(OtherEncoder, "file", "backbone")
    with pytest.raises(UserError, match=r"encoder\.safetensors: an encoder of either Monodepth2 or Other"):
        read_network(tmp_path / "encoder.safetensors")


def test_a_network_that_is_known_and_not_here(twin, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Depth, "refusal", "its depth network is woven, which is not here; take another")
    path = write_checkpoint(tmp_path / "last.ckpt", random_states())
    for read in (read_source, lambda place: model_options(place, {}, {})):
        with pytest.raises(
            UserError, match=r"last\.ckpt: its depth network is woven, which is not here; take an"
        ):
            read(path)
    write_safetensors(tmp_path / "depth.safetensors", empty(Depth(4).shapes))
    with pytest.raises(UserError, match=r"^[^:]+: its depth network is woven"):
        model_options(tmp_path, {}, {})


def test_files_of_two_methods_in_a_folder(twin, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "depth.safetensors", empty(Depth(4).shapes))
    write_safetensors(tmp_path / "pose.safetensors", empty(PoseDecoder(False).shapes))
    with pytest.raises(UserError, match="the files of two models are mixed"):
        read_source(tmp_path)


def test_exactness_decides_before_likeness(monkeypatch) -> None:
    def any_encoder(shapes):
        return OtherEncoder(50) if "encoder.conv1.weight" in shapes else None

    monkeypatch.setitem(FAMILIES, "other", MethodFamily("other", {"encoder": any_encoder}))
    (found,) = matches({"encoder": Encoder(18).shapes})
    assert found.release == "Monodepth2" and found.exact == 1
    assert matches({"encoder": {"w": (1,)}}) == []


# ---- what is beside the tensors ------------------------------------------------------------------------------


def test_numbers_and_the_classifier_are_no_business_of_a_network() -> None:
    shapes = {**Encoder(18).shapes, "progress": (), "w": (3,)}
    numbers = {"height", "width", "use_stereo", "progress"}
    assert unused(shapes) == numbers | {"encoder.fc.weight", "encoder.fc.bias"}
    assert unused({"1.num_batches_tracked": (), "num_batches_tracked": (), "a.b": ()}) == frozenset()


def test_a_folder_reads_each_file_once(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "depth.safetensors", {"w": np.ones(2, np.float32)})
    folder = Folder(tmp_path, ".pth", {"encoder": {}})
    assert list(folder) == ["encoder", "depth"] and len(folder) == 2 and list(folder.read) == ["encoder"]
    first = folder["depth"]
    (tmp_path / "depth.safetensors").unlink()
    assert folder["depth"] is first
    with pytest.raises(KeyError):
        folder["pose"]


def test_a_missing_start_names_the_file_and_the_option(tmp_path: Path) -> None:
    options = TwinOptions(load_weights_folder="one", depth_start=f"{tmp_path}/")
    with pytest.raises(UserError, match=r"encoder\.pth: no such file; check --depth_start$"):
        start_file(Folder(tmp_path), "encoder", options, "depth")
    words = (
        r"one/depth\.pth: no such file; check --load_weights_folder, or leave depth out of --models_to_load"
    )
    with pytest.raises(UserError, match=words):
        start_file(Folder(Path("one")), "depth", options, "depth")


def test_a_damaged_file_is_called_what_it_is_most_alike(twin, monkeypatch) -> None:
    """Though an earlier family claims it by a name."""
    greedy = MethodFamily("greedy", {"depth": lambda shapes: Encoder(18)})
    monkeypatch.setattr(families, "FAMILIES", {"greedy": greedy, **FAMILIES})
    shapes = dict(Depth(4).shapes)
    del shapes["norm.bias"]
    assert families.recognise(shapes) == Depth(4)
    assert [match.family.method for match in matches({"depth": shapes})] == ["twin"]


# ---- what a pickle may name ----------------------------------------------------------------------------------


def test_records_of_a_family(few, monkeypatch, tmp_path: Path) -> None:
    """A configuration beside the weights: nobody imports its class, and its content is not looked at; known or not."""
    config = record(
        "yacs.config", "CfgNode", {"name": "x", "deeper": record("yacs.config", "CfgNode", {"a": 1})}
    )
    hyper = record("argparse", "Namespace", {"lr": 0.1})
    path = write_checkpoint(tmp_path / "a.ckpt", random_states(), config=config, hyper_parameters=hyper)
    assert set(read_weights_file(path)) == set(PREFIXES.join(random_states()))
    register(monkeypatch)
    assert len(read_source(path)) == 2


def configured(kept: dict) -> dict:
    """What Twin's options follow from its configuration."""
    return {"height": kept["size"][0], "width": kept["size"][1], "learning_rate": kept["deeper"]["rate"]}


@pytest.fixture
def configurable(twin, monkeypatch) -> None:
    """Twin as a family whose files keep a configuration, and whose depth network is a model."""
    family = dataclasses.replace(
        FAMILIES["twin"],
        configuration="config",
        configured=configured,
        alone=("depth",),
        untold=("height", "width"),
    )
    monkeypatch.setitem(FAMILIES, "twin", family)


def config_of(**changed: object) -> Raw:
    """A pickled configuration; a NumPy number and a shared dict are in it, as they may be."""
    number = call(
        name("numpy.core.multiarray", "scalar"),
        call(name("numpy", "dtype"), "f8", False, True),
        call(name("_codecs", "encode"), np.float64(0.5).tobytes().decode("latin1"), "latin1"),
    )
    deeper = record("yacs.config", "CfgNode", {"rate": number, "odd": call(name("torch", "device"), "cpu")})
    return record("yacs.config", "CfgNode", {"size": (64, 96), "deeper": deeper} | changed)


def test_a_configuration_beside_the_networks(configurable, tmp_path: Path, capsys) -> None:
    """It says what the files do not; a folder made of the file says it as well."""
    path = write_checkpoint(tmp_path / "a.ckpt", random_states(), config=config_of())
    options = model_options(path, {}, {})
    assert (options.height, options.width, options.learning_rate) == (64, 96, 0.5)
    assert model_options(tmp_path, {}, {}) == options
    with pytest.raises(UserError, match="was trained with 64; leave the option out"):
        model_options(path, {}, {}, untold={"height": 128})
    assert "do not say" not in capsys.readouterr().err
    convert_weights.main([str(path), "--to", "safetensors", "--output", str(tmp_path / "out")])
    assert model_options(tmp_path / "out", {}, {}) == options
    write_checkpoint(path, random_states())
    assert model_options(path, {}, {}).height == 192
    assert "its files do not say height and width" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (config_of(size=("x", 96)), r"a\.ckpt: config: height: expected a whole number, not 'x'"),
        (
            config_of(extra=Raw(b"](" + b"(K\x01K\x02t" * 6000 + b"e")),
            "deeper or more than options can be",
        ),
        (config_of(extra=Raw(b"(" * 20 + b"t" * 20)), "deeper or more than options can be"),
        (config_of(extra=Raw(b"]q\x00h\x00a")), "deeper or more than options can be"),
        (config_of(extra=call(name("os", "system"), "true")), r"it asks for os\.system"),
    ],
)
def test_a_hostile_configuration(configurable, tmp_path: Path, config: Raw, words: str) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", random_states(), config=config)
    with pytest.raises(UserError, match=words):
        model_options(path, {}, {})


def test_a_network_that_is_a_model(configurable, tmp_path: Path) -> None:
    """Where a family says so, a file of it alone is enough; a file of the other is not."""
    states = random_states()
    path = write_checkpoint(tmp_path / "depth.ckpt", {"depth": states["depth"]}, config=config_of())
    assert model_options(path, {}, {}).height == 64
    assert list(Folder(path)) == ["depth"]
    write_checkpoint(path, {"pose": states["pose"]})
    with pytest.raises(UserError, match="holds Twin's pose network alone"):
        model_options(path, {}, {})


def test_only_what_fits(twin, tmp_path: Path, capsys) -> None:
    """Nothing is compared with the rules; what is loaded and what not is said."""
    state = random_states()["depth"]
    other = {key: array[:2] if array.ndim > 1 else array for key, array in state.items()} | {
        "odd": np.ones(1)
    }
    del other["norm.bias"]
    path = write_checkpoint(tmp_path / "a.ckpt", {"depth": other})
    read = Folder(path, loose="twin")["depth"]
    own = {key: np.zeros_like(array) for key, array in state.items()}
    found = completed(read, own, "depth", path)
    assert found["norm.weight"].tolist() == state["norm.weight"].tolist()
    assert not found["conv.weight"].any() and not found["norm.bias"].any() and list(found) == list(own)
    said = capsys.readouterr().err
    assert "depth: loaded 4 of 6 tensors" in said
    assert "absent, left as they are: norm.bias" in said
    assert "of another shape, left as they are: conv.weight" in said
    assert "in the file alone, not loaded: odd" in said
    with pytest.raises(UserError, match=r"a\.ckpt: no tensor of it fits depth"):
        completed({"odd": np.ones(1)}, own, "depth", path)


def test_classes_as_names(monkeypatch, tmp_path: Path) -> None:
    """Under which trainings of 2021 kept the state of what watched them; nobody imports them."""
    register(monkeypatch)
    path = tmp_path / "a.ckpt"
    keeper = name("keepers", "ModelCheckpoint")
    write_checkpoint(path, random_states(), callbacks={keeper: {"best": "x.ckpt"}})
    assert len(read_source(path)) == 2
    family = dataclasses.replace(FAMILIES["twin"], stand_ins={("keepers", "ModelCheckpoint"): DROPPED})
    monkeypatch.setitem(FAMILIES, "twin", family)
    assert len(read_source(path)) == 2
    write_checkpoint(path, random_states(), callbacks={call(keeper, 1): {}})
    with pytest.raises(UserError, match="a dict whose names are neither text nor plain integers"):
        read_source(path)


@pytest.mark.parametrize(
    "payload",
    [
        record("yacs.config", "CfgNode", {"a": 1}, arguments=b"](K\x01et").content,
        call(name("yacs.config", "CfgNode"), {"a": 1}).content,
        name("yacs.config", "CfgNode").content + b")\x81(K\x01K\x02e",
    ],
)
def test_records_that_are_none(twin, tmp_path: Path, payload: bytes) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", random_states(), config=Raw(payload))
    with pytest.raises(UserError, match=r"a\.ckpt: not a readable \.pth file"):
        read_weights_file(path)


def test_a_family_opens_no_other_door(twin, monkeypatch, tmp_path: Path) -> None:
    """With its stand-ins every hostile payload is refused as before, and a known global stays what it is."""
    monkeypatch.setitem(
        FAMILIES,
        "greedy",
        MethodFamily("greedy", {}, stand_ins={("numpy._core.multiarray", "_reconstruct"): "dropped"}),
    )
    write_pdparams(tmp_path / "good.pdparams", {"w": np.ones(2)})
    assert read_weights_file(tmp_path / "good.pdparams")["w"].tolist() == [1, 1]
    for payload in PAYLOADS.values():
        (tmp_path / "bad.pdparams").write_bytes(b"\x80\x02}(X\x01\x00\x00\x00w" + payload + b"u.")
        with pytest.raises(UserError, match=r"bad\.pdparams: "):
            read_weights_file(tmp_path / "bad.pdparams")


# ---- who may name a paper ------------------------------------------------------------------------------------

SHARED = (
    *(
        "folder",
        "sources",
        "conversion",
        "verification",
        "pretrained",
        "pickles",
        "pth",
        "stand_ins",
        "layouts",
    ),
    *("checkpoint", "outputs", "start", "predictor"),
)


def test_shared_files_import_no_paper() -> None:
    """Registries' rows do, and nothing else."""
    paths = [path for path in ROOT.glob("core/weights/*.py") if path.stem in SHARED]
    paths += [path for path in ROOT.glob("backends/*/*.py") if path.stem in SHARED]
    assert len(paths) == 9 + 8
    papers = {*FAMILIES, *OPTIONS}
    for path in [*paths, ROOT / "backends" / "outputs.py", ROOT / "convert_weights.py"]:
        for module in imports(path):
            assert not papers & set(module.split(".")), (path, module)


def imports(path: Path) -> list[str]:
    """What a file imports, to the last name: `core.weights.families.monodepth2`."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return found
