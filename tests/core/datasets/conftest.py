"""The tiny drive of `kitti_folder` has cameras with simple numbers, which are not KITTI's: they are accepted."""

from collections.abc import Iterator

import pytest

from core.plausibility import checks


@pytest.fixture(autouse=True)
def simple_cameras() -> Iterator[None]:
    """As `--accept kitti_rig` has it."""
    checks.begin(["kitti_rig"], offered=False)
    yield
    checks.begin(offered=False)
