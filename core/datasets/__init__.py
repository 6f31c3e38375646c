"""Data sets by the name that `--dataset` takes."""

from core.datasets.base import SequenceDataset
from core.datasets.kitti_raw import KittiRaw
from core.options import Monodepth2Options
from core.splits import load_split

DATASETS: dict[str, type[SequenceDataset]] = {"kitti": KittiRaw}


def open_dataset(options: Monodepth2Options, part: str) -> SequenceDataset:
    """The training or validation samples that the options ask for; only training samples are augmented.

    Args:
        part: train or val.

    Raises:
        UserError: the split or the data set is not there.
    """
    return DATASETS[options.dataset](
        options.data_path,
        load_split(options.split, part),
        options.frames,
        options.height,
        options.width,
        options.scales,
        options.png,
        augment=part == "train",
        seed=options.seed,
        all_scales=options.v1_multiscale,
        cache_images=options.cache_images,
    )
