"""A tiny data set in the DGP format for tests, and a copy of the real sample that may be written to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.core.kitti_folder import noise

HEIGHT, WIDTH = 48, 96
CAMERAS = ("CAMERA_01", "CAMERA_05")
STEP = 0.5  # metres forward from one sample to the next
INTRINSICS = {"fx": 60.0, "fy": 55.0, "cx": 47.0, "cy": 23.5, "skew": 3.0}
SCENE, CALIBRATION = "scene_01/scene_a.json", "scene_01/calibration/c.json"
LIST = "scene_dataset_v1.0.json"


def pose(x: float, z: float) -> dict[str, Any]:
    """Not turned; camera and scanner look along z."""
    return {
        "rotation": {"qw": 1.0, "qx": 0.0, "qy": 0.0, "qz": 0.0},
        "translation": {"x": x, "y": 0, "z": z},
    }


def points(seed: int, count: int = 400) -> np.ndarray:
    """(count, 4), most of them in front."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(-2, 30, count)
    x, y = rng.uniform(-0.8, 0.8, count) * z, rng.uniform(-0.4, 0.4, count) * z
    return np.stack([x, y, z, rng.uniform(size=count)], axis=1)


def write_scenes(root: Path, samples: int = 4) -> Path:
    """One scene of both cameras and a scanner, which is the training, the validation and the test."""
    scene, data, listed = root / "scene_01", [], []
    for number in range(samples):
        keys = []
        for order, sensor in enumerate(("LIDAR", *CAMERAS)):
            key, place = f"{sensor}-{number}", pose(0.1 * order, STEP * number)
            if sensor == "LIDAR":
                content = {"filename": f"point_cloud/LIDAR/{number}0.npz", "pose": place}
                path = scene / content["filename"]
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, data=points(number))
                datum = {"point_cloud": content}
            else:
                content = {"filename": f"rgb/{sensor}/{number}1.jpg", "pose": place}
                path = scene / content["filename"]
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise(HEIGHT, WIDTH, 10 * number + order)).save(path)
                datum = {"image": content | {"height": HEIGHT, "width": WIDTH, "channels": 3}}
            keys.append(key)
            data.append(
                {"key": key, "id": {"name": sensor, "timestamp": "x"}, "datum": datum, "next_key": "LIDAR-0"}
            )
        listed.append({"calibration_key": "c", "datum_keys": keys[::-1]})
    write(root / SCENE, {"samples": listed, "data": data})
    names = ["LIDAR", *CAMERAS]
    write(
        root / CALIBRATION,
        {"names": names, "intrinsics": [dict.fromkeys(INTRINSICS, 0.0)] + [INTRINSICS] * 2},
    )
    write(root / LIST, {"scene_splits": {key: {"filenames": [SCENE]} for key in "012"}})
    return root


def write(path: Path, content: Any) -> None:
    """Writes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def read(path: Path) -> Any:
    """Reads JSON."""
    return json.loads(path.read_text())


def copy_sample(shared: Path, root: Path, step: float = 0.0) -> Path:
    """The real sample, by links to its images and points, in folders of its own.

    Args:
        step: metres that the car drives from one sample to the next along the world's x; the real one stands still.
    """
    original = shared / "data" / "ddad_dgp_mini"
    (root / "scene_01").mkdir(parents=True)
    (root / LIST).symlink_to(original / LIST)
    for folder in ("rgb", "point_cloud", "calibration"):
        (root / "scene_01" / folder).symlink_to(original / "scene_01" / folder)
    (file,) = (original / "scene_01").glob("scene_*.json")
    content = read(file)
    numbers = {
        key: number for number, sample in enumerate(content["samples"]) for key in sample["datum_keys"]
    }
    for datum in content["data"]:
        (measured,) = datum["datum"].values()
        measured["pose"]["translation"]["x"] += step * numbers[datum["key"]]
    write(root / "scene_01" / file.name, content)
    return root
