"""EPCDepth's files: names and shapes of its networks, the program's file of both, and what lies beside them."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

import convert_weights
from core.errors import UserError
from core.options import OnnxOptions, PredictionOptions
from core.options.choices import with_choices
from core.options.parsing import parse, parse_method
from core.weights import read_weights_file
from core.weights.continued import kept_moments, with_start_epoch
from core.weights.families import matches, monodepth2, sc_depth
from core.weights.families.base import is_counter
from core.weights.families.epcdepth import FAMILY, Encoder, FullScaleDepth, PlainDepth, join, split, u_block
from core.weights.folder import Folder, model_options, require_agreement
from core.weights.safetensors_file import write_safetensors
from core.weights.sources import read_source
from tests.core.payloads import PAYLOADS
from tests.core.twin_family import write_nested
from tests.core.weight_files import Raw, tensor, whole, write_legacy
from tests.core.weights.test_continued import scalar

MODELS = {
    "encoder18": Encoder(18),
    "encoder50": Encoder(50),
    "full_scale_decoder18": FullScaleDepth(False),
    "full_scale_decoder50": FullScaleDepth(True),
    "plain_decoder18": PlainDepth(False),
    "plain_decoder50": PlainDepth(True),
}
TRAINED = {  # parameters
    "full_scale_decoder18": 15_171_546,
    "full_scale_decoder50": 30_433_242,
    "plain_decoder18": 3_152_724,
}
ENCODER_HEADS = {False: 11_967_429, True: 21_367_749}


@pytest.fixture(scope="module")
def names(golden):
    return golden("epcdepth/names.json")


def shapes_of(names, key: str) -> dict[str, tuple[int, ...]]:
    return {own: tuple(shape) for own, shape in names[key].items()}


def empty(shapes) -> dict[str, np.ndarray]:
    """Zeros that take no memory."""
    return {own: np.broadcast_to(np.float32(0), shape) for own, shape in shapes.items()}


def count(shapes) -> int:
    return sum(map(math.prod, shapes.values()))


# ---- names and shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", MODELS)
def test_official_names_and_shapes(names, key: str) -> None:
    """In the order of the official file, by which its optimiser counts."""
    shapes = shapes_of(names, key)
    assert list(MODELS[key].shapes.items()) == list(shapes.items())
    assert FAMILY.recognise(shapes) == MODELS[key]
    assert key not in TRAINED or count(shapes) == TRAINED[key]


@pytest.mark.parametrize("levels", [3, 4, 5, 6, 7])
def test_u_blocks(names, levels: int) -> None:
    recorded = shapes_of(names["rsu"], f"rsu{levels}_6_4_5")
    assert list(u_block("", levels, 6, 4, 5).items()) == list(recorded.items())


@pytest.mark.parametrize("bottleneck", [False, True])
def test_without_the_encoder_heads(bottleneck: bool) -> None:
    whole, bare = FullScaleDepth(bottleneck), FullScaleDepth(bottleneck, heads=False)
    assert (len(whole.shapes), len(bare.shapes)) == (220, 110)
    assert count(whole.shapes) - count(bare.shapes) == ENCODER_HEADS[bottleneck]
    assert FAMILY.recognise(bare.shapes) == bare and str(bare).endswith("without the encoder's heads")
    assert bare.left_out == whole.shapes.keys() - bare.shapes.keys() and not whole.left_out


def test_a_damaged_head_is_not_left_out(tmp_path: Path) -> None:
    shapes = FullScaleDepth(False).shapes
    del shapes["encoder_disps.3.disp.0.bias"]
    write_safetensors(tmp_path / "depth.safetensors", empty(shapes))
    with pytest.raises(UserError, match=r"depth\.safetensors: .*1 missing: encoder_disps\.3\.disp\.0\.bias"):
        read_source(tmp_path)


def test_what_fits_together() -> None:
    assert FullScaleDepth(True).fits(Encoder(50)) and not FullScaleDepth(True).fits(Encoder(34))
    assert PlainDepth(False).fits(Encoder(34)) and not PlainDepth(False).fits(Encoder(101))
    assert FullScaleDepth(True).fits(PlainDepth(False))


# ---- whose encoder it is -------------------------------------------------------------------------------------

DEPTHS = {
    "Monodepth2": monodepth2.Decoder(False),
    "SC-Depth": sc_depth.Depth(False),
    "EPCDepth": FullScaleDepth(False),
}


@pytest.mark.parametrize("release", DEPTHS)
def test_the_decoder_tells_whose_encoder_it_is(tmp_path: Path, release: str) -> None:
    encoder = {own: s for own, s in Encoder(18).shapes.items() if not is_counter(own)}
    (found,) = matches({"encoder": encoder, "depth": DEPTHS[release].shapes}, of_methods=True)
    assert found.release == release and found.exact == 2
    others = matches({"encoder": encoder}, of_methods=True)
    assert [match.release for match in others][: len(DEPTHS)] == list(DEPTHS)


def test_an_encoder_alone(tmp_path: Path) -> None:
    states = {"encoder": empty(Encoder(18).shapes)}
    with pytest.raises(
        UserError, match=r"an encoder of either Monodepth2 or SC-Depth or EPCDepth.*: give the folder"
    ):
        model_options(Path("nowhere"), states, {})


# ---- which model it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [True, False])
def test_options_of_a_model(capsys, heads: bool) -> None:
    states = {"encoder": empty(Encoder(50).shapes), "depth": empty(FullScaleDepth(True, heads).shapes)}
    options = model_options(Path("nowhere"), states, {})
    assert (options.method, options.num_layers, options.use_full_scale) == ("epcdepth", 50, True)
    assert (options.height, options.width, options.padding, options.output_scale) == (320, 1024, "zeros", 0)
    assert "its files do not say height and width; taken for it: --height 320, --width 1024" in (
        capsys.readouterr().err
    )
    chosen = {"output_scale": 2, "padding": "reflect", "height": 192, "width": 640}
    options = model_options(Path("nowhere"), states, chosen)
    assert {name: getattr(options, name) for name in chosen} == chosen and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("decoder", "chosen", "message"),
    [
        (FullScaleDepth(False), {"num_layers": 50}, "--num_layers 50, but its encoder is a ResNet-18"),
        (
            FullScaleDepth(False),
            {"use_full_scale": False},
            "--no_use_full_scale, but its decoder is the full",
        ),
        (PlainDepth(False), {"use_full_scale": True}, "--use_full_scale, but its decoder is the plain one"),
        (
            PlainDepth(False),
            {"padding": "zeros"},
            "--padding zeros, but its decoder is the plain one, which always",
        ),
    ],
)
def test_what_contradicts_the_files(decoder, chosen: dict, message: str) -> None:
    states = {"encoder": empty(Encoder(18).shapes), "depth": empty(decoder.shapes)}
    with pytest.raises(UserError, match=message):
        require_agreement(Folder(Path("nowhere"), states=states), "epcdepth", chosen)


def test_reflection_takes_large_images() -> None:
    states = {"encoder": empty(Encoder(18).shapes), "depth": empty(FullScaleDepth(False).shapes)}
    with pytest.raises(UserError, match="options height, width: 96 x 320: with --padding reflect"):
        model_options(Path("nowhere"), states, {"padding": "reflect", "height": 96, "width": 320})


def test_what_may_be_chosen_where_it_predicts() -> None:
    words = [
        "--image_path",
        "a.png",
        "--model_name",
        "model18",
        "--output_scale",
        "-1",
        "--padding",
        "reflect",
    ]
    options = parse(with_choices(PredictionOptions), words)
    assert (options.output_scale, options.padding) == (-1, "reflect")
    with pytest.raises(UserError, match="option --output_scale: 3 is none of -1, 0, 1, 2"):
        parse(with_choices(OnnxOptions), ["--load_weights_folder", "a", "--output_scale", "3"])


def test_chosen_for_a_model_of_another_method(tmp_path: Path, backend_of_arrays) -> None:
    write_safetensors(tmp_path / "encoder.safetensors", empty(Encoder(18).shapes))
    write_safetensors(tmp_path / "depth.safetensors", empty(monodepth2.Decoder(False).shapes))
    with pytest.raises(UserError) as error:
        model_options(tmp_path, {}, {"output_scale": 2})
    assert str(error.value).endswith("is a model of monodepth2, which has no such option; leave it out")
    assert "\n" not in str(error.value)


@pytest.fixture
def backend_of_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)


# ---- the program's file --------------------------------------------------------------------------------------

# Few of the names, for files that are read but loaded by nobody.
FEW = {"encoder.conv1.weight": (2, 3, 1, 1), "encoder.bn1.running_var": (2,), "encoder.fc.bias": (3,)}
FEW_DEPTH = {"stage5d.rebnconvin.conv_s1.bias": (2,), "disps.4.0.bias": (1,)}


class Checkpoint:
    """As PyTorch 1.1 wrote it: both states, an optimiser's that numbers parameters by their place, NumPy's metrics."""

    def __init__(self, encoder, depth) -> None:
        self.storages: dict[str, np.ndarray] = {}
        self.content = {
            "epoch": 7,
            **{name: scalar(0.1) for name in ("abs_rel", "sq_rel", "rmse", "rmse_log", "a1", "a2", "a3")},
            "optimizer": self.optimizer([encoder, depth]),
            "lr_scheduler": {
                "step_size": 15,
                "gamma": 0.1,
                "base_lrs": [1e-4],
                "last_epoch": 7,
                "_step_count": 8,
            },
            "encoder": self.state(encoder),
            "depth_decoder": self.state(depth),
        }

    def tensor(self, array: np.ndarray) -> Raw:
        key = str(len(self.storages))
        self.storages[key] = array
        return tensor(array, key, None)

    def state(self, shapes) -> dict[str, Raw]:
        return {
            own: self.tensor(np.full(shape, row, np.int64 if is_counter(own) else np.float32))
            for row, (own, shape) in enumerate(shapes.items())
        }

    def optimizer(self, networks) -> dict:
        trained = {
            own: shape
            for shapes in networks
            for own, shape in shapes.items()
            if "running" not in own and shape
        }
        place = {own: 140_000_000_000_000 + 72 * row for row, own in enumerate(trained)}
        state = {
            place[own]: {"step": 5, **{k: self.tensor(np.full(s, v, np.float32)) for k, v in MOMENTS.items()}}
            for own, s in trained.items()
            if ".fc." not in own
        }
        group = {"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-08, "weight_decay": 0, "amsgrad": False}
        return {"state": state, "param_groups": [{**group, "params": list(place.values())}]}

    def write(self, path: Path) -> Path:
        storages = {key: (array.size, array.tobytes()) for key, array in self.storages.items()}
        return write_legacy(path, whole(self.content), storages)


MOMENTS = {"exp_avg": 0.5, "exp_avg_sq": 0.25}


def test_a_checkpoint_is_read_as_it_lies(tmp_path: Path) -> None:
    path = Checkpoint(FEW, FEW_DEPTH).write(tmp_path / "checkpoint_epoch7.pth.tar")
    state = read_weights_file(path)
    assert list(state) == [f"encoder.{own}" for own in FEW] + [f"depth_decoder.{own}" for own in FEW_DEPTH]
    parts = split(state)
    assert parts is not None and {file: list(part) for file, part in parts.items()} == {
        "encoder": list(FEW),
        "depth": list(FEW_DEPTH),
    }
    assert join(parts) == state


def test_only_its_own_files_are_split(names) -> None:
    for shapes in (shapes_of(names, "encoder18"), shapes_of(names, "full_scale_decoder18")):
        assert split(shapes) is None
    assert split({"depth_decoder.a": (), "loss.weight": ()}) is None


@pytest.mark.parametrize(("gone", "left"), [("encoder", "depth_decoder"), ("depth_decoder", "encoder")])
def test_a_network_that_is_missing_is_named(tmp_path: Path, gone: str, left: str) -> None:
    checkpoint = Checkpoint(FEW, FEW_DEPTH)
    checkpoint.content[gone] = {}
    checkpoint.content["kept"] = [  # the tensors are there, but nobody would find them
        tensor(array, key, None) for key, array in checkpoint.storages.items()
    ]
    path = checkpoint.write(tmp_path / "model18.pth.tar")
    for act in (lambda: read_source(path), lambda: model_options(path, {}, {})):
        with pytest.raises(UserError) as error:
            act()
        assert f"it lacks {gone}, a network that such files have beside {left}" in str(error.value)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model of 3 million numbers, as the program writes it; it takes no optimiser."""
    plain = PlainDepth(False).shapes
    path = tmp_path_factory.mktemp("model") / "model18.pth.tar"
    encoder = {own: np.zeros(shape, np.float32) for own, shape in Encoder(18).shapes.items()}
    depth = {own: np.full(shape, row, np.float32) for row, (own, shape) in enumerate(plain.items())}
    return write_nested(path, {"encoder": encoder, "depth_decoder": depth}, epoch=19)


def test_converted_and_back(model: Path, tmp_path: Path, monkeypatch, backend_of_arrays, capsys) -> None:
    """To a file of each network, PaddlePaddle's, and to the program's file again, bit for bit; without PyTorch."""

    def writer(key=None):
        def write(path, state):
            from core.weights.layouts import nested

            write_nested(path, nested({own: np.asarray(array) for own, array in state.items()}, key))

        return write

    monkeypatch.setattr(convert_weights, "pth_writer", writer)
    convert_weights.main([str(model), "--to", "paddle", "--output", str(tmp_path / "paddle")])
    assert sorted(path.name for path in (tmp_path / "paddle").iterdir()) == [
        "depth.pdparams",
        "encoder.pdparams",
    ]
    options = model_options(tmp_path / "paddle", {}, {})
    assert (options.method, options.num_layers, options.use_full_scale) == ("epcdepth", 18, False)
    convert_weights.main([str(tmp_path / "paddle"), "--joined", str(tmp_path / "again.pth.tar")])
    assert capsys.readouterr().out.count("bit-identical") == 2
    before, after = read_weights_file(model), read_weights_file(tmp_path / "again.pth.tar")
    assert list(before) == list(after)
    assert all(after[own].tobytes() == array.tobytes() for own, array in before.items())


def test_joined_takes_both(tmp_path: Path, backend_of_arrays) -> None:
    write_safetensors(tmp_path / "depth.safetensors", empty(PlainDepth(False).shapes))
    with pytest.raises(UserError, match=r"--joined: .* lacks encoder, which such files have"):
        convert_weights.main([str(tmp_path), "--joined", str(tmp_path / "a.pth.tar")])
    assert not (tmp_path / "a.pth.tar").exists()


# ---- going on ------------------------------------------------------------------------------------------------


def test_the_programs_command_line(tmp_path: Path) -> None:
    path = Checkpoint(FEW, FEW_DEPTH).write(tmp_path / "checkpoint_epoch7.pth.tar")
    words = ["--method", "epcdepth", "--resume", str(path), "--use_full_scale"]
    options = with_start_epoch(parse_method(words))
    assert (options.load_weights_folder, options.start_epoch, options.resume) == (str(path), 8, False)
    assert parse_method([*words, "--start_epoch", "3"]).start_epoch == 3
    assert parse_method(["--method", "epcdepth", "--resume"]).resume
    steps = 100
    for epoch, rate in ((14, 1e-4), (15, 1e-5)):  # where the program's own resuming is an epoch late
        begun = dataclasses.replace(options, start_epoch=epoch)
        assert begun.rates(begun.start_epoch * steps, steps) == [pytest.approx(rate)]


def test_moments_of_the_encoder_then_of_the_decoder(tmp_path: Path) -> None:
    path = Checkpoint(FEW, FEW_DEPTH).write(tmp_path / "a.pth.tar")
    found = kept_moments(path, {"encoder": empty(FEW), "depth": empty(FEW_DEPTH)}, "epcdepth")
    known = ("encoder/encoder.conv1.weight", *(f"depth/{own}" for own in FEW_DEPTH))
    assert found.keys() == {"step", *(f"{key}/{own}" for key in ("steps", *MOMENTS) for own in known)}
    assert found["exp_avg/encoder/encoder.conv1.weight"].tolist() == np.full((2, 3, 1, 1), 0.5).tolist()


# ---- what is hostile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["abs_rel", "lr_scheduler", "optimizer"])
def test_hostile_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Nothing that lies beside the networks is executed, whoever reads it."""
    monkeypatch.chdir(tmp_path)
    checkpoint, refused = Checkpoint({"encoder.conv1.weight": (1,)}, {"disps.4.0.bias": (1,)}), 0
    for number, payload in enumerate(PAYLOADS.values()):
        if number % 3 != len(place) % 3:  # each payload in one of the places; all of them are tried elsewhere
            continue
        checkpoint.content[place] = {"a": Raw(payload)}
        checkpoint.content["kept"] = [tensor(a, key, None) for key, a in checkpoint.storages.items()]
        path = checkpoint.write(tmp_path / "bad.pth.tar")
        try:
            assert len(read_weights_file(path)) == 2  # such as a list that holds itself: passed over
        except UserError as error:
            refused += "bad.pth.tar: not a readable .pth file of tensors" in str(error)
    assert refused > 30
    assert [file.name for file in tmp_path.iterdir()] == ["bad.pth.tar"]
