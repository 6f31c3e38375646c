"""KITTI raw with annotated depth (Uhrig et al. 2017) in place of scans."""

from core.datasets.layouts.kitti_raw import GROUNDTRUTH, PROJECTED, KittiRaw
from core.options.protocols import FORWARD_SCAN


class KittiDepth(KittiRaw):
    """Lines and images are those of KITTI raw; `proj_depth` is merged into its tree."""

    DEPTHS = ("annotated", "velodyne", FORWARD_SCAN, PROJECTED, GROUNDTRUTH)
    USUAL_INPUT = "velodyne"
