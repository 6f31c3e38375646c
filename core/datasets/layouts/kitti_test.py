"""The flat test folder of KITTI's depth prediction benchmark: single images, for evaluation only."""

from pathlib import Path

from core.datasets.sample import Frame
from core.datasets.samples import SequenceDataset
from core.datasets.splits import SplitLine
from core.errors import UserError


class KittiTest(SequenceDataset):
    """Lines are `image <number>`: `<root>/image/<number of ten digits>.png`. There are no neighbours and no sides.

    The root is the folder that holds `image`, in KITTI's archive `depth_selection/test_depth_prediction_anonymous`.
    """

    K_is_its_mirror = True

    def image_path(self, line: SplitLine, frame: Frame) -> Path:
        """The file of a line, its extension that of the data set.

        Raises:
            UserError: another frame than 0 is asked for.
        """
        if frame != 0:
            raise UserError("--dataset kitti_test: its images have no neighbours; it is for evaluation only")
        return self.root / line.folder / f"{line.frame:010d}{self.extension}"
