"""The measured motion of a data set's samples: poses of all its frames, read once."""

import numpy as np

from core.datasets.known_poses import Intrinsics, KnownMotion, MissingPoseError, Move, check_moves
from core.datasets.measured_depth import MeasuredDepth
from core.datasets.sample import Frame
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.geometry import mirror_motion


class MeasuredMotion(MeasuredDepth):
    """Images whose motion may be known, too.

    Attributes:
        metres_per_unit: of the known motions in the samples; None where the motion is not known.
        K_is_its_mirror: the images have KITTI's nominal K, which is centred on purpose: mirroring leaves it as it is.
    """

    metres_per_unit: float | None = None
    _takes_calibration = False
    K_is_its_mirror = False

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
