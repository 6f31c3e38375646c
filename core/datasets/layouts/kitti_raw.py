"""KITTI raw: image pairs in time and stereo, with scans."""

from pathlib import Path

import numpy as np

from core.datasets.ground_truth import scan_to_depth
from core.datasets.kitti import (
    annotated_depth_path,
    calibration_folder,
    image_path,
    read_annotated_depth,
    read_calibration,
    read_scan,
    scan_path,
)
from core.datasets.known_poses import Intrinsics, KnownMotion, calibrated_intrinsics, oxts_motion
from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.splits import SplitLine
from core.options import KITTI_BASELINE
from core.options.protocols import FORWARD_SCAN


class KittiRaw(SequenceDataset):
    """Lines are `<date>/<drive> <frame> <side>`; source f is frame + f of the same camera.

    Nothing is clamped at the ends of a drive: the list leaves such frames out.
    """

    K_is_its_mirror = True
    baseline = KITTI_BASELINE
    DEPTHS = ("velodyne", "annotated", FORWARD_SCAN)

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame, its extension that of the data set."""
        return image_path(self.root, line.folder, *self.moment(line, frame), self.extension)

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        return oxts_motion(self.root, line.folder)

    def _calibration(self, line: SplitLine) -> Intrinsics:
        return calibrated_intrinsics(calibration_folder(self.root, line.folder))[line.camera]

    def depth_file(self, line: SplitLine) -> Path | None:
        """The scan, or the annotated map."""
        if (self.listing.depth or self.DEPTHS[0]) == "annotated":
            return annotated_depth_path(self.root, line.folder, line.frame, line.camera)
        return scan_path(self.root, line.folder, line.frame)

    def measured_depth(self, line: SplitLine, kind: str) -> np.ndarray | None:
        """The projected scan, which some frames lack; or the annotated map, which the ends of a drive lack.

        A scan's depth is camera z, as `forward_scan` the scanner's forward distance: what the Eigen split is scored on.
        """
        if kind == "annotated":
            path = annotated_depth_path(self.root, line.folder, line.frame, line.camera)
            return read_annotated_depth(path) if path.is_file() else None
        path = scan_path(self.root, line.folder, line.frame)
        if not path.is_file():
            return None
        calibration = read_calibration(calibration_folder(self.root, line.folder))
        value = "velodyne_x" if kind == FORWARD_SCAN else "camera_z"
        return scan_to_depth(read_scan(path), calibration, line.camera, value)
