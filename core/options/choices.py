"""What may be chosen of a trained model where it predicts: the options that `PREDICTION` of its method names."""

import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import make_dataclass
from typing import Any, TypeVar

from core.options.base import option
from core.options.training import Options

Script = TypeVar("Script")


def with_choices(script: type[Script], methods: Mapping[str, type[Options]] | None = None) -> type[Script]:
    """The options of a script that predicts, and those of every method that may be chosen for its models.

    They may be left open: what is none is as in the weights' folder, else as train.py has it. What a method has from
    another one is the same option.

    Args:
        methods: `OPTIONS`, where nothing else is said.

    Raises:
        TypeError: a name is there already, of the script or of another method.
    """
    all_methods = list((_registered() if methods is None else methods).values())
    groups = [
        make_dataclass(f"{method.__name__}Choices", fields, namespace={"__doc__": _title(method)})
        for method in all_methods
        if (
            fields := [field for field in _fields(method) if not _is_inherited(field[0], method, all_methods)]
        )
    ]
    names = [name for owner in (script, *groups) for name in owner.__dataclass_fields__]  # type: ignore[attr-defined]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise TypeError(f"two classes call different options {', '.join(sorted(twice))}")
    made: type[Script] = make_dataclass(script.__name__, [], bases=(script, *groups))
    made.__doc__ = script.__doc__
    return made


def choice_names() -> list[str]:
    """The names of all such options."""
    return list(dict.fromkeys(name for method in _registered().values() for name in method.PREDICTION))


def choices(options: Any) -> dict[str, Any]:
    """Those that a script's options have, by name; None for what was not chosen."""
    return {name: getattr(options, name, None) for name in choice_names()}


def _registered() -> Mapping[str, type[Options]]:
    from core.options.methods import OPTIONS

    return OPTIONS


def _is_inherited(name: str, method: type[Options], methods: Iterable[type[Options]]) -> bool:
    """Whether a method has an option from another one of these."""
    return any(
        name in other.PREDICTION and other is not method and issubclass(method, other) for other in methods
    )


def _title(method: type[Options]) -> str:
    return f"Models of {(method.__doc__ or method.__name__).splitlines()[0]}"


def _fields(method: type[Options]) -> Iterator[tuple[str, Any, Any]]:
    annotations = typing.get_type_hints(method)
    for name in method.PREDICTION:
        field = method.__dataclass_fields__[name]
        help_text = f"{field.metadata['help']}; none: as in the weights' folder, else {field.default}"
        yield name, annotations[name] | None, option(None, help_text, field.metadata["choices"])
