"""The point cloud of the rendered street, read back from its file, against the renderer's own rays."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.geometry import relative_intrinsics
from core.prediction.point_cloud import point_cloud, write_ply
from core.rendering.camera import render
from core.rendering.rig import Rig
from tests.core.streets import street
from tests.tolerances import assert_close

HEIGHT, WIDTH = 48, 160


def read_ply(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Comments, points (N, 3) and colours (N, 3) of a binary file; written for this test from the format's text."""
    header, _, body = path.read_bytes().partition(b"\nend_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [line.split()[1:] for line in lines if line.startswith("property ")]
    count = next(int(line.split()[2]) for line in lines if line.startswith("element vertex "))
    vertices = np.frombuffer(body, [(name, kinds[kind]) for kind, name in fields])
    assert len(vertices) == count
    points, colours = (
        np.stack([vertices[name] for name in names], axis=1)
        for names in (("x", "y", "z"), ("red", "green", "blue"))
    )
    return [line.removeprefix("comment ") for line in lines if line.startswith("comment ")], points, colours


def test_the_rendered_street(tmp_path: Path) -> None:
    rig = Rig(HEIGHT, WIDTH)
    T_world_camera = street().plan.T_world_rectified(1, rig)
    image, depth = render(street().scene(1), T_world_camera, rig.K, HEIGHT, WIDTH, 1)
    seen = depth > 0
    fx, fy, cx, cy = rig.K[0, 0], rig.K[1, 1], rig.K[0, 2], rig.K[1, 2]
    relative = fx / WIDTH, fy / HEIGHT, (cx + 0.5) / WIDTH, (cy + 0.5) / HEIGHT
    K = relative_intrinsics(relative, HEIGHT, WIDTH)
    write_ply(
        tmp_path / "street.ply", point_cloud(np.where(seen, depth, 1e6), image, K, 1e5), ["unit: metres"]
    )
    comments, points, colours = read_ply(tmp_path / "street.ply")
    assert comments == ["unit: metres"] and len(points) == seen.sum() > 0.5 * seen.size
    np.testing.assert_array_equal(colours, image[seen])
    # From the camera's place along the ray of each pixel, as far as its depth.
    v, u = np.nonzero(seen)
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones(len(u))], axis=1)
    expected = T_world_camera[:3, 3] + depth[seen][:, None] * (rays @ T_world_camera[:3, :3].T)
    found = points.astype(np.float64) @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
    assert_close(found, expected)
    road = found[(found[:, 2] < 0.05) & (points[:, 2] < 30)]  # the world's z is up
    assert len(road) > 100 and np.abs(road[:, 2]).max() < 0.3


def test_one_camera_by_hand(tmp_path: Path) -> None:
    depth = np.array([[2.0, 4.0], [8.0, 16.0]])
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    K = np.array([[2.0, 0, 1], [0, 4, 0], [0, 0, 1]])
    write_ply(tmp_path / "a.ply", point_cloud(depth, image, K))
    _, points, colours = read_ply(tmp_path / "a.ply")
    assert points.tolist() == [[-1, 0, 2], [0, 0, 4], [-4, 2, 8], [0, 4, 16]]
    np.testing.assert_array_equal(colours, image.reshape(-1, 3))
    assert point_cloud(depth, image, K, 8.0)["xyz"][:, 2].tolist() == [2, 4, 8]


def test_comments_stay_in_their_line(tmp_path: Path) -> None:
    vertices = point_cloud(np.ones((2, 2)), np.zeros((2, 2, 3), np.uint8), np.eye(3))
    write_ply(tmp_path / "a.ply", vertices, ["model: gewöhnlich\nelement vertex 9\nend_header"])
    comments, points, _ = read_ply(tmp_path / "a.ply")
    assert len(points) == 4 and len(comments) == 1


def test_no_point_is_left(tmp_path: Path) -> None:
    none = point_cloud(np.ones((2, 2)), np.zeros((2, 2, 3), np.uint8), np.eye(3), depth_cap=0.5)
    with pytest.raises(UserError, match=r"a\.ply: no point is left to write; raise --depth_cap"):
        write_ply(tmp_path / "a.ply", none)
    assert not list(tmp_path.iterdir())
