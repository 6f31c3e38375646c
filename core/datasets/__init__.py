"""Data sets, from split lists and layouts to samples and batches; here, by the name that `--dataset` takes.

Imports no reader before it is asked for: whoever needs a split list needs no image library.
"""

import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.errors import UserError
from core.options import Options
from core.options.base import is_name_format, no_data
from core.options.needs import Listing
from core.plausibility.cameras import check_baseline
from core.plausibility.lists import check_lines, check_test, check_validation

if TYPE_CHECKING:
    from core.datasets.joined import JoinedDataset
    from core.datasets.samples import SequenceDataset

    AnyDataset = SequenceDataset | JoinedDataset

OptionsClass = TypeVar("OptionsClass", bound=Options)

# The class of each reader. Layouts that need code of their own lie in `layouts/`.
READERS = {
    "kitti": "core.datasets.layouts.kitti_raw.KittiRaw",
    "kitti_odom": "core.datasets.layouts.kitti_odometry.KittiOdometry",
    "kitti_depth": "core.datasets.layouts.kitti_depth.KittiDepth",
    "kitti_test": "core.datasets.layouts.kitti_test.KittiTest",
    "scenes": "core.datasets.layouts.scenes.Scenes",
    "ddad": "core.datasets.layouts.ddad.Ddad",
    "folder": "core.datasets.layouts.folder.FolderDataset",
}


def reader(name: str) -> "type[SequenceDataset]":
    """The class that reads a data set."""
    module, _, class_name = READERS[name].rpartition(".")
    found: type[SequenceDataset] = getattr(importlib.import_module(module), class_name)
    return found


def require_data(options: Options) -> None:
    """Looks whether the folders of all lists are there, before anything is imported that takes seconds.

    Raises:
        UserError: one is not.
    """
    for part in ("train", "val"):
        for listing in options.listings(part):
            if not Path(listing.path).exists():
                raise UserError(no_data(listing.path))


def open_dataset(options: Options, part: str) -> "AnyDataset":
    """The training or validation samples that the options ask for, all lists of the part as one data set.

    Args:
        part: train or val.

    Raises:
        UserError: the split, the data set or any image it needs is not there, or the split is smaller than a batch.
    """
    from core.datasets.joined import JoinedDataset

    datasets, listings = open_datasets(options, part), options.listings(part)
    repeats = [listing.repeat for listing in listings]
    dataset = datasets[0] if repeats == [1] else JoinedDataset(datasets, repeats)
    if part == "train" and isinstance(dataset, JoinedDataset):
        dataset.check_alike()
    if part == "train" and len(dataset) < options.batch_size:
        names = ", ".join(listing.split for listing in listings)
        raise UserError(
            f"split {names}: its {len(dataset)} training samples do not fill one batch of "
            f"{options.batch_size}; lower --batch_size"
        )
    return dataset


def open_datasets(options: Options, part: str) -> "list[SequenceDataset]":
    """The samples of each list of a part on its own; see `open_dataset`.

    Of several lists some may lack the depth that a loss needs: it is unknown everywhere then.
    """
    datasets = [open_listing(options, part, listing) for listing in options.listings(part)]
    without = [dataset for dataset in datasets if not dataset.DEPTHS] if options.needs(part).depth else []
    if without and len(without) == len(datasets):
        raise UserError(
            f"{without[0].root}: this data set has no measured depth, which the loss needs; name another by --dataset"
        )
    for dataset in without:
        dataset.notes.append(
            f"{dataset.root}: none of its {len(dataset)} samples has measured depth, of which the loss learns"
        )
    check_overlap(options, part, datasets)
    return datasets


def check_overlap(options: Options, part: str, datasets: "list[SequenceDataset]") -> None:
    """Says where training shares images with validation, or with a test list beside it.

    Args:
        datasets: those of the part.
    """
    from core.datasets.splits import tests_beside

    for listing, dataset in zip(options.listings(part), datasets, strict=True):
        if not dataset.takes_split or is_name_format(listing.split):
            continue
        where, lines = f"split {listing.split}", [line.place for line in dataset.lines]
        if part == "train":
            check_test(where, lines, [line.place for line in tests_beside(listing.split, listing.dataset)])
            continue
        check_lines(f"{where}, {part}", lines)
        for other in options.listings("train"):
            same = (other.dataset, other.path) == (listing.dataset, listing.path)
            if same and options.validation and not is_name_format(other.split):
                try:
                    trained, _ = reader(other.dataset).split_lines(other, "train", options.needs("train"))
                except UserError:  # training, which opens that list, says what is wrong with it
                    continue
                check_validation(where, [line.place for line in trained], lines)


def open_listing(options: Options, part: str, listing: Listing) -> "SequenceDataset":
    """The samples of a list; see `open_dataset`."""
    source, needs = reader(listing.dataset), options.needs(part)
    lines, notes = source.split_lines(listing, part, needs)
    if listing.camera is not None:
        lines = [line if line.side else dataclasses.replace(line, side=listing.camera) for line in lines]
    dataset = source(
        listing,
        lines,
        needs,
        options.preparation(part),
        seed=options.seed,
        png=options.png or None,
        cache_images=options.cache_images,
        bad_images=options.bad_images,
        given_intrinsics=options.intrinsics,
    )
    if options.baseline is not None:
        check_baseline("option baseline", options.baseline)
    dataset.notes[:0] = notes
    dataset.may_keep = not options.dry_run
    if options.cache is not None:
        dataset.keep_images(Path(options.cache))
    dataset.skipping = "; or train without such images: --bad_images skip"
    dataset.check_files()
    dataset.check_rig(options.baseline)
    if needs.motion:
        options = with_baseline(options, dataset)
        if options.stereo_scale_factor is None:
            raise UserError(
                "option known_poses: with use_stereo the distance of the cameras must be known, too: give --baseline "
                "METRES, or baseline in intrinsics.yaml"
            )
        dataset.know_poses(options.stereo_scale_factor, options.baseline)
    dataset.note_left_out()
    return dataset


def with_baseline(options: OptionsClass, dataset: "AnyDataset") -> OptionsClass:
    """Options that name the distance of the stereo cameras, if they need it: where they do not, that of the data set.

    Saved beside the weights, it makes predictions metric.
    """
    if "s" not in options.needs("train").frames or options.baseline is not None:
        return options
    return dataclasses.replace(options, baseline=dataset.baseline)
