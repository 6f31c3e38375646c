"""Depth in a folder, `predict.py --save npy vis`: names, content, recorded colours, and on to evaluate_depth.py."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backends
import core.weights.zoo
import evaluate_depth
import predict
from core.disparity import resize_map
from core.errors import UserError
from core.files.colour import jet_map
from core.files.inputs import numbered_stems
from core.options import PredictionOptions
from core.prediction.files import PredictionWriter
from tests.scripts import assert_says

DISPARITY = np.random.default_rng(0).uniform(0.02, 1, (8, 12)).astype(np.float32)
IMAGE = np.zeros((20, 30, 3), np.uint8)


def save(stem: Path, **options: Any) -> None:
    given = PredictionOptions(save=["npy", "vis"], **options)
    PredictionWriter(given, given.save, "weights_3", max_depth=100.0).save(stem, IMAGE, DISPARITY)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# ---- content -------------------------------------------------------------------------------------------------------


def test_recorded_colours(golden: Callable[[str], Any]) -> None:
    recorded = golden("sc_depth/data.npz")
    found = jet_map(recorded["colour_depth"]).transpose(2, 0, 1).astype(int)
    assert np.abs(found - recorded["colour_image"]).max() <= 1


def test_near_is_red_and_far_is_blue() -> None:
    painted = jet_map(np.array([[1.0, 5.0, 9.0]])).astype(int)[0]
    assert painted[0].argmax() == 0 and painted[2].argmax() == 2 and painted[1].argmax() == 1
    assert (jet_map(np.array([[np.nan, 3.0]])) == jet_map(np.array([[0.0, 3.0]]))).all()
    assert jet_map(np.ones((2, 3))).shape == (2, 3, 3)  # nothing is divided by zero


def test_the_files_of_an_image(tmp_path: Path) -> None:
    save(tmp_path / "a.b")
    assert files(tmp_path) == ["model_v1/depth/a.b.npy", "model_v1/vis/a.b.jpg"]
    depth = np.load(tmp_path / "model_v1/depth/a.b.npy", allow_pickle=False)
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, 1 / DISPARITY)
    with Image.open(tmp_path / "model_v1/vis/a.b.jpg") as image:
        assert image.format == "JPEG" and image.size == (12, 8)


def test_the_size_of_the_image(tmp_path: Path) -> None:
    save(tmp_path / "a", size="original")
    depth = np.load(tmp_path / "model_v1/depth/a.npy")
    np.testing.assert_allclose(depth, 1 / resize_map(DISPARITY, 20, 30), rtol=1e-6)


def test_an_unwritable_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "model_v1").touch()
    with pytest.raises(UserError, match="cannot be written"):
        save(tmp_path / "a")
    assert files(tmp_path) == ["model_v1"]


# ---- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["a.png", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png"], ["000000_a", "000001_a"]),
        (["one/a.jpg", "two/A.png"], ["000000_a", "000001_A"]),
        (["b.png", "a.png"], ["000000_b", "000001_a"]),  # of a list, in its own order
        (["a-1.png", "a.png"], ["a-1", "a"]),  # as files of these names are sorted
    ],
)
def test_names_are_unique_and_sorted_as_the_images(images: list[str], names: list[str]) -> None:
    paths = [Path("in") / image for image in images]
    found = [stem.name for stem in numbered_stems(paths, "out").values()]
    assert found == names and sorted(f"{name}.npy" for name in found) == [f"{name}.npy" for name in found]
    assert {stem.parent for stem in numbered_stems(paths, "out").values()} == {Path("out")}
    assert list(numbered_stems(paths[:1], None).values()) == [paths[0].with_suffix("")]


# ---- from images to metrics ----------------------------------------------------------------------------------------


class Fake:
    """A predictor whose depth follows the brightness of an image."""

    options = SimpleNamespace(is_metric=False, stereo_scale_factor=None, largest_depth=100.0)

    has_rays = False

    def predictions(self, images: list[np.ndarray], *more: object) -> list[dict[str, np.ndarray]]:
        return [{"disparity": 3 / (image[:, :, 0].astype(np.float32) + 1)} for image in images]


def test_a_folder_comes_back_as_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Depth as bright as the image, truth likewise: no error, once the scale is fitted."""
    monkeypatch.setattr(backends, "load_predictor", lambda _: Fake())
    monkeypatch.setattr(core.weights.zoo, "with_weights", lambda options: options)
    for name in ("color", "depth"):
        (tmp_path / "testing" / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "a.bmp"):
        pixels = rng.integers(2, 99, (8, 12), np.uint8)
        Image.fromarray(np.dstack([pixels] * 3)).save(tmp_path / name)
        where = tmp_path / "testing"
        number = len(list((where / "depth").iterdir()))
        Image.fromarray(np.dstack([pixels] * 3)).save(where / "color" / f"{number}.png")
        Image.fromarray((pixels.astype(np.uint16) + 1) * 100).save(where / "depth" / f"{number}.png")
    (tmp_path / "list.txt").write_text("a.png\na.bmp\n")
    out = tmp_path / "out"
    words = ["--image_path", tmp_path / "list.txt", "--load_weights_folder", "w", "--output", out]
    predict.main([str(word) for word in (*words, "--save", "npy", "vis")])
    assert_says(capsys.readouterr().out, "2 images: model_v1/depth/*.npy, model_v1/vis/*.jpg in", out)
    names = [f"model_v1/{kind}/00000{n}_a" for kind in ("depth", "vis") for n in (0, 1)]
    assert [name.rpartition(".")[0] for name in files(out)] == names
    words = ["--protocol", "sc_depth_bonn", "--data_path", tmp_path, "--eval_mono"]
    words += ["--pred_depth", out / "model_v1" / "depth", "--output", tmp_path / "a.json"]
    evaluate_depth.main([str(word) for word in words])
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["images"] == 2 and content["mean"]["abs_rel"] < 1e-6 and content["mean"]["a1"] == 1
    assert content["scale_ratios"] == pytest.approx([0.3, 0.3], rel=1e-6)
