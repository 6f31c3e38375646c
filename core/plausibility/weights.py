"""Numbers that weights cannot be: a file of a training that diverged, quantised ones, statistics that are none."""

from collections.abc import Mapping

import numpy as np

from core.plausibility.checks import impossible

# Last parts of names whose numbers are variances, in either framework's files, and first ones of Adam's second moments.
VARIANCES = ("running_var", "_variance")
SECOND_MOMENTS = "exp_avg_sq/"
LARGEST = float(np.finfo(np.float32).max)  # networks compute in float32; 64-bit files may hold more
NAME_SHOWN = 80


def check_weights(where: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Makes sure that tensors are floating-point, finite, and variances not negative.

    Args:
        where: the file.
        arrays: tensors; whole numbers alone (0-d) are counters.

    Raises:
        UserError: a tensor is not, unless that is accepted.
    """
    whole = [name for name, array in arrays.items() if array.dtype.kind != "f" and array.ndim > 0]
    if whole:
        kind = arrays[whole[0]].dtype
        what = "whole numbers" if kind.kind in "iu" else "other numbers"
        like = "quantised weights? " if kind.kind in "iu" else ""
        cure = "dequantise them first, and save float32" if kind.kind in "iu" else "save float32"
        impossible(
            "weight_values",
            f"{where}: {_first(whole)} {what} ({kind}): {like}networks here compute with floating-point numbers; "
            f"{cure}",
        )
    lost = lost_tensors({name: array for name, array in arrays.items() if name not in whole})
    if lost:
        first, count = next(iter(lost.items()))
        impossible(
            "weight_values",
            f"{where}: {_first(list(lost))} numbers that are not finite ({count} of {arrays[first].size} are NaN, "
            "infinite or beyond float32): the training diverged; take the weights of an earlier epoch",
        )
    negative = [name for name, array in arrays.items() if _is_variance(name) and (array < 0).any()]
    if negative:
        impossible(
            "weight_values",
            f"{where}: {_first(negative)} negative variances (down to {arrays[negative[0]].min():.3g}): the file is "
            "damaged or was converted wrongly; take the original",
        )


def lost_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
    """How many numbers of each tensor are not finite in float32; of those that have such."""
    found = {}
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        good = np.isfinite(array)
        if array.dtype == np.float64:
            good &= np.abs(array) <= LARGEST
        if not good.all():
            found[name] = int(array.size - np.count_nonzero(good))
    return found


def _is_variance(name: str) -> bool:
    return name.rpartition(".")[2] in VARIANCES or name.startswith(SECOND_MOMENTS)


def _first(names: list[str]) -> str:
    """`encoder.conv1.weight and 19 more tensors hold`."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in names[0][:NAME_SHOWN])
    more = len(names) - 1
    return f"{shown} and {more} more tensor{'s' * (more > 1)} hold" if more else f"{shown} holds"
