"""The one reader of YAML: plain values under plain keys. Whatever else a file holds is an error in one line.

No tags, no aliases, no key twice, no deep nesting, and numbers are decimal: `0100`, `0x10`, `1_000`, `1:30` and dates
are text, as on a command line. Only events of PyYAML are used, never its constructors, and one at a time: the first
that is not allowed ends the reading, so that no file takes longer than its length says.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.faults import why_not_read
from core.files.regular import open_regular, refuse_utf_16

MAX_BYTES = 64 << 10  # all options take four thousand
MAX_DEPTH = 16  # lists and mappings in each other
REASON_SHOWN = 300
MAX_DIGITS = 40  # more is text

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
# No more than PyYAML takes for a number, which quotes what it writes by its own rules: `1e-4` and `-.5` are text.
_NUMBER = re.compile(r"([-+]?[0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TRUE = ("yes", "true", "on")
_FALSE = ("no", "false", "off")
_NOTHING = ("", "~", "null", "Null", "NULL")


class NotPlainError(ValueError):
    """Text that is not YAML of plain values; says why, in one line."""


def read(path: Path, what: str = "not valid YAML", cure: str = "") -> Any:
    """The content of a file: None, text, numbers, truth values, lists and dicts of them.

    Args:
        what: said where it is not, before the reason.
        cure: said last.

    Raises:
        UserError: unreadable, too large, no text, or no such YAML; one line that names the file.
    """
    cure = f"; {cure}" if cure else ""
    try:
        return parse(read_text(path))
    except OSError as error:
        raise UserError(f"{path}: {what}: {why_not_read(error)}{cure}") from None
    except NotPlainError as error:
        raise UserError(f"{path}: {what}: {error}{cure}") from None


def read_text(path: Path) -> str:
    """The text of a small file.

    Raises:
        OSError: unreadable, or no regular file.
        NotPlainError: it is too large, or no text in UTF-8.
    """
    with open_regular(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise NotPlainError(f"it has more than {MAX_BYTES >> 10} KiB")
    refuse_utf_16(path, content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotPlainError("not a text file in UTF-8") from None


def parse(text: str) -> Any:
    """The content of YAML.

    Raises:
        NotPlainError: it is none, or holds what is not read here.
    """
    import yaml

    try:
        return _document(yaml.parse(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        reason = error.problem or error.context or "cannot be read"
        raise NotPlainError(_shown(reason) + _place(error.problem_mark)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise NotPlainError(_shown(str(error))) from None


def _document(events: Iterator[Any]) -> Any:
    """The one document of a file. Without recursion: what is open stands in a list."""
    import yaml

    root: list[Any] = []
    # Each: the list or dict that is open, and of a dict the key that waits for its value.
    open_ones: list[tuple[Any, list[Any]]] = [(root, [])]
    documents = 0
    for event in events:
        container, waiting = open_ones[-1]
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            _require(documents == 1, "there are several documents in it; keep one", event)
        elif isinstance(event, yaml.AliasEvent):
            _require(False, "has aliases (*name); write their values out", event)
        elif isinstance(event, yaml.ScalarEvent):
            _no_tag(event)
            _put(container, waiting, _value(event), event)
        elif isinstance(event, yaml.CollectionStartEvent):
            _no_tag(event)
            _require(len(open_ones) <= MAX_DEPTH, f"more than {MAX_DEPTH} levels in each other", event)
            inner: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            is_key = isinstance(container, dict) and not waiting
            _require(not is_key, "a list or mapping is no key", event)
            _put(container, waiting, inner, event)
            open_ones.append((inner, []))
        elif isinstance(event, yaml.CollectionEndEvent):
            open_ones.pop()
    return root[0] if root else None


def _put(container: Any, waiting: list[Any], value: Any, event: Any) -> None:
    """Appends to a list; in a dict, becomes the key that waits, or the value of the one that does."""
    if isinstance(container, list):
        container.append(value)
    elif waiting:
        container[waiting.pop()] = value
    else:
        _require(value not in container, f"{_shown(repr(value)[:80])} stands there twice; keep one", event)
        waiting.append(value)


def _value(event: Any) -> Any:
    """A scalar: text where it is quoted, else what it looks like."""
    text: str = event.value
    if event.style is not None:
        return text
    if text in _NOTHING:
        return None
    if text in (text.lower(), text.upper(), text.capitalize()) and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    if len(text) <= MAX_DIGITS and _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


def _no_tag(event: Any) -> None:
    _require(event.tag is None, "has tags (!name); write the value alone", event)


def _require(condition: bool, reason: str, event: Any) -> None:
    if not condition:
        raise NotPlainError(reason + _place(event.start_mark))


def _place(mark: Any) -> str:
    return "" if mark is None else f" (line {mark.line + 1})"


def _shown(reason: str) -> str:
    """One printable line."""
    line = " ".join(reason.split())[:REASON_SHOWN]
    return "".join(character if character.isprintable() else "?" for character in line)
