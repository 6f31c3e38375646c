"""JSON of users: bounded in size, and what is missing or of another kind is one line that says where."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files.regular import read_text
from core.files.whole import shown_name

MAX_BYTES = 32 << 20  # what some megabytes of text can become in memory is a hundred times that
KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number"}


class JsonValue:
    """A value of a file, which knows where it stands there.

    Attributes:
        file: for messages.
        place: such as `samples[3].datum_keys`; empty for the whole file.
        cure: what to do about a bad file.
    """

    __slots__ = ("_value", "cure", "file", "place")

    def __init__(self, file: Path, value: Any, cure: str, place: str = "") -> None:
        self.file, self._value, self.cure, self.place = file, value, cure, place

    def __getitem__(self, key: str) -> "JsonValue":
        """The value under a key of an object.

        Raises:
            UserError: it is no object, or lacks the key.
        """
        value = self._of(dict)
        place = f"{self.place}.{key}".lstrip(".")
        if key not in value:
            raise UserError(f"{self.file}: no {place}; {self.cure}")
        return JsonValue(self.file, value[key], self.cure, place)

    def __contains__(self, key: str) -> bool:
        return key in self._of(dict)

    def elements(self) -> "Iterator[JsonValue]":
        """The values of a list.

        Raises:
            UserError: it is no list.
        """
        for index, value in enumerate(self._of(list)):
            yield JsonValue(self.file, value, self.cure, f"{self.place}[{index}]")

    def text(self) -> str:
        """Some text, without a zero byte.

        Raises:
            UserError: it is something else.
        """
        text: str = self._of(str)
        if "\0" in text:
            raise self.error("holds a zero byte")
        return text

    def number(self) -> float:
        """A finite number.

        Raises:
            UserError: it is something else.
        """
        value = self._value
        if isinstance(value, bool) or not isinstance(value, int | float):
            value = self._of(float)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error("is not a finite number")
        return number

    def whole(self, least: int, most: int) -> int:
        """A whole number in a range.

        Raises:
            UserError: it is something else.
        """
        number: int = self._of(int)
        if not least <= number <= most:
            raise self.error(f"is not from {least} to {most}")
        return number

    def path_below(self, folder: Path) -> Path:
        """A file or folder below another, that a relative path names.

        Raises:
            UserError: the path leads elsewhere.
        """
        words = self.text().replace("\\", "/").split("/")
        if (
            not words[0]
            or ".." in words
            or ":" in words[0]
            or not any(word not in ("", ".") for word in words)
        ):
            raise self.error(f"{shown_name(self.text())!r} must be a path below {folder}")
        return folder.joinpath(*words)

    def error(self, what: str) -> UserError:
        """What is wrong with this value, as an error to raise."""
        return UserError(f"{self.file}: {self.place or 'the file'} {what}; {self.cure}")

    def _of(self, kind: type) -> Any:
        if not isinstance(self._value, kind) or isinstance(self._value, bool):
            raise self.error(f"must be {KINDS[kind]}")
        return self._value


def read_json(path: Path, cure: str, limit: int = MAX_BYTES) -> JsonValue:
    """Reads a file.

    Args:
        cure: what to do about a bad one, for messages.
        limit: bytes that it may have.

    Raises:
        UserError: missing, unreadable, too large, or no JSON.
    """
    try:
        return JsonValue(path, json.loads(read_text(path, limit=limit)), cure)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {cure}") from None
    except (OSError, ValueError, RecursionError) as error:  # of ValueError are text and JSON that are none
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be read as JSON: {reason}; {cure}") from None
