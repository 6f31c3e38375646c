"""What a weights folder says of its model."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from core.errors import UserError, say
from core.files.whole import EXTENSIONS, find_file, find_weights
from core.options import OPTIONS, Options
from core.options.parsing import checked_values, load_method_options
from core.weights import format_of
from core.weights.families import FAMILIES, matches, network_names, tie
from core.weights.families.base import MethodFamily, numbers_in
from core.weights.layouts import State, read_state

OPTIONS_FILE = "options.yaml"


class Folder(Mapping[str, State]):
    """The official states of the networks in a folder, `{"encoder": …}`; each file is read once, when it is asked for.

    Args:
        folder: of weights; or the one file, or the folder of it, in which its authors keep all networks of a model.
        extension: of the files that are preferred, see `core.files.whole.find_file`.
        states: what has been read already.
        loose: the method whose networks a file of all of them is taken for, without comparing it with any rule.
    """

    def __init__(
        self,
        folder: Path,
        extension: str = EXTENSIONS["torch"],
        states: Mapping[str, State] | None = None,
        loose: str | None = None,
    ) -> None:
        self.folder, self.extension, self.loose = Path(folder), extension, loose
        self.read = dict(states or {})

    def __getitem__(self, name: str) -> State:
        """Raises UserError if the file is damaged or holds something else than arrays."""
        path = None if name in self.read else self.path(name)
        if name not in self.read:  # looking for the file may have read it
            if path is None:
                raise KeyError(name)
            self.read[name] = read_state(path, checked=not self.loose)[0]
        return self.read[name]

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of the families."""
        return (name for name in dict.fromkeys([*network_names(), *self.read]) if self._is_there(name))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def path(self, name: str) -> Path | None:
        """The file of a network, or None; raises UserError for a damaged file of several networks."""
        return find_file(self.folder, name, self.extension) or self._together.get(name)

    def paths(self, names: Iterable[str]) -> dict[str, Path]:
        """The files of networks; raises UserError if one is missing, as `core.files.whole.find_weights` does."""
        return find_weights(self.folder, names, self.extension, self._together)

    @cached_property
    def _together(self) -> dict[str, Path]:
        """The file of each network that shares it with others; all of them are read."""
        from core.weights.sources import read_parts, read_together

        if self.loose and self.folder.is_file():
            self.read = read_parts(self.folder, self.loose) | self.read
            return dict.fromkeys(self.read, self.folder)
        files = read_together(self.folder)
        self.read = {file.network.file: file.state for file in files} | self.read
        return {file.network.file: file.path for file in files}

    def beside(self, key: str) -> dict[str, Any]:
        """Plain values that a file of all networks keeps in a dict beside them; {} where there is none."""
        from core.weights.pth import read_record

        found: dict[str, Any] = {}
        for path in self._checkpoints() if key else ():
            found |= read_record(path, key)
        return found

    def last_epoch(self) -> int | None:
        """The last of the training in a file of all networks, counted from 0; None where none says it."""
        from core.weights.pth import read_number

        epochs = (read_number(path, "epoch") for path in self._checkpoints())
        return next((epoch for epoch in epochs if epoch is not None), None)

    def _checkpoints(self) -> list[Path]:
        """The files of all networks that may hold more than those."""
        if any(find_file(self.folder, name, self.extension) for name in network_names()):
            return []
        paths = [self.folder] if self.folder.is_file() else dict.fromkeys(self._together.values())
        return [path for path in paths if format_of(path) == "pth"]

    def _is_there(self, name: str) -> bool:
        return name in self.read or self.path(name) is not None


def model_options(
    folder: Path,
    states: Mapping[str, State],
    overrides: Mapping[str, Any],
    untold: Mapping[str, Any] | None = None,
    preferred: Mapping[str, Any] | None = None,
) -> Options:
    """The options of the model in a folder: `options.yaml`, or what the files of an official release tell.

    Args:
        folder: of weights, or a file of all networks.
        states: official states of networks that have been read, such as `{"encoder": …, "depth": …}`; without
            `options.yaml` the others are read from the folder. A `Folder` reads, and keeps, what is needed.
        overrides: values that replace those of the folder; None leaves them.
        untold: values for what the files do not say, such as their height; None: the defaults, which are then said.
        preferred: values that replace those of the folder where the method has such an option.

    Raises:
        UserError: `options.yaml` is damaged, a value is impossible, the method lacks an option, an option contradicts a
            file that has been read, the folder does say what is untold, or the files are those of several methods.
    """
    untold = {name: value for name, value in (untold or {}).items() if value is not None}
    files = states if isinstance(states, Folder) else Folder(folder, states=states)
    overrides = {name: value for name, value in overrides.items() if value is not None}
    if (folder / OPTIONS_FILE).is_file():
        options = load_method_options(folder / OPTIONS_FILE)
        overrides = _known_to(options, preferred) | overrides
        said = {name: getattr(options, name) for name in untold}
    else:
        options, told = recognised_options(files)
        told |= {
            name for state in files.values() for name in numbers_in(state)
        }  # which its options follow from
        overrides = _known_to(options, preferred) | overrides
        unknown = _unknown(folder, options, told, {**overrides, **untold})
        said = {name: getattr(options, name) for name in untold if name not in unknown}
    for name, value in said.items():
        if value != untold[name]:
            raise UserError(
                f"--{name} {untold[name]}: {folder} was trained with {value}; leave the option out"
            )
    overrides = {**untold, **overrides}
    for name in overrides:
        if name not in {field.name for field in dataclasses.fields(options)}:
            raise UserError(
                f"--{name}: {folder} is a model of {options.method}, which has no such option; leave it out"
            )
    require_agreement(files, options.method, overrides)
    options = dataclasses.replace(options, **overrides)
    options.validate()
    return options


def _known_to(options: Options, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values of the options that a method has."""
    names = {field.name for field in dataclasses.fields(options)}
    return {name: value for name, value in (values or {}).items() if name in names}


def _unknown(
    folder: Path, options: Options, told: Iterable[str], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """The options that the files could not tell; says to the user what is taken for those that are not given."""
    family = FAMILIES.get(options.method)
    unknown = tuple(name for name in family.untold if name not in told) if family else ()
    missing = [name for name in unknown if name not in given]
    if missing:
        taken = ", ".join(f"--{name} {getattr(options, name)}" for name in missing)
        say(f"{folder}: its files do not say {' and '.join(missing)}; taken for it: {taken}")
    return unknown


def require_agreement(files: Folder, method: str, overrides: Mapping[str, Any]) -> None:
    """Raises UserError if a file that has been read contradicts one of the options that replace those of its folder."""
    overrides = {name: value for name, value in overrides.items() if value is not None}
    family = FAMILIES.get(method)
    if family is None or not overrides:
        return
    for name, state in files.read.items():
        rule = family.recognise({key: array.shape for key, array in state.items()})
        denial = rule.named(name).denial(overrides) if rule else None
        if denial:
            raise UserError(f"{files.folder}: {denial}; leave the option out, the file tells")


def recognised_options(files: Folder) -> tuple[Options, frozenset[str]]:
    """What the files tell: names, shapes and numbers, and what lies beside them; and the names of the latter options.

    Where no family knows any, the first has its say.
    """
    shapes = {name: {key: array.shape for key, array in state.items()} for name, state in files.items()}
    found = matches(shapes, of_methods=True)
    if len(found) > 1:
        raise UserError(f"{files.folder}: {tie(found[0].networks, [match.release for match in found])}")
    for refusal in filter(None, (rule.refusal for rule in found[0].networks.values()) if found else ()):
        raise UserError(f"{files.folder}: {refusal}")
    family = found[0].family if found else next(iter(FAMILIES.values()))
    assert family.options_of is not None  # every method's family has it
    try:
        options = family.options_of(found[0].networks if found else {}, dict(files))
    except UserError as error:
        raise UserError(f"{files.folder}: {error}") from None
    if not found:  # loading it will say why, and of which names
        return options, frozenset(family.untold)
    told = configured_options(files, family)
    return dataclasses.replace(options, **told), frozenset(told)


def configured_options(files: Folder, family: MethodFamily) -> dict[str, Any]:
    """The options that follow from those of a training which a file of all networks keeps beside them.

    Raises:
        UserError: one of them is of another type than ours.
    """
    kept = files.beside(family.configuration) if family.configured else {}
    if not kept:
        return {}
    assert family.configured is not None
    where, found = f"{files.folder}: {family.configuration}", family.configured(kept)
    epoch = files.last_epoch() if family.reached else None
    if family.reached and epoch is not None:
        found |= family.reached(kept, epoch)
    return checked_values(OPTIONS[family.method], found, where)


def start_file(files: Folder, name: str, options: Options, network: str) -> Path:
    """The file that a network of a new run starts with.

    Args:
        name: the network's name in the folder.
        options: of the run; the option that names the folder is in the message.
        network: its name in the run.

    Raises:
        UserError: it is not there.
    """
    path = files.path(name)
    if path is not None:
        return path
    option = _option_with(options, files.folder)
    cure = f", or leave {network} out of --models_to_load" if option == "load_weights_folder" else ""
    if files.folder.is_file():
        raise UserError(f"{files.folder}: holds no network {name}; check --{option}{cure}")
    raise UserError(f"{files.folder / (name + files.extension)}: no such file; check --{option}{cure}")


def results_folder(weights: str | Path) -> Path:
    """Where results of a model go: the folder of its weights, or the one that their file lies in."""
    return Path(weights).parent if Path(weights).is_file() else Path(weights)


def _option_with(options: Options, folder: Path) -> str:
    """The option whose value a folder of weights is."""
    names = ("load_weights_folder", *(field.name for field in dataclasses.fields(options)))
    values = {name: getattr(options, name) for name in names}
    return next(
        (name for name, value in values.items() if isinstance(value, str) and Path(value) == folder), names[0]
    )
