"""What the scripts say to mistakes that only show once a framework is there; the others: tests/core/test_scripts.py."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import evaluate_depth
import predict
import train
from core.datasets.kitti import image_path
from core.datasets.loader import draws
from core.datasets.splits import load_split
from core.errors import UserError
from core.weights.releases import VARIABLE
from tests.backends.drive import STEPS, link_weights, tiny_training, training
from tests.scripts import assert_says, listing, refused, run_here

pytestmark = pytest.mark.usefixtures("tiny")

DRIVES = [f"2011_09_26/2011_09_26_drive_{number:04d}_sync" for number in (1, 2)]
BATCH = 2


@pytest.fixture
def extension(backend) -> str:
    return backend.module("checkpoint").EXTENSION


def copy_drive(drive, folder):
    """The same data set, its files links, its lists copies."""
    for file in drive.rglob("*"):
        if file.is_file():
            copy = folder / file.relative_to(drive)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.parent.name == "splits":
                copy.write_bytes(file.read_bytes())
            else:
                copy.symlink_to(file)
    return folder


def truncate(path, source) -> None:
    """Half of a file in place of a link to it."""
    path.unlink(missing_ok=True)
    content = source.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def drawn(drive) -> list[int]:
    """The samples of the first epoch of `tiny`, step by step."""
    return draws(len(load_split(str(drive / "splits"), "train")), STEPS * BATCH, epoch=0, seed=0)


def evaluation(backend, drive, weights, *more) -> list[str]:
    where = ["--data_path", drive, "--eval_split", drive / "splits", "--load_weights_folder", weights]
    rest = ["--backend", backend.name, "--device", "cpu", "--eval_mono", "--num_workers", 1]
    return [str(word) for word in (*where, *rest, *more)]


# ---- as the user sees them ---------------------------------------------------------------------------------------


def test_image_is_truncated(backend, drive, tiny_trained, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    whole = image_path(drive, DRIVES[1], 1, 2, ".jpg")
    truncate(photos / "half.jpg", whole)
    message = refused(
        "predict.py",
        *("--backend", backend.name, "--device", "cpu", "--load_weights_folder", tiny_trained),
        *("--image_path", photos, "--batch_size", 2),
        folder=tmp_path,
        here=True,
    )
    assert_says(message, photos / "half.jpg", "damaged or not an image", "copy or convert it again")


def test_frame_off_the_end_of_a_drive(backend, drive, tmp_path):
    data = copy_drive(drive, tmp_path / "data")
    lines = data / "splits" / "train_files.txt"
    lines.write_text(lines.read_text().replace(" 2 r", " 3 r"))
    message = refused(
        "train.py", *tiny_training(backend.name, data, "runs", "run"), folder=tmp_path, here=True
    )
    missing = image_path(data, DRIVES[0], 4, 3, ".jpg")
    assert_says(message, missing, "no such image", "train_files.txt, line 4", "leave out the first and last")


def test_weights_are_missing(backend, drive, tmp_path):
    more = ["--load_weights_folder", "absent"]
    message = refused(
        "train.py", *tiny_training(backend.name, drive, "runs", "run", *more), folder=tmp_path, here=True
    )
    assert_says(message, "absent: no such folder of weights", "weights/zoo.yml", "mono_640x192")


def test_imagenet_weights_are_missing(backend, drive, tmp_path, monkeypatch):
    (tmp_path / "zoo.yml").write_text("families: {}\nreleases: {}\n")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    more = ["--weights_init", "pretrained", "--num_layers", 34]
    message = refused(
        "train.py", *training(backend.name, drive, "runs", "run", "stereo", *more), folder=tmp_path, here=True
    )
    assert_says(message, tmp_path / "resnet34_pretrain.h5", "no such file", "--weights_init scratch")


def test_weights_are_damaged(backend, drive, tiny_trained, tmp_path, extension):
    weights = link_weights(tiny_trained, tmp_path / "weights", (f"tiny{extension}",))
    truncate(weights / f"tiny{extension}", tiny_trained / f"tiny{extension}")
    message = refused(
        "evaluate_depth.py",
        *evaluation(backend, drive, weights, "--save_pred_disps", "--output", "metrics.json"),
        folder=tmp_path,
        here=True,
    )
    assert_says(message, weights / f"tiny{extension}", "not a readable", "again")


def test_weights_of_another_network(backend, drive, trained_whole, tmp_path, extension):
    weights = link_weights(trained_whole, tmp_path / "weights")
    more = ["--num_layers", 50, "--save_pred_disps", "--output", "metrics.json"]
    message = refused(
        "evaluate_depth.py", *evaluation(backend, drive, weights, *more), folder=tmp_path, here=True
    )
    assert_says(message, weights, "--num_layers 50, but its encoder is a ResNet-18; leave the option out")


def test_gpu_is_not_there(backend, drive, tmp_path):
    more = ["--device", "cuda:99"]
    message = refused(
        "train.py", *tiny_training(backend.name, drive, "runs", "run", *more), folder=tmp_path, here=True
    )
    assert_says(message, "--device cuda:99", "GPUs here; choose auto or cpu")


def test_loss_is_not_a_number(backend, drive, tiny_trained, tmp_path, extension):
    checkpoint, name = backend.module("checkpoint"), f"tiny{extension}"
    weights = link_weights(tiny_trained, tmp_path / "weights", (name,))
    state = checkpoint.read_weights(tiny_trained / name)
    bad = {key: array * np.float32("nan") for key, array in state.items() if array.dtype == np.float32}
    checkpoint.write_weights(weights / name, state | bad, {})
    more = ["--load_weights_folder", weights, "--accept", "weight_values"]
    done = run_here("train.py", *tiny_training(backend.name, drive, "runs", "run", *more), cwd=tmp_path)
    accepted, message = done.stderr.splitlines()
    assert done.returncode == 2 and accepted.startswith("accepted (weight_values): ")
    assert_says(message, "step 0", "colour nan", "change nan", "lower --learning_rate")
    lines = (drive / "splits" / "train_files.txt").read_text().splitlines()
    first = {lines[index] for index in drawn(drive)[:BATCH]}
    assert {line for line in lines if line in message} == first and len(
        first
    ) == 2  # the samples of the batch
    assert not (tmp_path / "runs" / "run" / "models").exists()
    assert (tmp_path / "runs" / "run" / "scalars.jsonl").read_text() == ""


# ---- by function calls -------------------------------------------------------------------------------------------


def training_refuses(backend, data, tmp_path, match, *more) -> None:
    """Refused before anything is written."""
    before = listing(tmp_path)
    with pytest.raises(UserError, match=match):
        train.main(tiny_training(backend.name, data, tmp_path / "runs", "run", *more))
    assert listing(tmp_path) == before


def test_training_data_are_not_as_they_should_be(backend, drive, tmp_path):
    def refuses(match, *more):
        training_refuses(backend, data, tmp_path, match, *more)

    data = copy_drive(drive, tmp_path / "data")
    refuses(r"absent: no such folder; --data_path", "--data_path", tmp_path / "absent")
    refuses(r"split 'eigen_zou'.*did you mean eigen_zhou\?", "--split", "eigen_zou")
    refuses(r"no such image; check --data_path and --split, or leave out --png", "--png")
    refuses(r"4 training samples do not fill one batch of 5; lower --batch_size", "--batch_size", 5)
    (data / "splits" / "val_files.txt").write_text("")
    refuses(r"val_files\.txt: lists no frames")
    (data / "splits" / "val_files.txt").unlink()
    refuses(r"val_files\.txt: no such list; beside it: train_files\.txt, test_files\.txt")


def test_training_meets_a_truncated_image(backend, drive, tmp_path, runs):
    """Only seen when its turn comes: the run folder stays, with nothing half-written."""
    data = copy_drive(drive, tmp_path / "data")
    order = drawn(data)
    assert order.index(order[-1]) >= BATCH  # not in the first step
    line = load_split(str(data / "splits"), "train")[order[-1]]
    image = image_path(data, line.folder, line.frame, line.camera, ".jpg")
    truncate(image, image.resolve())
    named = f"{image.parent.parent.name}/data/{image.name}"
    with pytest.raises(UserError, match=rf"{re.escape(named)}: damaged or not an image"):
        train.main(tiny_training(backend.name, data, runs, "run", "--num_workers", 2))
    assert not (runs / "run" / "models").exists()
    steps = [json.loads(line)["step"] for line in (runs / "run" / "scalars.jsonl").open()]
    assert steps == [0, 0]  # training and validation


def test_run_folder_cannot_be_made(backend, drive, tmp_path):
    (tmp_path / "file").touch()
    training_refuses(backend, drive, tmp_path, "cannot be written", "--log_dir", tmp_path / "file")


def test_training_refuses_weights(backend, drive, tiny_trained, tmp_path, extension):
    weights = link_weights(tiny_trained, tmp_path / "weights", ("training_state.safetensors",))
    more = ["--load_weights_folder", weights]
    training_refuses(backend, drive, tmp_path, rf"tiny\{extension}: .*do not fit", *more, "--channels", 8)
    truncate(weights / "training_state.safetensors", tiny_trained / "training_state.safetensors")
    training_refuses(backend, drive, tmp_path, r"training_state\.safetensors: not a readable", *more)
    (weights / f"tiny{extension}").unlink()
    training_refuses(backend, drive, tmp_path, rf"tiny\{extension}: no such file", *more)


def test_evaluation_refuses(backend, drive, tiny_trained, tmp_path):
    weights = link_weights(tiny_trained, tmp_path / "weights")
    data = copy_drive(drive, tmp_path / "data")
    before = listing(tmp_path)

    def refuses(match, *more):
        with pytest.raises(UserError, match=match):
            evaluate_depth.main(evaluation(backend, data, weights, "--save_pred_disps", *map(str, more)))

    refuses("PyTorch|PaddlePaddle", "--device", "cuda:99")
    refuses(r"absent: no such folder; --data_path", "--data_path", tmp_path / "absent")
    refuses("choose exactly one of --eval_mono and --eval_stereo", "--eval_stereo")
    refuses("gt.npz: no such ground truth", "--ground_truth", tmp_path / "gt.npz")
    assert listing(tmp_path) == before
    (data / "splits" / "test_files.txt").write_text(f"{DRIVES[1]} 1 l\n")
    refuses(r"gt_depths\.npz: holds 2 maps but the split has 1 lines")
    (data / "splits" / "gt_depths.npz").unlink()
    refuses(r"gt_depths\.npz: no such ground truth")
    assert not list(weights.glob("*.npy"))


def test_prediction_refuses(backend, tiny_trained, tmp_path):
    words = ["--backend", backend.name, "--device", "cpu", "--load_weights_folder", str(tiny_trained)]
    (tmp_path / "empty").mkdir()
    for path, match in [("empty", "the folder has no images"), ("none.png", "no such image")]:
        with pytest.raises(UserError, match=match):
            predict.main([*words, "--image_path", str(tmp_path / path)])
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


# ---- weights that hold a number that is none --------------------------------------------------------------------


@pytest.fixture
def spoilt_weights(backend, tiny_trained, tmp_path):
    """One NaN in a parameter, as a training that failed, or a damaged disk, leaves it."""
    checkpoint = backend.module("checkpoint")
    folder = link_weights(tiny_trained, tmp_path / "spoilt", (f"tiny{checkpoint.EXTENSION}",))
    state = checkpoint.read_weights(tiny_trained / f"tiny{checkpoint.EXTENSION}")
    name = next(name for name in state if name.endswith("body.weight"))
    state[name] = state[name].copy()
    state[name].ravel()[0] = np.nan
    checkpoint.write_weights(folder / f"tiny{checkpoint.EXTENSION}", state, {})
    return folder


def test_no_result_of_weights_with_nan(backend, drive, spoilt_weights, tmp_path):
    """Prediction, saved disparities, the benchmark's upload: refused, and nothing is left behind."""
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "photo.png")
    where = ["--backend", backend.name, "--device", "cpu", "--load_weights_folder", spoilt_weights]
    given = ["--data_path", drive, "--eval_split", drive / "splits", "--num_workers", 0, "--eval_mono"]
    for script, words in (
        ("predict.py", ["--image_path", tmp_path / "photo.png"]),
        ("predict.py", ["--image_path", tmp_path / "photo.png", "--save", "png", "vis"]),
        ("evaluate_depth.py", [*given, "--save_pred_disps", "--no_eval"]),
    ):
        message = refused(script, *where, *words, folder=tmp_path, here=True)
        assert_says(message, spoilt_weights, "depth.body.weight holds numbers that are not finite (1 of ")
