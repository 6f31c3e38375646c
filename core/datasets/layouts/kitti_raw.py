"""KITTI raw: image pairs in time and stereo, with scans."""

from pathlib import Path

import numpy as np

from core.datasets.depth_files import read_named_depth
from core.datasets.ground_truth import look_at_scans, scan_to_depth
from core.datasets.kitti import (
    CalibrationFile,
    annotated_depth_path,
    calibration_folder,
    depth_path,
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
from core.errors import UserError
from core.options import KITTI_BASELINE
from core.options.protocols import FORWARD_SCAN
from core.plausibility.cameras import check_kitti_rig, check_projections

# Maps in the folders of a drive: projected scans, and the annotated ones.
PROJECTED, GROUNDTRUTH = "proj_depth/velodyne", "proj_depth/groundtruth"


def check_rig(file: Path, focal: bool, stereo: bool) -> None:
    """Makes sure that a `calib_cam_to_cam.txt` is of KITTI's cameras.

    Args:
        focal, stereo: what is taken of KITTI in place of the file's.

    Raises:
        UserError: it is malformed, or of another rig.
    """
    calibration = CalibrationFile(file)
    height, width = calibration.image_size("S_rect_02")
    P = {f"P_rect_{n:02d}": calibration.numbers(f"P_rect_{n:02d}", 12).reshape(3, 4) for n in (2, 3)}
    check_projections(file, {key: matrix.tolist() for key, matrix in P.items()}, (height, width))
    left, right = P.values()
    check_kitti_rig(
        file,
        (left[0, 0] / width, left[1, 1] / height) if focal else None,
        float(abs(right[0, 3] / right[0, 0] - left[0, 3] / left[0, 0])) if stereo else None,
        "use --dataset folder with intrinsics.yaml (fx fy cx cy width height baseline) beside the images",
    )


class KittiRaw(SequenceDataset):
    """Lines are `<date>/<drive> <frame> <side>`; source f is frame + f of the same camera.

    Nothing is clamped at the ends of a drive: the list leaves such frames out.
    """

    K_is_its_mirror = True
    baseline = KITTI_BASELINE
    DEPTHS = ("velodyne", "annotated", FORWARD_SCAN, PROJECTED, GROUNDTRUTH)

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a frame, its extension that of the data set."""
        return image_path(self.root, line.folder, *self.moment(line, frame), self.extension)

    def _known_motion(self, line: SplitLine, baseline: float | None) -> KnownMotion:
        return oxts_motion(self.root, line.folder)

    def check_rig(self, baseline: float | None) -> None:
        """By the calibration of each day, where there is one and KITTI's numbers are taken in its place."""
        super().check_rig(baseline)
        taken = (
            self.needs.intrinsics
            and len(self.frames) > 1
            and not self._takes_calibration
            and not self.needs.motion
        )
        stereo = "s" in self.frames and baseline is None and not self.needs.motion
        for folder in (
            dict.fromkeys(line.folder.split("/")[0] for line in self.lines) if taken or stereo else ()
        ):
            file = self.root / folder / "calib_cam_to_cam.txt"
            if file.is_file():
                check_rig(file, taken, stereo)

    def check_scans(self) -> None:
        """Of the drives."""
        look_at_scans(self.root, self.lines)

    def _calibration(self, line: SplitLine) -> Intrinsics:
        return calibrated_intrinsics(calibration_folder(self.root, line.folder))[line.camera]

    def depth_file(self, line: SplitLine, kind: str) -> Path | None:
        """The scan, the annotated map, or what somebody has made of scans."""
        place = self.root, line.folder, line.frame
        if kind in ("annotated", GROUNDTRUTH):
            return annotated_depth_path(*place, line.camera)
        if kind == PROJECTED:
            return depth_path(*place, line.camera, "velodyne", ".npz")
        return scan_path(*place)

    def measured_depth(self, line: SplitLine, kind: str) -> np.ndarray | None:
        """The projected scan, which some frames lack; or the annotated map, which the ends of a drive lack; or a file.

        A scan's depth is camera z, as `forward_scan` the scanner's forward distance: what the Eigen split is scored on.
        """
        path = self.depth_file(line, kind)
        if path is None or not path.is_file():
            return None
        if kind in ("annotated", GROUNDTRUTH):
            depth = read_annotated_depth(path)
            if kind == GROUNDTRUTH and not (depth >= 1).any():
                raise UserError(
                    f"{path}: no depth of a metre or more, so its unit is not 1/256 m; copy it again"
                )
            return depth
        if kind == PROJECTED:
            return read_named_depth(path, "velodyne_depth")
        calibration = read_calibration(calibration_folder(self.root, line.folder))
        value = "velodyne_x" if kind == FORWARD_SCAN else "camera_z"
        return scan_to_depth(read_scan(path), calibration, line.camera, value)
