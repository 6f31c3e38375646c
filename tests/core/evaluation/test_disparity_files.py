"""The images for KITTI's benchmark, against the published program's and against the formula."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from core.evaluation.disparity_files import BENCHMARK_FOLDER, benchmark_pixels, save_benchmark_images


def test_as_published(golden: Callable[[str], Any], arrays: ModuleType) -> None:
    recorded = golden("monodepth2/evaluation.npz")["benchmark/png_1"]
    disparity = arrays.smooth("golden/evaluation/disparity_1", (192, 640), (6, 12), 0.05, 1.5)
    found = benchmark_pixels(disparity, 5.4)
    assert found.dtype == np.uint16 and found.shape == recorded.shape == (352, 1216)
    difference = np.abs(found.astype(int) - recorded)
    assert difference.max() <= 1 and np.mean(difference > 0) < 0.001


@pytest.mark.parametrize(("disparity", "pixel"), [(1.0, 1382), (5.4 / 80, 20480), (0.01, 20480), (2700.0, 0)])
def test_metres_in_sixteen_bits(disparity: float, pixel: int) -> None:
    """5.4 m is 1382.4 steps, truncated; 80 m is the most."""
    assert set(benchmark_pixels(np.full((4, 8), disparity), 5.4).ravel().tolist()) == {pixel}


def test_the_folder_is_written_whole(tmp_path: Path) -> None:
    folder = tmp_path / BENCHMARK_FOLDER
    disparities = [np.full((4, 8), value) for value in (0.5, 0.25, 0.125)]
    save_benchmark_images(folder, disparities, 5.4)
    save_benchmark_images(folder, disparities[:2], 5.4)  # replaces it
    assert sorted(path.name for path in folder.iterdir()) == ["0000000000.png", "0000000001.png"]
    with Image.open(folder / "0000000001.png") as image:
        assert image.size == (1216, 352) and image.mode.startswith("I;16")
        assert set(np.unique(np.asarray(image)).tolist()) == {int(5.4 / 0.25 * 256)}
    with pytest.raises(UserError, match=r"prediction 1 .* positive and finite"):
        save_benchmark_images(folder, [disparities[0], -disparities[1]], 5.4)
    assert len(list(folder.iterdir())) == 2 and [path.name for path in tmp_path.iterdir()] == [folder.name]
