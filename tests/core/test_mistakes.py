"""Mistakes of newcomers that once got a poor answer, and the answer they get now; their numbers are those of a list.

Others of that list: full disks, permissions, packages, the output (1, 3, 4, 24) in `test_faults.py`, videos (2) in
`files/test_full_disk.py`, runs of one name (5) in `training/test_claim.py`, weights of runs and recipes (11, 18, 20) in
`weights/test_run_folder.py`, images for a predictor (6) in `datasets/test_preparation.py`.
"""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backends
import core.weights.zoo
import make_split
import predict
import train
from core.datasets import open_dataset
from core.errors import UserError
from core.files import images as image_files
from core.files.images import load_image
from core.files.video import write_video
from core.options.methods import OPTIONS
from core.options.parsing import parse_method
from tests.core.kitti_folder import DRIVE, write_drive
from tests.powers import forbidden
from tests.scripts import ROOT, assert_says, refused

FRAMEWORKS = ("torch", "paddle")
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
WEIGHTS = ["--load_weights_folder", "w"]


class Fake:
    """A predictor without a network."""

    options = SimpleNamespace(is_metric=False, stereo_scale_factor=None, largest_depth=100.0)
    scale = 3.0

    def disparity(
        self, images: list[np.ndarray], post_process: bool = False, inputs: object = None
    ) -> np.ndarray:
        return np.stack([self.scale / (image[:, :, 0].astype(np.float32) + 1) for image in images])

    def predictions(self, images: list[np.ndarray], *more: object) -> list[dict[str, np.ndarray]]:
        return [{"disparity": disparity} for disparity in self.disparity(images, *more)]  # type: ignore[arg-type]


class Flat(Fake):
    """Depths from 1.04 to 1.11."""

    def disparity(
        self, images: list[np.ndarray], post_process: bool = False, inputs: object = None
    ) -> np.ndarray:
        return np.stack(
            [1 / np.linspace(1.04, 1.11, image[:, :, 0].size).reshape(image.shape[:2]) for image in images]
        )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "load_predictor", lambda _: Fake())
    monkeypatch.setattr(core.weights.zoo, "with_weights", lambda options: options)


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path)
    return path


def run(image_path: object, *more: object) -> None:
    predict.main([str(word) for word in ("--image_path", image_path, *WEIGHTS, *more)])


def says(folder: Path, script: str, *words: object) -> str:
    return refused(script, *words, folder=folder, without=FRAMEWORKS, here=True)


# ---- predict.py ------------------------------------------------------------------------------------------------


def test_7_depth_that_is_nearly_constant(tmp_path: Path, fake, monkeypatch, capsys) -> None:
    run(photo(tmp_path / "a.png"))
    out = capsys.readouterr().out
    assert_says(
        out,
        f"depth from {(PIXELS[..., 0].min() + 1) / 3:.4g} to {(PIXELS[..., 0].max() + 1) / 3:.4g}, no unit",
    )
    assert "constant" not in out
    monkeypatch.setattr(backends, "load_predictor", lambda _: Flat())
    run(tmp_path / "a.png", "--pred_depth_scale_factor", 2)
    assert_says(capsys.readouterr().out, "depth from 2.08 to 2.22 m; nearly constant", "mean nothing")


def test_10_an_image_one_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(image_files, "open_regular", denied)
    with pytest.raises(
        UserError, match=r"a\.png: cannot be read: Permission denied; let its owner permit it"
    ) as no:
        load_image(tmp_path / "a.png")
    assert "convert" not in str(no.value)


@pytest.mark.parametrize("ending", ["webp", "bmp", "tiff", "WEBP"])
def test_12_images_of_other_kinds(tmp_path: Path, fake, capsys, ending: str) -> None:
    photo(tmp_path / f"a.{ending}")
    run(tmp_path)
    assert (tmp_path / "a_disp.npy").is_file()
    assert_says(
        capsys.readouterr().err, f"{tmp_path}: no *.jpg, *.jpeg, *.png; taken: its 1 images of other kinds"
    )


def test_12_a_folder_of_folders(tmp_path: Path, fake, capsys) -> None:
    """One photograph of a name each: with --output the folders are made there, too. Hidden ones are left out."""
    for name in ("one/a.jpg", "two/more/a.jpg", ".hidden/b.jpg"):
        photo(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").touch()
    run(tmp_path / "in", "--output", tmp_path / "out", "--save", "disparity")
    assert {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.npy")} == {
        "one/a_disp.npy",
        "two/more/a_disp.npy",
    }
    said = capsys.readouterr()
    assert_says(said.err, f"{tmp_path / 'in'}: no images in it; taken: the 2 in 2 folders below it")
    run(tmp_path / "in", "--save", "disparity")
    run(tmp_path / "in", "--save", "disparity")  # results are no input
    assert_says(capsys.readouterr().out, "2 images")


def test_12_a_folder_of_videos(tmp_path: Path, fake, capsys) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", [PIXELS] * 2, 25.0)
    run(tmp_path, "--output", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["a_disp.mp4", "b_disp.mp4"]
    assert capsys.readouterr().out.count("2 frames: ") == 2


def test_12_nothing_that_could_be_taken(tmp_path: Path) -> None:
    for name in ("a.txt", "b.raw"):
        (tmp_path / name).touch()
    said = says(tmp_path, "predict.py", "--image_path", tmp_path, *WEIGHTS)
    assert_says(said, "the folder has no images *.jpg, *.jpeg, *.png; see --ext", "it holds 2 other files")


QUOTES = "put a pattern in quotes, so that the shell leaves it alone: --image_path '*.jpg'"


@pytest.mark.parametrize(
    ("script", "words", "cure"),
    [
        ("predict.py", ["photo.jpg"], "did you mean --image_path photo.jpg?"),
        ("predict.py", [*WEIGHTS, "drive.MP4"], "did you mean --image_path drive.MP4?"),
        ("predict.py", ["data"], "did you mean --image_path data?"),
        ("train.py", ["data"], "did you mean --data_path data?"),
        ("predict.py", ["--image_path", "a.jpg", "b.jpg", "c.jpg"], QUOTES),
        ("train.py", ["--png", "true"], "--png takes no value: give it alone, or --no_png to take it back"),
        ("train.py", ["--use-stereo", "1"], "unknown option --use-stereo: did you mean --use_stereo?"),
        ("train.py", ["--no_mirroring", "1"], "--no_mirroring takes no value: give it alone, or --no_mirroring"),
        ("predict.py", ["--post_process", "yes"], "--post_process takes no value"),
        ("visualize_disparities.py", ["--disparities", "d.npy"], "DISPARITIES is given alone, without a name"),
        ("convert_weights.py", ["--sources", "w"], "SOURCE is given alone, without a name before it"),
        ("predict.py", ["nonsense"], "options start with -- (see --help)"),
    ],
)  # fmt: skip
def test_13_words_that_no_option_takes(tmp_path: Path, script: str, words: list[str], cure: str) -> None:
    (tmp_path / "data").mkdir()
    assert_says(says(tmp_path, script, *words), cure)


@pytest.mark.parametrize("name", ["out.mp4", "depth.PNG", "a/b.npy"])
def test_14_an_output_that_looks_like_a_file(tmp_path: Path, name: str) -> None:
    photo(tmp_path / "a.png")
    said = says(tmp_path, "predict.py", "--image_path", "a.png", *WEIGHTS, "--output", name)
    assert_says(said, f"option output: {name}: is the name of a file; name a folder")


def test_15_an_output_that_is_a_file(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "README.md").touch()
    for name in ("README.md", "README.md/below"):
        said = says(tmp_path, "predict.py", "--image_path", "a.png", *WEIGHTS, "--output", name)
        assert_says(said, "option output: ", "README.md: is no folder; name one for the results")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("output", ["predict.py", "--image_path", "a.png", *WEIGHTS, "--output", "out"]),
        ("output", ["visualize_disparities.py", "disparities.npy", "--output", "out/below"]),
        ("disps_path", ["evaluate_depth.py", "--eval_mono", *WEIGHTS, "--disps_path", "out"]),
    ],
)
def test_20_a_place_for_results_that_cannot_be_written(tmp_path: Path, option: str, words: list[str]) -> None:
    photo(tmp_path / "a.png")
    np.save(tmp_path / "disparities.npy", np.ones((1, 16, 24), np.float32))
    (tmp_path / "out").mkdir()
    with forbidden(tmp_path / "out", 0o555):
        said = says(tmp_path, *words)
    assert_says(said, f"option {option}: ", "out: cannot be written to; name another folder")


@pytest.mark.parametrize(
    "address", ["https://example.org/a.jpg", "http://example.org/a.mp4", "rtsp://camera/1", "s3://b/c"]
)
def test_17_addresses(tmp_path: Path, address: str) -> None:
    said = says(tmp_path, "predict.py", "--image_path", address, *WEIGHTS)
    assert_says(said, f"{address}: addresses are not fetched; download it, and name the file")


# ---- data ------------------------------------------------------------------------------------------------------


def own_images(folder: Path, *names: str) -> Path:
    for name in names:
        for number in range(8):
            photo(folder / name / f"{number:03d}.png")
    return folder


@pytest.mark.parametrize("split", [[], ["--split", "eigen_full"]])
def test_8_own_images_without_a_list(tmp_path: Path, split: list[str]) -> None:
    data = own_images(tmp_path / "videos", "one")
    said = refused(
        *("train.py", "--dataset", "folder", "--data_path", data, *split, "--dry_run"),
        folder=tmp_path,
        here=True,
    )
    assert_says(
        said, "option split: eigen_", "frames of KITTI, not yours", f"make_split.py --data_path {data}"
    )
    assert_says(said, f"--split {data / 'splits'}")


@pytest.mark.parametrize("name", ["one", "one/left"])
def test_9_a_pair_of_one_camera(tmp_path: Path, name: str) -> None:
    own_images(tmp_path / "in", name)
    said = says(tmp_path, "make_split.py", "--data_path", "in", "--use_stereo")
    assert_says(said, "--use_stereo needs sequences of two cameras, but none has folders left and right, ")


def test_19_a_wrong_folder_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before a framework is imported, with the default's name where none was given."""
    monkeypatch.setattr(train, "load_backend", None)
    assert "is not installed" in says(tmp_path, "train.py")
    said = refused("train.py", folder=tmp_path, here=True)
    assert_says(said, "kitti_data: no such folder; it is the default; --data_path must be the root")
    said = refused("train.py", "--data_path", "nowhere", "--method", "sc_depth", folder=tmp_path, here=True)
    assert_says(said, "nowhere: no such folder; --data_path must be the root of the data set")


def test_21_a_broken_image_in_training(tmp_path: Path) -> None:
    root = write_drive(tmp_path / "data")
    (root / "split").mkdir()
    for part in ("train", "val"):
        (root / "split" / f"{part}_files.txt").write_text(f"{DRIVE} 1 l\n")
    words = ["--data_path", root, "--split", root / "split", "--height", 64, "--width", 64, "--batch_size", 1]
    words += ["--accept", "kitti_rig", "validation_overlap"]
    dataset = open_dataset(parse_method([str(word) for word in words]), "train")
    path = dataset.image_path(dataset.lines[0], 0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        UserError, match=r"copy or convert it again; or train without such images: --bad_images skip"
    ):
        dataset[0, 0]
    dataset.image_path(dataset.lines[0], 1).unlink()
    with pytest.raises(UserError, match=r"no such image .*: --bad_images skip"):
        open_dataset(parse_method([str(word) for word in words]), "train")


def test_25_lists_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data_path", str(own_images(tmp_path / "in", "one"))]
    lists = tmp_path / "in" / "splits"
    make_split.main(words)
    first = (lists / "train_files.txt").read_text()
    (lists / "gt_depths.npz").touch()
    with pytest.raises(
        UserError, match=r"splits: is already there; remove it .*, or replace its lists with --force"
    ):
        make_split.main([*words, "--frame_ids", "0", "-1"])
    assert (lists / "train_files.txt").read_text() == first
    make_split.main([*words, "--frame_ids", "0", "-1", "--force"])
    assert (lists / "train_files.txt").read_text() != first
    assert (lists / "gt_depths.npz").is_file()  # of somebody else
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: is already there"):
        make_split.main([*words, "--output", str(tmp_path / "file"), "--force"])


# ---- options, scripts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ([], "--metrics is missing: NAME=FILE.json"),
        (["--metrics", "a=a.json"], "--split is missing"),
        (["--metrics", "a=a.json", "--split", "eigen"], "--disparities is missing"),
    ],
)
def test_16_a_report_of_nothing(tmp_path: Path, words: list[str], missing: str) -> None:
    assert_says(says(tmp_path, "report_depth.py", *words), missing)


@pytest.mark.parametrize(
    ("words", "cure"), [(["--height", "32"], "at least 64"), (["--width", "0"], "at least 64")]
)
def test_22_sizes_that_are_too_small(tmp_path: Path, words: list[str], cure: str) -> None:
    assert_says(says(tmp_path, "train.py", *words), f"option {words[0][2:]}: {words[1]} ", cure)
    assert "at least" not in says(tmp_path, "train.py", words[0], "100")


@pytest.mark.parametrize("script", sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("configs/*/*.sh")))
def test_23_another_shell(script: str) -> None:
    """One that is no bash, as `sh` is on Debian and Ubuntu."""
    done = subprocess.run(["dash", ROOT / script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: call it with bash: bash {ROOT / script}\n"


SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))


@pytest.mark.parametrize("script", [*SCRIPTS, *(f"train.py {method}" for method in OPTIONS)])
def test_every_help_ends_with_an_example(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One that the script understands."""
    import importlib

    name, _, method = script.partition(" ")
    module = importlib.import_module(name.removesuffix(".py"))
    with pytest.raises(SystemExit):
        module.main([*(["--method", method] if method else []), "--help"])
    *_, blank, last = capsys.readouterr().out.splitlines()
    words = last.split()
    assert blank == "" and words[:3] == ["example:", "python", name] and len(words) > 3
    with pytest.raises(SystemExit):  # after all of it was read
        module.main([*words[3:], "--print_config"])
    assert method in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        module.main(["--version"])
    assert not end.value.code and "\nnumpy " in capsys.readouterr().out
