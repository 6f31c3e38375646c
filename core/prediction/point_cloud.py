"""A coloured point cloud of a depth map, and its file: PLY, binary, little-endian."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.files.arrays import require_finite
from core.files.whole import write_bytes
from core.geometry import backproject

VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
PROPERTIES = [
    *(f"property float {name}" for name in "xyz"),
    *(f"property uchar {c}" for c in ("red", "green", "blue")),
]


def point_cloud(
    depth: np.ndarray, image: np.ndarray, K: np.ndarray, depth_cap: float | None = None
) -> np.ndarray:
    """Every pixel as a coloured point in camera coordinates: x right, y down, z forward.

    Args:
        depth: (H, W) camera z.
        image: (H, W, 3) uint8 RGB of the same size.
        K: (3, 3) intrinsics of that size, pixel centres at integers.
        depth_cap: points farther than this are left out; None keeps all.

    Returns:
        (N,) of `VERTEX`, row-major; coordinates in the unit of the depth.
    """
    points = backproject(depth[None, None].astype(np.float64), K[None])[0].T
    vertices = np.empty(len(points), VERTEX)
    vertices["xyz"], vertices["rgb"] = points, image.reshape(-1, 3)
    return vertices if depth_cap is None else vertices[points[:, 2] <= depth_cap]


def points_along(
    rays: np.ndarray,
    depth: np.ndarray,
    image: np.ndarray,
    valid: np.ndarray | None = None,
    depth_cap: float | None = None,
) -> np.ndarray:
    """Every pixel as a coloured point of a camera that is no pinhole; see `point_cloud`.

    Args:
        rays: (3, H, W) unit.
        depth: (H, W) range along them.
        image: (H, W, 3) uint8 RGB of the same size.
        valid: (H, W) bool, pixels that see something; None: all.
        depth_cap: points farther than this, along their rays, are left out; None keeps all.
    """
    kept = np.ones(depth.shape, bool) if valid is None else valid.copy()
    kept &= depth <= (np.inf if depth_cap is None else depth_cap)
    vertices = np.empty(np.count_nonzero(kept), VERTEX)
    vertices["xyz"] = (rays * depth.astype(np.float64))[:, kept].T
    vertices["rgb"] = image[kept]
    return vertices


def write_ply(path: Path, vertices: np.ndarray, comments: Iterable[str] = ()) -> None:
    """Writes a point cloud, atomically.

    Args:
        vertices: (N,) of `VERTEX`.
        comments: lines for the header: unit, scale, model.

    Raises:
        UserError: there is no point, one is not finite, or the file cannot be written.
    """
    if len(vertices) == 0:
        raise UserError(f"{path}: no point is left to write; raise --depth_cap")
    require_finite(
        vertices["xyz"], f"{path}: not written: points", "check --intrinsics and the depth's factor"
    )
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {' '.join(comment.split())}" for comment in comments),
        f"element vertex {len(vertices)}",
        *PROPERTIES,
        "end_header",
    ]
    header = "".join(f"{line}\n" for line in lines).encode("ascii", "backslashreplace")
    write_bytes(path, header + vertices.tobytes())
