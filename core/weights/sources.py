"""Networks in files of weights, recognised by content and compared strictly with the rules of their release."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, takewhile
from pathlib import Path

import numpy as np

from core.errors import UserError, say
from core.files.listing import matching
from core.files.whole import EXTENSIONS, check_names, shown_name
from core.plausibility.checks import unlikely
from core.weights import families, format_of
from core.weights.families.base import MethodFamily, Network, Shapes, is_counter, is_number
from core.weights.files import TOGETHER_SUFFIXES
from core.weights.layouts import PADDLE, State, read_state

WEIGHTS_SUFFIXES = (*EXTENSIONS.values(), ".safetensors", ".h5", ".npz", ".pt", ".tar", ".ckpt", ".gz")
NAMES_SHOWN = 3
FIRST_CONVOLUTION = "conv1.weight"  # of a ResNet
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class WeightsFile:
    """One network in a file.

    Attributes:
        path: the file, which may hold others beside it.
        network: what it holds.
        layout: whose names and layouts it has.
        state: official name to array.
        others: the same network by the rules of other families, whose files of it are no different.
        is_model: it lies in a file of whole models, where its family needs no other beside it.
    """

    path: Path
    network: Network
    layout: str
    state: State
    others: tuple[Network, ...] = ()
    is_model: bool = False

    @property
    def family(self) -> str:
        """The release it looks like, or those."""
        rules = (self.network, *self.others)
        names = (rule.paddle_family if self.layout == PADDLE else rule.family for rule in rules)
        return " or ".join(dict.fromkeys(names))

    @property
    def tensors(self) -> int:
        """How many, counters included, numbers beside them not."""
        return sum(name not in self.network.numbers for name in self.state)

    @property
    def parameters(self) -> int:
        """Numbers that training adjusts, those of an unused classifier included."""
        return sum(
            array.size
            for name, array in self.state.items()
            if name not in self.network.numbers and not is_counter(name) and not name.endswith(STATISTICS)
        )


def read_source(source: Path) -> list[WeightsFile]:
    """The networks in a file or in a folder of weights, recognised by content.

    Raises:
        UserError: nothing is there, a file is damaged or of no known network, or two files of one network differ.
    """
    if not source.is_dir():
        return read_files([source])
    paths = network_files(source)
    if not paths:
        files = read_together(source)
        if files:
            return files
        raise UserError(
            f"{source}: holds no weights such as encoder.pth or encoder.pdparams; name another folder"
        )
    read = read_files([path for same in paths.values() for path in same])
    files = [_one_of(name, [file for file in read if file.path in same]) for name, same in paths.items()]
    _require_one_model(files)
    return files


def network_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each network in a folder, `{"encoder": [encoder.pth, …]}`: by name, whatever the suffix."""
    found: dict[str, list[Path]] = {}
    for name in families.network_names():
        paths = [path for path in matching(folder, f"{name}.*") if path.is_file() and _is_weights(path)]
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
    """Reads a file of one network and recognises it, strictly.

    Raises:
        UserError: absent, damaged, of no known network or of several, or not exactly that network.
    """
    files = read_files([path])
    if len(files) > 1:
        names = ", ".join(file.network.file for file in files)
        raise UserError(f"{path}: holds several networks: {names}; convert_weights.py makes a file of each")
    return files[0]


def read_together(place: Path) -> list[WeightsFile]:
    """The networks of a model whose authors keep them in one file, or in one for several.

    Args:
        place: the file, or its folder.

    Returns:
        [] for a folder that has a file for each network, or none at all.

    Raises:
        UserError: a damaged file, or one of a single network; or two files in the folder hold the same network.
    """
    if place.is_file():
        files = read_files([place])
        if len(files) == 1 and not files[0].is_model:
            raise UserError(f"{place}: holds {files[0].network} alone; name the folder it lies in")
        return files
    if not place.is_dir() or network_files(place):
        return []
    paths = sorted(path for path in place.iterdir() if path.is_file() and path.suffix in TOGETHER_SUFFIXES)
    read = [read_files([path]) for path in paths]
    found = [files for files in read if len(files) > 1 or files[0].is_model]
    owners: dict[str, WeightsFile] = {}
    for file in (file for files in found for file in files):
        other = owners.setdefault(file.network.file, file)
        if other is not file:
            raise UserError(
                f"{place}: {other.path.name} and {file.path.name} hold the same networks; name one of these files"
            )
    return list(owners.values())


def read_parts(path: Path, method: str) -> dict[str, State]:
    """The networks in a file by the names that a method's family gives them, compared with no rule.

    Raises:
        UserError: absent, or damaged.
    """
    state, family = read_state(path, checked=False)[0], families.FAMILIES.get(method)
    parts = family.parts(_stem(path), state) if family else {_stem(path): state}
    return {name: dict(own) for name, own in parts.items()}


def read_files(paths: Sequence[Path]) -> list[WeightsFile]:
    """Reads the files of one model and recognises their networks, all together, strictly.

    Args:
        paths: each file holds one network, or several where its family keeps them so.

    Raises:
        UserError: absent, damaged, of no known network, of a network of several families, or not exactly that network.
    """
    states = {path: read_state(path) for path in paths}
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for path, (state, _) in states.items():
        shapes.setdefault(_stem(path), {name: array.shape for name, array in state.items()})
    best = [match.family for match in families.matches(shapes)]
    return [file for path, (state, layout) in states.items() for file in _networks(path, state, layout, best)]


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _networks(path: Path, state: State, layout: str, best: list[MethodFamily]) -> list[WeightsFile]:
    """The networks in one file of a model that these families know best."""
    parts = best[0].parts(_stem(path), state) if best else {_stem(path): state}
    # Whether the family knows its names at all: a single part may have the name of the file.
    split = best[0].split(state) if best and best[0].split and best[0].alone else None
    files = {name: _network(path, name, dict(own), layout, best) for name, own in parts.items()}
    for name, file in files.items() if set(files) != {_stem(path)} else ():
        if file.network.file != name:
            raise UserError(
                f"{path}: holds {file.network} under the names of {name}; it is not what it should be"
            )
    if split and set(files) <= set(best[0].alone):
        return [replace(file, is_model=True) for file in files.values()]
    return list(files.values())


def _network(path: Path, name: str, state: State, layout: str, best: list[MethodFamily]) -> WeightsFile:
    shapes = {key: array.shape for key, array in state.items()}
    # Several families may know its network; which of them has files of that name?
    named = [family for family in best if name in family.networks]
    # A file that is not of its folder's family may be one of another's, and is called that.
    rules = _rules(shapes, named) or _rules(shapes, best)
    rules = rules or _rules(shapes, list(families.FAMILIES.values()))[:1]
    if not rules:
        raise UserError(f"{path}: holds arrays of no network that is known: {_described(list(shapes))}")
    network, *others = (rule.named(name) for rule in rules)
    if network.refusal:
        raise UserError(f"{path}: {network.refusal}")
    if any((other.file, other.needed) != (network.file, network.needed) for other in others):
        raise UserError(f"{path}: {families.tie([network.file], [rule.family for rule in rules])}")
    beside = [key for key, shape in shapes.items() if is_number(key, shape) and key not in network.shapes]
    ignored = network.optional | set(beside)
    check_names(shapes, network.shapes, path, ignore=ignored, explain=families.explain)
    if remark := network.remark(shapes):
        unlikely("imagenet_classifier", f"{path}: {remark}")
    if beside:
        say(
            f"{path}: passed over: numbers beside the tensors: {', '.join(map(shown_name, beside[:NAMES_SHOWN]))}"
        )
    order = [key for key in network.shapes if key in state]
    values = {key: _value(path, key, state[key], network) for key in order}
    return WeightsFile(path, network, layout, values, tuple(others))


def _rules(shapes: Shapes, known: list[MethodFamily]) -> list[Network]:
    return [rule for family in known if (rule := family.recognise(shapes))]


def _value(path: Path, name: str, array: np.ndarray, network: Network) -> np.ndarray:
    """An array; the numbers beside the tensors, which programs write in many ways, as Python's are read."""
    kind = network.numbers.get(name)
    if kind is None:
        return array
    value = array.item() if array.size == 1 and array.dtype.kind in "biuf" else math.nan
    if kind is float and math.isfinite(value):
        return np.array(value, np.float64)
    if not float(value).is_integer() or abs(value) >= 1 << 31:
        raise UserError(f"{path}: {name} is no single whole number; save it again as one")
    return np.array(value, bool if kind is bool else np.int64)


def _described(names: list[str]) -> str:
    """What names a file has instead of those expected."""
    parts = [name.split(".")[:-1] for name in names]
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(min(parts), max(parts), strict=False))
    prefix = ".".join(part for part, _ in alike) if len(names) > 1 else ""
    first = ", ".join(map(shown_name, names[:NAMES_SHOWN]))
    common = ""
    if prefix:
        common = f", all below {shown_name(prefix)}"
        inner = {name.removeprefix(f"{prefix}.") for name in names}
        if FIRST_CONVOLUTION in inner:  # without the prefix they would be taken for torchvision's
            common += ": an encoder? save them below encoder. in place of it"
    return (
        f"{len(names)} such as {first}{common}; "
        "expected are names such as encoder.conv1.weight, decoder.0.conv.conv.weight"
    )


def _one_of(name: str, files: list[WeightsFile]) -> WeightsFile:
    """The network of files that hold the same, the most complete of them."""
    best = max(files, key=lambda file: len(file.state))
    for file in files:
        if file.network.file != name:
            raise UserError(f"{file.path}: holds {file.network}, not what its name says; rename it")
        optional = best.network.optional
        used = [key for key in best.state if key in file.state or key not in optional]
        if file is not best and digest(file.state, used) != digest(best.state, used):
            raise UserError(
                f"{best.path} and {file.path.name} hold different weights; remove one, or convert a single file"
            )
    return best


def _require_one_model(files: list[WeightsFile]) -> None:
    """The networks of a folder are of one family, and its decoders fit its encoder."""
    for file, other in permutations(files, 2):
        same = file.network.family == other.network.family
        if not same or not file.network.fits(other.network):
            raise UserError(
                f"{file.path}: is {file.network}, but {other.path.name} is {other.network}; "
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
            total.update(little.data)  # not copied
    return total.hexdigest()
