"""PackNet-SAN's losses against recorded numbers; its two passes, its frozen encoder; train.py to completed depth."""

import json

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
import train
from core.options.methods.packnet_san import PackNetSANOptions
from core.options.parsing import load_method_options
from core.parity.request import Request
from tests.backends.methods.test_packnet import LOSS, P, planes
from tests.scripts import assert_says
from tests.tolerances import assert_close

SMALL = PackNetSANOptions.SMALL


def question(backend, **values):
    options = PackNetSANOptions(**{**SMALL, **values}, device="cpu")
    options.validate()
    request = Request.make(options, steps=1)
    return backend.module("parity").build(request, "float32"), backend.batch(request.batch, "float32")


# ---- recorded numbers ------------------------------------------------------------------------------------

LINEAR = {"supervised_method": "sparse-l1", "supervised_loss_weight": 0.9}
MODELS = {
    "completion_0.9": LINEAR,
    "completion_1.0_silog": {},
    "completion_weight_rgbd_0.5": {**LINEAR, "weight_rgbd": 0.5},
}


@pytest.mark.every_device
def test_recorded_losses_of_completion(backend, golden, arrays):
    """Of recorded disparities and motions, through the method."""
    photometric, recorded = dict(golden("packnet/photometric.npz")), dict(golden("packnet/supervision.npz"))
    batch = {
        f"image_{frame}_0": backend.tensor(planes(photometric[name]))
        for frame, name in ((0, "target"), (-1, "source_0"), (1, "source_1"))
    }
    batch |= {"K": backend.tensor(photometric["K"]), "depth": backend.tensor(recorded["depth"])}
    plain = [
        arrays.smooth(f"{P}/inverse_depth/{i}", (2, 1, 96 >> i, 160 >> i), (6, 10), 0.03, 0.5)
        for i in range(4)
    ]
    completed = [backend.tensor(np.float32(0.8) * one) for one in plain]
    apart = backend.tensor(np.float32([(plain[3] ** 2).mean()]))[0]
    motion = backend.module("losses.view_synthesis").motion
    motions = [motion(backend.tensor(photometric[f"pose_vector_{j}"])) for j in range(2)]
    for name, values in MODELS.items():
        options = PackNetSANOptions(**{**SMALL, **values})
        method = backend.module("methods").make_method(options)
        given = (batch, [backend.tensor(one) for one in plain], completed, apart)
        with backend.no_gradients():
            losses = method.completion_losses_of(*given, motions if method.pose_networks else [])
        assert_close(backend.array(losses.loss), recorded[f"model/{name}/loss"].reshape(()), LOSS, label=name)
        terms = {key: float(backend.array(term)) for key, term in losses.terms.items()}
        assert terms.pop("valid") == recorded["valid"].sum()
        assert sum(terms.values()) == pytest.approx(float(backend.array(losses.loss)), rel=1e-6)
        assert {"supervised", "supervised_rgbd", "depth"} <= terms.keys()
        # Theirs logged the later of two losses of one name.
        later = terms["supervised_rgbd"] / options.weight_rgbd / options.supervised_share
        assert later == pytest.approx(recorded[f"model/{name}/logged_supervised_loss"], rel=1e-5)


# ---- what happens in a step ------------------------------------------------------------------------------


def test_a_mirrored_batch(backend):
    """Image and depth are mirrored together; both disparities back, the second only where that is asked for."""
    found, seen = {}, []
    for back in (True, False):
        method, batch = question(backend, dropout=0.0, flip_rgbd_outputs=back)
        both, given = method.depth.both, []
        method.depth.both = lambda *asked, both=both, given=given: given.extend(asked) or both(*asked)
        losses_of, kept = method.completion_losses_of, []
        method.completion_losses_of = lambda *asked, to=losses_of, kept=kept: kept.append(asked) or to(*asked)
        for coin in (0.49, 0.5):
            method.draw = lambda *asked, coin=coin: backend.tensor(np.float32([coin]))
            method.train()
            with backend.no_gradients():
                method.losses(batch)
        seen = [backend.array(one) for one in given]
        found[back] = [[backend.array(one[0]) for one in asked[1:3]] for asked in kept]
    np.testing.assert_array_equal(seen[0], seen[2][..., ::-1])
    np.testing.assert_array_equal(seen[1], seen[3][..., ::-1])
    assert (seen[1] > 0).any() and seen[1].shape[1] == 1
    (flipped, plain), (half, same) = found[True], found[False]
    np.testing.assert_array_equal(flipped[0], half[0])
    np.testing.assert_array_equal(flipped[1], half[1][..., ::-1])
    np.testing.assert_array_equal(plain[1], same[1])
    assert abs(plain[0] - plain[1]).max() > 1e-4


def test_a_frozen_encoder(backend):
    """Is in no group, draws nothing and gets no gradient; all else learns."""
    drawn = []
    method, batch = question(backend, freeze_encoder=True, flip_lr_prob=0.0)
    draw = method.depth.draw
    method.depth.draw = lambda *asked: drawn.append(asked[0]) or draw(*asked)
    method.train()
    named = dict(backend.module("checkpoint").named_parameters(method.networks()))
    grouped = {id(p) for group in method.parameter_groups() for p in group["params"]}
    inside = {name for name, parameter in named.items() if id(parameter) in grouped}
    frozen = {name for name in named if name.startswith("depth/encoder.")}
    assert frozen and inside == set(named) - frozen
    losses = method.losses(batch)
    assert drawn == []
    trained = [named[name] for name in sorted(inside)]
    gradients = backend.gradients(losses.loss, trained)
    assert all(np.isfinite(one).all() for one in gradients)
    assert sum(one.any() for one in gradients) > 0.8 * len(gradients)
    free, batch = question(backend, flip_lr_prob=0.0)
    free.depth.draw = method.depth.draw
    free.train()
    free.losses(batch)
    assert drawn  # dropout of each pass


def test_nothing_is_measured(backend):
    """Neither for the loss nor for the network: no loss but the distance of the passes, and no number that is none."""
    method, batch = question(backend, dropout=0.0)
    method.train()
    nothing = {name: 0 * batch[name] for name in ("depth", "input_depth")}
    losses = method.losses(batch | nothing)
    terms = {name: float(backend.array(term)) for name, term in losses.terms.items()}
    assert terms["supervised"] == terms["supervised_rgbd"] == terms["valid"] == 0
    assert np.isfinite(terms["depth"]) and float(backend.array(losses.loss)) == pytest.approx(terms["depth"])
    gradients = backend.gradients(losses.loss, list(method.depth.parameters()))
    assert all(np.isfinite(one).all() for one in gradients)
    some = method.losses(batch | {"depth": nothing["depth"]})
    assert np.isfinite(float(backend.array(some.loss)))


def test_prediction_and_completion(backend):
    """Depth beside the image changes what is predicted; without it, losses in evaluation have the first pass alone."""
    method, batch = question(backend, supervised_loss_weight=0.9)
    method.eval()
    with backend.no_gradients():
        alone = backend.array(method.predict({"image": batch["image_0_0"]})["disparity"])
        given = {"image": batch["image_0_0"], "input_depth": batch["input_depth"]}
        completed = backend.array(method.predict(given)["disparity"])
        losses = method.losses({name: one for name, one in batch.items() if name != "input_depth"})
    assert abs(alone - completed).max() > 1e-3
    assert "supervised_rgbd" not in losses.terms and "supervised" in losses.terms
    assert method.inputs_of(batch).keys() == {"image", "input_depth"}


# ---- scripts ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_san(backend, drive, tmp_path_factory):
    """A step on the rendered drive, of half the points."""
    runs = tmp_path_factory.mktemp("runs")
    small = [word for key, value in SMALL.items() for word in (f"--{key}", str(value))]
    words = ["--method", "packnet_san", "--backend", backend.name, "--device", "cpu", "--data_path", drive]
    words += ["--split", drive / "splits", "--log_dir", runs, "--model_name", "run", "--num_epochs", "1"]
    words += ["--num_workers", "0", "--input_depth_points", "0.5", "--validation_input_depth_type", "usual"]
    train.main([*map(str, words), *small])
    return runs / "run" / "models" / "weights_0"


def test_rows_of_prediction_and_completion(backend, drive, trained_san, tmp_path, capsys):
    options = load_method_options(trained_san / "options.yaml")
    assert options.is_metric and options.input_depth_points == 0.5
    words = ["--backend", backend.name, "--device", "cpu", "--data_path", drive, "--eval_stereo"]
    words += ["--eval_split", drive / "splits", "--load_weights_folder", trained_san, "--num_workers", "0"]
    words += [
        "--input_depth",
        "velodyne",
        "--input_depth_points",
        "0.1",
        "1",
        "--output",
        tmp_path / "m.json",
    ]
    evaluate_depth.main([str(word) for word in words])
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[-3:]] == ["prediction", "completion_0.1", "completion"]
    variants = json.loads((tmp_path / "m.json").read_text())["variants"]
    assert len({variant["mean"]["abs_rel"] for variant in variants.values()}) == 3


def test_completed_depth_in_metres(backend, drive, trained_san, tmp_path, capsys):
    """Of an image, and of a scan that is projected into it, in a 16-bit image."""
    image = next((drive).rglob("image_02/data/*"))
    with Image.open(image) as opened:
        width, height = opened.size
    depth = np.zeros((height, width), np.uint16)
    depth[height // 2 :: 4, ::4] = 20 * 256
    Image.fromarray(depth).save(tmp_path / "depth.png")
    words = ["--backend", backend.name, "--device", "cpu", "--image_path", image, "--load_weights_folder"]
    words += [trained_san, "--save", "depth", "--output"]
    for name, more in (("alone", []), ("completed", ["--input_depth", tmp_path / "depth.png"])):
        predict.main([str(word) for word in [*words, tmp_path / name, *more]])
    assert_says(capsys.readouterr().out, f"1 images with depth of {tmp_path / 'depth.png'}")
    found = [np.load(next((tmp_path / name).iterdir())) for name in ("alone", "completed")]
    assert str(found[0]["unit"]) == "metres"
    assert abs(found[0]["depth"] - found[1]["depth"]).max() > 1e-3
