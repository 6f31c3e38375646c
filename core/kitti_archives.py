"""`python -m core.kitti_archives`, as it was called before; see `core/datasets/kitti_archives.py`."""

from core.datasets.kitti_archives import main
from core.errors import run

if __name__ == "__main__":
    run(main)
