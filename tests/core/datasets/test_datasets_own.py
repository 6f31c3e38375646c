"""A data set of one's own as CONTRIBUTING.md shows it: its text, registered, read."""

import re

import numpy as np
import pytest
from PIL import Image

from core import datasets
from core.errors import UserError
from core.options.methods.monodepth2 import Monodepth2Options
from tests.conftest import ROOT
from tests.core.kitti_folder import noise


@pytest.fixture
def depot(tmp_path, monkeypatch):
    """The class in CONTRIBUTING.md, registered as `depot`; a drive in its layout, and lists."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "depot_of_contributing.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(datasets.READERS, "depot", "depot_of_contributing.Depot")
    folder = tmp_path / "data" / "monday" / "cam"
    folder.mkdir(parents=True)
    for frame in range(6):
        Image.fromarray(noise(48, 96, frame)).save(folder / f"{frame}.png")
    for part in ("train", "val"):
        lines = "".join(f"monday {frame} l\n" for frame in range(1, 5))
        (tmp_path / f"{part}_files.txt").write_text(lines)
    return Monodepth2Options(
        dataset="depot",
        data_path=str(tmp_path / "data"),
        split=str(tmp_path),
        height=64,
        width=128,
        batch_size=2,
    )


def test_the_example_works(depot, tmp_path):
    dataset = datasets.open_dataset(depot, "train")
    flips = {dataset.augmentation((epoch, 1)).mirrored: epoch for epoch in range(20)}
    for mirrored, epoch in flips.items():
        sample = dataset[epoch, 1]
        image = Image.open(tmp_path / "data/monday/cam/3.png")
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image
        expected = np.asarray(image.resize((128, 64), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(sample["image_1_0"], expected)
        cx = 0.49 * 128 - 0.5
        np.testing.assert_allclose(sample["K"][0], [0.9 * 128, 0, 127 - cx if mirrored else cx], rtol=1e-6)


def test_the_base_looks_after_mistakes(depot, tmp_path):
    (tmp_path / "data/monday/cam/2.png").unlink()
    with pytest.raises(
        UserError, match=r"2\.png: no such image \(1 are missing\); .*train_files\.txt, line 1 \(monday 1 l\)"
    ):
        datasets.open_dataset(depot, "train")
