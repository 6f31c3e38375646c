"""The mean of a validation over a whole list, and what makes one checkpoint better than another."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.datasets.joined import JoinedDataset
from core.datasets.sample import Sample
from core.datasets.samples import SequenceDataset
from core.errors import UserError
from core.evaluation.metrics import training_metrics
from core.options import Options

AnyDataset = SequenceDataset | JoinedDataset
LOG_DEPTH = "log_depth"


def known_depth(dataset: AnyDataset, epoch: int, arrays: Sample) -> np.ndarray | None:
    """True depth of a batch for the log, (B, 1, 375, 1242) metres, or None without any."""
    depths = [dataset.log_depth(epoch, int(index)) for index in arrays["index"]]
    found = [depth for depth in depths if depth is not None]
    return np.stack(found) if found else None


class WithLogDepth:
    """Samples together with their true depth for the log, so that the loader's threads read it."""

    def __init__(self, dataset: AnyDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        sample = self.dataset[key]
        depth = self.dataset.log_depth(key[0], int(sample["index"]))
        return sample if depth is None else sample | {LOG_DEPTH: depth}

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        return self.dataset.describe(index)


def lists_of(options: Options, dataset: AnyDataset) -> dict[str, SequenceDataset]:
    """The lists that are validated, each by what its numbers are called after: nothing for the first, which decides.

    Raises:
        UserError: two lists have one name.
    """
    if isinstance(dataset, SequenceDataset):
        return {"": dataset}
    names = [f"{Path(listing.split).name}/" for listing in options.listings("val")]
    if len(set(names)) < len(names):
        raise UserError(f"lists to validate on: {', '.join(names)}: two have one name; rename a folder")
    return dict(zip(["", *names[1:]], dataset.datasets, strict=True))


def image_metrics(depth: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """The training log's depth metrics of every image that has ground truth, each scaled by its own median.

    Args:
        depth: (B, 1, H, W) of scale 0.
        truth: (B, 1, 375, 1242) metres, 0 where unknown.
    """
    metrics = [training_metrics(depth[[i]], truth[[i]]) for i in range(len(depth))]
    return [values for values in metrics if values is not None]


class Means:
    """Means of named numbers, each over as many samples as it was seen for."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, float] = {}

    def add(self, values: Mapping[str, float], samples: int = 1) -> None:
        """Adds means over so many samples."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + samples * value
            self.counts[name] = self.counts.get(name, 0.0) + samples

    def values(self) -> dict[str, float]:
        """The means."""
        return {name: total / self.counts[name] for name, total in self.sums.items()}


def is_better(options: Options, values: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Whether a validation is better than the best so far, which may be empty, by the criterion of the options."""
    if not best:
        return True
    (name, value), (best_name, best_value) = options.criterion(values), options.criterion(best)
    return name != best_name or value < best_value


def describe(options: Options, values: Mapping[str, float]) -> str:
    """A validation in a few words."""
    name, value = options.criterion(values)
    decisive = f"{name.removeprefix('de/')} {value:.5f}"
    return f"loss {values['loss']:.5f}, {decisive}" if "loss" in values else decisive


class NotFiniteError(UserError):
    """The loss of a batch is not finite.

    Attributes:
        batch: the arrays.
    """

    def __init__(self, message: str, batch: Sample) -> None:
        super().__init__(message)
        self.batch = batch


def check_finite(values: Mapping[str, float], batch: Sample, dataset: AnyDataset) -> None:
    """Makes sure that the loss and its terms are finite.

    Raises:
        NotFiniteError: one is not; names it, and the samples with their files.
    """
    bad = [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]
    if bad:
        indices = [int(index) for index in batch["index"]]
        samples = [f"{dataset.describe(i)} in {dataset.target_path(i)}" for i in indices]
        message = f"the loss is not finite ({', '.join(bad)}) for {', '.join(samples)}"
        raise NotFiniteError(f"{message}; lower --learning_rate or look at these images", batch)
