"""The camera of a user's own sequence: `intrinsics.yaml`, the options, or an estimate."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import plain_yaml
from core.plausibility.cameras import OF_FILES, check_baseline, check_camera, is_camera

FILE = "intrinsics.yaml"
NEEDED = ("fx", "fy", "cx", "cy", "width", "height")
HORIZONTAL_FIELD_OF_VIEW = 60.0  # degrees; of an average camera without a calibration
CURE = "write fx fy cx cy width height in pixels, and baseline in metres for a stereo pair"


@dataclass(frozen=True)
class Camera:
    """Intrinsics of a sequence.

    Attributes:
        intrinsics: fx, fy, cx, cy in units of the image size, see `core.geometry.relative_intrinsics`.
        baseline: metres between the cameras of a stereo pair; None where it is not known.
        source: where the intrinsics come from, for the user.
    """

    intrinsics: tuple[float, float, float, float]
    baseline: float | None
    source: str


def choose_camera(
    folder: Path,
    top: Path,
    image_size: tuple[int, int],
    given: Sequence[float] | None,
    estimate: Callable[[tuple[int, int]], Camera] | None = None,
) -> Camera:
    """The camera of a sequence: as the options say, else by the nearest `intrinsics.yaml`, else an estimate.

    Args:
        folder: of the sequence; the file is looked for there, then in the folders above.
        top: the last of these: the root of the data set, or where the video lies.
        image_size: (height, width) of its images.
        given: `--intrinsics`, which replaces those of the file but not its baseline.
        estimate: (height, width) → the camera, where nobody says; None: `estimated_camera`.

    Raises:
        UserError: the file is malformed, or made for images of another shape.
    """
    file = _find_file(folder, top)
    if given is None:
        return read_camera(file, image_size) if file else (estimate or estimated_camera)(image_size)
    fx, fy, cx, cy = given
    check_camera(
        "option intrinsics",
        given,
        image_size,
        by_hand=True,
        cure="divide fx, cx by the width, fy, cy by the height",
    )
    return Camera((fx, fy, cx, cy), _read_numbers(file).get("baseline") if file else None, "--intrinsics")


def estimated_camera(image_size: tuple[int, int]) -> Camera:
    """Square pixels, the principal point in the middle, a field of view of 60° across."""
    height, width = image_size
    focal = 0.5 / math.tan(math.radians(HORIZONTAL_FIELD_OF_VIEW / 2))
    source = f"an estimate: {HORIZONTAL_FIELD_OF_VIEW:g}° horizontal field of view"
    return Camera((focal, focal * width / height, 0.5, 0.5), None, source)


def thousand_pixels(image_size: tuple[int, int]) -> Camera:
    """Focal lengths of 1000 pixels, the principal point in the middle."""
    height, width = image_size
    return Camera((1000 / width, 1000 / height, 0.5, 0.5), None, "an estimate: focal lengths of 1000 pixels")


def read_camera(path: Path, image_size: tuple[int, int]) -> Camera:
    """Reads `intrinsics.yaml`: fx, fy, cx, cy, width, height in pixels, and perhaps baseline in metres.

    Pixel centres are at integers, as in OpenCV. The images may have been resized since the calibration.

    Raises:
        UserError: not such a file, impossible numbers, or an image of another aspect ratio.
    """
    values = _read_numbers(path)
    fx, fy, cx, cy, width, height = (values[name] for name in NEEDED)
    h, w = image_size
    relative = (fx / width, fy / height, (cx + 0.5) / width, (cy + 0.5) / height)
    if abs(math.log((width / height) / (w / h))) > 0.02:  # rounding of a resize stays far below
        stretched = " ".join(f"{number:.4g}" for number in relative)
        raise UserError(
            f"{path}: is for images of {width:g}x{height:g}, but these are {w}x{h}: cropped, then calibrate again, or "
            f"stretched, then give --intrinsics {stretched}"
        )
    if not is_camera(relative):
        raise UserError(f"{path}: no possible camera for an image of {width:g}x{height:g}; {CURE}")
    check_camera(
        path,
        relative,
        (round(height), round(width)),
        by_hand=True,
        cure="width and height are those of the image that K is of",
        square=OF_FILES,
    )
    return Camera(relative, values.get("baseline"), str(path))


def _find_file(folder: Path, top: Path) -> Path | None:
    """The nearest `intrinsics.yaml` in a folder or those above it, up to the top."""
    for candidate in (folder, *folder.parents):
        if (candidate / FILE).exists() and not (
            candidate / FILE
        ).is_dir():  # a pipe is refused where it is read
            return candidate / FILE
        if candidate == top:
            break
    return None


def _read_numbers(path: Path) -> dict[str, float]:
    content = plain_yaml.read(path, "not readable YAML", CURE)
    if not isinstance(content, dict) or not set(NEEDED) <= set(content) <= {*NEEDED, "baseline"}:
        raise UserError(f"{path}: must have {', '.join(NEEDED)}, perhaps baseline, and nothing else; {CURE}")
    numbers = {name: _positive(path, name, value) for name, value in content.items()}
    if "baseline" in numbers:
        check_baseline(path, numbers["baseline"])
    return numbers


def _positive(path: Path, name: str, value: Any) -> float:
    try:
        number = math.nan if "_" in str(value) else float(value)  # 7e2 is read as text
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number <= 0:
        raise UserError(f"{path}: {name} must be a number above 0, not {repr(value)[:80]}; {CURE}")
    return number
