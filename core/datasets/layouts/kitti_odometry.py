"""KITTI odometry: the sequences as its archives have them, in colour or grey, without scans."""

from functools import cached_property
from pathlib import Path

from core.datasets.known_poses import Intrinsics, KnownMotion, odometry_cameras, odometry_motion
from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.splits import LEFT, RIGHT, SplitLine
from core.errors import UserError
from core.files.images import BadImageError, image_size
from core.options import KITTI_BASELINE
from core.plausibility.cameras import check_kitti_rig

GREY_LEFT = 0


def image_path(root: Path, sequence: str, frame: int, camera: int, extension: str) -> Path:
    """An image: of cameras 2 and 3 in colour, of 0 and 1 grey; sequence such as `9` or `09`, extension such as `.png`.

    Raises:
        UserError: the sequence is no number.
    """
    if not (sequence.isascii() and sequence.isdigit()):
        raise UserError(
            f"split folder {sequence!r}: KITTI odometry's sequences are numbers, such as 9; "
            "for drives of KITTI raw use --dataset kitti"
        )
    folder = root / "sequences" / f"{int(sequence):02d}" / f"image_{camera}"
    return folder / f"{frame:06d}{extension}"


class KittiOdometry(SequenceDataset):
    """Lines are `<sequence> <frame> <side>`; source f is frame + f of the same camera.

    The pair is the coloured one, or where the first sequence has only that, the grey one.
    Nothing is clamped at the ends of a sequence: the list leaves such frames out.
    """

    K_is_its_mirror = True
    baseline = KITTI_BASELINE

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame, its extension that of the data set."""
        number, camera = self.moment(line, frame)
        return image_path(self.root, line.folder, number, camera - LEFT + self._first, self.extension)

    @cached_property
    def _first(self) -> int:
        """KITTI's number of the pair's left camera."""
        pairs = {
            left: any(
                image_path(self.root, self.lines[0].folder, 0, camera, "").parent.is_dir()
                for camera in (left, left + 1)
            )
            for left in (LEFT, GREY_LEFT)
        }
        return GREY_LEFT if pairs[GREY_LEFT] and not pairs[LEFT] else LEFT

    @property
    def _pair(self) -> bool:
        """Whether the right camera is needed."""
        return "s" in self.frames or any(line.camera == RIGHT for line in self.lines)

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        poses = self.root / "poses" / f"{int(line.folder):02d}.txt"
        size = self._image_size(line.folder)
        return odometry_motion(poses, self._calibration_file(line), size, self._first, self._pair)

    def _calibration(self, line: SplitLine) -> Intrinsics:
        size = self._image_size(line.folder)
        cameras = odometry_cameras(self._calibration_file(line), size, self._first, self._pair)
        return cameras[1][line.camera]

    def check_rig(self, baseline: float | None) -> None:
        """By the calibration of each sequence, where there is one and KITTI's numbers are taken in its place."""
        super().check_rig(baseline)
        taken = (
            self.needs.intrinsics
            and len(self.frames) > 1
            and not self._takes_calibration
            and not self.needs.motion
        )
        if not taken:
            return
        for line in {line.folder: line for line in reversed(self.lines)}.values():
            file = self._calibration_file(line)
            if file.is_file():
                T, intrinsics = odometry_cameras(file, self._image_size(line.folder), self._first, self._pair)
                metres = (
                    abs(float(T[LEFT][0, 3] - T[RIGHT][0, 3]))
                    if "s" in self.frames and baseline is None
                    else None
                )
                check_kitti_rig(
                    file,
                    intrinsics[LEFT][:2],
                    metres,
                    "use --dataset folder with intrinsics.yaml (fx fy cx cy width height baseline) beside the images",
                )

    def _calibration_file(self, line: SplitLine) -> Path:
        return self.image_path(line, 0).parent.parent / "calib.txt"

    def _image_size(self, folder: str) -> tuple[int, int]:
        """(height, width) of the first readable target of a sequence.

        Raises:
            BadImageError: none is readable.
        """
        for line in self.lines:
            if line.folder == folder:
                try:
                    return image_size(self.image_path(line, 0))
                except BadImageError as bad:
                    error = bad
        raise error
