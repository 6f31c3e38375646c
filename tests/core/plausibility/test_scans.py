"""Scans of other layouts and units; right ones pass without a word."""

from pathlib import Path

import numpy as np
import pytest

import export_gt_depth
from core.datasets.ground_truth import load_ground_truth, look_at_scans
from core.datasets.kitti import read_scan, scan_path
from core.datasets.splits import SplitLine, load_split
from core.errors import UserError
from core.plausibility import checks
from tests.scripts import refused, run_here, succeeds

REAL = "2011_09_26/2011_09_26_drive_9001_sync"


@pytest.fixture
def scan(rendered: Path) -> np.ndarray:
    """The first scan of the test drive."""
    line = load_split(rendered / "splits", "test")[0]
    return read_scan(scan_path(rendered, line.folder, line.frame))


def spoiled(points: np.ndarray, tmp_path: Path) -> Path:
    (tmp_path / "scan.bin").write_bytes(points.tobytes())
    return tmp_path / "scan.bin"


def with_ring(points: np.ndarray) -> np.ndarray:
    """A fifth column, so that the file still has whole points of four."""
    return np.c_[points, np.arange(len(points)) % 64].astype("<f4")[: len(points) // 4 * 4]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (with_ring, "looks like five columns"),
        (
            lambda q: np.c_[q, np.arange(len(q)) % 64].astype("<f4")[: len(q) // 4 * 4 - 3],
            "looks like five columns",
        ),
        (lambda q: q[: len(q) // 4 * 4, :3], "looks like three columns"),
        (lambda q: np.c_[q, q[:, :2] * 0 + 7].astype("<f4")[: len(q) // 2 * 2], "looks like six columns"),
        (lambda q: q.astype("<f8"), "looks like 64-bit numbers"),
        (lambda q: q.astype(">f4"), "looks like big-endian numbers"),
        (lambda q: q * np.float32([1, 1, 1, 255]), "divide it by 255"),
        (lambda q: q * np.float32([1000, 1000, 1000, 1]), "looks like millimetres"),
        (lambda q: q * np.float32([100, 100, 100, 1]), "centimetres"),
        (lambda q: q * np.float32([1e-3, 1e-3, 1e-3, 1]), "looks like kilometres"),
        (lambda q: np.c_[-q[:, 1], -q[:, 2], q[:, 0], q[:, 3]].astype("<f4"), "looks like a camera's axes"),
        (
            lambda q: np.frombuffer(b"# .PCD v0.7\nVERSION 0.7\n".ljust(1600), np.uint8),
            "looks like a .pcd file",
        ),
    ],
)
def test_other_layouts_and_units_are_named(scan, tmp_path, make, said):
    path = spoiled(np.ascontiguousarray(make(scan)), tmp_path)
    with pytest.raises(UserError, match=rf"scan\.bin: .*{said}"):
        read_scan(path)


def in_angles(points: np.ndarray, unit: float) -> np.ndarray:
    x, y, z = points[:, :3].T
    far = np.linalg.norm(points[:, :3], axis=1)
    return np.c_[far, unit * np.arctan2(y, x), unit * np.arcsin(z / far), points[:, 3]].astype("<f4")


@pytest.mark.parametrize("unit", ["radians", "degrees"])
def test_scans_in_distance_and_angles(scan, tmp_path, unit):
    """abs_rel 0.351 and 0.299 in place of 0.001."""
    points = in_angles(scan, 1.0 if unit == "radians" else 180 / np.pi)
    with pytest.raises(UserError, match=f"looks like distance and angles in {unit}"):
        read_scan(spoiled(points, tmp_path))


def test_heights_from_the_ground(scan, tmp_path):
    """abs_rel 1.051 in place of 0.001."""
    read_scan(spoiled(scan + np.float32([0, 0, 1.73, 0]), tmp_path))
    assert "is z counted from the ground?" in checks.warnings()[0]


def turned(points: np.ndarray, degrees: float, mirrored: bool = False) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y = points[:, 0], points[:, 1] * (-1 if mirrored else 1)
    return np.c_[c * x - s * y, s * x + c * y, points[:, 2:]].astype("<f4")


@pytest.mark.parametrize(
    ("degrees", "mirrored", "said"),
    [
        (90, False, "turned by 90° about z"),
        (-7, False, "turned by -7° about z"),
        (0, True, "mirrored (y right):"),
    ],
)
def test_scans_that_are_turned(drive, capsys, degrees, mirrored, said):
    """Of a scanner that is mounted otherwise: 90° gave abs_rel 0.327, 10° 0.293, mirrored 0.258."""
    lines = load_split(drive / "splits", "test")
    look_at_scans(drive, lines)
    assert checks.warnings() == []
    for line in lines:
        path = scan_path(drive, line.folder, line.frame)
        path.write_bytes(turned(read_scan(path), degrees, mirrored).tobytes())
    look_at_scans(drive, lines)
    (warning,) = checks.warnings()
    assert f"the scans look {said}" in warning and "2 scans" in warning


def test_real_scans_lie_on_their_images(shared):
    root = shared / "data/kitti_raw_mono"
    look_at_scans(root, [SplitLine(REAL, frame, "l") for frame in (0, 2)])
    assert checks.warnings() == []


def test_real_and_rendered_scans_pass_without_a_word(rendered, shared, capsys):
    for path in (shared / "data/kitti_raw_mono" / REAL).rglob("*.bin"):
        assert len(read_scan(path)) > 110_000
    for path in rendered.rglob("*.bin"):
        read_scan(path)
    assert checks.warnings() == [] and capsys.readouterr().err == ""


def test_a_stray_echo_is_a_warning_and_points_without_return_are_none(scan, tmp_path, capsys):
    points = scan.copy()
    points[7, :3] = 900, 0, 0
    points[9] = np.nan
    assert len(read_scan(spoiled(points, tmp_path))) == len(scan)
    assert capsys.readouterr().err.startswith("warning: ") and "farther than 200 m" in checks.warnings()[0]


def test_a_scan_upside_down_is_a_warning(scan, shared, tmp_path, capsys):
    """Of many scans that are alike the first is printed, and all are kept; in feet, too."""
    real = [read_scan(path) for path in (shared / "data/kitti_raw_mono" / REAL).rglob("*.bin")]
    for points in (scan, *real):
        read_scan(spoiled(points * np.float32([1, -1, -1, 1]), tmp_path))
    assert len(checks.warnings()) == 1 + len(real)
    said = capsys.readouterr().err
    assert said.count("warning: ") == 1 and "does its z point down?" in said
    for number in (1, 2):
        far = scan * np.float32([3, 3, 3, 1])
        far[number, :3] = 700 + number, 0, 0
        read_scan(spoiled(far, tmp_path))
    assert capsys.readouterr().err.count("farther than 200 m") == 1


def test_five_columns_never_become_ground_truth(drive, tmp_path):
    """W1: 4334 pixels a map were 4312, and abs_rel 2.597 was 0.001."""
    for line in load_split(drive / "splits", "test"):
        path = scan_path(drive, line.folder, line.frame)
        path.write_bytes(with_ring(read_scan(path)).tobytes())
    words = ["export_gt_depth.py", "--data_path", drive, "--split", drive / "splits", "--source", "velodyne"]
    message = refused(*words, "--output", "gt.npz", folder=tmp_path, here=True)
    assert "reflectance (KITTI: 0 to 1)" in message and "five columns" in message
    assert message.endswith("; or --accept scan_layout")
    done = run_here(*words, "--output", tmp_path / "gt.npz", "--accept", "scan_layout")
    assert done.returncode == 0 and done.stderr.count("accepted (scan_layout): ") == 1
    assert (tmp_path / "gt.npz").is_file()


def test_the_right_export_is_the_right_number_without_a_word(rendered, tmp_path):
    output = tmp_path / "gt.npz"
    words = [
        "--data_path",
        rendered,
        "--split",
        rendered / "splits",
        "--source",
        "velodyne",
        "--output",
        output,
    ]
    printed = succeeds("export_gt_depth.py", *words, here=True)
    counts = [depth.index.size for depth in load_ground_truth(output)]
    assert f"{np.mean(counts):.0f} known pixels each" in printed and min(counts) > 100


def test_accept_knows_its_names():
    with pytest.raises(UserError, match="scan_layuot"):
        export_gt_depth.main(["--data_path", "x", "--split", "y", "--accept", "scan_layuot"])
