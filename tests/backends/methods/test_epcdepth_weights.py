"""EPCDepth's checkpoints in the scripts: predicted, evaluated, exported and gone on from as they lie."""

import dataclasses
import shutil

import numpy as np
import pytest

import evaluate_depth
import export_onnx
import predict
from core.errors import UserError
from core.options.methods.epcdepth import EPCDepthOptions
from core.weights.sources import read_source
from tests.backends.drive import HEIGHT, WIDTH, training
from tests.core.twin_family import write_nested
from tests.tolerances import assert_close

SIZE = ["--height", HEIGHT, "--width", WIDTH]


@pytest.fixture(scope="module")
def names(golden):
    return golden("epcdepth/names.json")


def make_states(arrays, names, layers, decoder="full_scale"):
    """The two states of a checkpoint, of recorded weights."""
    seed = {"full_scale": "decoder", "plain": "plain"}[decoder]

    def made(key, seed, gain):
        shapes = {name: tuple(shape) for name, shape in names[key].items()}
        return arrays.weights(shapes, f"epcdepth/{seed}{layers}", gain=gain)

    return {
        "encoder": made(f"encoder{layers}", "encoder", 1.0),
        "depth_decoder": made(f"{decoder}_decoder{layers}", seed, 0.8),
    }


@pytest.fixture(scope="module")
def model(arrays, names, tmp_path_factory):
    """`model18.pth.tar`; not to be changed."""
    folder = tmp_path_factory.mktemp("model")
    yield write_nested(folder / "model18.pth.tar", make_states(arrays, names, 18), epoch=19)
    shutil.rmtree(folder)


def arguments(backend, model, *more):
    return ["--backend", backend.name, "--load_weights_folder", str(model), *map(str, more)]


def without_heads(states):
    decoder = {name: a for name, a in states["depth_decoder"].items() if "encoder_disps" not in name}
    return {**states, "depth_decoder": decoder}


# ---- predicted and evaluated -----------------------------------------------------------------------------------


def test_the_mean_of_three_outputs(backend, arrays, golden):
    """Each brought to full size as disparity."""
    options = EPCDepthOptions(output_scale=-1, weights_init="scratch", height=64, width=64)
    method = backend.module("methods.epcdepth").EPCDepth(options)
    sigmoids = {
        number: backend.tensor(
            arrays.smooth(
                f"epcdepth/evaluation/sigmoid_{number}", (2, 1, 32 >> number, 96 >> number), (3, 6), 0.01, 0.2
            )
        )
        for number in range(3)
    }
    method.encoder.forward, method.depth.decode = (lambda image: image), (lambda *_: sigmoids)
    found = backend.array(method.predict({"image": sigmoids[0]})["disparity"])[:, 0]
    assert_close(found, golden("epcdepth/evaluation.npz")["mean_of_scales/disparity"], (1e-6, 1e-6))


def test_all_outputs_that_may_be_chosen(backend, model, monkeypatch):
    """Each at its own size, without the stages that are finer; the mean at that of the image."""
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    untold = {"height": HEIGHT, "width": WIDTH}
    predictor, found = backend.module("predictor").Predictor(model, "cpu", untold, output_scale=2), {}
    assert predictor.options.output_scale == 2 and predictor.options.use_full_scale
    block, ran = backend.module("networks.residual_u_block").ResidualUBlock, []
    forward = block.forward
    monkeypatch.setattr(block, "forward", lambda self, x: ran.append(self.levels) or forward(self, x))
    for scale, levels in {2: [3, 4, 5], 1: [3, 4, 5, 6], 0: [3, 4, 5, 6, 7], -1: [3, 4, 5, 6, 7]}.items():
        predictor.method.options = dataclasses.replace(predictor.options, output_scale=scale)
        ran.clear()
        found[scale] = predictor.disparity(image)[0]
        assert ran == levels  # the encoder's heads never run
        assert found[scale].shape == (HEIGHT >> max(scale, 0), WIDTH >> max(scale, 0))
    # Resizing keeps the mean but for the border.
    assert_close(found[-1].mean(), np.mean([found[scale].mean() for scale in (0, 1, 2)]), (1e-2, 0))


def test_padding_of_the_decoder(backend, model, golden, arrays, networks):
    """The recorded outputs of either, from the same file."""
    image = arrays.smooth("epcdepth/image_reflect", (1, 3, 160, 320), (8, 24))
    predictor = backend.module("predictor").Predictor(
        model, "cpu", untold={"height": 160, "width": 320}, padding="reflect"
    )
    with backend.no_gradients():
        found = backend.array(predictor.method.predict({"image": backend.tensor(image)})["disparity"])
    assert_close(found, 0.01 + 9.99 * networks["full_scale18_reflect/sigmoid_0"], (0, 1e-4))


@pytest.fixture(scope="module")
def networks(golden):
    return golden("epcdepth/networks.npz")


def test_evaluated(backend, model, drive, tmp_path, capsys):
    """The chosen output reaches the metrics; numbers of two outputs differ."""
    splits = drive / "splits"
    common = [
        "--data_path",
        drive,
        "--eval_split",
        splits,
        "--eval_mono",
        "--num_workers",
        1,
        *SIZE,
        "--device",
        "cpu",
    ]
    printed = []
    for scale in (0, 2):
        evaluate_depth.main(arguments(backend, model, *common, "--output_scale", scale))
        printed.append(capsys.readouterr().out)
    assert "abs_rel" in printed[0] and printed[0] != printed[1]


def test_a_model_of_another_method_has_no_such_choice(backend, narrow_weights, tmp_path):
    (tmp_path / "a.png").touch()
    for script, more in (
        (predict, ["--image_path", tmp_path / "a.png"]),
        (export_onnx, ["--output", tmp_path / "a.onnx"]),
    ):
        with pytest.raises(UserError) as error:
            script.main(arguments(backend, narrow_weights, *more, "--output_scale", 2))
        assert "--output_scale: " in str(error.value) and "\n" not in str(error.value)
        assert str(error.value).endswith("a model of monodepth2, which has no such option; leave it out")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_heads_that_a_file_lacks_stay(backend, arrays, names, tmp_path):
    """It predicts the same; a file that lacks anything else is refused."""
    states = make_states(arrays, names, 18)
    path = write_nested(tmp_path / "bare.pth.tar", without_heads(states), epoch=19)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    bare = backend.module("predictor").Predictor(path, "cpu", untold={"height": HEIGHT, "width": WIDTH})
    depth = bare.method.networks()["depth"]
    checkpoint = backend.module("checkpoint")
    before = checkpoint.network_state(depth)
    assert_close(before["disps.4.0.weight"], states["depth_decoder"]["disps.4.0.weight"], "exact")
    checkpoint.load_network_state(depth, states["depth_decoder"], "whole")
    after = checkpoint.network_state(depth)
    changed = {name for name in after if (after[name] != before[name]).any()}
    assert changed and all(name.startswith("encoder_disps.") for name in changed)
    assert np.isfinite(bare.disparity(image)).all()
    del states["depth_decoder"]["encoder_disps.3.disp.0.bias"]
    with pytest.raises(UserError, match=r"damaged: .*1 missing: encoder_disps\.3\.disp\.0\.bias"):
        checkpoint.load_network_state(depth, states["depth_decoder"], "damaged")


# ---- converted -------------------------------------------------------------------------------------------------


def test_converted_networks_compute_the_same(backend, model):
    """What `convert_weights.py --verify` compares: every output of every network of the file."""
    files = {file.network.file: file for file in read_source(model)}
    builder = backend.module("builders").builder
    load = backend.module("checkpoint").load_network_state
    made = {}
    for name, file in files.items():
        made[name] = builder(file.network).make_network(file.network)
        made[name].eval()
        load(made[name], file.state, str(model))
    for name, outputs in (("encoder", 5), ("depth", 10)):
        rule = files[name].network
        with backend.no_gradients():
            found = list(builder(rule).network_outputs(rule, made))
        assert len(found) == outputs and all(np.isfinite(backend.array(one)).all() for one in found)


# ---- exported --------------------------------------------------------------------------------------------------


# ---- gone on from ----------------------------------------------------------------------------------------------


def test_a_training_goes_on_from_it(backend, arrays, names, drive, runs, tmp_path):
    """Both networks, the epoch, and Adam's moments; what is not trained is not looked for."""
    from core.options.parsing import parse_method
    from core.weights.continued import with_start_epoch

    states = make_states(arrays, names, 18, "plain")
    path = write_with_moments(tmp_path / "checkpoint_epoch14.pth.tar", states)
    words = [word for word in training(backend.name, drive, runs, "on", "stereo") if word != "--use_stereo"]
    del words[words.index("--frame_ids") : words.index("--frame_ids") + 2]
    words += ["--method", "epcdepth", "--num_epochs", "16", "--resume", str(path)]
    trainer = backend.module("trainer").Trainer(with_start_epoch(parse_method(words)))
    assert trainer.options.start_epoch == 15
    assert trainer.options.rates(15 * trainer.steps_per_epoch, trainer.steps_per_epoch) == [
        pytest.approx(1e-5)
    ]
    named = dict(backend.module("checkpoint").named_parameters(trainer.networks))
    weight = named["depth/iconv5.conv.conv.weight"]
    assert_close(backend.array(weight), states["depth_decoder"]["iconv5.conv.conv.weight"], "exact")
    for name, value in (("encoder/encoder.conv1.weight", 0.0), ("depth/iconv5.conv.conv.weight", 2.0)):
        moments = backend.moments(trainer.optimizer, named[name])
        assert (moments["exp_avg"] == value + 0.5).all(), name


def write_with_moments(path, states):
    """As the program writes it, with the moments of four parameters: the number of the parameter, and a half."""
    from tests.core.weight_files import tensor, whole, write_zip

    storages = {}

    def kept(array):
        storages[str(len(storages))] = array.tobytes()
        return tensor(array, str(len(storages) - 1))

    trained = [
        (part, name)
        for part, state in states.items()
        for name in state
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    wanted = {"encoder.conv1.weight": 0, "upconv5.conv.conv.weight": 1, "iconv5.conv.conv.weight": 2}
    state = {
        row: {
            "step": 3,
            "exp_avg": kept(np.full(states[part][name].shape, wanted[name] + 0.5, np.float32)),
            "exp_avg_sq": kept(np.full(states[part][name].shape, 1.0, np.float32)),
        }
        for row, (part, name) in enumerate(trained)
        if name in wanted
    }
    content = {
        "epoch": 14,
        "optimizer": {"state": state, "param_groups": [{"lr": 1e-4, "params": list(range(len(trained)))}]},
        **{part: {name: kept(array) for name, array in own.items()} for part, own in states.items()},
    }
    return write_zip(path, whole(content), storages)
