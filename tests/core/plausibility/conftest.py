"""A rendered drive, and what belongs to it: right data, of which the tests make wrong ones."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import export_gt_depth
from core.datasets.ground_truth import load_ground_truth
from core.plausibility import checks
from core.rendering.drive import render_set
from core.rendering.options import RenderOptions
from tests.core.streets import short


@pytest.fixture(autouse=True)
def nothing_is_accepted() -> Iterator[None]:
    """What one test accepts, another does not."""
    checks.begin(offered=False)
    yield
    checks.begin(offered=False)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training drive and a test drive of four frames each, 192x64, with ground truth; not to be changed."""
    root = tmp_path_factory.mktemp("plausibility") / "drive"
    with short():
        render_set(
            RenderOptions(
                output=str(root),
                height=64,
                width=192,
                format="png",
                train_drives=1,
                frames=4,
                val_drives=0,
                test_drives=1,
                test_frames=4,
                samples=1,
                azimuths=500,
                workers=1,
            ),
            progress=False,
        )
    (root / "splits" / "val_files.txt").unlink()
    export_gt_depth.main(["--data_path", str(root), "--split", str(root / "splits"), "--source", "velodyne"])
    return root


@pytest.fixture
def drive(rendered: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return Path(shutil.copytree(rendered, tmp_path / "drive"))


@pytest.fixture(scope="session")
def truth(rendered: Path) -> list[np.ndarray]:
    """The dense maps of the test images, 0 where unknown."""
    return [depth.dense() for depth in load_ground_truth(rendered / "splits" / "gt_depths.npz")]


@pytest.fixture
def perfect(truth: list[np.ndarray], tmp_path: Path) -> Path:
    """The disparities of the truth, its holes filled by the median of the row."""
    maps = []
    for depth in truth:
        known = np.where(depth > 0, depth, np.nan)
        rows = [np.nanmedian(row) if np.isfinite(row).any() else np.nanmedian(known) for row in known]
        maps.append(1 / np.where(depth > 0, depth, np.array(rows)[:, None]))
    np.save(tmp_path / "perfect.npy", np.array(maps, np.float32))
    return tmp_path / "perfect.npy"
