"""Names and layouts of PaddlePaddle's files against the official ones, which are PyTorch's: one rule per layer type."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.weights import format_of

BATCH_NORM, LINEAR = "batch normalisation", "linear"
# PaddlePaddle's files have no counter of batches; nothing computes with it.
OFFICIAL_BATCH_NORM = {"_mean": "running_mean", "_variance": "running_var"}


def official_name(native: str, kinds: Mapping[str, str]) -> tuple[str, bool]:
    """The official name of a PaddlePaddle array, and whether its matrix is the transpose of the official one.

    Args:
        native: such as `encoder.bn1._mean`.
        kinds: `{layer: BATCH_NORM or LINEAR}`; layers of other types are alike in both.
    """
    layer, dot, last = native.rpartition(".")
    official = OFFICIAL_BATCH_NORM.get(last, last) if kinds.get(layer) == BATCH_NORM else last
    return layer + dot + official, kinds.get(layer) == LINEAR and last == "weight"


def official_state(
    state: Mapping[str, np.ndarray], path: Path, kinds: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """The state of a network with official names and layouts, whichever backend wrote the file.

    Args:
        state: content of the file.
        path: the file; `.pdparams`, by content, has PaddlePaddle's names and layouts, every other format PyTorch's.
        kinds: see `official_name`.
    """
    if format_of(path) != "pdparams":
        return dict(state)
    official = {}
    for native, array in state.items():
        name, transposed = official_name(native, kinds)
        official[name] = array.T if transposed else array
    return official
