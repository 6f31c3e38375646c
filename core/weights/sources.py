"""Networks in files of weights, recognised by content and compared strictly with the rules of their release."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.files.whole import EXTENSIONS, check_names, shown_name
from core.options.methods.monodepth2 import NETWORKS
from core.weights import format_of
from core.weights.families import explain, paddle_monodepthv2, recognise
from core.weights.families.base import Network, is_counter
from core.weights.families.monodepth2 import NUMBERS, Decoder, Encoder, PoseDecoder
from core.weights.families.resnet import FIRST_BOTTLENECK
from core.weights.layouts import PADDLE, State, read_state

WEIGHTS_SUFFIXES = (*EXTENSIONS.values(), ".safetensors", ".h5", ".npz", ".pt", ".tar", ".ckpt")
NAMES_SHOWN = 3
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class WeightsFile:
    """One network in a file.

    Attributes:
        path: the file.
        network: what it holds.
        layout: whose names and layouts it has.
        state: official name to array.
    """

    path: Path
    network: Network
    layout: str
    state: State

    @property
    def family(self) -> str:
        """The release it looks like."""
        return paddle_monodepthv2.FAMILY if self.layout == PADDLE else self.network.family

    @property
    def tensors(self) -> int:
        """How many, counters included, numbers beside them not."""
        return sum(name not in NUMBERS for name in self.state)

    @property
    def parameters(self) -> int:
        """Numbers that training adjusts, those of an unused classifier included."""
        return sum(
            array.size
            for name, array in self.state.items()
            if name not in NUMBERS and not is_counter(name) and not name.endswith(STATISTICS)
        )


def read_source(source: Path) -> list[WeightsFile]:
    """The networks in a file or in a folder of weights, recognised by content.

    Raises:
        UserError: nothing is there, a file is damaged or of no known network, or two files of one network differ.
    """
    if not source.is_dir():
        return [read_network(source)]
    files = [file for paths in network_files(source).values() for file in [_one_of(paths)]]
    if not files:
        raise UserError(
            f"{source}: holds no weights such as encoder.pth or encoder.pdparams; name another folder"
        )
    _require_one_model(files)
    return files


def network_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each network in a folder, `{"encoder": [encoder.pth, …]}`: by name, whatever the suffix."""
    found: dict[str, list[Path]] = {}
    for name in NETWORKS:
        paths = sorted(path for path in folder.glob(f"{name}.*") if path.is_file() and _is_weights(path))
        if paths:
            found[name] = paths
    return found


def _is_weights(path: Path) -> bool:
    """A file named as weights has to be some; what else lies beside them may be anything."""
    if path.suffix in WEIGHTS_SUFFIXES:
        return True
    try:
        format_of(path)
    except UserError:
        return False
    return True


def read_network(path: Path) -> WeightsFile:
    """Reads a file and recognises its network, strictly.

    Raises:
        UserError: absent, damaged, of no known network, or not exactly that network.
    """
    state, layout = read_state(path)
    shapes = {name: array.shape for name, array in state.items()}
    network = recognise(shapes)
    if network is None:
        raise UserError(f"{path}: holds arrays of no network that is known: {_described(list(shapes))}")
    stem = path.name.partition(".")[0]
    if isinstance(network, Decoder) and stem in ("depth", "predictive_mask"):
        network = replace(network, mask=stem == "predictive_mask")
    check_names(shapes, network.shapes, path, ignore=network.optional, explain=explain)
    order = [name for name in network.shapes if name in state]
    return WeightsFile(path, network, layout, {name: _value(path, name, state[name]) for name in order})


def _value(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """An array; the numbers beside the tensors, which programs write in many ways, as Python's are read."""
    if name not in NUMBERS:
        return array
    value = array.item() if array.size == 1 and array.dtype.kind in "biuf" else math.nan
    if not float(value).is_integer() or abs(value) >= 1 << 31:
        raise UserError(f"{path}: {name} is no single whole number; save it again as one")
    return np.array(value, bool if name == "use_stereo" else np.int64)


def _described(names: list[str]) -> str:
    """What names a file has instead of those expected."""
    parts = [name.split(".")[:-1] for name in names]
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(min(parts), max(parts), strict=False))
    prefix = ".".join(part for part, _ in alike) if len(names) > 1 else ""
    first = ", ".join(map(shown_name, names[:NAMES_SHOWN]))
    common = f", all below {shown_name(prefix)}; save it without that prefix" if prefix else ""
    return (
        f"{len(names)} such as {first}{common}; "
        "expected are names such as encoder.conv1.weight, decoder.0.conv.conv.weight"
    )


def _one_of(paths: list[Path]) -> WeightsFile:
    """The network of files that hold the same, the most complete of them."""
    files = [read_network(path) for path in paths]
    name = paths[0].name.partition(".")[0]
    best = max(files, key=lambda file: len(file.state))
    for file in files:
        if file.network.file != name:
            raise UserError(f"{file.path}: holds {file.network}, not what its name says; rename it")
        used = [name for name in best.state if name in file.state or name not in best.network.optional]
        if digest(file.state, used) != digest(best.state, used):
            raise UserError(
                f"{best.path} and {file.path.name} hold different weights; remove one, or convert a single file"
            )
    return best


def _require_one_model(files: list[WeightsFile]) -> None:
    """The decoders of a folder fit its encoder."""
    encoder = next((file for file in files if file.network.file == "encoder"), None)
    for file in files:
        if encoder is None or not isinstance(encoder.network, Encoder):
            return
        bottleneck = encoder.network.num_layers >= FIRST_BOTTLENECK
        if isinstance(file.network, Decoder | PoseDecoder) and file.network.bottleneck != bottleneck:
            raise UserError(
                f"{file.path}: is {file.network}, but {encoder.path.name} is {encoder.network}; "
                "the files of two models are mixed"
            )


def digest(state: Mapping[str, np.ndarray], names: Iterable[str]) -> str:
    """sha256 over official name, element type, shape and little-endian bytes in C order, sorted by name.

    A name that is absent changes it.
    """
    total = hashlib.sha256()
    for name in sorted(names):
        if name in state:
            array = np.asarray(state[name], order="C")
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            total.update(f"{name}\0{little.dtype.str}\0{little.shape}\0".encode())
            total.update(little.tobytes())
    return total.hexdigest()
