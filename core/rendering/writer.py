"""Files of the KITTI raw layout. Every file appears whole or not at all."""

import contextlib
import io
import os
from pathlib import Path

import cv2
import numpy as np

from core.cameras.models import Camera
from core.errors import UserError
from core.faults import why_not_written
from core.rendering.rig import Rig
from core.rendering.street import Plan
from core.rendering.trajectory import DATA_FORMAT, RATE, packet

Array = np.ndarray
DATE = "2011_09_26"
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 4]
SIDES = {2: "l", 3: "r"}
RANGE = "range"  # the folder of distances along the rays, which are no depth
RAYS = "rays.npz"


def drive_name(number: int) -> str:
    """Folder of a drive, relative to the data set: date and drive."""
    return f"{DATE}/{DATE}_drive_{number:04d}_sync"


def frame_files(root: Path, drive: int, frame: int, extension: str, ranges: bool = False) -> dict[str, Path]:
    """What a frame consists of: image_02, image_03, depth_02, depth_03, scan; with ranges range_02, range_03, too."""
    folder, name = root / drive_name(drive), f"{frame:010d}"
    files = {"scan": folder / "velodyne_points" / "data" / f"{name}.bin"}
    for camera in SIDES:
        files[f"image_{camera:02d}"] = folder / f"image_{camera:02d}" / "data" / f"{name}.{extension}"
        files[f"depth_{camera:02d}"] = (
            folder / "proj_depth" / "groundtruth" / f"image_{camera:02d}" / f"{name}.png"
        )
        if ranges:
            files[f"range_{camera:02d}"] = folder / RANGE / f"image_{camera:02d}" / f"{name}.png"
    return files


def encode_image(image: Array, extension: str) -> bytes:
    """Bytes of a picture (H, W, 3) RGB uint8."""
    return _encoded(f".{extension}", image[:, :, ::-1], JPEG if extension == "jpg" else PNG)


def encode_depth(depth: Array) -> bytes:
    """16-bit PNG of depth or range (H, W) metres: rounded to 1/256 m, 0 = unknown."""
    return _encoded(".png", np.clip(np.rint(depth * 256), 0, 65535).astype(np.uint16), PNG)


def _encoded(extension: str, image: Array, parameters: list[int]) -> bytes:
    done, data = cv2.imencode(extension, np.ascontiguousarray(image), parameters)
    if not done:
        raise UserError(f"OpenCV cannot write {extension} images here; reinstall opencv-python-headless")
    return bytes(data)


def write(path: Path, data: bytes | str) -> None:
    """Writes to a file beside, then renames."""
    part, content = path.with_name(f".{path.name}.part"), data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        why = why_not_written(error, path, len(content))
        raise UserError(f"{path}: cannot be written{why}; see --output") from error


def write_rays(path: Path, camera: Camera, height: int, width: int) -> None:
    """`rays` (3, H, W) float32 and `valid` (H, W) of both cameras: a template, the truth of what is to be learnt."""
    rays, valid = camera.rays(height, width)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, rays=rays.astype(np.float32), valid=valid)
    write(path, content.getvalue())


def write_poses(root: Path, number: int, plan: Plan, rig: Rig) -> None:
    """T_world_camera of every image, beside the images of each camera, as a user's own sequences have them."""
    start = np.linalg.inv(plan.T_world_rectified(0, rig))
    for camera in SIDES:
        T_rectified_camera = np.linalg.inv(rig.T_camera_rectified(camera))
        poses = [
            start @ plan.T_world_rectified(frame, rig) @ T_rectified_camera for frame in range(plan.frames)
        ]
        write(root / drive_name(number) / f"image_{camera:02d}" / "data" / "poses.txt", _pose_rows(poses))


def write_drive(root: Path, number: int, index: int, plan: Plan, rig: Rig) -> None:
    """Packets, times and poses of a drive: all that is not a frame."""
    folder = root / drive_name(number)
    T_vehicle_imu = rig.T_vehicle_rectified @ rig.T_rectified_velodyne @ rig.T_velodyne_imu
    for frame in range(plan.frames):
        values = packet(plan.trajectory, frame / RATE, T_vehicle_imu)
        write(folder / "oxts" / "data" / f"{frame:010d}.txt", _packet_line(values))
    write(folder / "oxts" / "dataformat.txt", DATA_FORMAT)
    for sensor in ("oxts", "velodyne_points", "image_02", "image_03"):
        write(folder / sensor / "timestamps.txt", "".join(_time(frame) for frame in range(plan.frames)))
    start = np.linalg.inv(plan.T_world_rectified(0, rig))
    poses = [start @ plan.T_world_rectified(frame, rig) for frame in range(plan.frames)]
    write(root / "poses" / f"{index:02d}.txt", _pose_rows(poses))


def write_splits(root: Path, drives: list[tuple[str, int, int]]) -> None:
    """Lists of (split, drive number, frames): both sides for learning, the left one for testing."""
    for split in ("train", "val", "test"):
        lines = [f"{folder} {frame} {side}\n" for folder, frame, side in _split_lines(split, drives)]
        write(root / "splits" / f"{split}_files.txt", "".join(lines))


def write_folder_splits(root: Path, drives: list[tuple[str, int, int]]) -> None:
    """The lists of `write_splits` for `--dataset folder`: each camera's folder is a sequence, with its `poses.txt`."""
    numbers = {side: camera for camera, side in SIDES.items()}
    for split in ("train", "val", "test"):
        lines = [
            f"{folder}/image_{numbers[side]:02d}/data {frame} l\n"
            for folder, frame, side in _split_lines(split, drives)
        ]
        write(root / "folder_splits" / f"{split}_files.txt", "".join(lines))


def _split_lines(split: str, drives: list[tuple[str, int, int]]) -> list[tuple[str, int, str]]:
    """Folder, frame and side of each sample of a split."""
    return [
        (drive_name(number), frame, side)
        for name, number, frames in drives
        if name == split
        for frame in range(1, frames - 1)
        for side in ("l" if split == "test" else "lr")
    ]


def _pose_rows(poses: list[Array]) -> str:
    rows = [" ".join(f"{v:.9e}" for v in T[:3].ravel()) for T in poses]
    return "\n".join(rows) + "\n"


def _packet_line(values: list[float]) -> str:
    position = [f"{v:.13f}" for v in values[:2]]
    state = [str(int(v)) for v in values[25:]]
    return " ".join([*position, *(f"{v:.12g}" for v in values[2:25]), *state]) + "\n"


def _time(frame: int) -> str:
    seconds = 25.594360 + frame / RATE
    return f"2011-09-26 13:{2 + int(seconds // 60) % 58:02d}:{seconds % 60:012.9f}\n"
