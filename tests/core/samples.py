"""Data sets of a few lines, for tests: the words of `Needs`, `AugmentationPolicy` and `Preparation`, all optional."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.datasets import reader
from core.datasets.samples import SequenceDataset
from core.datasets.splits import SplitLine
from core.options.needs import AugmentationPolicy, Listing, Needs, Preparation


def open_lines(
    name: str, root: Path | Listing, lines: Sequence[SplitLine], augment: bool = False, **words: Any
) -> SequenceDataset:
    """A data set of lines, 32x64 unless said otherwise.

    Args:
        augment: draw at random, by the words of `AugmentationPolicy`.
        words: of what a data set takes, each to where it belongs.
    """

    def of(cls: type) -> dict[str, Any]:
        return {field.name: words.pop(field.name) for field in dataclasses.fields(cls) if field.name in words}

    words = {"height": 32, "width": 64} | words
    words |= {key: tuple(words[key]) for key in ("frames", "scales") if key in words}
    policy = AugmentationPolicy(**of(AugmentationPolicy)) if augment else None
    needs, preparation = Needs(**of(Needs)), Preparation(**of(Preparation), augmentation=policy)
    return reader(name)(root, list(lines), needs, preparation, **words)
