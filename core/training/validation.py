"""The mean of a validation over a whole list, and what makes one checkpoint better than another."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.datasets.joined import JoinedDataset
from core.datasets.sample import Sample, Truth
from core.datasets.samples import SequenceDataset
from core.errors import UserError
from core.evaluation.comparison import Scaling
from core.evaluation.depth import training_metrics
from core.evaluation.metrics import FEW_IN_LOG, PIXELS_IN_LOG
from core.options import Options
from core.options.base import NAMED_CAMERAS, list_name
from core.options.needs import Listing
from core.options.protocols import PROTOCOLS
from core.plausibility.truth import FEW_PIXELS
from core.plausibility.weights import lost_tensors

AnyDataset = SequenceDataset | JoinedDataset


TICKET = "ticket"  # by which a batch gets its truths


def known_truths(dataset: AnyDataset, epoch: int, arrays: Sample) -> list[Truth | None]:
    """The true depth of every sample of a batch, where it is known."""
    return [dataset.sample_truth(epoch, int(index)) for index in arrays["index"]]


class WithTruths:
    """Samples whose true depth is read along with them, by the loader's threads; of any size, so it stays apart."""

    def __init__(self, dataset: AnyDataset) -> None:
        self.dataset = dataset
        self._truths: dict[int, Truth | None] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        sample = self.dataset[key]
        self._truths[key[1]] = self.dataset.sample_truth(key[0], int(sample["index"]))
        return sample | {TICKET: np.array(key[1])}

    def describe(self, index: int) -> str:
        """Where a sample comes from, for messages."""
        return self.dataset.describe(index)

    def take(self, arrays: Sample) -> list[Truth | None]:
        """The true depth of every sample of a batch, where it is known; once, and takes its traces from the batch."""
        return [self._truths.pop(int(ticket)) for ticket in arrays.pop(TICKET)]


def lists_of(options: Options, dataset: AnyDataset) -> dict[str, SequenceDataset]:
    """The lists that are validated, each by what its numbers are called after: nothing for the first, which decides.

    Raises:
        UserError: two lists have one name.
    """
    if isinstance(dataset, SequenceDataset):
        return {"": dataset}
    names = [_name_of(listing) for listing in options.listings("val")]
    if len(set(names)) < len(names):
        raise UserError(f"lists to validate on: {', '.join(names)}: two have one name; rename a folder")
    return dict(zip(["", *names[1:]], dataset.datasets, strict=True))


def _name_of(listing: Listing) -> str:
    named = listing.camera is not None and listing.dataset in NAMED_CAMERAS
    camera = f"_{listing.camera}" if named else ""
    return f"{list_name(listing.split)}{camera}/"


def batch_metrics(
    options: Options, disparities: np.ndarray, truths: Sequence[Truth | None]
) -> dict[str, float] | None:
    """Depth metrics of a batch by the protocol of the run, for the log: all images scaled by one median.

    Args:
        disparities: (B, 1, h, w) predictions of 1 / depth.
        truths: of each, where it is known.

    Returns:
        By their names in the log; None without truth.
    """
    kind = options.scaling
    factor = options.metres_per_unit if kind == "unit" else 1.0
    if factor is None:
        raise ValueError(f"{options.method}: scaling by a unit that is not known")
    known = [(disparity[0], truth) for disparity, truth in zip(disparities, truths, strict=True) if truth]
    if not known:
        return None
    return training_metrics(
        [disparity for disparity, _ in known],
        [truth.depth for _, truth in known],
        PROTOCOLS[options.protocol],
        Scaling(kind, factor),
        [truth.mirrored for _, truth in known],
    )


def image_metrics(
    options: Options, disparities: np.ndarray, truths: Sequence[Truth | None]
) -> list[dict[str, float]]:
    """The same of every image that has truth, each scaled by its own median; and whether few pixels were compared."""
    metrics = [batch_metrics(options, disparities[[i]], [truths[i]]) for i in range(len(disparities))]
    return [
        values | {FEW_IN_LOG: float(0 < values[PIXELS_IN_LOG] < FEW_PIXELS)}
        for values in metrics
        if values is not None
    ]


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
    words = f"{name.removeprefix('de/')} {value:.5f}"
    if "loss" in values and name != "loss":
        words = f"loss {values['loss']:.5f}, {words}"
    if PIXELS_IN_LOG in values:
        words += f", pixels compared: {values[PIXELS_IN_LOG]:.0f} an image"
    if values.get(FEW_IN_LOG):
        words += (
            f"; FEW: {values[FEW_IN_LOG]:.0%} of the images with truth have less than {FEW_PIXELS}, to which a scale "
            "for each image fits by chance; take denser truth"
        )
    return words


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


def gradients_lost(names: Sequence[str], loss: float, batch: Sample, dataset: AnyDataset) -> NotFiniteError:
    """What to say of gradients that are not finite under a finite loss; the weights are still those before the step.

    Args:
        names: of their parameters.
    """
    indices = [int(index) for index in batch["index"]]
    samples = ", ".join(f"{dataset.describe(i)} in {dataset.target_path(i)}" for i in indices)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return NotFiniteError(
        f"the gradients are not finite ({names[0]}{more}; the loss is {loss:.5g}) for {samples}; "
        "lower --learning_rate or look at these images",
        batch,
    )


def require_weights(networks: Mapping[str, Mapping[str, np.ndarray]], step: int, folder: Path) -> None:
    """Makes sure that weights may be kept.

    Args:
        networks: official state of each.
        folder: where they were to go.

    Raises:
        UserError: a tensor holds numbers that are not finite.
    """
    for network, state in networks.items():
        lost = lost_tensors(state)
        if lost:
            first, count = next(iter(lost.items()))
            more = f", as do {len(lost) - 1} more tensors" if len(lost) > 1 else ""
            raise UserError(
                f"step {step}: the weights are lost: {network}: {first} holds {count} numbers that are not "
                f"finite{more}; {folder} is not written, checkpoints before it stay; go on from one with a lower "
                "--learning_rate"
            )
