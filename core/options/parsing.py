"""Dataclass ↔ command line ↔ files. Precedence: defaults < `--config` files in their order < command line.

Values of YAML pass the same type check as those of the command line (PyYAML reads `1e-4` as text). A flag is
set by `--use_stereo` and taken back by `--no_use_stereo`; `none` empties an option that may be empty.
Imports neither NumPy nor a framework.
"""

import argparse
import contextlib
import dataclasses
import difflib
import inspect
import math
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from core.errors import UserError, say
from core.files.inputs import OTHER_IMAGES, VIDEO_EXTENSIONS
from core.files.whole import write_yaml, yaml_text
from core.options import OPTIONS, REPLACED, EvaluationOptions, Options, option_files
from core.plausibility import checks

OptionsClass = TypeVar("OptionsClass")

VERSION = "unreleased"
PACKAGES = ("torch", "paddlepaddle", "paddlepaddle-gpu", "numpy", "opencv-python-headless", "Pillow")
VALUE_SHOWN = 80
PICTURES = (*OTHER_IMAGES, *VIDEO_EXTENSIONS)
TRANSLATED = "translated "  # before the name of an option of the authors, where argparse keeps it
Translate = Callable[[list[str]], dict[str, Any]]
TYPE_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def parse(
    options_class: type[OptionsClass], argv: list[str] | None = None, description: str = ""
) -> OptionsClass:
    """Makes options from the command line and the YAML files named by `--config`, and validates them.

    Args:
        options_class: a dataclass of `core.options.option` fields.
        argv: arguments without the program's name; None takes those of the process.
        description: first paragraph of `--help`.

    Raises:
        UserError: unknown option or key (with the nearest name), wrong type, wrong choice, unreadable file.
    """
    fields = _fields(options_class)
    argv = sys.argv[1:] if argv is None else argv
    given, rest = _make_parser(options_class, description).parse_known_args(argv)
    if rest:
        _refuse_argument(rest, argv, options_class)
    arguments = vars(given)
    printing = arguments.pop("print_config", False)
    values: dict[str, Any] = {}
    notes: list[str] = []
    for file in arguments.pop("config", []):
        values.update(_read_file(options_class, Path(file), notes))
    # In the order of the method: a later one may put right what an earlier one says.
    for name in _translated(options_class):
        for words in arguments.pop(TRANSLATED + name, []):
            meant = {name: True} if not words and name in fields else None
            values.update(meant or _translate(options_class, name, words, f"option --{name}"))
    for name, value in arguments.items():
        where = name.upper() if fields[name].positional else f"option --{name}"
        values[name] = _convert(fields[name], value, where)
    options = _build(options_class, _with_preset(options_class, values))
    if printing:
        _print_config(options, notes)
    for note in notes:
        say(note)
    checks.begin(getattr(options, "accept", None), offered="accept" in fields)
    return options


def _print_config(options: Any, notes: list[str]) -> NoReturn:
    """Prints every option, in YAML that `--config` reads, and ends the program."""
    print(*(f"# {note}" for note in notes), yaml_text(dataclasses.asdict(options)), sep="\n", end="")
    raise SystemExit(0)


def _with_preset(options_class: type, values: dict[str, Any]) -> dict[str, Any]:
    """The values of `--compatibility`'s preset, where the class has presets, and over them those that were given."""
    presets: Mapping[str, Mapping[str, Any]] = getattr(options_class, "PRESETS", {})
    if not presets:
        return values
    chosen = values.get("compatibility", _fields(options_class)["compatibility"].default)
    return {**presets[chosen], **values}


def parse_method(
    argv: list[str] | None = None,
    description: str = "",
    options_of: Callable[[type[Options]], type] = lambda method: method,
) -> Any:
    """Makes the options of the method that `--method` names, on the command line or in a YAML file; see `parse`.

    Args:
        options_of: the class to parse into, from that of the method.

    Raises:
        UserError: as `parse` does, or there is no such method.
    """
    argv = sys.argv[1:] if argv is None else argv
    return parse(options_of(OPTIONS[_method_of(argv)]), argv, description)


def _method_of(argv: list[str]) -> str:
    """The method's name that the command line says, else the last YAML file with one, else the first there is."""
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--method")
    given, _ = parser.parse_known_args(argv)
    method = getattr(given, "method", None)
    where = "option --method"
    if method is None:
        for file in given.config:
            found = _content(Path(file)).values.get("method")
            method, where = (found, f"{file}: method") if found is not None else (method, where)
    if method is None:
        return next(iter(OPTIONS))
    return _known_method(method, where)


def _known_method(method: Any, where: str) -> str:
    """The name of a method.

    Raises:
        UserError: there is none of that name; says the nearest, or all.
    """
    if isinstance(method, str) and method in OPTIONS:
        return method
    nearest = difflib.get_close_matches(str(method)[:VALUE_SHOWN], OPTIONS, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(OPTIONS)}"
    raise UserError(f"{where}: {_shown(method)} is no method that is here; {hint}")


def save_options(options: Any, path: Path) -> None:
    """Writes every option as YAML, atomically; `load_options` and `--config` read it."""
    write_yaml(path, dataclasses.asdict(options))


def load_options(options_class: type[OptionsClass], path: Path) -> OptionsClass:
    """Reads what `save_options` wrote. Absent keys keep their defaults; unknown ones raise UserError."""
    return _build(options_class, _read_file(options_class, path))


def load_method_options(path: Path) -> Options:
    """Reads what `save_options` wrote of a training, whichever its method.

    Raises:
        UserError: the file is damaged, or of a method that is not here.
    """
    method = option_files.read(path).get("method", next(iter(OPTIONS)))
    return load_options(OPTIONS[_known_method(method, f"{path}: method")], path)


def _build(options_class: type[OptionsClass], values: dict[str, Any]) -> OptionsClass:
    options = options_class(**values)
    validate = getattr(options, "validate", None)
    if validate is not None:
        validate()
    return options


# --- the command line ---


class _Version(argparse.Action):
    """Prints what runs; importing a framework for it would take seconds."""

    def __call__(self, *_: Any) -> NoReturn:
        from importlib import metadata

        python = ".".join(map(str, sys.version_info[:3]))
        print(f"{VERSION}, Python {python} on {sys.platform}")
        for package in PACKAGES:
            with contextlib.suppress(metadata.PackageNotFoundError):
                print(package, metadata.version(package))
        raise SystemExit(0)


class _Parser(argparse.ArgumentParser):
    def __init__(self, example: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self.example = example
        # Of a list's numbers argparse takes -0.5 for one, but -1e-3 for an option (before Python 3.14).
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")

    def format_help(self) -> str:
        """Ends with a line to copy."""
        return super().format_help() + (f"\nexample: python {self.example}\n" if self.example else "")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)")


def _make_parser(options_class: type, description: str) -> argparse.ArgumentParser:
    options = _fields(options_class).values()
    positional = "".join(f"{option.name.upper()} " for option in options if option.positional)
    parser = _Parser(
        example=_example(options_class),
        description=description,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        usage=f"%(prog)s {positional}[--config FILE.yml ...] [--OPTION VALUE ...]",
        epilog="--no_FLAG takes back a flag set in a YAML file; 'none' empties an option that may be empty.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=118),
    )
    parser.add_argument(
        "--config",
        action="append",
        metavar="FILE.yml",
        help="YAML file of options, or of lines key = value (.txt); several: the later wins",
    )
    parser.add_argument(
        "--print_config",
        action="store_true",
        help="print all options, those of --config and of the command line among them, as YAML for --config, and end",
    )
    if "version" not in _fields(options_class):  # of a network
        parser.add_argument(
            "--version", action=_Version, nargs=0, help="print the versions of what runs, and end"
        )
    for owner, fields in _fields_by_class(options_class).items():
        group = parser.add_argument_group((owner.__doc__ or owner.__name__).splitlines()[0].rstrip("."))
        for field in fields:
            _add_argument(group, field, field.name in _translated(options_class))
    known, translated = _fields(options_class), _translated(options_class)
    for alias, name in _aliases(options_class).items():
        _add_argument(parser, dataclasses.replace(known[name], alias=alias))
    for name in [name for name in translated if name not in known]:
        parser.add_argument(
            f"--{name}", dest=TRANSLATED + name, action="append", nargs="*", help=argparse.SUPPRESS
        )
    return parser


def _example(options_class: type) -> str:
    """The class's line of a command, of its method where it has one."""
    method = _fields(options_class).get("method")
    example: str = getattr(options_class, "EXAMPLE", "")
    return example.format(method=method.default) if method is not None else example


def _add_argument(group: Any, field: "_Field", translated: bool = False) -> None:
    """Adds an option to the parser; `translated`: a flag that may have words, as the authors of a method have it."""
    help_text = field.help.replace("%", "%%")
    if field.positional:
        # Optional here: it may stand in a YAML file, and `validate` asks for it.
        group.add_argument(field.name, nargs="?", metavar=field.name.upper(), help=help_text)
        return
    flag = field.alias or field.name
    if field.kind is bool:
        shown = argparse.SUPPRESS if field.alias else help_text
        if translated:
            shown = f"{help_text}; with FILE, what the method's authors mean by it"
            place = TRANSLATED + flag
            group.add_argument(
                f"--{flag}", action="append", nargs="*", metavar="FILE", dest=place, help=shown
            )
        else:
            group.add_argument(f"--{flag}", action="store_true", dest=field.name, help=shown)
        group.add_argument(f"--no_{flag}", action="store_false", dest=field.name, help=argparse.SUPPRESS)
        return
    metavar = field.kind.__name__.upper()
    if field.choices:
        metavar = "|".join(map(str, field.choices))
    if field.default is None:
        default = "none"
    else:
        default = " ".join(map(str, field.default)) if field.is_list else str(field.default)
    group.add_argument(
        f"--{flag}",
        dest=field.name,
        nargs="+" if field.is_list else None,
        metavar=(metavar, "...") if field.is_list else metavar,
        help=argparse.SUPPRESS if field.alias else f"{help_text} (default: {default})",
    )


def _refuse_argument(rest: list[str], argv: list[str], options_class: type) -> NoReturn:
    argument = rest[0]
    if argument.endswith((".yaml", ".yml")):
        raise UserError(f"unexpected argument {argument!r}: a file of options is given by --config")
    if not argument.startswith("-"):
        cure = _meant(argument, argv, _fields(options_class))
        raise UserError(f"unexpected argument {_shown(argument)}: {cure}")
    name = argument.lstrip("-").partition("=")[0]
    flags = [f"no_{field.name}" for field in _fields(options_class).values() if field.kind is bool]
    hint = _hint(name, options_class, [*flags, "config", "print_config"], "--")
    raise UserError(f"unknown option {argument.partition('=')[0]}{hint}")


def _meant(word: str, argv: list[str], fields: Mapping[str, "_Field"]) -> str:
    """What the user may have meant by a word that no option takes."""
    before = argv[: argv.index(word)]
    flags = [number for number, one in enumerate(before) if one.startswith("--")]
    last = before[flags[-1]].lstrip("-").replace("-", "_") if flags else ""
    field = fields.get(last) or fields.get(last.removeprefix("no_"))
    if field is not None and field.kind is bool and flags[-1] == len(before) - 1:
        return f"--{last} takes no value: give it alone, or --no_{field.name} to take it back"
    ending = os.path.splitext(word)[1].lower()
    alike = field is not None and field.path and ending == os.path.splitext(before[-1])[1].lower()
    if alike and len(before) - flags[-1] > 1:
        return (
            f"--{last} takes one value; put a pattern in quotes, so that the shell leaves it alone: "
            f"--{last} '*{ending}'"
        )
    looks_so = word.lower().endswith(PICTURES)
    for name, meant in (
        ("image_path", looks_so or os.path.isfile(word)),
        ("data_path", os.path.isdir(word)),
        ("image_path", os.path.isdir(word)),
    ):
        if name in fields and meant:
            return f"options start with --; did you mean --{name} {word}?"
    return "options start with -- (see --help)"


def _hint(name: str, options_class: type, more: Iterable[str] = (), prefix: str = "") -> str:
    """ ": did you mean …?", or the cure for a name that a published program, another method or another script has."""
    given, name, fields = name, name.replace("-", "_"), _fields(options_class)
    if name != given and name.removeprefix("no_") in fields:
        return f": did you mean {prefix}{name}?"
    replaced = {**REPLACED, **getattr(options_class, "REJECTED", {})}
    if name in replaced:
        return f": {replaced[name]}"
    plain = name.removeprefix("no_")
    of_methods = [method for method, owner in OPTIONS.items() if plain in _fields(owner)]
    if of_methods and "method" in fields:
        return f": an option of --method {' and '.join(of_methods)}; leave it out"
    shaping = set().union(*(method.MODEL for method in OPTIONS.values()))
    if plain in shaping and "load_weights_folder" in fields:
        return ": an option of train.py; here it follows from the weights folder: leave it out"
    nearest = difflib.get_close_matches(name, [*fields, *more], n=1)
    if nearest and prefix and nearest[0] in fields and fields[nearest[0]].positional:
        return f": {nearest[0].upper()} is given alone, without a name before it"
    if nearest:
        return f": did you mean {prefix}{nearest[0]}?"
    for script, known in (
        ("train.py", bool(of_methods)),
        ("evaluate_depth.py", name in _fields(EvaluationOptions)),
    ):
        if known:
            return f": an option of {script}; leave it out"
    return " (see --help)"


# --- the type check ---


@dataclasses.dataclass
class _Field:
    """One option, its annotation resolved."""

    name: str
    kind: type  # int, float, str or bool; of the elements, for a list
    is_list: bool
    may_be_none: bool
    default: Any
    help: str
    choices: tuple[Any, ...] | None
    path: bool
    positional: bool
    alias: str | None = None  # another name on the command line


def _resolve(field: dataclasses.Field[Any], annotation: Any) -> _Field:
    may_be_none = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    if may_be_none:
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    is_list = typing.get_origin(annotation) is list
    kind = typing.get_args(annotation)[0] if is_list else annotation
    if kind not in TYPE_NAMES:
        raise TypeError(f"option {field.name}: the parser knows no type {annotation}")
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    metadata = dict(field.metadata)
    if callable(metadata["choices"]):
        metadata["choices"] = metadata["choices"]()
    return _Field(field.name, kind, is_list, may_be_none, default, **metadata)


def _fields(options_class: type) -> dict[str, _Field]:
    annotations = typing.get_type_hints(options_class)
    fields: Iterable[dataclasses.Field[Any]] = dataclasses.fields(options_class)
    return {field.name: _resolve(field, annotations[field.name]) for field in fields}


def _fields_by_class(options_class: type) -> dict[type, list[_Field]]:
    """The fields under the class that declares them, subclasses first: a method's options head the help."""
    owners = [owner for owner in options_class.__mro__ if dataclasses.is_dataclass(owner)]
    owner_of = {name: owner for owner in owners for name in inspect.get_annotations(owner)}
    grouped: dict[type, list[_Field]] = {owner: [] for owner in owners}
    for field in _fields(options_class).values():
        grouped[owner_of[field.name]].append(field)
    return grouped


def _convert(field: _Field, value: Any, where: str) -> Any:
    """The one type check: text of the command line, or a value of YAML, to the annotated type."""
    text = value[0] if isinstance(value, list) and len(value) == 1 else value
    if field.may_be_none and (text is None or (isinstance(text, str) and text.lower() == "none")):
        return None
    if not field.is_list:
        return _convert_one(field, value, where)
    elements = value if isinstance(value, list) else [value]
    if not elements:
        raise UserError(f"{where}: the list is empty")
    return [_convert_one(field, element, where) for element in elements]


def _convert_one(field: _Field, value: Any, where: str) -> Any:
    converted = _cast(field.kind, value)
    if converted is None and field.choices and _shown(value) in field.choices:
        converted = _shown(value)  # `precision: 32` in YAML
    if converted is None:
        advice = "; put it in quotes" if field.kind is str and value is not None else ""
        raise UserError(f"{where}: expected {TYPE_NAMES[field.kind]}, not {_shown(value)}{advice}")
    if field.choices and converted not in field.choices:
        raise UserError(f"{where}: {_shown(converted)} is none of {', '.join(map(str, field.choices))}")
    return os.path.expanduser(converted) if field.path else converted


def _shown(value: Any) -> str:
    """A value for a message: YAML may hold anything, of any size."""
    if value is not None and not isinstance(value, str | int | float):
        return f"a {type(value).__name__}"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of many digits"
    text = repr(value[: VALUE_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}…"


def _cast(kind: type, value: Any) -> Any:
    """The value as int, float, str or bool, or None where that would have to guess or to round."""
    if kind is bool or kind is str:
        return value if isinstance(value, kind) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if kind is int and isinstance(value, float):
        return None
    if isinstance(value, str) and (
        "_" in value or not value.isascii()
    ):  # Python's own: 1_000 and Arabic digits
        return None
    try:
        number = kind(value)
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def checked_values(options_class: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Values of some of a class's options, each of the type of its option.

    Args:
        where: what names them, for the message.

    Raises:
        UserError: one is of another type, or none of its choices.
    """
    fields = _fields(options_class)
    return {name: _convert(fields[name], value, f"{where}: {name}") for name, value in values.items()}


# --- files of options ---


def _content(path: Path) -> option_files.Translation:
    """What a file says, of our names where it is a nested one that a method knows, else as it stands.

    Raises:
        UserError: it cannot be read, or is such a file with a key or value that cannot be.
    """
    content = option_files.read(path)
    nested = any(isinstance(value, dict) for value in content.values())
    for method in OPTIONS.values() if nested else ():
        try:
            found = method.translation(content)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
        if found is not None:
            return found
    return option_files.Translation(content, translated=False)


def _require_method(options_class: type, method: str, path: Path) -> None:
    """A nested file says by itself whose it is.

    Raises:
        UserError: the options are not of that method.
    """
    field = _fields(options_class).get("method")
    if field is None:
        raise UserError(f"{path}: options of a training in the nested form; they are for train.py")
    if field.default != method:
        raise UserError(f"{path}: is for --method {method}; leave out --method {field.default}")


def _read_file(options_class: type, path: Path, notes: list[str] | None = None) -> dict[str, Any]:
    """The options in a file, of our names and types; `notes` gets what its user should know."""
    read, fields = _content(path), _fields(options_class)
    content = read.values
    if read.translated:
        _require_method(options_class, content["method"], path)
    if notes is not None:
        notes += [f"{path}: {note}" for note in read.notes]
    if option_files.is_plain(path):
        content = dict(_from_text(options_class, key, value) for key, value in content.items())
    aliases, translated = _aliases(options_class), _translated(options_class)
    values, meant = {}, {}
    for name in translated:
        if name in content and not (name in fields and isinstance(content[name], bool)):
            value = content.pop(name)
            words = map(str, value if isinstance(value, list) else [value])
            meant.update(_translate(options_class, name, list(words), f"{path}: {name}"))
    for key, value in content.items():
        name = aliases.get(key, key) if isinstance(key, str) else key
        if name not in fields:
            hint = _hint(key[:VALUE_SHOWN], options_class) if isinstance(key, str) else " (see --help)"
            raise UserError(f"{path}: unknown option {_shown(key)}{hint}")
        values[name] = _convert(fields[name], value, f"{path}: {key}")
    return meant | values


def _from_text(options_class: type, key: str, value: Any) -> tuple[str, Any]:
    """A line of a `key = value` file as YAML would have it: `no_` of a flag, words of a list."""
    fields, aliases = _fields(options_class), _aliases(options_class)
    name = key if key in aliases else key.replace("-", "_")
    plain = name.removeprefix("no_")
    flag = fields.get(aliases.get(plain, plain))
    if plain != name and name not in fields and flag is not None and flag.kind is bool:
        return plain, not value if isinstance(value, bool) else value
    field = fields.get(aliases.get(name, name))
    if isinstance(value, str) and field is not None and field.is_list:
        return name, value.split()
    return name, value


def _aliases(options_class: type) -> Mapping[str, str]:
    """What the authors of a method call its options: our names."""
    found: Mapping[str, str] = getattr(options_class, "ALIASES", {})
    return found


def _translated(options_class: type) -> Mapping[str, Translate]:
    """What the authors of a method call their options whose values are ours in other words."""
    found: Mapping[str, Translate] = getattr(options_class, "TRANSLATED", {})
    return found


def _translate(options_class: type, name: str, words: list[str], where: str) -> dict[str, Any]:
    """Our options from one of the authors' own, its value in words.

    Raises:
        UserError: it has no such value; names the option.
    """
    try:
        meant = _translated(options_class)[name](option_files.unbracketed(words))
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    fields = _fields(options_class)
    return {key: _convert(fields[key], value, where) for key, value in meant.items()}
