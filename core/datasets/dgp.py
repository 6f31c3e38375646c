"""Scenes in the DGP format, read without its library.

scene_dataset*.json                 the files of the scenes of each split
<scene>/*.json                      its samples, each a moment of several sensors, and their data: file, pose
<scene>/calibration/<key>.json      intrinsics of the sensors of a sample
<scene>/<file>                      an image, or an .npz of points

A sensor's datum of a sample is found by its name among the keys of the sample: in real files the keys of neighbours
lead to other sensors.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.datasets.kitti import MAX_IMAGE_SIDE
from core.errors import UserError
from core.files.json_values import JsonValue, read_json
from core.files.listing import matching
from core.geometry import invert_rigid
from core.weights.npz import read_npz

SPLITS = {"train": "0", "val": "1", "test": "2", "train_overfit": "3"}
LIDAR = "lidar"
LISTS = ("scene_dataset*.json", "ddad.json")
CURE = "unpack it again"
POINTS_CURE = "it must hold data, x y z in metres and perhaps more of each point; copy it again"
MAX_CALIBRATION_BYTES = 1 << 20
MAX_POINTS_BYTES = 256 << 20
FARTHEST = 1e8  # metres from the origin of a world on the Earth
UNIT = 1e-2  # how far the norm of a quaternion may be off 1
SENSOR = re.compile(r"\w[\w .-]{0,79}")

Pose = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True)
class Datum:
    """What a sensor measured at a moment.

    Attributes:
        name: of the sensor, as the file has it.
        file: an image or points.
        pose: qw, qx, qy, qz, x, y, z of the sensor in the world, metres.
        size: (height, width) of an image; None of points.
    """

    name: str
    file: Path
    pose: Pose
    size: tuple[int, int] | None

    @property
    def T_world_sensor(self) -> np.ndarray:  # noqa: N802
        """(4, 4) float64."""
        return T_of(self.pose)


@dataclass(frozen=True)
class Moment:
    """A sample.

    Attributes:
        sensors: their data by name in lower case.
        calibration: the file of its calibration.
    """

    sensors: dict[str, Datum]
    calibration: Path


@dataclass(frozen=True)
class Scene:
    """A scene.

    Attributes:
        folder: of its files.
        moments: in the order of time.
    """

    folder: Path
    moments: tuple[Moment, ...]

    @property
    def cameras(self) -> list[str]:
        """Names of all sensors that take images, as the file has them."""
        data = (datum for moment in self.moments for datum in moment.sensors.values())
        return sorted({datum.name for datum in data if datum.size is not None})


# ---- the lists of scenes ---------------------------------------------------------------------------------


def find_list(path: Path) -> Path:
    """The file that lists the scenes: the path itself, or the one in that folder.

    Raises:
        UserError: there is none, or there are several.
    """
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{path}: no such folder; --data_path must be that of {LISTS[0]}, or that file")
        return path
    found = sorted(file for pattern in LISTS for file in matching(path, pattern))
    if not found:
        raise UserError(f"{path}: holds no {' or '.join(LISTS)}; --data_path must be the folder of that file")
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise UserError(f"{path}: holds several lists of scenes ({names}); name one of them by --data_path")
    return found[0]


def read_list(file: Path, split: str) -> list[Path]:
    """The files of a split's scenes, a name of `SPLITS`.

    Raises:
        UserError: the list is damaged or has no such scenes.
    """
    splits = read_json(file, CURE)["scene_splits"]
    known = [name for name, key in SPLITS.items() if key in splits]
    if SPLITS[split] not in splits:
        raise UserError(f"{file}: has no scenes for {split}; it has {', '.join(known) or 'none at all'}")
    names = splits[SPLITS[split]]["filenames"]
    files = [name.path_below(file.parent) for name in names.elements()]
    if not files:
        raise names.error(f"lists no scenes for {split}")
    return files


# ---- a scene ---------------------------------------------------------------------------------------------


def read_scene(file: Path) -> Scene:
    """Reads a scene; once, as long as the file stays as it is.

    Raises:
        UserError: missing or damaged; names the file and the place in it.
    """
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{file}: no such file; {CURE}") from None
    return _read_scene(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _read_scene(file: Path, _changed: int, _size: int) -> Scene:
    content = read_json(file, CURE)
    data: dict[str, Datum | None] = {}  # None: of a kind that nobody reads
    for value in content["data"].elements():
        data[value["key"].text()] = _read_datum(value, file.parent)
    moments = []
    for sample in content["samples"].elements():
        sensors: dict[str, Datum] = {}
        for key in sample["datum_keys"].elements():
            if key.text() not in data:
                raise key.error("is the key of no datum of this file")
            datum = data[key.text()]
            if datum is not None and sensors.setdefault(datum.name.lower(), datum) is not datum:
                raise key.error(f"is the second datum of {datum.name} in its sample")
        folder, name = file.parent / "calibration", sample["calibration_key"]
        calibration = name.path_below(folder)
        moments.append(Moment(sensors, calibration.with_name(f"{calibration.name}.json")))
    return Scene(file.parent, tuple(moments))


def _read_datum(value: JsonValue, folder: Path) -> Datum | None:
    content = value["datum"]
    kind = next((kind for kind in ("image", "point_cloud") if kind in content), None)
    if kind is None:
        return None
    content, name = content[kind], value["id"]["name"]
    if not SENSOR.fullmatch(name.text()):
        raise name.error("is no plain name of a sensor")
    size = None
    if kind == "image":
        size = content["height"].whole(1, MAX_IMAGE_SIDE), content["width"].whole(1, MAX_IMAGE_SIDE)
    return Datum(name.text(), content["filename"].path_below(folder), read_pose(content["pose"]), size)


# ---- poses and cameras -----------------------------------------------------------------------------------


def read_pose(value: JsonValue) -> Pose:
    """Quaternion and translation.

    Raises:
        UserError: something is missing, or the quaternion is no rotation.
    """
    rotation, translation = value["rotation"], value["translation"]
    w, x, y, z = (rotation[key].number() for key in ("qw", "qx", "qy", "qz"))
    if abs(w * w + x * x + y * y + z * z - 1) > UNIT:
        raise rotation.error("is no rotation: the squares of qw, qx, qy, qz must add up to 1")
    tx, ty, tz = (translation[key].number() for key in "xyz")
    if max(abs(tx), abs(ty), abs(tz)) > FARTHEST:
        raise translation.error(f"is more than {FARTHEST:g} m away")
    return w, x, y, z, tx, ty, tz


def T_of(pose: Pose) -> np.ndarray:  # noqa: N802
    """(4, 4) float64 of numbers that are rounded to float32, as the published program reads them."""
    rounded = np.array(pose, np.float32).astype(np.float64)
    quaternion = rounded[:4] / np.linalg.norm(rounded[:4])
    w, (x, y, z) = quaternion[0], quaternion[1:]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    T = np.eye(4)
    T[:3, :3] = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    T[:3, 3] = rounded[4:]
    return T


def read_cameras(file: Path) -> dict[str, np.ndarray]:
    """K (3, 3) float32, pixels, of each sensor of a calibration, by its name in lower case; a skew is passed over.

    Raises:
        UserError: missing or damaged.
    """
    content = read_json(file, CURE, MAX_CALIBRATION_BYTES)
    names = [name.text().lower() for name in content["names"].elements()]
    intrinsics = list(content["intrinsics"].elements())
    if len(names) != len(intrinsics):
        raise content["intrinsics"].error(f"has {len(intrinsics)} entries for {len(names)} names")
    cameras = {}
    for name, value in zip(names, intrinsics, strict=True):
        fx, fy, cx, cy = (value[key].number() for key in ("fx", "fy", "cx", "cy"))
        cameras[name] = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float32)
    return cameras


# ---- points ----------------------------------------------------------------------------------------------


def read_points(file: Path) -> np.ndarray:
    """Points of a scan in the scanner's own frame, in the order of the file: float64 (N, 3), metres.

    Raises:
        UserError: damaged, or no points.
    """
    data = read_npz(file, POINTS_CURE, MAX_POINTS_BYTES).get("data")
    if data is None or data.ndim != 2 or data.shape[1] < 3 or data.dtype.kind != "f":
        raise UserError(f"{file}: no points; {POINTS_CURE}")
    return data[:, :3].astype(np.float64)


def depth_map(
    points: np.ndarray, T_camera_points: np.ndarray, K: np.ndarray, size: Sequence[int], nearest: bool = False
) -> np.ndarray:
    """Depth of points in an image.

    Pixels are truncated toward zero, not floored, so that -0.9 is in the image's first column.

    Args:
        points: (N, 3), metres.
        T_camera_points: (4, 4).
        K: (3, 3), pixels.
        size: height, width.
        nearest: of several points in a pixel keep the nearest; otherwise the last one, as published.

    Returns:
        float32 (height, width), metres, 0 = unknown.
    """
    height, width = size
    seen = points @ T_camera_points[:3, :3].T + T_camera_points[:3, 3]
    seen = seen[np.isfinite(seen).all(axis=1) & (seen[:, 2] > 0)]
    projected = seen @ K.astype(np.float64).T
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        u, v = np.trunc(projected[:, :2].T / projected[:, 2])
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    u, v, z = u[inside].astype(np.int64), v[inside].astype(np.int64), seen[inside, 2]
    if nearest:
        order = np.argsort(-z, kind="stable")
        u, v, z = u[order], v[order], z[order]
    depth = np.zeros((height, width), np.float32)
    depth[v, u] = z  # the last point of a pixel stays
    return depth


def T_camera_lidar(camera: Datum, lidar: Datum) -> np.ndarray:  # noqa: N802
    """(4, 4) float64, each sensor at its own time."""
    return np.asarray(invert_rigid(camera.T_world_sensor) @ lidar.T_world_sensor)
