"""The text of calibration files to entries. Files are large (all corners of all pictures) and may be hostile: of a
YAML file only the entries at its left edge that mean something are parsed, without tags or aliases; XML has no types
of its own.
"""

import re
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import plain_yaml
from core.files.regular import NoPlainFileError, read_text

MAX_BYTES = 64 << 20
MAX_PARSED = 64 << 10  # of what is known in a file
REASON_SHOWN = 200
CURE = "give the file that OpenCV, ROS or Kalibr wrote"
KNOWN = re.compile(
    r"cam\d{1,2}|(camera_?matrix|intrinsic_matrix|k|m|distortion_coeff\w*|dist_?coeffs?|d|xi)(_?\d)?"
    r"|image_?(width|height|size)|width|height|distortion_model|camera_model|fisheye_model",
    re.IGNORECASE,
)
KEY = re.compile(r"(?P<quote>[\"']?)(?P<key>[A-Za-z_][\w-]*)(?P=quote)\s*:(\s|$)")
OPENCV_TAG = re.compile(r"!!opencv-[\w-]+")


def read_entries(path: Path) -> dict[str, Any]:
    """The known entries of a calibration file.

    Raises:
        UserError: unreadable, too large, or neither YAML nor XML of a calibration.
    """
    try:
        text = read_text(path, limit=MAX_BYTES)
    except FileNotFoundError:
        raise UserError(f"{path}: no such calibration; check the path") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8; {CURE}") from None
    except (OSError, ValueError) as error:
        ours = isinstance(error, NoPlainFileError)  # says by itself all that there is to say
        reason = (not ours and getattr(error, "strerror", None)) or error
        raise UserError(f"{path}: cannot be read as a calibration: {reason}; {CURE}") from None
    return _xml(path, text) if text.lstrip().startswith("<") else _yaml(path, text)


def _yaml(path: Path, text: str) -> dict[str, Any]:
    kept = OPENCV_TAG.sub("", _known_blocks(text))
    if len(kept) > MAX_PARSED:
        raise UserError(
            f"{path}: has {len(kept) >> 10} KiB of cameras, far more than calibrations have; {CURE}"
        )
    try:
        content = plain_yaml.parse(kept)
    except plain_yaml.NotPlainError as error:
        raise UserError(f"{path}: is not valid YAML: {error}; {CURE}") from None
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def _known_blocks(text: str) -> str:
    """The lines of entries at the left edge whose names are known."""
    kept, keep = [], False
    for line in text.split("\n"):
        found = KEY.match(line)
        if found is not None:
            keep = KNOWN.fullmatch(found["key"]) is not None
        if keep and line.rstrip() not in ("---", "..."):
            kept.append(line)
    return "\n".join(kept)


def _xml(path: Path, text: str) -> dict[str, Any]:
    from xml.etree import ElementTree

    # An entity may stand for gigabytes; OpenCV writes neither.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UserError(f"{path}: has a document type of its own, which calibrations have not; {CURE}")
    parser: Any = ElementTree.XMLPullParser(("start", "end"))
    entries: dict[str, Any] = {}
    depth = 0
    try:
        for start in range(0, len(text), 1 << 20):
            parser.feed(text[start : start + (1 << 20)])
            for event, element in parser.read_events():
                depth += 1 if event == "start" else -1
                if depth > 16:
                    raise UserError(f"{path}: is nested far deeper than calibrations are; {CURE}")
                if event == "end" and depth == 1:
                    if KNOWN.fullmatch(element.tag):
                        entries[element.tag] = _element(path, element)
                    element.clear()
        parser.close()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: is not valid XML: {str(error)[:REASON_SHOWN]}; {CURE}") from None
    return entries


def _element(path: Path, element: Any) -> Any:
    data = element.find("data")
    words = ((element if data is None else data).text or "").split()
    if len(words) > 64:
        raise UserError(f"{path}: {element.tag} has {len(words)} numbers, far more than a camera; {CURE}")
    return words[0] if len(words) == 1 else words
