"""KITTI raw with annotated depth (Uhrig et al. 2017) in place of scans."""

import numpy as np

from core.datasets.ground_truth import LOG_SIZE, resize_for_log
from core.datasets.kitti import annotated_depth_path, read_annotated_depth
from core.datasets.layouts.kitti_raw import KittiRaw
from core.datasets.splits import SplitLine


class KittiDepth(KittiRaw):
    """Lines and images are those of KITTI raw; `proj_depth` is merged into its tree."""

    def _has_depth(self) -> bool:
        first = self.lines[0]
        return annotated_depth_path(self.root, first.folder, first.frame, first.camera).is_file()

    def _load_depth(self, line: SplitLine, mirrored: bool) -> np.ndarray:
        path = annotated_depth_path(self.root, line.folder, line.frame, line.camera)
        if (
            not path.is_file()
        ):  # the first and last five frames of a drive: all unknown, it only serves the log
            return np.zeros((1, *LOG_SIZE), np.float32)
        return resize_for_log(read_annotated_depth(path), mirrored)
