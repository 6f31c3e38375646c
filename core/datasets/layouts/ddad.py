"""DDAD, and other scenes in the DGP format: cameras by name, poses, a scanner's points; see `core/datasets/dgp.py`.

Depth maps made of the points are kept in `<scene>/depth/lidar/<CAMERA>/<time>.npz` under `depth`, where the published
programs keep theirs, too.
"""

import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from core.datasets.depth_files import read_named_depth
from core.datasets.dgp import (
    LIDAR,
    SPLITS,
    Datum,
    Moment,
    Scene,
    T_camera_lidar,
    depth_map,
    find_list,
    read_cameras,
    read_list,
    read_points,
    read_scene,
)
from core.datasets.evaluated_images import EvaluatedImages, OnDemand, checked_truths
from core.datasets.known_poses import Intrinsics, KnownMotion, MissingPoseError
from core.datasets.motion import spread
from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.scan_evidence import SCANS, Seen, check_scans
from core.datasets.splits import LEFT, LISTS, SplitLine
from core.errors import UserError
from core.files.arrays import save_arrays
from core.files.images import image_size
from core.options import EvaluationOptions
from core.options.base import different, list_name
from core.options.needs import Listing, Needs, Preparation

CAMERA = "camera_01"  # unless another is asked for
NEAREST = "lidar_nearest"  # of several points in a pixel the nearest, not the last


class Ddad(SequenceDataset):
    """Lines are made from the list of scenes: a scene's file, the number of the sample in it, the camera.

    The split is one of `core.datasets.dgp.SPLITS`; the name of a list of another data set counts for nothing,
    then it is the part.
    """

    takes_split = False
    DEPTHS = (LIDAR, NEAREST)

    @classmethod
    def split_lines(cls, listing: Listing, part: str, needs: Needs) -> tuple[list[SplitLine], list[str]]:
        """Every sample that has the camera, as its sources have, and the scanner where depth is asked for."""
        if "s" in needs.frames:
            raise UserError("--dataset ddad: has no stereo pairs; leave out --use_stereo")
        named = (listing.depth, listing.input_depth) != (None, None) or bool(needs.truth)
        measured = needs.depth or (named and listing.ground_truth is None)
        return find_lines(
            Path(listing.path),
            part if _is_of_another(listing.split) else listing.split,
            [listing.camera or CAMERA],
            [int(frame) for frame in needs.frames],
            measured,
        )

    # --- images ---

    def _find_root(self, data_path: Path) -> Path:
        return data_path if data_path.is_dir() else data_path.parent

    def _open(self, png: bool | None) -> None:
        """Reads the scenes of the lines, and the calibrations of their samples."""
        files = dict.fromkeys(line.folder for line in self.lines)
        self.scenes = {name: read_scene(self.root / name) for name in files}
        calibrations = {self.scenes[line.folder].moments[line.frame].calibration for line in self.lines}
        self._cameras = {file: read_cameras(file) for file in sorted(calibrations)}
        seen: dict[tuple[str, str | None], SplitLine] = {}
        for line in self.lines:
            self.intrinsics(line)
            seen.setdefault((line.folder, line.side), line)
        for line in seen.values():
            self._check_size(line)

    def moment_of(self, line: SplitLine, frame: Frame) -> Moment | None:
        """The sample of a frame; None beyond the ends of the scene."""
        if frame == "s":
            raise UserError("--dataset ddad: has no stereo pairs; leave out --use_stereo")
        moments, number = self.scenes[line.folder].moments, line.frame + int(frame)
        return moments[number] if 0 <= number < len(moments) else None

    def datum(self, line: SplitLine, frame: Frame, sensor: str | None = None) -> Datum | None:
        """What a sensor, here the line's camera, measured at a frame; None where it did not."""
        moment = self.moment_of(line, frame)
        return None if moment is None else moment.sensors.get((sensor or line.side or CAMERA).lower())

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame; where there is none, a path that says so."""
        datum = self.datum(line, frame)
        missing = self.scenes[line.folder].folder / f"(sample {line.frame} {frame:+} of {line.side})"
        return missing if datum is None else datum.file

    def camera_number(self, line: SplitLine) -> int:
        """No camera has another beside it."""
        return LEFT

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        line = self.lines[index]
        return f"sample {line.frame} (from 0) of {line.side} in {line.folder}"

    def _cure(self, index: int) -> str:
        return f"{self.describe(index)} needs it; unpack it again"

    def _check_size(self, line: SplitLine) -> None:
        """Makes sure that images have the size that K is of; a missing or damaged one is another's to find."""
        camera, file = self._camera(line), self.image_path(line, 0)
        try:
            found = image_size(file)
        except UserError:
            return
        if found != camera.size and camera.size is not None:
            sizes = [f"{width}x{height}" for height, width in (found, camera.size)]
            raise UserError(
                f"{file}: has {sizes[0]} pixels, its scene says {sizes[1]}, which K is of; take the original images "
                "(training resizes them itself)"
            )

    # --- the camera ---

    def _camera(self, line: SplitLine) -> Datum:
        """The target."""
        datum = self.datum(line, 0)
        if datum is None or datum.size is None:
            raise UserError(f"{self.root / line.folder}: sample {line.frame} has no images of {line.side}")
        return datum

    def _pixels(self, line: SplitLine) -> np.ndarray:
        """K (3, 3) float32 of the file."""
        name, moment = self._camera(line).name, self.scenes[line.folder].moments[line.frame]
        K = self._cameras[moment.calibration].get(name.lower())
        if K is None or not (K[0, 0] > 0 and K[1, 1] > 0):
            raise UserError(f"{moment.calibration}: no intrinsics of {name}; unpack it again")
        return K

    def intrinsics(self, line: SplitLine) -> Intrinsics:
        """fx, fy, cx, cy in units of the image size, of the sample's calibration."""
        K, size = self._pixels(line).astype(np.float64), self._camera(line).size
        assert size is not None  # an image
        height, width = size
        return K[0, 0] / width, K[1, 1] / height, (K[0, 2] + 0.5) / width, (K[1, 2] + 0.5) / height

    def K_source(self, line: SplitLine) -> str:  # noqa: N802
        """Where the intrinsics come from."""
        return str(self.scenes[line.folder].moments[line.frame].calibration)

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        """The poses of the line's camera in its scene."""
        if len({one.side for one in self.lines}) > 1:
            raise ValueError("motion is that of one camera: make a data set of each")
        file, moments = self.root / line.folder, self.scenes[line.folder].moments

        def read(number: int) -> np.ndarray:
            datum = moments[number].sensors.get((line.side or CAMERA).lower()) if number >= 0 else None
            if datum is None:
                raise MissingPoseError(f"{file}: no pose of {line.side} in sample {number}")
            return datum.T_world_sensor

        return KnownMotion(read, {LEFT: np.eye(4)})

    # --- depth ---

    def check_scans(self) -> None:
        """Of the moments that have points."""
        seen = []
        for line in spread([line for line in self.lines if self.has_points(line)], SCANS):
            camera, lidar = self._camera(line), self.datum(line, 0, LIDAR)
            assert camera.size is not None and lidar is not None  # an image, and has_points
            projection = self._pixels(line).astype(np.float64) @ T_camera_lidar(camera, lidar)[:3]
            points = read_points(lidar.file)
            seen.append(Seen(points, projection, camera.file, camera.size))
        check_scans(f"scans of {self.root}", seen)

    def has_points(self, line: SplitLine) -> bool:
        """Whether the scanner's file of a line's moment is there."""
        lidar = self.datum(line, 0, LIDAR)
        return lidar is not None and lidar.file.is_file()

    def kept_path(self, line: SplitLine, kind: str) -> Path:
        """Where the depth map of a line's target is kept."""
        camera = self._camera(line)
        return self.scenes[line.folder].folder / "depth" / kind / camera.name / f"{camera.file.stem}.npz"

    def _found_map(self, line: SplitLine, kind: str) -> Path | None:
        """The depth map that somebody has made, under the scanner's name in whichever case."""
        path = self.kept_path(line, kind)
        named = path.parents[2] / kind.upper() / path.parent.name / path.name
        return next((file for file in (path, named) if file.is_file()), None)

    def depth_file(self, line: SplitLine, kind: str) -> Path | None:
        """The map that is kept, else the points."""
        lidar = self.datum(line, 0, LIDAR)
        return self._found_map(line, kind) or (None if lidar is None else lidar.file)

    def measured_depth(self, line: SplitLine, kind: str) -> np.ndarray | None:
        """The map that is kept; else the points in the image, kept from now on where the folder can be written to."""
        camera, lidar = self._camera(line), self.datum(line, 0, LIDAR)
        assert camera.size is not None  # an image
        found = self._found_map(line, kind)
        if found is not None:
            depth = read_named_depth(found, "depth")
            if depth.shape != camera.size:
                raise UserError(
                    f"{found}: a depth map of {depth.shape}, but the images are {camera.size} (height, width); "
                    "remove it"
                )
            return depth
        if lidar is None or not lidar.file.is_file():
            return None
        T, K = T_camera_lidar(camera, lidar), self._pixels(line)
        depth = depth_map(read_points(lidar.file), T, K, camera.size, nearest=kind == NEAREST)
        self._keep(self.kept_path(line, kind), depth)
        return depth

    def _keep(self, path: Path, depth: np.ndarray) -> None:
        """Writes a map; where that cannot be, it is made again each time."""
        there = next(place for place in path.parents if place.is_dir())
        if not self.may_keep or not os.access(there, os.W_OK | os.X_OK):
            return
        try:
            save_arrays(path, {"depth": depth}, compressed=True)
        except UserError as error:
            self.may_keep = False
            self.notes.append(f"{error}; depth maps are made of the points each time")


# ---- lines -----------------------------------------------------------------------------------------------


def _is_of_another(split: str) -> bool:
    """Whether a split is none of DGP's but a list of another data set, or nothing.

    Raises:
        UserError: it is neither.
    """
    if split in SPLITS:
        return False
    if split and list_name(split) not in LISTS:
        raise UserError(
            f"split {split[:300]!r}: --dataset ddad has {', '.join(SPLITS)}; leave it out or name one"
        )
    return True


def find_lines(
    path: Path, split: str, cameras: Sequence[str], frames: Sequence[int], measured: bool
) -> tuple[list[SplitLine], list[str]]:
    """The lines of a split, scene by scene, moment by moment, camera by camera.

    Args:
        path: root folder, or the file that lists the scenes.
        split: a name of `SPLITS`.
        cameras: their names, in any case.
        frames: of a sample, 0 first.
        measured: only samples with points.

    Returns:
        The lines, and notes for the user: how many samples lack a sensor, among other things.

    Raises:
        UserError: a file is missing or damaged, or nothing is left.
    """
    file = find_list(path)
    root = path if path.is_dir() else path.parent
    scenes = {scene.relative_to(root).as_posix(): read_scene(scene) for scene in read_list(file, split)}
    lacking: Counter[str] = Counter()
    lines = []
    for name, scene in scenes.items():
        for number in range(-min(0, *frames), len(scene.moments) - max(0, *frames)):
            for camera in cameras:
                line = _line(scene, name, number, camera.lower(), frames)
                lacks = f"images of {camera}" if line is None else None
                if line is not None and measured and LIDAR not in scene.moments[number].sensors:
                    lacks = f"points of {LIDAR}"
                if lacks is not None:
                    lacking[lacks] += 1
                elif line is not None:
                    lines.append(line)
    left_out = ", ".join(f"{count} without {what}" for what, count in lacking.items())
    if not lines:
        known = sorted({name for scene in scenes.values() for name in scene.cameras})
        reason = left_out or f"no scene is long enough for the frames {' '.join(map(str, frames))}"
        raise UserError(f"{file}: split {split}: no samples ({reason}); its cameras are {', '.join(known)}")
    notes = [f"{file}: split {split}: {len(scenes)} scenes, {len(lines)} samples of {', '.join(cameras)}"]
    return lines, notes + ([f"{file}: left out: {left_out}"] if lacking else [])


def _line(scene: Scene, name: str, number: int, camera: str, frames: Sequence[int]) -> SplitLine | None:
    """The line of a sample; None where the camera is not there in all of its frames."""
    data = [scene.moments[number + frame].sensors.get(camera) for frame in frames]
    target = data[0]
    if target is None or any(datum is None or datum.size is None for datum in data):
        return None
    return SplitLine(name, number, target.name)


# ---- evaluation ------------------------------------------------------------------------------------------


class DdadImages(EvaluatedImages):
    """All images of some cameras of a split that have points.

    Args:
        options: of the evaluation.

    Raises:
        UserError: there are none, or a file is damaged.
    """

    def __init__(self, options: EvaluationOptions) -> None:
        self.path, split = Path(options.data_path), options.split
        if split not in SPLITS:
            raise UserError(
                f"option eval_split: {split[:300]!r} is none of {', '.join(SPLITS)}, the splits of --dataset ddad; "
                "name one, or a protocol of that data set by --protocol"
            )
        cameras = different(options.cameras or [CAMERA])
        self.lines, self.notes = find_lines(self.path, split, cameras, [0], not options.no_eval)
        self.names = [str(line) for line in self.lines]

    @property
    def sequences(self) -> list[str]:
        """The files of the scenes."""
        return [line.folder for line in self.lines]

    @property
    def groups(self) -> list[str]:
        """The cameras."""
        return [line.side or CAMERA for line in self.lines]

    @cached_property
    def _measured(self) -> Ddad:
        needs = Needs(augmented=False)
        return Ddad(str(self.path), self.lines, needs, Preparation(1, 1))

    def truths(self) -> OnDemand[np.ndarray]:
        """Of the points."""
        dataset = self._measured
        lacking = next((line for line in self.lines if not dataset.has_depth(line, LIDAR)), None)
        if lacking is not None:
            raise UserError(f"{dataset.depth_file(lacking, LIDAR)}: no such points; unpack them again")
        truths = OnDemand(self.lines, lambda line: np.asarray(dataset.measured_depth(line, LIDAR)))
        return checked_truths(f"true depth in {self.path}", truths, self.names)

    def samples(self, preparation: Preparation) -> Ddad:
        """By the reader of the data set."""
        dataset = Ddad(str(self.path), self.lines, Needs(augmented=False), preparation)
        dataset.check_files()
        return dataset
