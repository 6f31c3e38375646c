"""A method that the shared files do not know: its files recognised, loaded, verified and started from."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import UserError
from core.options.needs import Input
from core.options.parsing import save_options
from core.weights.conversion import convert
from core.weights.pdparams import write_pdparams
from core.weights.safetensors_file import write_safetensors
from core.weights.sources import read_source
from tests.core.twin_family import TwinOptions, random_states, register, write_checkpoint

SIZE = (64, 96)


@pytest.fixture
def networks(backend):
    """`networks(4)`: fresh ones, by the names of their files."""
    nn = backend.framework.nn
    norm = nn.BatchNorm2d if backend.name == "torch" else nn.BatchNorm2D
    kind = nn.Module if backend.name == "torch" else nn.Layer
    bias = "bias" if backend.name == "torch" else "bias_attr"

    class Depth(kind):
        def __init__(self, channels):
            super().__init__()
            convolution = nn.Conv2d if backend.name == "torch" else nn.Conv2D
            self.conv = convolution(3, channels, 3, padding=1, **{bias: False})
            self.norm = norm(channels)

        def forward(self, image):
            return self.norm(self.conv(image))

    class Pose(kind):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 3)

        def forward(self, image):
            return self.head(image.mean((2, 3)))

    return lambda channels: {"depth": Depth(channels), "pose": Pose()}


@pytest.fixture
def twin(backend, networks, monkeypatch):
    """Its rows in all registries."""
    register(monkeypatch)
    base = backend.module("methods.base").Method

    class Twin(base):
        depth_networks, pose_networks = ("depth",), ("pose",)
        inputs = {"image": Input(3), "input_depth": Input(1, required=False)}  # noqa: RUF012

        def __init__(self, options, **settings):
            super().__init__(options, **settings)
            for name, network in networks(options.width_of_depth).items():
                setattr(self, name, network)

        def networks(self):
            return {"depth": self.depth, "pose": self.pose}

        def predict(self, inputs):
            features = self.depth(inputs["image"]).mean(1, keepdim=True)
            return {"disparity": features + inputs["input_depth"] if "input_depth" in inputs else features}

        def pose_frames(self):
            return [0, 1]

    builder = SimpleNamespace(
        make_network=lambda rule: networks(getattr(rule, "channels", 4))[rule.file],
        network_outputs=lambda rule, made: [
            made[rule.file](backend.tensor(np.ones((1, 3, 8, 8), np.float32)))
        ],
    )
    monkeypatch.setitem(sys.modules, "twin_method", SimpleNamespace(Twin=Twin))
    monkeypatch.setitem(sys.modules, "twin_builder", builder)
    monkeypatch.setitem(backend.module("methods").METHODS, "twin", "twin_method.Twin")
    monkeypatch.setitem(backend.module("builders").BUILDERS, "Twin", "twin_builder")


@pytest.fixture
def folder(tmp_path):
    """A file of each network and no options."""
    for name, state in random_states(channels=6).items():
        write_safetensors(tmp_path / f"{name}.safetensors", state)
    return tmp_path


IMAGES = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)


def assert_loaded(backend, network, state):
    found = backend.module("checkpoint").network_state(network)
    for name in found:
        np.testing.assert_array_equal(found[name], state[name], err_msg=name)


@pytest.mark.parametrize("saved", [False, True], ids=["recognised", "options.yaml"])
def test_predictor(backend, twin, folder, saved):
    """Whoever says which method it is, the files that it names are loaded: the depth network first, motion late."""
    if saved:
        save_options(TwinOptions(width_of_depth=6), folder / "options.yaml")
    states = random_states(channels=6)
    predictor = backend.module("predictor").Predictor(folder, "cpu")
    assert predictor.options == TwinOptions(width_of_depth=6)
    assert_loaded(backend, predictor.method.depth, states["depth"])
    assert predictor.pose_frames() == [0, 1]
    assert_loaded(backend, predictor.method.pose, states["pose"])


def test_predictor_of_a_single_file(backend, twin, tmp_path):
    states = random_states(channels=6)
    path = write_checkpoint(tmp_path / "last.ckpt", states)
    for place in (path, tmp_path):
        predictor = backend.module("predictor").Predictor(place, "cpu")
        assert predictor.pose_frames() == [0, 1]
        assert_loaded(backend, predictor.method.depth, states["depth"])
        assert_loaded(backend, predictor.method.pose, states["pose"])
    write_checkpoint(path, {"pose": states["pose"]})
    with pytest.raises(UserError, match=r"last\.ckpt: holds Twin's pose network alone"):
        backend.module("predictor").Predictor(path, "cpu")


def test_the_files_of_motion_are_needed_late(backend, twin, folder):
    save_options(TwinOptions(width_of_depth=6), folder / "options.yaml")
    (folder / "pose.safetensors").write_bytes(b"damaged")
    predictor = backend.module("predictor").Predictor(folder, "cpu")
    with pytest.raises(UserError, match=r"pose\.safetensors: no file of weights"):
        predictor.pose_frames()
    (folder / "pose.safetensors").unlink()
    with pytest.raises(UserError, match="lacks pose"):
        predictor.pose_frames()
    (folder / "depth.safetensors").unlink()
    with pytest.raises(
        UserError, match=rf"lacks depth\{backend.module('checkpoint').EXTENSION}; it holds opt"
    ):
        backend.module("predictor").Predictor(folder, "cpu")


def test_options_that_the_method_lacks(backend, twin, folder):
    make = backend.module("predictor").Predictor
    make(folder, "cpu", num_layers=None, min_depth=None)
    with pytest.raises(UserError, match=r"--min_depth: .* a model of twin, which has no such option"):
        make(folder, "cpu", min_depth=0.5)


def test_further_inputs(backend, twin, folder):
    predictor = backend.module("predictor").Predictor(folder, "cpu", height=SIZE[0], width=SIZE[1])
    depth = np.arange(2 * SIZE[0] * SIZE[1], dtype=np.float32).reshape(2, 1, *SIZE) / 1e4
    for post_process in (False, True):
        alone = predictor.disparity(IMAGES, post_process)
        found = predictor.disparity(IMAGES, post_process, {"input_depth": depth})
        np.testing.assert_allclose(found - alone, depth[:, 0], atol=1e-5)
    with pytest.raises(UserError, match="inputs hints: a model of twin takes image, input_depth"):
        predictor.disparity(IMAGES, inputs={"hints": depth})
    predictor.method.inputs = {"image": Input(3), "input_depth": Input(1)}
    with pytest.raises(UserError, match="inputs input_depth: a model of twin takes"):
        predictor.disparity(IMAGES)


def test_outputs_of_one_file_and_of_what_is_made_of_it(backend, twin, tmp_path):
    path = write_checkpoint(tmp_path / "last.ckpt", random_states(channels=6))
    before = backend.module("outputs").network_outputs([path])
    assert {name: array.shape for name, array in before.items()} == {
        "depth/0": (1, 6, 8, 8),
        "pose/0": (1, 3),
    }
    (tmp_path / "new").mkdir()
    converted = convert(
        read_source(path), "paddle", tmp_path / "new", lambda p, state: write_native(p, state)
    )
    assert all(one.identical for one in converted)
    after = backend.module("outputs").network_outputs(sorted((tmp_path / "new").iterdir()))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def write_native(path, state):
    from core.weights.layouts import to_native

    write_pdparams(path, to_native(state))


def test_a_run_starts_from_a_single_file(backend, networks, twin, tmp_path):
    states = random_states()
    path = write_checkpoint(tmp_path / "last.ckpt", states)
    fresh = networks(4)
    options = Starts()
    options.places = {name: (str(path), name) for name in fresh}
    backend.module("start").load_start(fresh, None, options)
    for name, network in fresh.items():
        assert_loaded(backend, network, states[name])
    fresh = networks(4)
    backend.module("checkpoint").load_networks(fresh, path, fresh)
    assert_loaded(backend, fresh["pose"], states["pose"])


def test_a_run_starts_from_what_fits(backend, networks, twin, tmp_path, capsys):
    """Where it is asked for; otherwise the same file is refused."""
    checkpoint, start = backend.module("checkpoint"), backend.module("start")
    states = random_states()
    states["depth"]["conv.weight"] = states["depth"]["conv.weight"][:2]
    del states["pose"]["head.bias"]
    path = write_checkpoint(tmp_path / "last.ckpt", states)
    fresh, options = networks(4), Starts()
    before = checkpoint.network_state(fresh["depth"])["conv.weight"]
    options.places = {name: (str(path), name) for name in fresh}
    with pytest.raises(UserError, match=r"last\.ckpt: the weights do not fit the network"):
        start.load_start(fresh, None, options)
    options.allow_partial = True
    start.load_start(fresh, None, options)
    after = checkpoint.network_state(fresh["depth"])
    np.testing.assert_array_equal(after["conv.weight"], before)
    np.testing.assert_array_equal(after["norm.weight"], states["depth"]["norm.weight"])
    pose = checkpoint.network_state(fresh["pose"])
    np.testing.assert_array_equal(pose["head.weight"], states["pose"]["head.weight"])
    said = capsys.readouterr().err
    assert "of another shape, left as they are: conv.weight" in said
    assert "pose: loaded 1 of 2 tensors" in said and "absent, left as they are: head.bias" in said


# ---- where a run starts --------------------------------------------------------------------------------------


class Starts(TwinOptions):
    """Networks from several folders, under names of their own."""

    places: dict = {}  # noqa: RUF012

    def starts(self):
        return self.places


def test_starts_under_other_names_and_in_several_folders(backend, networks, tmp_path):
    """Moments come along only where the network has the same name in its folder."""
    checkpoint, start = backend.module("checkpoint"), backend.module("start")
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
    made = networks(4)
    states = random_states()
    names = ("depth", "pose", "teacher")
    for place, own in (("a", "depth"), ("b", "pose")):
        backend.fill(made[own], states[own])
        made[own].train()
        parameters = [p for _, p in checkpoint.named_parameters({own: made[own]})]
        optimizer = backend.adam([{"params": parameters}], 1e-3)
        backend.step(optimizer, (made[own](backend.tensor(np.ones((2, 3, 8, 8), np.float32))) ** 2).sum())
        checkpoint.save_networks({own: made[own]}, tmp_path / place, {})
        checkpoint.save_optimizer(optimizer, {own: made[own]}, tmp_path / place / checkpoint.STATE_FILE, 1)
    expected = {own: checkpoint.network_state(made[own]) for own in made}

    fresh = networks(4) | {"teacher": networks(4)["depth"]}
    parameters = [p for _, p in checkpoint.named_parameters(fresh)]
    optimizer = backend.adam([{"params": parameters}], 1e-3)
    options = Starts()
    options.places = {
        "depth": (str(tmp_path / "a"), "depth"),
        "pose": (str(tmp_path / "b"), "pose"),
        "teacher": (str(tmp_path / "a"), "depth"),
    }
    start.load_start(fresh, optimizer, options)
    for own, source in zip(names, ("depth", "pose", "depth"), strict=True):
        assert_loaded(backend, fresh[own], expected[source])
    checkpoint.save_optimizer(optimizer, fresh, tmp_path / "state", 0)
    from safetensors.numpy import load_file

    moments = {name.split("/")[1] for name in load_file(tmp_path / "state") if name != "step"}
    assert moments == {"depth", "pose"}
    options.places["teacher"] = (str(tmp_path / "b"), "depth")
    with pytest.raises(
        UserError, match=r"b/depth\.\w+: no such file; check --load_weights_folder, or leave teacher"
    ):
        start.load_start(fresh, optimizer, options)
