"""What an evaluation looks at, image by image: those of a split's list, or all that a folder of test images holds.

A layout whose test images are no list is a class of `OWN_LISTS`, and a subject of `core.options.protocols` reads it.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from core.datasets.ground_truth import (
    SparseDepth,
    ground_truth_name,
    load_ground_truth,
    require_ground_truth,
)
from core.datasets.loader import Dataset
from core.datasets.splits import load_split, split_folder
from core.errors import UserError
from core.files.images import BadImageError, image_size
from core.options import EvaluationOptions
from core.options.needs import Listing, Needs, Preparation
from core.plausibility.truth import LOOKED_AT, check_map, check_shapes, check_truth

if TYPE_CHECKING:
    from core.datasets.samples import SequenceDataset

# By the reader.
OWN_LISTS = {
    "make3d": "core.datasets.layouts.make3d.Make3DImages",
    "testing": "core.datasets.layouts.testing.TestingImages",
    "nyu_h5": "core.datasets.layouts.nyu_h5.NyuImages",
    "ddad": "core.datasets.layouts.ddad.DdadImages",
}

Item = TypeVar("Item")
Truths = Sequence[SparseDepth] | Sequence[np.ndarray]


class OnDemand(Sequence[Item]):
    """Items that are read from their files, or of whatever says where they are, when they are asked for; not kept."""

    def __init__(self, files: Sequence[Any], read: Callable[[Any], Item]) -> None:
        self.files, self.read = files, read

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> "OnDemand[Item]": ...

    def __getitem__(self, index: int | slice) -> "Item | OnDemand[Item]":
        if isinstance(index, slice):
            return OnDemand(self.files[index], self.read)
        return self.read(self.files[index])


def checked_truths(
    where: Path | str,
    truths: OnDemand[np.ndarray],
    names: Sequence[str],
    sizes: Sequence[tuple[int, int] | None] = (),
) -> OnDemand[np.ndarray]:
    """True depth that is looked at: some maps at once, before a network runs, and each when it is read.

    Args:
        truths: maps (h, w), metres, 0 where unknown.
        names: of the images.
        sizes: (height, width) of the images, where they are not those of the maps by themselves.

    Raises:
        UserError: one is of another unit or turned, unless that is accepted.
    """

    def known(depth: np.ndarray) -> np.ndarray:
        return np.asarray(depth[depth > 0])

    def read(number: int) -> np.ndarray:
        depth, name = truths[number], names[number]
        if sizes:
            check_shapes(where, [(depth.shape[0], depth.shape[1])], [sizes[number]], [name])
        check_map(f"{where} ({name})", known(depth))
        return depth

    found = OnDemand(range(len(truths)), read)
    chosen = sorted({number * (len(truths) - 1) // max(1, LOOKED_AT - 1) for number in range(LOOKED_AT)})
    check_truth(where, [known(found[number]) for number in chosen], [names[number] for number in chosen])
    return found


class EvaluatedImages(ABC):
    """The images of an evaluation.

    Attributes:
        names: of the images, in their order; for reports.
        notes: what the user should know of them, a line each.
    """

    names: list[str]
    notes: list[str]

    @property
    def sequences(self) -> list[str]:
        """The video that each image is of; [] where they are of none."""
        return []

    @property
    def groups(self) -> list[str]:
        """What each image is measured together with, beside all of them: its camera; [] where there is but one."""
        return []

    @abstractmethod
    def truths(self) -> Truths:
        """The true depth of every image, metres.

        Raises:
            UserError: there is none, or it is damaged.
        """

    def regions(self) -> Sequence[np.ndarray] | None:
        """Of every image what moves, bool of the size of its truth; None where nobody says."""
        return None

    def image_sizes(self) -> list[tuple[int, int] | None]:
        """(height, width) of every image, by the headers of the files; None where it is not at hand."""
        return [None] * len(self.names)

    def image_files(self) -> str | None:
        """The extension of the files of the images, such as `.png`; None where they are not at hand."""
        return None

    def truth_file(self) -> Path | None:
        """The file of the truths; None where there is not one."""
        return None

    @abstractmethod
    def samples(self, preparation: Preparation) -> Dataset:
        """The images as a network takes them: samples of nothing but `image_0_0`.

        Raises:
            UserError: one is missing.
        """

    def samples_with_depth(self, preparation: Preparation, depth: str) -> Dataset:
        """The same images, and `input_depth`.

        Args:
            depth: a word of the reader, or a folder with a file for each image.

        Raises:
            UserError: there is no such depth, or an image is missing.
        """
        raise UserError("option input_depth: only for images of a list; leave it out")


class SplitImages(EvaluatedImages):
    """Those of a split's list for tests.

    Args:
        options: of the evaluation.

    Raises:
        UserError: there is no such list, or it is damaged.
    """

    def __init__(self, options: EvaluationOptions) -> None:
        self.options, self.lines = options, load_split(options.split, "test")
        self.names, self.notes = [str(line) for line in self.lines], []

    @property
    def sequences(self) -> list[str]:
        """The folders of the lines."""
        return [line.folder for line in self.lines]

    def truths(self) -> Truths:
        """What export_gt_depth.py wrote: of the depth that the protocol scores by, where only one will do."""
        options, path = self.options, self.truth_file()
        if options.ground_truth is None:
            depth = options.chosen_protocol.subject.truth
            require_ground_truth(path, depth, options.data_path, options.split)
        return load_ground_truth(path, self.lines)

    def truth_file(self) -> Path:
        """As the options say, else in the folder of the list."""
        if self.options.ground_truth is not None:
            return Path(self.options.ground_truth)
        depth = self.options.chosen_protocol.subject.truth
        return split_folder(self.options.split) / ground_truth_name(depth)

    def samples(self, preparation: Preparation) -> Dataset:
        """By the reader of the data set."""
        return self._open_checked(preparation, None)

    def samples_with_depth(self, preparation: Preparation, depth: str) -> Dataset:
        """By the reader of the data set, or from files in the order of the lines."""
        from core.datasets import reader
        from core.datasets.input_depth import WithDepthFiles

        known = reader(self.options.reader).DEPTHS
        if depth in known:
            return self._open_checked(preparation, depth)
        if not Path(depth).is_dir():
            words = ", ".join(known) or "none"
            raise UserError(
                f"option input_depth: {depth!r} is no depth of {self.options.reader} ({words}), and no folder"
            )
        return WithDepthFiles(self._open_checked(preparation, None), Path(depth))

    def image_sizes(self) -> list[tuple[int, int] | None]:
        """By the headers of the files; the images need not be here, for predictions may have been made elsewhere."""
        return [None if file is None else size_of(file) for file in self._files]

    def image_files(self) -> str | None:
        """By the first image."""
        return None if not self._files or self._files[0] is None else self._files[0].suffix

    @cached_property
    def _files(self) -> list[Path | None]:
        """The file of each image, where it is at hand."""
        if not Path(self.options.data_path).is_dir():
            return [None] * len(self.lines)
        try:
            dataset = self._open(Preparation(64, 64), None)
            files = [dataset.image_path(line, 0) for line in self.lines]
        except UserError:
            return [None] * len(self.lines)
        return [file if file.is_file() else None for file in files]

    def _open_checked(self, preparation: Preparation, depth: str | None) -> "SequenceDataset":
        dataset = self._open(preparation, depth)
        dataset.check_files()
        return dataset

    def _open(self, preparation: Preparation, depth: str | None) -> "SequenceDataset":
        from core.datasets import reader

        options, needs = self.options, Needs(augmented=False)
        png = options.png or None
        listing = Listing("", options.data_path, "", input_depth=depth)
        return reader(options.reader)(listing, self.lines, needs, preparation, png=png)


def size_of(file: Path) -> tuple[int, int] | None:
    """(height, width) of an image by its header; None where it cannot be read."""
    try:
        return image_size(file)
    except BadImageError:  # who needs the image says so
        return None


def find_evaluated_images(options: EvaluationOptions) -> EvaluatedImages:
    """What the options ask to evaluate.

    Raises:
        UserError: it is not there.
    """
    if options.reader not in OWN_LISTS:
        return SplitImages(options)
    module, _, name = OWN_LISTS[options.reader].rpartition(".")
    found: Any = getattr(importlib.import_module(module), name)(options)
    assert isinstance(found, EvaluatedImages)
    return found
