"""The measured motion of a data set's samples: poses of all its frames, read once."""

import numpy as np

from core.datasets.flow_evidence import Pair, check_pairs
from core.datasets.known_poses import Intrinsics, KnownMotion, MissingPoseError, Move, check_moves
from core.datasets.measured_depth import MeasuredDepth
from core.datasets.motion import spread
from core.datasets.sample import Frame
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.geometry import mirror_motion

SEQUENCES, PAIRS = 8, 4  # whose motion is compared with the images


class MeasuredMotion(MeasuredDepth):
    """Images whose motion may be known, too.

    Attributes:
        metres_per_unit: of the known motions in the samples; None where the motion is not known.
        K_is_its_mirror: the images have KITTI's nominal K, which is centred on purpose: mirroring leaves it as it is.
    """

    metres_per_unit: float | None = None
    _takes_calibration = False
    K_is_its_mirror = False

    def intrinsics(self, line: SplitLine) -> Intrinsics:
        """fx, fy, cx, cy in units of the image size, see `core.geometry.relative_intrinsics`."""
        raise NotImplementedError

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        """The measured motion of a line's sequence, for `know_poses`."""
        raise UserError("this data set has no poses, which measured motion needs; see --dataset")

    def know_poses(self, metres_per_unit: float, baseline: float | None) -> None:
        """Reads the measured poses of all frames of the split; from now on samples have them.

        Intrinsics are then calibrated ones. KITTI's nominal K is some 15 pixels off the principal point, which a
        predicted motion makes up for by going a little sideways, but a known one cannot.

        Args:
            metres_per_unit: what translations are divided by: the unit of the depth that is trained.
            baseline: metres between the cameras of a stereo pair, where no calibration says it better.

        Raises:
            UserError: a calibration or poses are missing, damaged or not in metres; names the file, and where poses
                are missing the first line that needs one, and their number.
        """
        from tqdm import tqdm

        self.metres_per_unit, self.K_is_its_mirror = metres_per_unit, False
        self._motions: dict[str, KnownMotion] = {}  # of each sequence
        times = [int(frame) for frame in self.frames if frame != "s"]
        needed: dict[tuple[str, int], int] = {}  # poses, and the first line that needs each
        for index, line in enumerate(self.lines):
            if not self._find_motion(line, baseline):
                continue
            for frame in times:
                needed.setdefault((line.folder, self.moment(line, frame)[0]), index)
        missing: list[tuple[int, MissingPoseError]] = []
        for (folder, frame), index in tqdm(needed.items(), desc="poses", unit="pose", disable=None):
            try:
                self._motions[folder].load(frame)
            except MissingPoseError as missed:
                missing.append((index, missed))
        if self.listing.drop_incomplete:
            self._leave_out_without_poses(times)
        elif missing:
            index, error = missing[0]
            raise UserError(
                f"{error}; {self.describe(index)} needs it ({len(missing)} frames lack a pose); take the lines that "
                "need them out of the list"
            )
        self.notes += check_moves([self._move(line, frame) for line in self.lines for frame in times[1:]])
        if self.needs.intrinsics:  # otherwise the camera need be no pinhole, by which the flow is judged
            self._check_directions(times[1:])

    def _check_directions(self, sources: list[int]) -> None:
        """Compares known motion with the optical flow between some images of some sequences."""
        folders: dict[str, list[SplitLine]] = {}
        for line in self.lines:
            folders.setdefault(line.folder, []).append(line)
        for folder in spread(list(folders), SEQUENCES):
            near = min(sources, key=abs, default=0)
            chosen = spread(folders[folder], PAIRS) if near else []
            check_pairs(f"known poses of {folder}", [self._seen_pair(line, near) for line in chosen])

    def _seen_pair(self, line: SplitLine, frame: int) -> Pair:
        known, camera = self._motions[line.folder], self.camera_number(line)
        target, source = (known.poses[self.moment(line, number)[0]] for number in (0, frame))
        files, intrinsics = (self.image_file(line, 0), self.image_file(line, frame)), self._calibrated(line)
        return Pair(
            *files, frame, intrinsics or self.intrinsics(line), target, source, known.T_camera_body[camera]
        )

    def way(self, line: SplitLine, frame: int) -> np.ndarray:
        """(3,) metres that the camera moves in a frame, right, down and forward, by the known motion to a source."""
        T = self.T_source_target(line, frame).astype(np.float64)
        return np.asarray(-T[:3, :3].T @ T[:3, 3] * (self.metres_per_unit or 1.0) / frame)

    def _find_motion(self, line: SplitLine, baseline: float | None) -> bool:
        """Whether a line's sequence has poses, which are then known."""
        if line.folder not in self._motions:
            try:
                self._motions[line.folder] = self._known_motion(line, baseline)
            except MissingPoseError:
                if not self.listing.drop_incomplete:
                    raise
                return False
        return True

    def _leave_out_without_poses(self, times: list[int]) -> None:
        lacking = {}
        for index, line in enumerate(self.lines):
            motion = self._motions.get(line.folder)
            if motion is None or any(self.moment(line, frame)[0] not in motion.poses for frame in times):
                lacking[index] = "known poses"
        self.leave_out(lacking)

    def T_source_target(self, line: SplitLine, frame: Frame, mirrored: bool = False) -> np.ndarray:  # noqa: N802
        """The known motion from a line's target to a source, after `know_poses`: float32 (4, 4)."""
        source, target = self.moment(line, frame), self.moment(line, 0)
        T = self._motions[line.folder].T_source_target(source, target)
        T[:3, 3] /= self.metres_per_unit
        return (mirror_motion(T) if mirrored else T).astype(np.float32)

    def _calibration(self, line: SplitLine) -> Intrinsics:
        """Intrinsics by the calibration files of a data set whose own are nominal, see `intrinsics`."""
        raise UserError(f"{self.root}: this data set has no calibration; leave out --calibration")

    def _open(self, png: bool | None) -> None:
        super()._open(png)
        self._calibrations: dict[tuple[str, str | None], Intrinsics] = {}  # of each sequence and camera
        self._takes_calibration = self.listing.calibration and self.K_is_its_mirror
        if self._takes_calibration:
            self.K_is_its_mirror = False

    def check_files(self) -> None:
        """Makes sure that the files are there, see `MeasuredDepth.check_files`; also those of a calibration."""
        super().check_files()
        for line in self.lines if self._takes_calibration else ():
            self._calibrated(line)

    def _calibrated(self, line: SplitLine) -> Intrinsics | None:
        """Intrinsics that came with the known motion, or that the listing asks for in place of nominal ones."""
        if self.metres_per_unit is None:
            if not self._takes_calibration:
                return None
            key = line.folder, line.side
            if key not in self._calibrations:
                self._calibrations[key] = self._calibration(line)
            return self._calibrations[key]
        intrinsics = self._motions[line.folder].intrinsics
        return None if intrinsics is None else intrinsics[self.camera_number(line)]

    def _move(self, line: SplitLine, frame: int) -> Move:
        source, target = self.moment(line, frame), self.moment(line, 0)
        return Move(line.folder, target[0], source[0], self._motions[line.folder].distance(source, target))
