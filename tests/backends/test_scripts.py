"""The scripts on a rendered drive, as a user would run them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
import train
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from core.options.parsing import load_options, parse
from tests.backends.drive import HEIGHT, NETWORKS, WIDTH, link_weights, tiny_training, training, weights_of
from tests.scripts import assert_says, succeeds
from tests.tiny.options import STEPS, TinyOptions

pytestmark = pytest.mark.usefixtures("tiny")

STATE = "training_state.safetensors"
BOARDS = ("events.", "vdlrecords.")


def run_files(run: Path) -> set[str]:
    """Every file of a run folder, but those of a board, which need not be installed."""
    files = (path for path in run.rglob("*") if path.is_file() and not path.name.startswith(BOARDS))
    return {str(path.relative_to(run)) for path in files}


def expected_files(backend, networks: tuple[str, ...]) -> set[str]:
    extension = backend.module("checkpoint").EXTENSION
    inside = [*(f"{name}{extension}" for name in networks), STATE, "options.yaml", "checkpoint.json"]
    return {
        ".lock",
        "options.yaml",
        "run.json",
        "scalars.jsonl",
        *(f"models/weights_0/{name}" for name in inside),
    }


def scalars(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "scalars.jsonl").read_text().splitlines()]


# ---- train.py ------------------------------------------------------------------------------------------------


def test_training_leaves_a_run_folder(backend, trained):
    run = trained.parent.parent
    assert run_files(run) == expected_files(backend, NETWORKS["mono+stereo"])
    entries = [(entry["step"], entry["part"]) for entry in scalars(run)]
    assert entries == [(0, "train"), (0, "val"), (1, "train"), (1, "val")]
    for entry in scalars(run):
        terms = {f"{term}/{scale}" for term in ("photometric", "smoothness") for scale in range(4)}
        values = entry["values"]
        assert {"loss", "de/abs_rel", "da/a3"} | terms <= set(values)
        assert values["loss"] == pytest.approx(sum(values[term] for term in terms), rel=1e-5)
        assert all(np.isfinite(value) for value in values.values())


def test_weights_say_what_they_are(backend, trained):
    options = load_options(Monodepth2Options, trained / "options.yaml")
    assert (options.height, options.width, options.frame_ids, options.use_stereo) == (
        64,
        128,
        [0, -1, 1],
        True,
    )
    assert options == load_options(Monodepth2Options, trained.parent.parent / "options.yaml")
    checkpoint = backend.module("checkpoint")
    encoder = checkpoint.read_weights(trained / f"encoder{checkpoint.EXTENSION}")
    assert (int(encoder["height"]), int(encoder["width"]), bool(encoder["use_stereo"])) == (64, 128, True)
    assert "height" not in checkpoint.read_weights(trained / f"depth{checkpoint.EXTENSION}")


@pytest.mark.parametrize(
    ("mode", "more", "networks"),
    [
        ("stereo", ["--num_workers", "0"], NETWORKS["stereo"]),
        ("mono", ["--pose_model_type", "posecnn"], ("encoder", "depth", "pose")),
    ],
)
def test_other_modes(backend, drive, runs, mode, more, networks):
    """A step, and the files that a checkpoint would have; that they are written is the same for every mode."""
    words = training(backend.name, drive, runs, "run", mode, "--width", 64, *more)
    trainer = backend.module("trainer").Trainer(parse(Monodepth2Options, words))
    assert tuple(trainer.networks) == networks
    values = trainer.dry_run()
    assert {"loss", "photometric/0", "smoothness/3"} <= set(values)
    assert all(np.isfinite(value) for value in values.values())


@pytest.mark.parametrize("more", [["--num_workers", "0"], ["--channels", "3"]])
def test_training_of_another_method(backend, drive, runs, more):
    train.main(tiny_training(backend.name, drive, runs, "run", *more))
    assert run_files(runs / "run") == expected_files(backend, ("tiny",))
    assert len(scalars(runs / "run")) == 2 * STEPS


def test_fine_tuning_at_another_resolution(backend, drive, tiny_trained, runs):
    """Weights and Adam's moments go on from the folder; size and learning rate are those of the command line."""
    more = ["--load_weights_folder", tiny_trained, "--width", 96, "--learning_rate", 1e-9]
    train.main(tiny_training(backend.name, drive, runs, "tuned", *more))
    tuned = weights_of(runs, "tuned")
    assert load_options(TinyOptions, tuned / "options.yaml").width == 96
    checkpoint = backend.module("checkpoint")
    before, after = (read_state(folder / STATE) for folder in (tiny_trained, tuned))
    steps = {name: int(array) for name, array in after.items() if name.startswith("steps/")}
    assert set(steps.values()) == {2 * STEPS} and int(after["step"]) == STEPS
    assert all(int(before[name]) == STEPS for name in steps)
    file = f"tiny{checkpoint.EXTENSION}"
    old, new = (checkpoint.read_weights(folder / file) for folder in (tiny_trained, tuned))
    assert set(old) == set(new)
    for key, array in old.items():
        if array.ndim == 4:  # kernels: the running statistics move at their own pace
            assert np.abs(new[key] - array).max() < 1e-7, key


def read_state(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


# ---- evaluate_depth.py ---------------------------------------------------------------------------------------


def evaluation(backend, drive: Path, weights: Path, *more: object) -> list[str]:
    where = ["--data_path", drive, "--eval_split", drive / "splits", "--load_weights_folder", weights]
    rest = ["--backend", backend.name, "--device", "cpu", "--num_workers", 1, *more]
    return [str(word) for word in (*where, *rest)]


def test_evaluation_and_the_same_from_saved_disparities(backend, drive, trained, tmp_path):
    weights = link_weights(trained, tmp_path / "weights")
    files = [tmp_path / "network.json", tmp_path / "saved.json"]
    more = ["--eval_mono", "--crop", "garg", "--output"]
    printed = succeeds(
        "evaluate_depth.py",
        *evaluation(backend, drive, weights, *more, files[0], "--save_pred_disps"),
        here=True,
    )
    saved = weights / "disps_splits_split.npy"
    disparities = np.load(saved, allow_pickle=False)
    assert disparities.shape == (2, HEIGHT, WIDTH) and disparities.dtype == np.float32
    again = succeeds(
        "evaluate_depth.py",
        *("--eval_split", drive / "splits", "--ext_disp_to_eval", saved, *more, files[1]),
        without=("torch", "paddle"),
    )
    assert printed == again
    assert_says(printed, "crop garg", "cap 80 m", "median scaling", "2 images", "abs_rel")
    network, from_saved = (json.loads(file.read_text()) for file in files)
    assert network.pop("origin")["weights"] == str(weights)
    assert from_saved.pop("origin")["predictions"] == str(saved)
    assert network == from_saved
    assert 0 < network["mean"]["abs_rel"] < 1 and len(network["per_image"]) == 2


def test_stereo_scaling_and_post_processing(backend, drive, trained, tmp_path, capsys):
    weights = link_weights(trained, tmp_path / "weights")
    results = []
    for number, more in enumerate((["--eval_stereo"], ["--eval_stereo", "--post_process"])):
        output = tmp_path / f"{number}.json"
        evaluate_depth.main(
            evaluation(backend, drive, weights, *more, "--output", output, "--save_pred_disps")
        )
        results.append(json.loads(output.read_text()))
        assert_says(capsys.readouterr().out, "no median scaling, depth x 5.4", "2 images")
    assert results[0]["scale_ratios"] is None and results[0]["mean"] != results[1]["mean"]
    assert np.load(weights / "disps_splits_split.npy").dtype == np.float64


def test_predictions_without_ground_truth(backend, drive, trained, tmp_path):
    weights = link_weights(trained, tmp_path / "weights")
    more = ["--eval_mono", "--no_eval", "--save_pred_disps", "--ground_truth", tmp_path / "absent.npz"]
    evaluate_depth.main(evaluation(backend, drive, weights, *more))
    assert (weights / "disps_splits_split.npy").is_file()


# ---- predict.py ----------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path) -> Path:
    """Three images of different sizes and kinds, and something else."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, (height, width) in {"a.jpeg": (90, 200), "b.png": (64, 128), "c.jpg": (120, 100)}.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def prediction(backend, image_path: Path | str, weights: Path, *more: object) -> list[str]:
    words = ["--backend", backend.name, "--device", "cpu", "--image_path", image_path]
    return [str(word) for word in (*words, "--load_weights_folder", weights, *more)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_prediction_of_a_folder_twice(backend, trained, photos):
    before = names(photos)
    printed = succeeds("predict.py", *prediction(backend, photos, trained, "--pred_metric_depth"), here=True)
    assert_says(printed, "3 images", photos)
    suffixes = ("_disp.npy", "_disp.json", "_depth.npz", "_disp.jpeg")
    made = {f"{stem}{suffix}" for stem in "abc" for suffix in suffixes}
    assert names(photos) == before | made
    for stem, size in {"a": (200, 90), "b": (128, 64), "c": (100, 120)}.items():
        disparity = np.load(photos / f"{stem}_disp.npy", allow_pickle=False)
        assert disparity.shape == (1, 1, HEIGHT, WIDTH) and disparity.dtype == np.float32
        with np.load(photos / f"{stem}_depth.npz", allow_pickle=False) as file:
            assert str(file["unit"]) == "metres" and file["scale_factor"] == 5.4
            assert str(file["model"]) == str(trained)
            np.testing.assert_allclose(file["depth"], 5.4 / disparity[0, 0], rtol=1e-6)
        with Image.open(photos / f"{stem}_disp.jpeg") as image:
            assert image.size == size
    predict.main(prediction(backend, photos, trained, "--batch_size", 2))
    assert names(photos) == before | made
    with np.load(photos / "a_depth.npz", allow_pickle=False) as file:
        assert str(file["unit"]).startswith("relative") and file["scale_factor"] == 1


def test_prediction_of_one_image_and_of_a_pattern(backend, trained, photos, tmp_path):
    before = names(photos)
    one, some = tmp_path / "one", tmp_path / "some"
    predict.main(prediction(backend, photos / "b.png", trained, "--output", one))
    assert names(one) == {"b_disp.npy", "b_disp.json", "b_depth.npz", "b_disp.jpeg"}
    more = ["--output", some, "--post_process"]
    predict.main(prediction(backend, photos / "[bc].*", trained, *more))
    assert {name[0] for name in names(some)} == {"b", "c"} and len(names(some)) == 8
    assert names(photos) == before
    plain, post_processed = (np.load(folder / "b_disp.npy") for folder in (one, some))
    assert np.abs(plain - post_processed).max() > 0


def test_metres_are_refused_to_a_model_trained_without_stereo(backend, trained, photos, tmp_path):
    mono = link_weights(trained, tmp_path / "mono", ("options.yaml",))
    text = (trained / "options.yaml").read_text()
    (mono / "options.yaml").write_text(text.replace("use_stereo: true", "use_stereo: false"))
    before = names(photos)
    with pytest.raises(UserError, match=r"trained without stereo.*leave out --pred_metric_depth"):
        predict.main(prediction(backend, photos, mono, "--pred_metric_depth"))
    assert names(photos) == before
