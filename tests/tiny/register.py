"""Adds `tiny` to the registries, whenever they are imported: in this process, and in those that it starts.

Imports neither framework nor anything of the project, so that a process pays only for what it uses: a registry that
is imported already gets its row at once, the others when Python has executed their module. A process of its own, such
as `python train.py` or `python -m backends.torch.parity`, does so if `SITE` is on its PYTHONPATH: Python imports the
`sitecustomize.py` there at its start.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

SITE = Path(__file__).resolve().parent / "site"
NAME = "tiny"


def _attribute(module: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(module), name)


def _text(text: str) -> Callable[[], Any]:
    return lambda: text


# Module: its registry, the key of the row, and what makes the row.
ROWS: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "core.options.methods": ("OPTIONS", NAME, _attribute("tests.tiny.options", "TinyOptions")),
    "core.weights.families": ("FAMILIES", NAME, _attribute("tests.tiny.family", "FAMILY")),
    "backends.torch.methods": ("METHODS", NAME, _text("tests.tiny.torch_method.Tiny")),
    "backends.paddle.methods": ("METHODS", NAME, _text("tests.tiny.paddle_method.Tiny")),
    "backends.torch.builders": ("BUILDERS", "Tiny", _text("tests.tiny.torch_method")),
    "backends.paddle.builders": ("BUILDERS", "Tiny", _text("tests.tiny.paddle_method")),
}


class _Finder:
    """Finds the modules of registries as Python does, and adds their row once they are executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in ROWS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _then_add(spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


FINDER = _Finder()


def _then_add(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def execute_and_add(module: ModuleType) -> None:
        execute(module)
        if FINDER in sys.meta_path:
            _add(module)

    return execute_and_add


def _add(module: ModuleType) -> None:
    registry, key, row = ROWS[module.__name__]
    getattr(module, registry)[key] = row()


def register() -> None:
    """Adds the rows; once more changes nothing."""
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)
    for name in ROWS:
        if name in sys.modules:
            _add(sys.modules[name])


def unregister() -> None:
    """Takes the rows out again."""
    if FINDER in sys.meta_path:
        sys.meta_path.remove(FINDER)
    for name, (registry, key, _) in ROWS.items():
        if name in sys.modules:
            getattr(sys.modules[name], registry).pop(key, None)


@contextmanager
def registered() -> Iterator[None]:
    """Inside, `tiny` is a method like any other, in this process."""
    register()
    try:
        yield
    finally:
        unregister()
