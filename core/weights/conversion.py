"""From one format of weights to another, bit for bit; `convert_weights.py` is the command.

Nothing is dropped: what PaddlePaddle has no use for (counters of batches, the unused classifier) stays in its files,
where its own loader passes over it. Two things can be added, and are said: on the way to PyTorch the counters that its
files have, and with `classifier` the one that the published program insists on.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.files.plain_yaml import MAX_BYTES
from core.files.whole import add_files_atomically, write_folder_atomically
from core.options import Options
from core.plausibility import checks
from core.weights import families
from core.weights.families.base import is_counter
from core.weights.files import TOGETHER_SUFFIXES
from core.weights.folder import OPTIONS_FILE, Folder, recognised_options
from core.weights.h5 import write_h5
from core.weights.layouts import State, to_native
from core.weights.pdparams import write_pdparams
from core.weights.safetensors_file import write_safetensors
from core.weights.sources import WeightsFile, digest, network_files, read_files, read_network

EXTENSIONS = {"torch": ".pth", "paddle": ".pdparams", "safetensors": ".safetensors", "h5": ".h5"}

Write = Callable[[Path, State], None]
# `.pth` is written by PyTorch, so its writer comes from the backend.
WRITERS: dict[str, Write] = {
    "paddle": lambda path, state: write_pdparams(path, to_native(state)),
    "safetensors": write_safetensors,
    "h5": write_h5,
}


@dataclass(frozen=True)
class Converted:
    """A file before and after.

    Attributes:
        source: what was read.
        result: the file written, read again.
        before, after: sha256 of the values that the source has, in the source and in the result.
        added: what else the result has, `{"counters": 20}`.
    """

    source: WeightsFile
    result: WeightsFile
    before: str
    after: str
    added: dict[str, int]

    @property
    def identical(self) -> bool:
        """Whether every value kept its bits."""
        return self.before == self.after


def convert(
    files: Iterable[WeightsFile], to: str, folder: Path, write: Write, classifier: bool = False
) -> list[Converted]:
    """Writes networks into a folder and reads them again.

    Args:
        to: a key of `EXTENSIONS`.
        folder: exists.
        write: writes an official state in that format.
        classifier: add the unused classifier, of zeros, to encoders without one.
    """
    done = []
    for file in files:
        state = _completed(file, to, classifier)
        write(folder / target_name(file, to), state)
        with checks.collecting():  # what there is to say of the values was said of their source
            result = read_network(folder / target_name(file, to))
        done.append(_compared(file, result))
    return done


def convert_together(
    files: Sequence[WeightsFile],
    path: Path,
    writer: Callable[[str | Sequence[str]], Write],
    classifier: bool,
    name: str,
) -> list[Converted]:
    """Writes networks into one file, under the names that their authors' program has, and reads them again.

    Args:
        path: of the file.
        writer: what writes a state in PyTorch's format, from the key under which it lies in the file, or the keys of
            its parts; see `core.weights.layouts.nested`.
        classifier: see `convert`.
        name: what the file will be called.

    Raises:
        UserError: the authors have a file for each network, or they cannot be told.
    """
    shapes = {file.network.file: {key: a.shape for key, a in file.state.items()} for file in files}
    found = families.matches(shapes)
    if len(found) > 1:
        raise UserError(f"{files[0].path}: {families.tie(list(shapes), [match.release for match in found])}")
    join, containers = found[0].family.join, found[0].family.containers
    if join is None:
        raise UserError(
            f"--joined: {found[0].release} has a file for each network; use --to torch and --output"
        )
    absent = [name for name in found[0].family.networks if name not in shapes] if containers else []
    if absent:
        raise UserError(
            f"--joined: {files[0].path.parent} lacks {' and '.join(absent)}, which such files have"
        )
    write = writer(containers or "state_dict")
    write(path, join({file.network.file: _completed(file, "torch", classifier) for file in files}))
    with checks.collecting():
        results = {
            result.network.file: replace(result, path=path.with_name(name)) for result in read_files([path])
        }
    return [_compared(file, results[file.network.file]) for file in files]


def _compared(file: WeightsFile, result: WeightsFile) -> Converted:
    before, after = digest(file.state, file.state), digest(result.state, file.state)
    added = [name for name in result.state if name not in file.state]
    counters = sum(map(is_counter, added))
    kinds = {"counters": counters, "arrays of the classifier": len(added) - counters}
    return Converted(file, result, before, after, {kind: count for kind, count in kinds.items() if count})


def target_name(file: WeightsFile, to: str) -> str:
    """The name that loaders look for."""
    return file.network.file + EXTENSIONS[to]


def _completed(file: WeightsFile, to: str, classifier: bool) -> State:
    """The state in official order, with the counters and the classifier that it lacks."""
    shapes, state = file.network.shapes, dict(file.state)
    for name, shape in shapes.items():
        if name in state:
            continue
        if to == "torch" and is_counter(name):
            state[name] = np.zeros(shape, np.int64)
        elif classifier and name in file.network.classifier:
            state[name] = np.zeros(shape, np.float32)
    return {name: state[name] for name in shapes if name in state}


def table(converted: list[Converted]) -> str:
    """A row for each file read and one for the file made of it."""
    rows = [("file", "release", "network", "tensors", "parameters", "sha256 of the values")]
    for one in converted:
        for file, values in ((one.source, one.before), (one.result, one.after)):
            counts = (str(file.tensors), f"{file.parameters:,}")
            rows.append((file.path.name, file.family, file.network.title, *counts, values))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        name, release, network, tensors, parameters, values = row
        cells = (name, release, network, tensors.rjust(widths[3]), parameters.rjust(widths[4]), values)
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    return "\n".join(lines)


def kept_options(source: Path, files: Sequence[WeightsFile]) -> Options | None:
    """The options of a model whose file keeps those of its training beside the networks; None for others.

    Without them a converted model would not know its size and its unit.

    Raises:
        UserError: they are damaged, or impossible.
    """
    shapes = {file.network.file: {key: a.shape for key, a in file.state.items()} for file in files}
    found = families.matches(shapes, of_methods=True)
    if not source.is_file() or len(found) != 1 or not found[0].family.configuration:
        return None
    states = {file.network.file: file.state for file in files}
    options, told = recognised_options(Folder(source, states=states))
    if not told:
        return None
    options.validate()
    return options


# ---- where it goes -------------------------------------------------------------------------------------------


def default_output(source: Path, to: str) -> Path:
    """Beside the source: the folder `<source>_<to>`, or the folder of a single file."""
    return (
        source.parent if not source.is_dir() else source.resolve().with_name(f"{source.resolve().name}_{to}")
    )


def left_out(source: Path, files: Iterable[WeightsFile]) -> list[str]:
    """What lies in a source folder beside the files that were read: it stays there."""
    if not source.is_dir():
        return []
    taken = {path.name for paths in network_files(source).values() for path in paths}
    taken |= {file.path.name for file in files}
    present = (path.name for path in source.iterdir() if not path.name.startswith("."))
    return sorted(set(present) - taken - {OPTIONS_FILE})


def require_free(output: Path, source: Path, names: Iterable[str], force: bool) -> None:
    """Raises UserError if writing these files would mix models or replace something without `force`.

    Args:
        names: of the weights; `options.yaml` of a source folder goes with them.
    """
    if output.suffix in EXTENSIONS.values() or (output.exists() and not output.is_dir()):
        raise UserError(f"{output}: --output is a folder; the files in it get their official names")
    if force or not output.exists():
        return
    if _options_of(source, output) is not None:
        names = [*names, OPTIONS_FILE]
    taken = [name for name in names if os.path.lexists(output / name)]
    if taken:
        raise UserError(f"{output / taken[0]}: is there already; choose another --output, or --force")
    in_place = not source.is_dir() or output.resolve() == source.resolve()
    if not in_place and network_files(output):
        raise UserError(f"{output}: holds weights already; choose another --output, or --force")


def require_free_file(path: Path, force: bool) -> None:
    """Raises UserError if a file of all networks cannot have this name, or would replace something without `force`."""
    if path.suffix not in TOGETHER_SUFFIXES or path.is_dir():
        raise UserError(f"{path}: --joined is a file; end its name in one of {' '.join(TOGETHER_SUFFIXES)}")
    if os.path.lexists(path) and not force:
        raise UserError(f"{path}: is there already; choose another --joined, or --force")


def place(output: Path, source: Path, fill: Callable[[Path], None]) -> None:
    """Lets `fill` write into an empty folder and puts its files into `output` once all are whole.

    `options.yaml` of a source folder goes with them.
    """

    def fill_and_copy(folder: Path) -> None:
        fill(folder)
        options = _options_of(source, output)
        if options is not None:
            (folder / OPTIONS_FILE).write_bytes(options.read_bytes())

    if output.is_dir():
        add_files_atomically(output, fill_and_copy)
    else:
        write_folder_atomically(output, fill_and_copy)


def _options_of(source: Path, output: Path) -> Path | None:
    """The options of a source folder that go to another one; a link could bring anything along."""
    options = source / OPTIONS_FILE
    if not source.is_dir() or output.resolve() == source.resolve() or not os.path.lexists(options):
        return None
    if options.is_symlink() or not options.is_file() or options.stat().st_size > MAX_BYTES:
        raise UserError(f"{options}: is no regular file of options; put a copy of them in its place")
    return options
