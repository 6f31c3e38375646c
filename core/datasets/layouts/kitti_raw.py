"""KITTI raw: image pairs in time and stereo, with scans."""

from pathlib import Path

import numpy as np

from core.datasets.base import SequenceDataset
from core.datasets.ground_truth import LOG_SIZE, log_depth
from core.datasets.kitti import calibration_folder, image_path, read_calibration, read_scan, scan_path
from core.datasets.known_poses import KnownMotion, oxts_motion
from core.datasets.sample import Frame
from core.datasets.splits import SplitLine
from core.geometry import nominal_intrinsics
from core.options import KITTI_BASELINE


class KittiRaw(SequenceDataset):
    """Lines are `<date>/<drive> <frame> <side>`; source f is frame + f of the same camera.

    Nothing is clamped at the ends of a drive: the list leaves such frames out.
    """

    K_is_its_mirror = True
    baseline = KITTI_BASELINE

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame, its extension that of the data set."""
        if frame == "s":
            return image_path(self.root, line.folder, line.frame, 5 - line.camera, self.extension)
        return image_path(self.root, line.folder, line.frame + int(frame), line.camera, self.extension)

    def _intrinsics(self, line: SplitLine) -> np.ndarray:
        return nominal_intrinsics(self.height, self.width)

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        return oxts_motion(self.root, line.folder)

    def _has_depth(self) -> bool:
        return scan_path(self.root, self.lines[0].folder, self.lines[0].frame).is_file()

    def _load_depth(self, line: SplitLine, mirrored: bool) -> np.ndarray:
        path = scan_path(self.root, line.folder, line.frame)
        if not path.is_file():  # some frames of KITTI have no scan: all unknown, it only serves the log
            return np.zeros((1, *LOG_SIZE), np.float32)
        calibration = read_calibration(calibration_folder(self.root, line.folder))
        return log_depth(read_scan(path), calibration, line.camera, mirrored)
