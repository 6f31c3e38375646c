"""Data sets by the name that `--dataset` takes."""

from core.datasets.base import SequenceDataset
from core.datasets.folder import FolderDataset
from core.datasets.kitti_depth import KittiDepth
from core.datasets.kitti_odometry import KittiOdometry
from core.datasets.kitti_raw import KittiRaw
from core.datasets.kitti_test import KittiTest
from core.errors import UserError
from core.options import Monodepth2Options
from core.splits import load_split

DATASETS: dict[str, type[SequenceDataset]] = {
    "kitti": KittiRaw,
    "kitti_odom": KittiOdometry,
    "kitti_depth": KittiDepth,
    "kitti_test": KittiTest,
    "folder": FolderDataset,
}


def open_dataset(options: Monodepth2Options, part: str) -> SequenceDataset:
    """The training or validation samples that the options ask for; only training samples are augmented.

    Where the options name no baseline of the stereo cameras, that of the data set is entered into them: saved beside
    the weights, it makes predictions metric.

    Args:
        part: train or val.

    Raises:
        UserError: the split, the data set or any image it needs is not there, or the split is smaller than a batch.
    """
    dataset = DATASETS[options.dataset](
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
        with_depth=part == "val",  # of training samples, only the few that are logged need it
        cache_images=options.cache_images,
        bad_images=options.bad_images,
        mirroring=options.mirroring,
        intrinsics=options.intrinsics,
    )
    dataset.check_files()
    if options.use_stereo and options.baseline is None:
        options.baseline = dataset.baseline
    if options.known_poses:
        if options.stereo_scale_factor is None:
            raise UserError(
                "option known_poses: with use_stereo the distance of the cameras must be known, too: give --baseline "
                "METRES, or baseline in intrinsics.yaml"
            )
        dataset.know_poses(options.stereo_scale_factor, options.baseline)
    if part == "train" and len(dataset) < options.batch_size:
        raise UserError(
            f"split {options.split}: its {len(dataset)} training samples do not fill one batch of "
            f"{options.batch_size}; lower --batch_size"
        )
    return dataset
