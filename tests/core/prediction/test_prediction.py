"""What the files of a prediction hold, and what they say of themselves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.disparity import resize_map
from core.errors import UserError
from core.files.colour import colour_map, plasma_map
from core.files.inputs import OUTPUTS
from core.options import PredictionOptions
from core.prediction.files import WRITERS, PredictionWriter
from tests.core.prediction.test_point_cloud import read_ply

HEIGHT, WIDTH = 16, 64
IMAGE = np.random.default_rng(0).integers(0, 256, (30, 200, 3), np.uint8)
DISPARITY = np.linspace(0.02, 1, WIDTH).reshape(1, WIDTH).repeat(HEIGHT, axis=0)
KITTI = [0.58, 1.92, 0.5, 0.5]


def save(stem: Path, *kinds: str, disparity: np.ndarray = DISPARITY, **options: Any) -> None:
    given = PredictionOptions(intrinsics=KITTI, **options)
    rays = np.stack([0 * DISPARITY, 0 * DISPARITY, 1 + 0 * DISPARITY]) if "rays" in kinds else None
    PredictionWriter(given, list(kinds), "weights_3", max_depth=100.0).save(stem, IMAGE, disparity, rays)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


METRES, RELATIVE = {"pred_metric_depth": True}, {}
FACTORS = [
    (METRES, 5.4, "metres"),
    (RELATIVE, 1.0, "relative"),
    ({"pred_depth_scale_factor": 30.0}, 30.0, "metres"),
]


@pytest.mark.parametrize(("options", "factor", "unit"), FACTORS)
def test_the_files_of_an_image(tmp_path: Path, options: dict, factor: float, unit: str) -> None:
    folder = tmp_path / "new"
    save(folder / "a.b", "disparity", "depth", "colour", **options)
    assert names(folder) == {"a.b_disp.npy", "a.b_disp.json", "a.b_depth.npz", "a.b_disp.jpeg"}
    saved = np.load(folder / "a.b_disp.npy", allow_pickle=False)
    assert saved.dtype == np.float32
    np.testing.assert_array_equal(saved, DISPARITY[None, None].astype(np.float32))
    said = json.loads((folder / "a.b_disp.json").read_text())
    assert said["unit"].startswith(unit) and (said["scale_factor"], said["model"]) == (factor, "weights_3")
    with np.load(folder / "a.b_depth.npz", allow_pickle=False) as file:
        assert file["depth"].dtype == np.float32
        np.testing.assert_allclose(file["depth"], factor / DISPARITY, rtol=1e-6)
        assert file["scale_factor"] == factor and str(file["model"]) == "weights_3"
        assert str(file["unit"]).startswith(unit)
    with Image.open(folder / "a.b_disp.jpeg") as image:
        painted = np.asarray(image).astype(float)
    assert np.abs(painted - colour_map(DISPARITY, (30, 200))).mean() < 3  # JPEG


def test_the_size_of_the_image(tmp_path: Path) -> None:
    """The disparity is resized as evaluation does it, and only then inverted."""
    save(tmp_path / "a", "disparity", "depth", "png", "points", "colour", size="original", **METRES)
    resized = resize_map(DISPARITY, 30, 200)
    np.testing.assert_allclose(np.load(tmp_path / "a_disp.npy")[0, 0], resized, rtol=1e-6)
    with np.load(tmp_path / "a_depth.npz") as file:
        np.testing.assert_allclose(file["depth"], 5.4 / resized, rtol=1e-6)
    with Image.open(tmp_path / "a_depth.png") as image:
        assert image.size == (200, 30)
    _, points, colours = read_ply(tmp_path / "a_points.ply")
    np.testing.assert_array_equal(colours, IMAGE.reshape(-1, 3))
    np.testing.assert_allclose(points[:, 2], 5.4 / resized.ravel(), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "factor", "step"), [(METRES, 5.4, 1 / 256), (RELATIVE, 1.0, 100 / 65535)]
)
def test_sixteen_bits(tmp_path: Path, options: dict, factor: float, step: float) -> None:
    disparity = DISPARITY.copy()
    disparity[0, 0], disparity[0, 1] = 0.01, 1e4
    save(tmp_path / "a", "png", disparity=disparity, **options)
    with Image.open(tmp_path / "a_depth.png") as image:
        assert image.mode.startswith("I;16")
        pixels, text = np.asarray(image).astype(float), image.text
    depth = factor / disparity
    assert pixels[0, 0] == 65535 and pixels[0, 1] == 1  # the far end of the range, and nothing is "unknown"
    known = np.ones(depth.shape, bool)
    known[0, :2] = False
    known &= depth < 65535 * step
    assert known.sum() > 0.9 * known.size and np.abs(pixels * step - depth)[known].max() <= step / 2 * 1.001
    assert text["unit"].startswith("metres" if factor > 1 else "relative")
    assert (float(text["scale_factor"]), text["model"]) == (factor, "weights_3")
    assert text["depth"] == f"value * {step!r}" and text["limit"] == "65535: that far or farther"


def test_sixteen_bits_of_a_scale_of_ones_own(tmp_path: Path) -> None:
    save(tmp_path / "a", "png", png_scale=256.0)
    with Image.open(tmp_path / "a_depth.png") as image:
        pixels, text = np.asarray(image).astype(float), image.text
    assert np.abs(pixels - 256 / DISPARITY).max() <= 0.51
    assert text["unit"].startswith("relative") and text["depth"] == f"value * {1 / 256!r}"


def test_the_image_above_its_disparity(tmp_path: Path) -> None:
    before = DISPARITY.copy()
    save(tmp_path / "a", "stacked", **METRES)
    save(tmp_path / "b", "stacked", size="original")
    np.testing.assert_array_equal(DISPARITY, before)
    with Image.open(tmp_path / "a_rgb_disp.png") as image:
        stacked, text = np.asarray(image), image.text
    assert text["unit"] == "metres" and text["model"] == "weights_3"
    small = np.asarray(Image.fromarray(IMAGE).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(stacked[:HEIGHT], small)
    np.testing.assert_array_equal(stacked[HEIGHT:], plasma_map(DISPARITY))
    with Image.open(tmp_path / "b_rgb_disp.png") as image:
        stacked = np.asarray(image)
    np.testing.assert_array_equal(stacked[:30], IMAGE)
    np.testing.assert_array_equal(stacked[30:], plasma_map(resize_map(DISPARITY, 30, 200)))


def test_intrinsics_in_pixels_of_the_depth(tmp_path: Path) -> None:
    save(tmp_path / "a", "depth")
    with np.load(tmp_path / "a_depth.npz", allow_pickle=False) as file:
        expected = [[0.58 * WIDTH, 0, WIDTH / 2 - 0.5], [0, 1.92 * HEIGHT, HEIGHT / 2 - 0.5], [0, 0, 1]]
        np.testing.assert_allclose(file["intrinsics"], expected, rtol=1e-6)
        assert str(file["unit"]).startswith("relative")
    PredictionWriter(PredictionOptions(), ["depth"], "w", None).save(tmp_path / "b", IMAGE, DISPARITY)
    with np.load(tmp_path / "b_depth.npz", allow_pickle=False) as file:
        assert set(file.files) == {"depth", "unit", "scale_factor", "model"}


def test_points_have_the_colours_of_the_resized_image(tmp_path: Path) -> None:
    save(tmp_path / "a", "points", depth_cap=20.0, **METRES)
    comments, points, colours = read_ply(tmp_path / "a_points.ply")
    near = 5.4 / DISPARITY <= 20
    small = np.asarray(Image.fromarray(IMAGE).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(colours, small[near])
    v, u = np.nonzero(near)
    z = 5.4 / DISPARITY[near]
    x, y = z * (u - WIDTH / 2 + 0.5) / (0.58 * WIDTH), z * (v - HEIGHT / 2 + 0.5) / (1.92 * HEIGHT)
    np.testing.assert_allclose(points, np.stack([x, y, z], 1), rtol=1e-5, atol=1e-6)
    assert comments[:3] == ["unit: metres", "scale_factor: 5.4", "model: weights_3"]
    assert comments[4] == "intrinsics relative to the image size: 0.58 1.92 0.5 0.5"


def test_every_file_is_known_as_a_result(tmp_path: Path) -> None:
    save(tmp_path / "a", *WRITERS)
    assert (
        all(name.endswith(OUTPUTS) for name in names(tmp_path)) and len(names(tmp_path)) == len(WRITERS) + 1
    )


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for kind in WRITERS:
        with pytest.raises(UserError, match="cannot be written"):
            save(tmp_path / "file" / "a", kind)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"save": ["auto", "png"]}, "auto stands alone"),
        ({"intrinsics": [0.58, 1.92, 0.5]}, "are not four numbers, fx fy cx cy"),
        ({"intrinsics": [721.5, 721.5, 609.6, 172.9]}, "divide pixels by the width"),
        ({"depth_cap": 0.0}, "depth_cap: must be above 0"),
        ({"pred_depth_scale_factor": 0.0}, "pred_depth_scale_factor: must be above 0"),
        ({"frames": 0}, "frames: must be above 0"),
        ({"depth_cap": 80.0}, "depth_cap: only for points; add --save points"),
        ({"intrinsics": [0.58, 1.92, 0.5, 0.5], "save": ["png"]}, "intrinsics: only for points and depth"),
        ({"png_scale": 256.0, "save": ["depth"]}, "png_scale: only for png; add --save png"),
        ({"png_scale": 0.0, "save": ["png"]}, "png_scale: must be above 0"),
    ],
)
def test_options_that_cannot_work(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PredictionOptions(image_path="a.png", load_weights_folder="w", **values).validate()


def test_range_along_rays(tmp_path: Path) -> None:
    """The file says that it is no depth, and has the rays; points lie on them, where the camera sees."""
    generator = np.random.default_rng(1)
    rays = generator.normal(size=(3, HEIGHT, WIDTH))
    rays /= np.linalg.norm(rays, axis=0)
    valid = generator.random((HEIGHT, WIDTH)) < 0.7
    kinds = ["depth", "points", "rays", "disparity"]
    options = PredictionOptions(save=kinds, depth_cap=20.0)
    writer = PredictionWriter(options, kinds, "weights_3", None)
    writer.save(tmp_path / "a", IMAGE, DISPARITY, rays, valid)
    with np.load(tmp_path / "a_depth.npz", allow_pickle=False) as file:
        assert str(file["distance"]).startswith("range")
        np.testing.assert_allclose(file["depth"], 1 / DISPARITY, rtol=1e-6)
        np.testing.assert_allclose(file["rays"], rays, rtol=1e-6)
        np.testing.assert_array_equal(file["valid"], valid)
    assert json.loads((tmp_path / "a_disp.json").read_text())["distance"].startswith("range")
    header, points, _ = read_ply(tmp_path / "a_points.ply")
    kept = valid & (1 / DISPARITY <= 20)
    np.testing.assert_allclose(points, (rays / DISPARITY)[:, kept].T, rtol=1e-5, atol=1e-6)
    assert any("range" in line for line in header)
    with Image.open(tmp_path / "a_rays.png") as picture:
        assert picture.height >= HEIGHT and "range" in picture.text["distance"]


def test_rays_at_the_size_of_the_image(tmp_path: Path) -> None:
    rays = np.zeros((3, HEIGHT, WIDTH))
    rays[2] = 1
    options = PredictionOptions(save=["depth"], size="original")
    writer = PredictionWriter(options, ["depth"], "weights_3", None)
    writer.save(tmp_path / "a", IMAGE, DISPARITY, rays, rays[2] > 0)
    with np.load(tmp_path / "a_depth.npz", allow_pickle=False) as file:
        assert file["rays"].shape == (3, 30, 200) and file["valid"].all()
        np.testing.assert_allclose(np.linalg.norm(file["rays"], axis=0), 1, rtol=1e-6)
