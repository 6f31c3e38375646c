"""Calibration files as users have them: OpenCV's FileStorage (YAML, XML), ROS's camera_info, Kalibr's camchain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from core.cameras.calibration_text import read_entries
from core.cameras.choice import plane_of
from core.cameras.distortion import Distortion
from core.cameras.models import Camera, ImagePlane, KannalaBrandt, Pinhole, Unified
from core.errors import UserError

MATRICES = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "K", "M", "intrinsic_matrix")
COEFFICIENTS = (
    *("distortion_coefficients", "distCoeffs", "dist_coeffs", "Distortion_Coefficients", "D", "dist_coeff"),
    "distortion_coeffs",
)
MIRRORS = ("xi", "Xi", "XI")
FISHEYE = ("equidistant", "fisheye", "equi", "kannala_brandt", "kannalabrandt")
BROWN = ("plumb_bob", "rational_polynomial", "radtan", "brown", "pinhole", "none")


@dataclass(frozen=True)
class Calibrated:
    """A camera of a file, and the size (height, width) of the images that it is calibrated for."""

    camera: Camera
    image_size: tuple[int, int]


def read_calibration(
    path: Path,
    name: str | None = None,
    image_size: tuple[int, int] | None = None,
    model: str | None = None,
) -> Calibrated:
    """Reads the camera of a calibration file.

    Args:
        model: pinhole or kannala_brandt, where an OpenCV file does not say which of them its four coefficients are of.
        name: which camera, where the file has several: cam0 of Kalibr; the 1 of M1 and D1 in OpenCV's stereo files.
        image_size: (height, width), where the file does not say it.

    Raises:
        UserError: unreadable, not of these programs, a model that is not here, or impossible numbers.
    """
    entries = read_entries(path)
    chain = {key: value for key, value in entries.items() if key.startswith("cam") and _is_kalibr(value)}
    if chain:
        return _kalibr(path, chain, name, image_size)
    return _opencv(path, entries, name, image_size, model)


def _is_kalibr(value: Any) -> bool:
    return isinstance(value, Mapping) and "camera_model" in value


# --- Kalibr ---


def _kalibr(
    path: Path, chain: Mapping[str, Mapping[str, Any]], name: str | None, image_size: tuple[int, int] | None
) -> Calibrated:
    if name is None and len(chain) > 1:
        raise UserError(f"{path}: has the cameras {', '.join(chain)}; choose one with --camera_name")
    key = name if name is not None else next(iter(chain))
    if key not in chain:
        raise UserError(f"{path}: has no camera {key[:80]!r}; it has {', '.join(chain)}")
    entry, where = chain[key], f"{path}: {key}"
    model, kind = (str(entry.get(word, "none")) for word in ("camera_model", "distortion_model"))
    numbers = _floats(entry.get("intrinsics"), f"{where}: intrinsics")
    coefficients = _floats(entry.get("distortion_coeffs", []), f"{where}: distortion_coeffs")
    if entry.get("resolution") is not None:
        width, height = _count(
            _floats(entry["resolution"], f"{where}: resolution"), (2,), f"{where}: resolution"
        )
        image_size = _size(where, height, width)
    size = _known(where, image_size)
    if model == "pinhole":
        _count(numbers, (4,), f"{where}: intrinsics")
        plane = plane_of(numbers, *size, where)
        return Calibrated(_kalibr_pinhole(where, plane, kind, coefficients), size)
    if model == "omni":
        xi, *rest = _count(numbers, (5,), f"{where}: intrinsics")
        if kind not in ("radtan", "none"):
            raise UserError(
                f"{where}: omni with {kind[:80]!r} is not here; calibrate omni-radtan or pinhole-equi"
            )
        _require_xi(where, xi)
        distortion = _brown(where, coefficients if kind == "radtan" else [])
        return Calibrated(Unified(plane_of(rest, *size, where), xi, distortion), size)
    raise UserError(
        f"{where}: the model {model[:80]!r} is not here; calibrate pinhole-radtan, pinhole-equi or omni-radtan"
    )


def _kalibr_pinhole(where: str, plane: ImagePlane, kind: str, coefficients: list[float]) -> Camera:
    if kind == "none":
        return Pinhole(plane)
    if kind == "radtan":
        return Pinhole(plane, _brown(where, coefficients))
    if kind == "equi":
        return _fisheye(where, plane, coefficients)
    raise UserError(
        f"{where}: the distortion {kind[:80]!r} is not here; calibrate pinhole-radtan, pinhole-equi or omni-radtan"
    )


# --- OpenCV and ROS ---


def _opencv(
    path: Path,
    entries: Mapping[str, Any],
    name: str | None,
    image_size: tuple[int, int] | None,
    model: str | None,
) -> Calibrated:
    matrix = _find(entries, MATRICES, name)
    if matrix is None:
        raise _stranger(path, entries, name)
    rows = _count(_floats(matrix[1], f"{path}: {matrix[0]}"), (9,), f"{path}: {matrix[0]}")
    found = _find(entries, COEFFICIENTS, name)
    coefficients = [] if found is None else _floats(found[1], f"{path}: {found[0]}")
    size = _known(str(path), _opencv_size(path, entries) or image_size)
    plane = _plane(f"{path}: {matrix[0]}", rows, size)
    mirror = _find(entries, MIRRORS, name)
    if mirror is not None:
        (xi,) = _count(_floats(mirror[1], f"{path}: {mirror[0]}"), (1,), f"{path}: {mirror[0]}")
        _require_xi(str(path), xi)
        return Calibrated(Unified(plane, xi, _brown(str(path), coefficients)), size)
    if plane.skew:
        raise UserError(
            f"{path}: {matrix[0]} has a skew of {plane.skew:g}, which only cameras with xi may have"
        )
    if _is_fisheye(path, entries, coefficients, model):
        return Calibrated(_fisheye(str(path), plane, coefficients), size)
    return Calibrated(Pinhole(plane, _brown(str(path), coefficients)), size)


def _stranger(path: Path, entries: Mapping[str, Any], name: str | None) -> UserError:
    several = [key for key in entries if key[-1:] in "12" and key[:-1].rstrip("_") in MATRICES]
    if several and name is None:
        return UserError(
            f"{path}: has {', '.join(several)}; choose one with --camera_name, such as {several[0][-1]}"
        )
    named = f" named {name[:80]}" if name else ""
    return UserError(
        f"{path}: has no camera{named} of OpenCV (camera_matrix) or Kalibr (cam0) that could be read; it has "
        f"{', '.join(list(entries)[:12])[:200] or 'nothing that is known'}"
    )


def _find(entries: Mapping[str, Any], names: Sequence[str], camera: str | None) -> tuple[str, Any] | None:
    """The first entry of these names, with the camera's name behind if one is given."""
    for name in names:
        for key in [name] if camera is None else [f"{name}{camera}", f"{name}_{camera}"]:
            if key in entries:
                return key, entries[key]
    return None


def _is_fisheye(path: Path, entries: Mapping[str, Any], coefficients: list[float], model: str | None) -> bool:
    if model is not None:
        return model == "kannala_brandt"
    kind = str(entries.get("distortion_model", entries.get("camera_model", ""))).strip().lower()
    flag = entries.get("fisheye_model")
    if kind in FISHEYE or (flag is not None and _floats(flag, f"{path}: fisheye_model") != [0.0]):
        return True
    if kind and kind not in BROWN:
        raise UserError(
            f"{path}: the distortion model {kind[:80]!r} is not here; calibrate plumb_bob or a fisheye"
        )
    if len(coefficients) == 4 and any(coefficients) and not kind and flag is None:
        raise UserError(
            f"{path}: does not say whether its four coefficients are a fisheye's or k1 k2 p1 p2; add --camera "
            "kannala_brandt or --camera pinhole"
        )
    return False


def _opencv_size(path: Path, entries: Mapping[str, Any]) -> tuple[int, int] | None:
    for names in (("image_height", "image_width"), ("imageHeight", "imageWidth"), ("height", "width")):
        if all(name in entries for name in names):
            height, width = (
                _count(_floats(entries[n], f"{path}: {n}"), (1,), f"{path}: {n}")[0] for n in names
            )
            return _size(str(path), height, width)
    for name in ("image_size", "imageSize", "image_Size"):
        if name in entries:
            width, height = _count(_floats(entries[name], f"{path}: {name}"), (2,), f"{path}: {name}")
            return _size(str(path), height, width)
    return None


def _plane(where: str, rows: list[float], size: tuple[int, int]) -> ImagePlane:
    fx, skew, cx, lower, fy, cy, *last = rows
    if lower != 0 or last != [0, 0, 1]:
        raise UserError(f"{where}: is no camera matrix (fx s cx, 0 fy cy, 0 0 1)")
    return plane_of((fx, fy, cx, cy), *size, where, skew)


# --- both ---


def _brown(where: str, coefficients: list[float]) -> Distortion:
    """k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tx ty]]]]; of the last six nothing but 0 is here."""
    _count(coefficients, (0, 4, 5, 8, 12, 14), f"{where}: distortion")
    if any(coefficients[8:]):
        raise UserError(
            f"{where}: has the distortion of a thin prism or a tilted sensor; calibrate without it"
        )
    return Distortion(*coefficients[:8])


def _fisheye(where: str, plane: ImagePlane, coefficients: list[float]) -> KannalaBrandt:
    k1, k2, k3, k4 = (
        _count(coefficients, (4,), f"{where}: distortion of a fisheye") if coefficients else [0.0] * 4
    )
    return KannalaBrandt(plane, (k1, k2, k3, k4))


def _require_xi(where: str, xi: float) -> None:
    if not 0 <= xi < 100:
        raise UserError(f"{where}: xi is {xi:g}, but must be between 0 and 100; calibrate again")


def _known(where: str, size: tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        raise UserError(
            f"{where}: does not say the size of its images; give --calibrated_height and --calibrated_width"
        )
    return size


def _size(where: str, height: float, width: float) -> tuple[int, int]:
    if not (2 <= height <= 16384 and 2 <= width <= 16384 and height == int(height) and width == int(width)):
        raise UserError(f"{where}: gives images of {width:g}x{height:g}; correct the file")
    return int(height), int(width)


def _floats(value: Any, where: str) -> list[float]:
    """The numbers of an entry: one, a list, lists in a list, or a matrix's mapping of rows, cols and data."""
    if isinstance(value, Mapping):
        value = value.get("data")
    values = value if isinstance(value, list) else [value]
    flat = [number for row in values for number in (row if isinstance(row, list) else [row])]
    try:
        if any(isinstance(number, bool) for number in flat) or len(flat) > 64:
            raise ValueError
        numbers = [float(number) for number in flat]  # PyYAML reads 7e2 as text
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where}: holds something other than numbers; correct the file") from None
    if not all(map(isfinite, numbers)):
        raise UserError(f"{where}: a number is not finite; calibrate again")
    return numbers


def _count(numbers: list[float], counts: tuple[int, ...], where: str) -> list[float]:
    if len(numbers) not in counts:
        raise UserError(
            f"{where}: has {len(numbers)} numbers, not {' or '.join(map(str, counts))}; correct the file"
        )
    return numbers
