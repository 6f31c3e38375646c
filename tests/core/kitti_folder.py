"""A tiny folder in KITTI raw layout for tests: a stereo drive with scans, calibration, annotated depth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.datasets.ground_truth import SparseDepth

DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_0001_sync"
HEIGHT, WIDTH = 48, 128

CAMERAS = f"""calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_rect_02: {WIDTH}.0 {HEIGHT}.0
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_02: 64 0 64 0 0 64 24 0 0 0 1 0
P_rect_03: 64 0 64 -32 0 64 24 0 0 0 1 0
"""
SCANNER = """calib_time: 15-Mar-2012 11:37:16
R: 0 -1 0 0 0 -1 1 0 0
T: 0 0 0
"""


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """Blurred coloured noise, uint8 (height, width, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def write_drive(root: Path, frames: int = 5, extension: str = "png", scans: bool = True) -> Path:
    """Writes frames 0 … frames - 1 of the drive and returns the root."""
    drive = root / DRIVE
    for camera in (2, 3):
        for frame in range(frames):
            image = Image.fromarray(noise(HEIGHT, WIDTH, 10 * frame + camera))
            path = drive / f"image_{camera:02d}" / "data" / f"{frame:010d}.{extension}"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    (root / DATE / "calib_cam_to_cam.txt").write_text(CAMERAS)
    (root / DATE / "calib_velo_to_cam.txt").write_text(SCANNER)
    if scans:
        for frame in range(frames):
            write_scan(drive / "velodyne_points" / "data" / f"{frame:010d}.bin", seed=frame)
    return root


def write_scan(path: Path, seed: int = 0, points: int = 500) -> None:
    """A scan of random points, most of them in front of the camera."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 30, points)
    scan = np.stack([x, rng.uniform(-0.8, 0.8, points) * x, rng.uniform(-0.3, 0.3, points) * x, x * 0], 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    scan.astype("<f4").tofile(path)


def write_annotated(root: Path, frame: int, camera: int = 2) -> np.ndarray:
    """An annotated depth map of the drive; returns its 16-bit pixels."""
    pixels = np.random.default_rng(frame).integers(0, 20000, (HEIGHT, WIDTH)).astype(np.uint16)
    pixels[pixels < 10000] = 0
    path = root / DRIVE / "proj_depth" / "groundtruth" / f"image_{camera:02d}" / f"{frame:010d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def write_first_version(path: Path, maps: Sequence[SparseDepth]) -> None:
    """Ground truth as it was written before its numbers were packed."""
    np.savez_compressed(
        path,
        version=np.int32(1),
        shapes=np.array([depth.shape for depth in maps], np.int32),
        counts=np.array([depth.index.size for depth in maps], np.int32),
        index=np.concatenate([depth.index for depth in maps]),
        values=np.concatenate([depth.values for depth in maps]),
        lines=np.array([depth.line for depth in maps]),
    )
