"""What a checkpoint of a whole training says of its progress, for a training that goes on from it."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from core.errors import UserError, say
from core.weights import format_of
from core.weights.families import FAMILIES
from core.weights.families.base import is_counter, is_number
from core.weights.layouts import State
from core.weights.pth import read_number, read_optimizer
from core.weights.sources import STATISTICS

if TYPE_CHECKING:
    from core.options import Options

    TrainingOptions = TypeVar("TrainingOptions", bound=Options)


def with_start_epoch(options: "TrainingOptions") -> "TrainingOptions":
    """Options whose `start_epoch` is the number of epochs done: where they leave it to the file of weights, as it says.

    Raises:
        UserError: the file says of no epoch, or of none before the last.
    """
    if options.start_epoch >= 0:
        return options
    path = Path(options.load_weights_folder or "")
    done = _epochs_done(path, options.method)
    if done is None or done < 1:
        raise UserError(f"{path}: does not say after which epoch it was saved; give --start_epoch N")
    options = dataclasses.replace(options, start_epoch=done)
    options.validate()
    say(f"{path}: saved in epoch {done - 1}; goes on with epoch {done}")
    return options


def _epochs_done(path: Path, method: str) -> int | None:
    """How many epochs a file of weights has behind it; None where it does not say."""
    if not _is_checkpoint(path):
        return None
    keys = FAMILIES[method].finished if method in FAMILIES else ()
    if keys:
        return read_number(path, *keys)
    epoch = read_number(path, "epoch")
    return None if epoch is None else epoch + 1


def kept_moments(path: Path, files: Mapping[str, State], method: str) -> State:
    """Adam's moments in a file of all networks, as `training_state.safetensors` has them.

    Args:
        path: of the file.
        files: official state of each of its networks.
        method: whose family says in which order the optimiser has them.

    Returns:
        {} where there are none, or not those of the file's networks; what is done is said.

    Raises:
        UserError: the file is damaged.
    """
    family = FAMILIES.get(method)
    order = family.optimised if family else ()
    if not order or not _is_checkpoint(path):
        return {}
    found = read_optimizer(path)
    parameters = list(_parameters(files, order)) if found else []
    if family and family.frozen and len(found) < len(parameters):
        parameters = list(_parameters(files, tuple(name for name in order if name not in family.frozen)))
    if not _fit(found, parameters):
        reason = (
            "its optimizer's state is not that of its networks" if found else "it has no optimizer's state"
        )
        say(f"{path}: {reason}; Adam's moments begin at zero")
        return {}
    arrays = {"step": np.array(max(int(one["step"]) for one in found if one), np.int64)}
    for (name, _), moments in zip(parameters, found, strict=True):
        if moments:
            arrays |= {f"{key}/{name}": moments[key].astype(np.float32) for key in ("exp_avg", "exp_avg_sq")}
            arrays[f"steps/{name}"] = np.array(int(moments["step"]), np.int64)
    say(f"{path}: goes on with Adam's moments of {sum(map(bool, found))} parameters")
    return arrays


def _is_checkpoint(path: Path) -> bool:
    return path.is_file() and format_of(path) == "pth"


def _parameters(files: Mapping[str, State], order: tuple[str, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """`("encoder/encoder.conv1.weight", shape)` of all that is trained, network by network in the official order."""
    for network in (one for one in order if one in files):
        for name, array in files[network].items():
            if not (name.endswith(STATISTICS) or is_counter(name) or is_number(name, array.shape)):
                yield f"{network}/{name}", array.shape


def _fit(found: list[dict[str, np.ndarray]], parameters: list[tuple[str, tuple[int, ...]]]) -> bool:
    """Whether moments are those of the parameters: as many, and each of its shape."""
    if len(found) != len(parameters) or not any(found):
        return False
    return all(
        moments[key].shape == shape
        for (_, shape), moments in zip(parameters, found, strict=True)
        for key in ("exp_avg", "exp_avg_sq")
        if moments
    )
