"""Several lists as one data set."""

from bisect import bisect_right
from pathlib import Path

import numpy as np

from core.datasets.sample import Sample, Truth
from core.datasets.samples import SequenceDataset
from core.datasets.splits import SplitLine
from core.errors import UserError


class JoinedDataset:
    """Samples of several data sets, one after the other, some of them several times with draws of their own.

    Attributes:
        parts: the data sets, repeated as they are counted.
        lines: of all of them.
        baseline: metres between the cameras of a stereo pair, of the first.
    """

    def __init__(self, datasets: list[SequenceDataset], repeats: list[int]) -> None:
        """Joins.

        Args:
            repeats: how often each comes.
        """
        self.datasets = datasets
        self.parts = [
            dataset for dataset, repeat in zip(datasets, repeats, strict=True) for _ in range(repeat)
        ]
        self.starts = np.cumsum([0, *map(len, self.parts)]).tolist()
        self.lines: list[SplitLine] = [line for part in self.parts for line in part.lines]
        self.baseline = datasets[0].baseline

    def check_alike(self) -> None:
        """Makes sure that samples of all lists can be in one batch.

        Raises:
            UserError: those of one hold what those of another lack, or their stereo pairs have other baselines.
        """
        for name, found in (
            ("input_depth", {dataset.listing.input_depth is not None for dataset in self.datasets}),
            ("stereo baseline", {dataset.baseline for dataset in self.datasets if "s" in dataset.frames}),
        ):
            if len(found) > 1:
                roots = ", ".join(str(dataset.root) for dataset in self.datasets)
                raise UserError(f"{name}: not the same in {roots}; train such lists apart")

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """The sample of (epoch, index); see `SequenceDataset`."""
        part, index, first = self._find(key[1])
        return part.load(key[0], index, first)

    def sample_truth(self, epoch: int, index: int) -> Truth | None:
        """See `SequenceDataset.sample_truth`."""
        part, local, first = self._find(index)
        return part.sample_truth(epoch, local, first)

    def target_path(self, index: int) -> Path:
        """The file of a sample's target."""
        part, local, _ = self._find(index)
        return part.target_path(local)

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        part, local, _ = self._find(index)
        return f"{part.describe(local)} of {part.root}"

    def news(self) -> list[str]:
        """What the user should know and has not been told yet, a line each."""
        return [line for dataset in self.datasets for line in dataset.news()]

    def count_bad_images(self) -> int:
        """How many missing and damaged images have been skipped so far."""
        return sum(dataset.count_bad_images() for dataset in self.datasets)

    def _find(self, index: int) -> tuple[SequenceDataset, int, int]:
        """The part of an index, the index there, and the first one of the part."""
        number = bisect_right(self.starts, index) - 1
        return self.parts[number], index - self.starts[number], self.starts[number]
