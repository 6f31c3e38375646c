"""Which images `predict.py` finds, where results go, and what they say of themselves."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.colour import colour_map
from core.errors import UserError
from core.prediction import Prediction, find_images, output_stems


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def test_images_of_a_folder_are_sorted_and_of_the_wanted_kinds(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "c.JPG", "a.jpeg", "d.txt", "png")
    (tmp_path / "e.png").mkdir()
    assert [path.name for path in find_images(str(tmp_path), ["jpg", "jpeg", "png"])] == [
        "a.jpeg",
        "b.png",
        "c.JPG",
    ]
    assert [path.name for path in find_images(str(tmp_path), [".png"])] == ["b.png"]


def test_one_image_and_a_pattern(tmp_path: Path) -> None:
    a, b, _ = touch(tmp_path, "a1.png", "a2.png", "b.png")
    assert find_images(str(a), ["jpg"]) == [a]
    assert find_images(str(tmp_path / "a*.png"), ["jpg"]) == [a, b]
    odd = touch(tmp_path, "[1].png")
    assert find_images(str(odd[0]), ["jpg"]) == odd


@pytest.mark.parametrize("what", ["", "*"])
def test_results_of_an_earlier_run_are_no_input(tmp_path: Path, what: str) -> None:
    (image,) = touch(tmp_path, "a.jpeg")
    Prediction(np.ones((4, 8), np.float32), (8, 16), False, "model").save(tmp_path / "a")
    assert len(list(tmp_path.iterdir())) == 4
    assert find_images(str(tmp_path / what), ["jpeg", "npy", "npz"]) == [image]


def test_nothing_found(tmp_path: Path) -> None:
    touch(tmp_path, "a.gif", "b_disp.jpeg")
    with pytest.raises(UserError, match=r"no images \*\.jpg, \*\.jpeg; see --ext") as error:
        find_images(str(tmp_path), ["jpg", "jpeg"])
    assert str(error.value).startswith(str(tmp_path))
    with pytest.raises(UserError, match="no such image"):
        find_images(str(tmp_path / "absent.png"), ["jpg"])


def test_where_results_go(tmp_path: Path) -> None:
    a, b = touch(tmp_path, "a.b.png", "c.png")
    assert output_stems([a, b], None) == {a: tmp_path / "a.b", b: tmp_path / "c"}
    assert output_stems([a], "out") == {a: Path("out") / "a.b"}


def test_two_images_never_share_results(tmp_path: Path) -> None:
    images = touch(tmp_path, "a.jpg", "a.png")
    with pytest.raises(UserError, match=r"a\.jpg and .*a\.png would both be written"):
        output_stems(images, None)
    images = touch(tmp_path / "one", "a.jpg") + touch(tmp_path / "two", "a.jpg")
    assert len(output_stems(images, None)) == 2
    with pytest.raises(UserError, match="would both be written"):
        output_stems(images, "out")


@pytest.mark.parametrize(("metric", "factor", "unit"), [(True, 5.4, "metres"), (False, 1.0, "relative")])
def test_files(tmp_path: Path, metric: bool, factor: float, unit: str) -> None:
    disparity = np.linspace(0.1, 1, 64).reshape(1, 64).repeat(16, axis=0)
    stem = tmp_path / "new" / "a.b"
    Prediction(disparity, (30, 200), metric, "weights_3").save(stem)
    assert sorted(path.name for path in stem.parent.iterdir()) == [
        "a.b_depth.npz",
        "a.b_disp.jpeg",
        "a.b_disp.npy",
    ]
    saved = np.load(tmp_path / "new" / "a.b_disp.npy", allow_pickle=False)
    assert saved.dtype == np.float32
    np.testing.assert_array_equal(saved, disparity[None, None].astype(np.float32))
    with np.load(tmp_path / "new" / "a.b_depth.npz", allow_pickle=False) as file:
        assert file["depth"].dtype == np.float32
        np.testing.assert_allclose(file["depth"], factor / disparity, rtol=1e-6)
        assert file["scale_factor"] == factor and str(file["model"]) == "weights_3"
        assert str(file["unit"]).startswith(unit)
    with Image.open(tmp_path / "new" / "a.b_disp.jpeg") as image:
        painted = np.asarray(image).astype(float)
    assert np.abs(painted - colour_map(disparity, (30, 200))).mean() < 3  # JPEG


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    prediction = Prediction(np.ones((4, 8)), (8, 16), False, "")
    with pytest.raises(UserError, match="cannot be written"):
        prediction.save(tmp_path / "file" / "a")
