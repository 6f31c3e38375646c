"""Files of options: YAML, and plain lines `key = value`. What their keys and values mean is `parsing`'s business."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.faults import why_not_read
from core.files import plain_yaml

PLAIN = (".txt", ".ini", ".cfg", ".conf")
WORDS = {"true": True, "yes": True, "false": False, "no": False, "none": None}


@dataclass(frozen=True)
class Translation:
    """What a nested file of another program's options is in ours; or the content of a file of ours.

    Attributes:
        values: of our options by name, `method` among them.
        notes: what its user should know: what has no equal here, or works otherwise; a line each.
        translated: it was such a nested file.
    """

    values: dict[str, Any]
    notes: tuple[str, ...] = ()
    translated: bool = True


def is_plain(path: Path) -> bool:
    """Whether the file's name says that it has lines `key = value`, not YAML."""
    return path.suffix.lower() in PLAIN


def read(path: Path) -> dict[str, Any]:
    """The keys and values of a file, not yet checked.

    Raises:
        UserError: unreadable, too large, or neither lines nor YAML.
    """
    try:
        text = plain_yaml.read_text(path)
    except OSError as error:
        raise UserError(f"{path}: cannot read the options: {why_not_read(error)}") from None
    except plain_yaml.NotPlainError as error:
        raise UserError(f"{path}: cannot be options: {error}; check the path") from None
    return _plain(path, text) if is_plain(path) else _yaml(path, text)


def unbracketed(words: list[str]) -> list[str]:
    """`[-1,1]`, `[-1, 1]` or `-1 1` as words."""
    return [word for word in re.split(r"[\s,\[\]]+", " ".join(words)) if word]


def _plain(path: Path, text: str) -> dict[str, Any]:
    """Lines `key = value`, `key: value`, or `key` of a flag; # and ; begin comments, [a, b] is a list."""
    values: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)[#;].*", "", line).strip()
        if not line:
            continue
        found = re.fullmatch(r"-{0,2}([A-Za-z][\w-]*)\s*(?:[=:\s]\s*(.*))?", line)
        if found is None:
            raise UserError(f"{path}: line {number}: {line[:80]!r} is not `key = value`")
        key, value = found[1], (found[2] or "true").strip().strip("\"'")
        if value.startswith("[") and value.endswith("]"):
            values[key] = [word.strip("\"'") for word in unbracketed([value])]
        else:
            values[key] = WORDS.get(value.lower(), value)
    return values


def _yaml(path: Path, text: str) -> dict[str, Any]:
    """The keys and values of YAML."""
    try:
        content = plain_yaml.parse(text)
    except plain_yaml.NotPlainError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected lines `option: value`, not a {type(content).__name__}")
    return content
