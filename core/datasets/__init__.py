"""Data sets, from split lists and layouts to samples and batches; here, by the name that `--dataset` takes.

Imports no reader before it is asked for: whoever needs a split list needs no image library.
"""

import dataclasses
import importlib
from typing import TYPE_CHECKING, TypeVar

from core.errors import UserError
from core.options import Options

if TYPE_CHECKING:
    from core.datasets.base import SequenceDataset

OptionsClass = TypeVar("OptionsClass", bound=Options)

# The class of each reader. Layouts that need code of their own lie in `layouts/`.
READERS = {
    "kitti": "core.datasets.layouts.kitti_raw.KittiRaw",
    "kitti_odom": "core.datasets.layouts.kitti_odometry.KittiOdometry",
    "kitti_depth": "core.datasets.layouts.kitti_depth.KittiDepth",
    "kitti_test": "core.datasets.layouts.kitti_test.KittiTest",
    "folder": "core.datasets.layouts.folder.FolderDataset",
}


def reader(name: str) -> "type[SequenceDataset]":
    """The class that reads a data set."""
    module, _, class_name = READERS[name].rpartition(".")
    found: type[SequenceDataset] = getattr(importlib.import_module(module), class_name)
    return found


def open_dataset(options: Options, part: str) -> "SequenceDataset":
    """The training or validation samples that the options ask for; only training samples are augmented.

    Args:
        part: train or val.

    Raises:
        UserError: the split, the data set or any image it needs is not there, or the split is smaller than a batch.
    """
    from core.datasets.splits import load_split

    needs, (listing,) = options.needs(part), options.listings(part)
    dataset = reader(listing.dataset)(
        listing.path,
        load_split(listing.split, part),
        list(needs.frames),
        options.height,
        options.width,
        list(needs.scales),
        options.png,
        augment=part == "train",
        seed=options.seed,
        all_scales=needs.all_scales,
        with_depth=part == "val",  # of training samples, only the few that are logged need it
        cache_images=options.cache_images,
        bad_images=options.bad_images,
        mirroring=options.mirroring,
        intrinsics=options.intrinsics,
    )
    dataset.check_files()
    if needs.known_motion:
        options = with_baseline(options, dataset)
        if options.stereo_scale_factor is None:
            raise UserError(
                "option known_poses: with use_stereo the distance of the cameras must be known, too: give --baseline "
                "METRES, or baseline in intrinsics.yaml"
            )
        dataset.know_poses(options.stereo_scale_factor, options.baseline)
    if part == "train" and len(dataset) < options.batch_size:
        raise UserError(
            f"split {listing.split}: its {len(dataset)} training samples do not fill one batch of "
            f"{options.batch_size}; lower --batch_size"
        )
    return dataset


def with_baseline(options: OptionsClass, dataset: "SequenceDataset") -> OptionsClass:
    """Options that name the distance of the stereo cameras, if they need it: where they do not, that of the data set.

    Saved beside the weights, it makes predictions metric.
    """
    if "s" not in options.needs("train").frames or options.baseline is not None:
        return options
    return dataclasses.replace(options, baseline=dataset.baseline)
