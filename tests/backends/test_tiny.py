"""A method unlike Monodepth2 through the scripts, as a user would run them: nobody but the tests has heard of it."""

import json
import shutil
import sys

import numpy as np
import pytest

import train
from backends import BACKENDS, installed_backends
from core.errors import UserError
from core.options.parsing import load_method_options, parse_method
from core.parity import processes
from core.parity.request import Request
from core.weights.pdparams import write_pdparams
from core.weights.sources import digest
from tests.core.weight_files import write_pth
from tests.scripts import assert_says, refused, run_here, succeeds
from tests.tiny.family import TinyPair
from tests.tiny.options import STEPS, TinyOptions
from tests.tiny.register import SITE

pytestmark = pytest.mark.usefixtures("tiny")

HEIGHT, WIDTH = 48, 64
DISPARITY = (HEIGHT // 2, WIDTH // 2)


def training(backend, drive, runs, *more):
    """Arguments of `train.py` for an epoch of two steps; the run folder is `runs/run`."""
    where = ["--data_path", drive, "--split", drive / "splits", "--log_dir", runs, "--model_name", "run"]
    size = ["--height", HEIGHT, "--width", WIDTH, "--batch_size", 2, "--num_epochs", 1]
    rest = ["--num_workers", 1, "--log_frequency", 1, "--device", "cpu"]
    return [
        str(word) for word in ("--method", "tiny", "--backend", backend.name, *where, *size, *rest, *more)
    ]


@pytest.fixture(scope="module")
def run(tiny, backend, drive, tmp_path_factory):
    """The run folder of an epoch, trained by the script, with what a user sees; not to be changed.

    By a process of its own in `test_resume.py` and `test_distributed.py`.
    """
    runs = tmp_path_factory.mktemp("tiny")
    printed = succeeds("train.py", *training(backend, drive, runs), here=True)
    assert_says(printed, "tiny on", f"{STEPS} steps in 1 epochs", "validation: loss", "colour")
    yield runs / "run"
    shutil.rmtree(runs)


@pytest.fixture
def weights(run):
    return run / "models" / "weights_0"


def entries(run):
    return [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]


# ---- train.py --------------------------------------------------------------------------------------------------


def test_training_leaves_a_run_folder(backend, run, weights):
    extension = backend.module("checkpoint").EXTENSION
    inside = {f"tiny{extension}", "training_state.safetensors", "options.yaml", "checkpoint.json"}
    assert {path.name for path in weights.iterdir()} == inside
    assert {path.name for path in (run / "models").iterdir()} == {"weights_0", "weights_best"}
    options = load_method_options(weights / "options.yaml")
    assert type(options) is TinyOptions and (options.height, options.width) == (HEIGHT, WIDTH)
    parts = [(entry["step"], entry["part"]) for entry in entries(run)]
    assert parts == [(0, "train"), (0, "val"), (1, "train"), (1, "val"), (2, "validation")]
    terms = {"loss", "colour", "anchor", "change"}
    for entry in entries(run):
        values = entry["values"]
        assert terms | {"de/abs_rel"} <= set(values) or (entry["part"] == "train" and terms <= set(values))
        assert all(np.isfinite(value) for value in values.values())
        total = np.sqrt(sum(values[name] for name in terms - {"loss"}))
        if entry["part"] != "validation":  # there both are means
            assert values["loss"] == pytest.approx(total, rel=1e-5)  # in the first epoch the progress is 0


def test_what_is_frozen_stays(backend, run, weights, drive, tmp_path):
    """Values and statistics of the anchor are those of the initial weights; those of the other network are not."""
    checkpoint = backend.module("checkpoint")
    train.main(training(backend, drive, tmp_path, "--num_epochs", 0))
    name = f"tiny{checkpoint.EXTENSION}"
    before, after = (
        checkpoint.read_weights(folder / name)
        for folder in (tmp_path / "run" / "models" / "weights_initial", weights)
    )
    assert before.keys() == after.keys()
    moved = {key for key in before if (before[key] != after[key]).any() and not key.endswith("tracked")}
    assert {key for key in before if key.startswith("depth.") and not key.endswith("tracked")} <= moved
    assert not [key for key in moved if key.startswith("anchor.")]
    assert float(after["progress"]) == 0


def test_a_resumed_run_goes_on(backend, drive, run, tmp_path, capsys):
    """For another epoch, whose loss is weighed by a progress of a half."""
    shutil.copytree(run, tmp_path / "run")
    train.main(training(backend, drive, tmp_path, "--num_epochs", 2, "--resume"))
    assert_says(capsys.readouterr().out, "continues after step 2 from")
    checkpoint = backend.module("checkpoint")
    name = f"models/weights_1/tiny{checkpoint.EXTENSION}"
    assert float(checkpoint.read_weights(tmp_path / "run" / name)["progress"]) == 0.5
    values = next(entry["values"] for entry in entries(tmp_path / "run") if entry["step"] == 3)
    total = np.sqrt(values["colour"] + values["anchor"] + values["change"])
    assert values["loss"] == pytest.approx(1.5 * total, rel=1e-5)


def test_without_sources_validation_predicts_alone(backend, drive, tmp_path, capsys):
    train.main(training(backend, drive, tmp_path, "--no_neighbour", "--batch_size", 1))
    assert_says(capsys.readouterr().out, "validation: abs_rel")
    (validation,) = [entry["values"] for entry in entries(tmp_path / "run") if entry["part"] == "validation"]
    assert "loss" not in validation and validation["de/abs_rel"] > 0


def test_its_options_and_no_others(tmp_path):
    assert parse_method(["--method", "tiny", "--lr", "0.5"]).learning_rate == 0.5
    with pytest.raises(UserError, match=r"--pose_net: tiny has no pose network; leave it out"):
        parse_method(["--method", "tiny", "--pose_net", "big"])
    with pytest.raises(UserError, match=r"--num_layers: an option of --method"):
        parse_method(["--method", "tiny", "--num_layers", "18"])
    with pytest.raises(UserError, match=r"height: 16 is no multiple of 16 from 32"):
        parse_method(["--method", "tiny", "--height", "16"])


def test_it_can_go_on_from_a_folder_of_weights(backend, drive, weights, tmp_path):
    train.main(training(backend, drive, tmp_path, "--load_weights_folder", weights, "--num_epochs", 0))
    checkpoint = backend.module("checkpoint")
    name = f"tiny{checkpoint.EXTENSION}"
    before, after = (
        checkpoint.read_weights(folder / name)
        for folder in (weights, tmp_path / "run" / "models" / "weights_initial")
    )
    names = [key for key in before if key != "progress"]
    assert digest(before, names) == digest(after, names)


# ---- evaluate_depth.py, evaluate_pose.py, predict.py -----------------------------------------------------------


def test_evaluation(backend, drive, weights, tmp_path):
    where = ["--data_path", drive, "--eval_split", drive / "splits", "--load_weights_folder", weights]
    more = ["--eval_mono", "--output", tmp_path / "metrics.json", "--device", "cpu", "--num_workers", 1]
    printed = succeeds("evaluate_depth.py", *where, *more, "--backend", backend.name, here=True)
    assert_says(printed, "2 images", "abs_rel")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["mean"]["abs_rel"] > 0 and len(metrics["per_image"]) == 2


def test_prediction(backend, drive, weights, tmp_path):
    image = next(drive.rglob("image_02/data/*.jpg"))
    words = ["--image_path", image, "--load_weights_folder", weights, "--output", tmp_path, "--device", "cpu"]
    words += ["--backend", backend.name, "--save", "disparity", "depth", "colour", "png"]
    succeeds("predict.py", *words, here=True)
    disparity = np.load(tmp_path / f"{image.stem}_disp.npy")
    assert disparity.shape == (1, 1, *DISPARITY) and (disparity > 0).all()
    with np.load(tmp_path / f"{image.stem}_depth.npz") as file:
        np.testing.assert_allclose(file["depth"], 1 / disparity[0, 0], rtol=1e-6)
        assert str(file["unit"]).startswith("relative")


def test_what_it_has_not_is_said(backend, drive, weights, tmp_path):
    """Motion, and an option of another method."""
    where = ["--load_weights_folder", weights, "--backend", backend.name, "--device", "cpu"]
    images = ["--image_path", next(drive.rglob("image_02/data/*.jpg"))]
    message = refused("predict.py", *where, *images, "--num_layers", 50, folder=tmp_path, here=True)
    assert_says(message, "--num_layers", "tiny")
    with pytest.raises(UserError, match="no pose network"):
        backend.module("predictor").Predictor(weights, "cpu").pose_frames()


# ---- convert_weights.py, check_parity.py -----------------------------------------------------------------------


def test_conversion_there_and_back(backend, weights, tmp_path):
    """To the other backend, to safetensors, and back: to the bit."""
    if "torch" not in installed_backends():
        pytest.skip("PyTorch, which writes .pth files, is not installed")
    (other,) = set(BACKENDS) - {backend.name}
    source, checkpoint = weights, backend.module("checkpoint")
    for to in (other, "safetensors", backend.name):
        words = [source, "--to", to, "--output", tmp_path / to]
        printed = succeeds("convert_weights.py", *words, here=True)
        assert_says(printed, "bit-identical", "Tiny", "depth and anchor, 4 channels")
        source = tmp_path / to
    name = f"tiny{checkpoint.EXTENSION}"
    before, after = (checkpoint.read_weights(folder / name) for folder in (weights, tmp_path / backend.name))
    assert before.keys() <= after.keys() and "progress" in after
    assert digest(before, before) == digest(after, before)
    assert float(after["progress"]) == float(before["progress"])


@pytest.fixture
def check(backend, request, monkeypatch):
    """`check(*words)` runs check_parity.py: PyTorch's part in this process, PaddlePaddle's in one that has begun.

    Each in one that it starts itself: tests/slow/test_certificate.py.
    """
    if backend.name != "torch":
        pytest.skip("the two are compared when PyTorch is under test")
    starter = request.getfixturevalue("other_starter")

    def run_all(commands, folder, environment, timeout):
        assert {name: words[:3] for name, words in commands.items()} == {
            name: [sys.executable, "-m", f"backends.{name}.parity"] for name in BACKENDS
        }
        started = starter.start(commands["paddle"][1:], folder, "paddle", PYTHONPATH=SITE)
        backend.module("parity").main(commands["torch"][3:])
        done = started.wait(timeout)
        assert done.returncode == 0, done.stderr

    def run(*words):
        with monkeypatch.context() as patch:
            patch.setattr(processes, "run_all", run_all)
            return run_here("check_parity.py", "--method", "tiny", "--height", 48, "--width", 32, *words)

    return run


def test_both_backends_compute_the_same(check, weights, tmp_path):
    """From the weights that were trained."""
    output = tmp_path / "parity.json"
    done = check("--load_weights_folder", weights, "--steps", 2, "--output", output)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert_says(done.stdout, "tiny, 32x48", "checks passed")
    certificate = json.loads(output.read_text())
    assert certificate["passed"] and certificate["options"]["method"] == "tiny"
    names = {item["name"] for check in certificate["checks"] for item in check["items"]}
    assert {"anchor", "colour", "change", "tiny/depth.body.weight"} <= names


def test_a_fault_in_one_layer_is_found_and_named(check, tmp_path):
    """A folder with files for both backends, of which one has one changed number: each reads its own."""
    options = TinyOptions(**TinyOptions.SMALL)
    shapes = {key: shape for key, shape in TinyPair(options.channels).shapes.items() if shape}
    state = Request.make(options, steps=1).weights("tiny", shapes)
    write_pth(tmp_path / "tiny.pth", state)
    changed = state["depth.norm.weight"].copy()
    changed[1] += 1e-3
    write_pdparams(tmp_path / "tiny.pdparams", state | {"depth.norm.weight": changed})
    output = tmp_path / "parity.json"
    done = check("--load_weights_folder", tmp_path, "--steps", 1, "--output", output)
    assert done.returncode == 1 and done.stderr == "", done.stderr
    assert_says(done.stdout, "FAIL weights, float32: first beyond the bound tiny/depth.norm.weight")
    assert_says(done.stdout, "FAIL tiny layers, float64: first diverging layer depth.norm (")
    written = json.loads(output.read_text())
    assert written["passed"] is False
    weights = written["checks"][0]["items"]
    assert [item["name"] for item in weights if item["difference"] != 0] == ["tiny/depth.norm.weight"]
    layers = next(check for check in written["checks"] if check["title"] == "tiny layers")["items"]
    assert layers[0]["name"] == "depth.body" and layers[0]["difference"] <= 1e-5  # the one before agrees
