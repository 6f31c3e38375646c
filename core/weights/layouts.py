"""Names and layouts of PaddlePaddle's files against the official ones, which are PyTorch's: one rule per layer type.

A layer's type follows from its arrays: with running statistics it is a batch normalisation, with a matrix as weight
it is linear. So the rules need neither the network nor a framework.

| layer | official (PyTorch) | PaddlePaddle |
|---|---|---|
| batch normalisation | `running_mean`, `running_var` | `_mean`, `_variance` |
| batch normalisation | `num_batches_tracked` | none; kept beside the others when a file is converted, and ignored |
| linear | weight (out, in) | weight (in, out) |
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError, say
from core.weights import families
from core.weights.families.base import is_counter

if TYPE_CHECKING:
    import numpy as np

Shape = tuple[int, ...]
State = dict[str, "np.ndarray"]

TORCH, PADDLE = "torch", "paddle"
BATCH_NORM, LINEAR = "batch normalisation", "linear"
NATIVE_STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}
OFFICIAL_STATISTICS = {native: official for official, native in NATIVE_STATISTICS.items()}
WRAPPER = "module."  # DataParallel's, in front of every name
# Parts of names that wrappers put anywhere: of compiling, of sharding, of activations kept in part, of Lightning.
WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
MOST_PREFIXES = 4
PROFILER = ("total_ops", "total_params")  # last parts of names: what thop counts


def layer_kinds(shapes: Mapping[str, Shape]) -> dict[str, str]:
    """`{layer: BATCH_NORM or LINEAR}`; layers of other types are alike in both.

    Args:
        shapes: name to shape, of either framework.
    """
    kinds = {}
    for name, shape in shapes.items():
        layer, _, last = name.rpartition(".")
        if last in NATIVE_STATISTICS or last in OFFICIAL_STATISTICS:
            kinds[layer] = BATCH_NORM
        elif last == "weight" and len(shape) == 2:
            kinds[layer] = LINEAR
    return kinds


def native_names(shapes: Mapping[str, Shape]) -> dict[str, tuple[str, bool]]:
    """`{official name: (PaddlePaddle's name, whether its matrix is the transpose of the official one)}`."""
    return _renamed(shapes, NATIVE_STATISTICS)


def official_names(shapes: Mapping[str, Shape]) -> dict[str, tuple[str, bool]]:
    """`{PaddlePaddle's name: (official name, whether its matrix is the transpose of the official one)}`."""
    return _renamed(shapes, OFFICIAL_STATISTICS)


def _renamed(shapes: Mapping[str, Shape], statistics: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
    kinds, renamed = layer_kinds(shapes), {}
    for name in shapes:
        layer, dot, last = name.rpartition(".")
        kind = kinds.get(layer)
        new = statistics.get(last, last) if kind == BATCH_NORM else last
        renamed[name] = (layer + dot + new, kind == LINEAR and last == "weight")
    return renamed


def official_shapes(native: Mapping[str, Shape]) -> dict[str, Shape]:
    """Official name to shape, from those of PaddlePaddle."""
    return {
        name: native[own][::-1] if transposed else native[own]
        for own, (name, transposed) in official_names(native).items()
    }


def to_native(state: Mapping[str, "np.ndarray"]) -> State:
    """A state with PaddlePaddle's names and layouts, from the official ones."""
    return _applied(state, native_names(_shapes(state)))


def to_official(native: Mapping[str, "np.ndarray"]) -> State:
    """A state with official names and layouts, from those of PaddlePaddle."""
    return _applied(native, official_names(_shapes(native)))


def _shapes(state: Mapping[str, "np.ndarray"]) -> dict[str, Shape]:
    return {name: array.shape for name, array in state.items()}


def _applied(state: Mapping[str, "np.ndarray"], names: Mapping[str, tuple[str, bool]]) -> State:
    return {new: state[old].T if transposed else state[old] for old, (new, transposed) in names.items()}


def layout_of(state: Mapping[str, "np.ndarray"], format: str) -> str:
    """`TORCH` or `PADDLE`: whose names and layouts a state has.

    The names of its statistics decide; where it has none, the format of its file.

    Args:
        format: see `core.weights.format_of`.
    """
    lasts = {name.rpartition(".")[2] for name in state}
    if lasts & set(OFFICIAL_STATISTICS):
        return PADDLE
    return PADDLE if format == "pdparams" and not lasts & set(NATIVE_STATISTICS) else TORCH


def nested(content: Mapping[str, Any], key: str | Sequence[str] | None) -> dict[str, Any]:
    """What a file holds so that a state lies where its authors have it.

    Args:
        content: the state.
        key: under which all of it lies; several: each names a part, whose names it and a dot begin; None: at the top.
    """
    if key is None:
        return dict(content)
    if isinstance(key, str):
        return {key: dict(content)}
    parts: dict[str, Any] = {part: {} for part in key}
    for name, value in content.items():
        part, _, own = name.partition(".")
        parts[part][own] = value
    return parts


def read_state(path: Path, checked: bool = True) -> tuple[State, str]:
    """Reads a file of weights, whoever wrote it.

    Args:
        checked: the tensors have to be what weights can be, see `core.plausibility.weights`.

    Returns:
        The state with official names and layouts, numbers beside the tensors as 0-d arrays; and the layout that the
        file has, `TORCH` or `PADDLE`. A profiler's counts are left out, which is said.

    Raises:
        UserError: absent, damaged, holding something else than arrays, names of both frameworks, or numbers that
            weights cannot be. Nothing is executed.
    """
    from core.weights import format_of, read_weights_file

    found = _without_counts(path, read_weights_file(path))
    if checked:
        check_state(path, found)
    layout = layout_of(found, format_of(path))
    plain = _unwrapped(found)
    state = to_official(plain) if layout == PADDLE else plain
    if len(state) != len(found):
        raise UserError(f"{path}: mixes the names of PyTorch and PaddlePaddle; save it again in one of them")
    return _below_no_prefix(state), layout


def check_state(path: Path, state: Mapping[str, "np.ndarray"]) -> None:
    """Raises UserError for tensors that weights cannot be; counters and plain numbers beside them may be anything."""
    from core.plausibility.weights import check_weights

    # What has no dot is no layer's: a number, written in whatever way, or a table of numbers.
    tensors = {
        name: array
        for name, array in state.items()
        if not is_counter(name) and ("." in name or (array.dtype.kind == "f" and array.size > 1))
    }
    check_weights(str(path), tensors)


def _without_counts(path: Path, state: State) -> State:
    counts = [name for name in state if name.rpartition(".")[2] in PROFILER]
    if counts:
        say(f"{path}: passed over: {len(counts)} counts of a profiler, such as {counts[0]}")
    return {name: array for name, array in state.items() if name not in counts} if counts else state


def _unwrapped(state: State) -> State:
    """Names without what wrappers add to them."""
    names = {name: ".".join(part for part in name.split(".") if part not in WRAPPED) for name in state}
    if all(name.startswith(WRAPPER) for name in names.values() if "." in name):
        names = {name: plain.removeprefix(WRAPPER) for name, plain in names.items()}
    return {plain: state[name] for name, plain in names.items()}


def _below_no_prefix(state: State) -> State:
    """A state whose names are a method's network but for a prefix that they share: without it.

    What remains must be a method's: torchvision's names remain of many encoders, which are no ImageNet weights.
    """
    shapes, lost = _shapes(state), ""
    for _ in range(MOST_PREFIXES):
        if families.matches({"": shapes}):
            break
        firsts = {name.partition(".")[0] for name in shapes if "." in name}
        if len(firsts) != 1:
            return state
        lost += f"{firsts.pop()}."
        shapes = {name.removeprefix(lost): array.shape for name, array in state.items()}
    if not lost or not families.matches({"": shapes}, of_methods=True):
        return state
    return {name.removeprefix(lost): array for name, array in state.items()}
