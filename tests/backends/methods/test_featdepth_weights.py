"""FeatDepth's checkpoints as its program writes them: predicted, evaluated and gone on from as they lie."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import convert_weights
import evaluate_depth
import evaluate_pose
import predict
from core.errors import UserError
from core.options.methods.featdepth import FeatDepthOptions
from core.weights import read_weights_file
from core.weights.families.featdepth import AxisanglePose, Encoder, Images, ResidualPoolingDepth
from tests.core.featdepth_files import OFFICIAL, Checkpoint
from tests.tolerances import assert_close

OUTPUT = (1e-4, 0)
P = "golden/featdepth"
SIZE = {"height": 64, "width": 96}
# Of each network: the key in names.json, the recorded seed, the gain.
RECORDED = {
    "encoder": ("DepthEncoder_18", "depth_encoder_18", 1.0),
    "depth": ("DepthDecoder_18", "depth_decoder_18", 0.5),
    "pose_encoder": ("PoseEncoder_18", "pose_encoder_18", 1.0),
    "pose": ("PoseDecoder_18", "pose_decoder_18", 1.0),
    "extractor": ("Encoder_18", "feature_encoder_18", 1.0),
    "image_decoder": ("Decoder_18", "feature_decoder_18", 1.0),
}


@pytest.fixture(scope="module")
def recorded(golden):
    return golden("featdepth/networks.npz")


@pytest.fixture(scope="module")
def states(arrays, golden):
    """Recorded weights of ResNet-18, by our names of the networks."""
    names = golden("featdepth/names.json")
    return {
        file: arrays.weights({own: tuple(shape) for own, shape in names[key].items()}, f"{P}/{seed}", gain)
        for file, (key, seed, gain) in RECORDED.items()
    }


@pytest.fixture(scope="module")
def model(states, tmp_path_factory):
    """`epoch_40.pth` of mono_fm, with moments of all vectors; not to be changed."""
    folder = tmp_path_factory.mktemp("mono_fm")
    own = {file: state for file, state in states.items() if file != "image_decoder"}
    yield Checkpoint(own, epochs=40).with_optimizer(few=True).write(folder / "epoch_40.pth", "module.")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def autoencoder(states, tmp_path_factory):
    """`epoch_30.pth` of the autoencoder; not to be changed."""
    folder = tmp_path_factory.mktemp("autoencoder")
    own = {"image_encoder": states["extractor"], "image_decoder": states["image_decoder"]}
    yield Checkpoint(own, epochs=30).write(folder / "epoch_30.pth")
    shutil.rmtree(folder)


def words(backend, path, *more):
    given = ["--backend", backend.name, "--device", "cpu", "--load_weights_folder", path]
    return [*map(str, given), *map(str, more), *(f"--{name}={value}" for name, value in SIZE.items())]


def state_of(backend, network):
    return backend.module("checkpoint").network_state(network)


def assert_equal(found, expected):
    """What is not a counter, which PaddlePaddle has not."""
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key], err_msg=key)


# ---- predicted and evaluated -----------------------------------------------------------------------------------


def test_it_predicts_what_is_recorded(backend, recorded, model, tmp_path, capsys):
    """In metres by the factor of stereo: the file does not say whether that taught."""
    for number, image in enumerate(recorded["images"]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    more = ["--image_path", tmp_path, "--output", tmp_path / "out", "--pred_depth_scale_factor", 36]
    predict.main(words(backend, model, *more, "--save", "disparity", "depth"))
    assert (
        "min_depth and max_depth; taken for it: --min_depth 0.1, --max_depth 100" in capsys.readouterr().err
    )
    disparity = 0.01 + 9.99 * recorded["depth_18/evaluation/sigmoid_0"][:, 0]
    for number, expected in enumerate(disparity):
        found = np.load(tmp_path / "out" / f"{number}_disp.npy").reshape(expected.shape)
        assert_close(found, expected, OUTPUT)
        with np.load(tmp_path / "out" / f"{number}_depth.npz") as file:
            assert_close(file["depth"], 36 / expected, OUTPUT)
            assert str(file["unit"]).startswith("metres")


def test_recorded_motion(backend, recorded, model):
    """Of the first image to the second, at the size that was recorded."""
    predictor = backend.module("predictor").Predictor(model, "cpu", untold=SIZE)
    assert predictor.pose_frames() == [0, 1] and predictor.options.pose_size == [192, 640]
    predictor.method.options = dataclasses.replace(predictor.options, pose_size=[64, 96])
    assert_equal(state_of(backend, predictor.method.encoder), read_part(model, "encoder"))
    found = predictor.T_sources_target([recorded["images"][:1], recorded["images"][1:]])
    vectors = [
        backend.tensor(recorded[f"pose/evaluation/{name}"][:1, 0, 0]) for name in ("axisangle", "translation")
    ]
    expected = backend.array(backend.module("geometry").rigid_transform(*vectors))
    assert_close(found[0], expected, OUTPUT)


def read_part(path, file):
    """A network's state in a checkpoint."""
    prefix = f"module.{OFFICIAL[file]}"
    return {
        own.removeprefix(prefix): array
        for own, array in read_weights_file(path).items()
        if own.startswith(prefix)
    }


def test_evaluated_in_metres(backend, model, drive, tmp_path):
    """Stereo's factor is not Monodepth2's."""
    where = ["--data_path", drive, "--eval_split", drive / "splits", "--num_workers", 0]
    output = tmp_path / "metrics.json"
    evaluate_depth.main(words(backend, model, *where, "--eval_stereo", "--output", output))
    content = json.loads(output.read_text())
    assert content["mean"]["abs_rel"] > 0 and content["scaling"]["factor"] == pytest.approx(36)


def test_odometry(backend, model, drive, tmp_path):
    """Of a list of pairs; images of any size are brought to that which the pose network sees."""
    sequence = tmp_path / "sequences" / "09"
    line = (drive / "splits" / "test_files.txt").read_text().split()
    sequence.mkdir(parents=True)
    (sequence / "image_2").mkdir()
    for frame, image in enumerate(sorted((drive / line[0] / "image_02" / "data").iterdir())):
        (sequence / "image_2" / f"{frame:06d}{image.suffix}").symlink_to(image)
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "test_files.txt").write_text("9 0 l\n9 1 l\n")
    more = [
        "--data_path",
        tmp_path,
        "--eval_split",
        tmp_path / "pairs",
        "--no_eval",
        "--output",
        tmp_path / "o",
    ]
    evaluate_pose.main(words(backend, model, *more, "--num_workers", 0))
    motions = np.load(tmp_path / "o" / "poses.npy")
    assert motions.shape == (2, 4, 4) and np.isfinite(motions).all()


def test_an_autoencoder_predicts_nothing(backend, autoencoder, tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"epoch_30\.pth: a model of featdepth that predicts no depth"):
        predict.main(
            [
                *("--backend", backend.name, "--load_weights_folder", str(autoencoder)),
                *("--image_path", str(tmp_path / "a.png")),
            ]
        )


# ---- gone on from ----------------------------------------------------------------------------------------------


def loaded(backend, **chosen):
    """Networks and optimiser of a run that starts as its options say."""
    options = FeatDepthOptions(**SIZE, num_layers=18, weights_init="scratch", **chosen)
    options.validate()
    method = backend.module("methods").make_method(options)
    optimizer = backend.adam(method.parameter_groups(), 1e-4)
    backend.module("start").load_start(method.networks(), optimizer, options)
    return method.networks(), optimizer


def test_going_on(backend, states, model, tmp_path):
    """Weights of all networks; moments of those that learn, which are what was written of vectors."""
    networks, optimizer = loaded(backend, load_weights_folder=str(model))
    checkpoint = backend.module("checkpoint")
    for name, network in networks.items():
        assert_equal(state_of(backend, network), states[name])
    checkpoint.save_optimizer(optimizer, networks, tmp_path / "state", 5)
    found = load_file(tmp_path / "state")
    parameters = Checkpoint({name: states[name] for name in networks}).parameters()
    known = {
        f"{file}/{own}": number
        for number, (file, own) in enumerate(parameters)
        if states[file][own].ndim == 1 and ".fc." not in own and file != "extractor"
    }
    assert {name.partition("/")[2] for name in found if name.startswith("exp_avg/")} == known.keys()
    for name, number in known.items():
        assert (found[f"exp_avg/{name}"] == number + 0.5).all() and found[f"steps/{name}"] == 7, name


def test_the_extractor_of_an_autoencoder(backend, states, autoencoder):
    """Its encoder, with its running values; nothing of it learns."""
    networks, _ = loaded(backend, extractor=str(autoencoder))
    assert_equal(state_of(backend, networks["extractor"]), states["extractor"])
    named = backend.module("checkpoint").named_parameters({"extractor": networks["extractor"]})
    assert not any(backend.is_trainable(one) for _, one in named)


def test_converted(backend, states, autoencoder, tmp_path, monkeypatch):
    """To a folder of this backend, from which the extractor is taken as well; PyTorch writes the program's file."""
    monkeypatch.setattr("core.files.whole._synchronise", lambda path: None)
    folder = tmp_path / "ours"
    convert_weights.main([str(autoencoder), "--to", backend.name, "--output", str(folder)])
    networks, _ = loaded(backend, extractor=str(folder))
    assert_equal(state_of(backend, networks["extractor"]), states["extractor"])
    if backend.name == "torch":
        convert_weights.main([str(folder), "--joined", str(tmp_path / "epoch_30.pth")])
        assert_equal(read_weights_file(autoencoder), read_weights_file(tmp_path / "epoch_30.pth"))


# ---- the networks of the rules -----------------------------------------------------------------------------------

RULES = {
    "encoder": Encoder(18),
    "depth": ResidualPoolingDepth(False),
    "pose_encoder": Encoder(18, 2, "pose_encoder"),
    "pose": AxisanglePose(False),
    "image_encoder": Encoder(18, role="image_encoder"),
    "image_decoder": Images(False),
}
OUTPUTS = {"depth": 4, "pose": 2, "image_decoder": 4}


def test_networks_of_the_rules(backend):
    """They have the names of their rule, the classifier's too; decoders see the features of their encoder."""
    made = {}
    module = backend.module("builders.featdepth")
    for file, rule in RULES.items():
        made[file] = module.make_network(rule)
        made[file].eval()
        shapes = {name: array.shape for name, array in state_of(backend, made[file]).items()}
        counters = rule.optional - rule.classifier if hasattr(rule, "classifier") else rule.optional
        assert {own: s for own, s in rule.shapes.items() if own not in counters} == {
            own: s for own, s in shapes.items() if own not in counters
        }
        with backend.no_gradients():
            outputs = [backend.array(one) for one in module.network_outputs(rule, made)]
        assert len(outputs) == OUTPUTS.get(file, 5)
        assert all(np.isfinite(one).all() for one in outputs)
    assert made["encoder"].normalize and not made["image_encoder"].normalize
