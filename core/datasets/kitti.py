"""The KITTI raw layout: where files lie, the calibration, the scans (Geiger et al. 2013)."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.faults import why_not_read
from core.files.images import open_image
from core.files.regular import open_regular, read_text
from core.plausibility.cameras import check_projections, check_rotation
from core.plausibility.scans import check_scan, other_layout
from core.plausibility.truth import check_annotated

MAX_IMAGE_SIDE = 16384  # a larger size in a calibration is a mistake, and would fill the memory
MAX_SCAN_BYTES = 256 << 20  # a revolution has two megabytes
FLOATS_PER_POINT = 4  # x, y, z, reflectance


def image_path(root: Path, folder: str, frame: int, camera: int, extension: str) -> Path:
    """A colour image; extension such as `.jpg`."""
    return _image_folder(root, folder, camera) / f"{frame:010d}{extension}"


@lru_cache(maxsize=1000)
def _image_folder(root: Path, folder: str, camera: int) -> Path:
    """Of a drive's camera; a list names each thousands of times."""
    return root / folder / f"image_{camera:02d}" / "data"


def scan_path(root: Path, folder: str, frame: int) -> Path:
    """A velodyne scan."""
    return root / folder / "velodyne_points" / "data" / f"{frame:010d}.bin"


def depth_path(root: Path, folder: str, frame: int, camera: int, kind: str, extension: str) -> Path:
    """A depth map that was made of scans, merged into the raw tree: `proj_depth/<kind>`."""
    return root / folder / "proj_depth" / kind / f"image_{camera:02d}" / f"{frame:010d}{extension}"


def annotated_depth_path(root: Path, folder: str, frame: int, camera: int) -> Path:
    """An annotated depth map, merged into the raw tree."""
    return depth_path(root, folder, frame, camera, "groundtruth", ".png")


def calibration_folder(root: Path, folder: str) -> Path:
    """The folder of a day, which holds the calibration of its drives."""
    return root / folder.split("/")[0]


@dataclass(frozen=True)
class Calibration:
    """Calibration of one day.

    Attributes:
        image_size: (height, width) of the rectified images, by `S_rect_02` for both cameras.
        P_rect: (3, 4) projection from the rectified reference camera, by camera number.
        R_rect_00: (4, 4) rectifying rotation of the reference camera.
        T_camera_velodyne: (4, 4), scanner to reference camera, metres.
    """

    image_size: tuple[int, int]
    P_rect: dict[int, np.ndarray]
    R_rect_00: np.ndarray
    T_camera_velodyne: np.ndarray

    def projection(self, camera: int) -> np.ndarray:
        """(3, 4) float64: homogeneous scanner coordinates to (u z, v z, z) of camera 2 or 3."""
        return self.P_rect[camera] @ self.R_rect_00 @ self.T_camera_velodyne


def read_calibration(folder: Path) -> Calibration:
    """Reads `calib_cam_to_cam.txt` and `calib_velo_to_cam.txt` of a day.

    Raises:
        UserError: a file is missing or unreadable, or an entry is missing, malformed or of no camera; names both.
    """
    cameras = CalibrationFile(folder / "calib_cam_to_cam.txt")
    scanner = CalibrationFile(folder / "calib_velo_to_cam.txt")
    R_rect_00, T_camera_velodyne = np.eye(4), np.eye(4)
    R_rect_00[:3, :3] = cameras.numbers("R_rect_00", 9).reshape(3, 3)
    T_camera_velodyne[:3, :3] = scanner.numbers("R", 9).reshape(3, 3)
    T_camera_velodyne[:3, 3] = scanner.numbers("T", 3)
    P_rect = {camera: cameras.numbers(f"P_rect_{camera:02d}", 12).reshape(3, 4) for camera in (2, 3)}
    size = cameras.image_size("S_rect_02")
    check_rotation(cameras.path, "R_rect_00", R_rect_00[:3, :3].tolist())
    check_rotation(scanner.path, "R", T_camera_velodyne[:3, :3].tolist())
    check_projections(
        cameras.path, {f"P_rect_{camera:02d}": P.tolist() for camera, P in P_rect.items()}, size
    )
    return Calibration(size, P_rect, R_rect_00, T_camera_velodyne)


class CalibrationFile:
    """A text file of `key: values` lines."""

    def __init__(self, path: Path, cure: str = "unpack KITTI's *_calib.zip of that day there") -> None:
        """Raises UserError when the file is missing, and says the cure, or when it is not text."""
        self.path = path
        try:
            text = read_text(path)
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such calibration; {cure}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read as a calibration: {why_not_read(error)}") from error
        self.entries: dict[str, str] = {}
        for line in text.splitlines():
            key, colon, values = line.partition(":")
            if colon and self.entries.setdefault(key, values).split() != values.split():
                raise UserError(
                    f"{path}: malformed calibration: {key!r} stands there twice with other values; keep one"
                )

    def numbers(self, key: str, count: int) -> np.ndarray:
        """The numbers of an entry, float64 (count,).

        Raises:
            UserError: the entry is missing, or is not that many finite numbers.
        """
        if key not in self.entries:
            raise UserError(f"{self.path}: malformed calibration: no entry {key!r}")
        words = self.entries[key].split()
        try:
            values = np.array([float(word) for word in words])
        except ValueError as error:
            raise UserError(f"{self.path}: malformed calibration: {key}: {error}") from error
        if len(values) != count or not np.isfinite(values).all():
            raise UserError(
                f"{self.path}: malformed calibration: {key} must be {count} finite numbers, not {words}"
            )
        return values

    def image_size(self, key: str) -> tuple[int, int]:
        """(height, width) of an entry that holds width and height.

        Raises:
            UserError: not a possible image size.
        """
        width, height = self.numbers(key, 2)
        if not (1 <= width <= MAX_IMAGE_SIDE and 1 <= height <= MAX_IMAGE_SIDE):
            raise UserError(
                f"{self.path}: malformed calibration: {key} gives an image of {width:g}×{height:g}"
            )
        return int(height), int(width)


def read_scan(path: Path) -> np.ndarray:
    """Reads a velodyne scan: float32 (N, 4), x forward, y left, z up in metres, then reflectance.

    Raises:
        UserError: missing, empty or truncated, or of another layout or unit.
    """
    try:
        with open_regular(path, MAX_SCAN_BYTES) as file:
            content = bytearray(file.read())
        size = len(content)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such scan; unpack the velodyne_points of that drive there") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {why_not_read(error)}") from error
    if size == 0 or size % (4 * FLOATS_PER_POINT) != 0:
        cure = other_layout(content) or "copy it again"
        raise UserError(f"{path}: truncated scan: {size} bytes are no whole number of points; {cure}")
    scan = np.frombuffer(content, dtype="<f4").reshape(-1, FLOATS_PER_POINT)
    check_scan(path, scan, content)
    return scan


def read_annotated_depth(path: Path) -> np.ndarray:
    """Reads an annotated depth map: float32 (height, width), camera-z metres, 0 = unknown.

    Raises:
        UserError: missing, damaged, or not a 16-bit image.
    """
    image = open_image(path, "merge KITTI's annotated depth (proj_depth) into the raw tree", exact=True)
    if not image.mode.startswith("I"):
        raise UserError(f"{path}: not a 16-bit depth image but of mode {image.mode}; copy the original again")
    depth = np.asarray(image).astype(np.float32) / 256
    check_annotated(path, depth)
    return depth
