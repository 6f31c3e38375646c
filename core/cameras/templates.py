"""Templates: files of a viewing ray per pixel, read with every doubt that such files deserve."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.cameras.choice import make_camera
from core.cameras.models import nearest_valid
from core.errors import UserError
from core.files.arrays import save_array, save_arrays
from core.options.cameras import CAMERAS
from core.weights.npz import read_npy, read_npz

Array = np.ndarray
MAX_BYTES = 1 << 30
CURE = "make it with make_rays.py"
SHORTEST = 1e-6
UNIT = 1e-3  # how far lengths may be from 1 without a word
SCRAMBLED = 20 * np.pi  # over the width: no lens has so much between neighbours


@dataclass(frozen=True)
class Template:
    """A viewing ray per pixel.

    Attributes:
        rays: float32 (3, H, W); x right, y down, z along the axis; as stored, so of any length.
        valid: bool (H, W), False where the camera sees nothing and the ray is a neighbour's; None: all are seen.
        notes: what a user should know about the file, a line each.
    """

    rays: Array
    valid: Array | None
    notes: tuple[str, ...] = ()


def load_template(words: Sequence[str], height: int, width: int, resize: bool = False) -> Template:
    """The template that an option names.

    Args:
        words: a file, or a camera model and its numbers in pixels of images of (height, width), such as ("dummy",).
        resize: bring a file of another size to this one.

    Raises:
        UserError: no such file or model; see `read_template` and `make_camera`.
    """
    name, *numbers = words
    if name not in CAMERAS:
        if numbers:
            raise UserError(
                f"option template: {name[:80]!r} is no camera model, of which numbers may follow; there are "
                f"{', '.join(CAMERAS)}"
            )
        return read_template(Path(name), height, width, resize)
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        raise UserError(
            f"option template: the numbers of {name} are {CAMERAS[name][0]}; not {numbers}"
        ) from None
    rays, valid = make_camera(name, values, height, width, "option template").rays(height, width)
    if not valid.any():
        raise UserError(f"option template: {name} has no ray in an image {width}x{height}; check its numbers")
    return Template(rays.astype(np.float32), None if valid.all() else valid)


def read_template(path: Path, height: int, width: int, resize: bool = False) -> Template:
    """Reads a file of rays for images of a size: `.npy`, or `.npz` with `rays` and perhaps `valid`.

    Shapes (1, 3, H, W), (3, H, W), (1, H, W, 3), (H, W, 3); any floating type.

    Args:
        resize: bring rays of another size to this one.

    Raises:
        UserError: unreadable, not finite, without a length, of another size, or in the order of no image.
    """
    template = read_rays(path)
    found = template.rays.shape[1:]
    if found == (height, width):
        return template
    if not resize:
        raise UserError(
            f"{path}: has rays for images {found[1]}x{found[0]}, but these are {width}x{height}; make it again for "
            "that size, or bring it there with --resize_template"
        )
    return resized(template, height, width)


def read_rays(path: Path) -> Template:
    """Reads a file of rays of any size; see `read_template`."""
    rays, valid = _read(path)
    rays, notes = _channels_first(path, rays)
    if valid is not None:
        valid = _mask(path, valid, rays.shape[1:])
        rays = _filled(rays, valid)
    _require_directions(path, rays)
    lengths = np.linalg.norm(rays, axis=0)
    farthest = float(np.abs(lengths - 1).max())
    if farthest > UNIT:
        notes.append(
            f"{path}: rays are not of length 1 but off by up to {farthest:.3g}; they are taken as they are"
        )
    _require_order(path, rays, valid)
    return Template(rays.astype(np.float32), None if valid is None or valid.all() else valid, tuple(notes))


def resized(template: Template, height: int, width: int) -> Template:
    """Another size of the same image: bilinear between pixel centres, its outer edge stays; rays of length 1.

    A pixel is valid where all those are that it is made of.
    """
    unit = template.rays / np.linalg.norm(template.rays.astype(np.float64), axis=0)
    rays = _bilinear(unit, height, width)
    rays /= np.maximum(np.linalg.norm(rays, axis=0), SHORTEST)
    if template.valid is None:
        return Template(rays.astype(np.float32), None, template.notes)
    valid = _bilinear(template.valid[None].astype(np.float64), height, width)[0] > 1 - 1e-9
    return Template(nearest_valid(rays, valid).astype(np.float32), valid, template.notes)


def write_template(path: Path, rays: Array, valid: Array | None) -> None:
    """Writes rays (3, H, W) as float32: `.npz` with `rays` and `valid`, or `.npy` of (1, 3, H, W), whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    rays = rays.astype(np.float32)
    if path.suffix == ".npy":
        save_array(path, rays[None])
        return
    seen = np.ones(rays.shape[1:], bool) if valid is None else valid
    save_arrays(path, {"rays": rays, "valid": seen}, compressed=True)


def _read(path: Path) -> tuple[Array, Array | None]:
    if not path.exists():
        raise UserError(f"{path}: no such file of rays; check the path, or {CURE}")
    if path.suffix == ".npy":
        return read_npy(path, CURE, MAX_BYTES), None
    if path.suffix != ".npz":
        raise UserError(f"{path}: is no .npz or .npy of rays; {CURE}")
    arrays = read_npz(path, CURE, MAX_BYTES)
    if "rays" not in arrays:
        raise UserError(f"{path}: has no array `rays` (it has {', '.join(sorted(arrays))[:200]}); {CURE}")
    return arrays["rays"], arrays.get("valid")


def _channels_first(path: Path, rays: Array) -> tuple[Array, list[str]]:
    """(3, H, W), and what was done for it."""
    shape = "x".join(map(str, rays.shape)) or "a single number"
    if rays.dtype.kind != "f":
        raise UserError(f"{path}: rays must be floating-point numbers, not {rays.dtype}; {CURE}")
    image = rays[0] if rays.ndim == 4 and rays.shape[0] == 1 else rays
    if image.ndim != 3 or 3 not in (image.shape[0], image.shape[-1]) or min(image.shape) < 2:
        raise UserError(f"{path}: rays have the shape {shape}, not 1x3xHxW, 3xHxW or HxWx3; {CURE}")
    if image.shape[0] == 3:
        return image.astype(np.float64), []
    note = f"{path}: rays have the shape {shape}, and are taken as HxWx3"
    return np.moveaxis(image, -1, 0).astype(np.float64), [note]


def _mask(path: Path, valid: Array, size: tuple[int, ...]) -> Array:
    if valid.dtype.kind not in "biuf" or valid.size != size[0] * size[1]:
        shape = "x".join(map(str, valid.shape))
        raise UserError(
            f"{path}: `valid` is {shape} of {valid.dtype}, not {size[0]}x{size[1]} of bool; {CURE}"
        )
    mask = np.asarray(valid.reshape(size) != 0)
    if not mask.any():
        raise UserError(f"{path}: `valid` is False everywhere: no pixel has a ray; {CURE}")
    return mask


def _filled(rays: Array, valid: Array) -> Array:
    """The rays, where nothing is seen and nothing usable stands those of the nearest pixel that sees."""
    with np.errstate(over="ignore", invalid="ignore"):
        bad = ~valid & ~(np.isfinite(rays).all(0) & (np.linalg.norm(rays, axis=0) > SHORTEST))
    return np.where(bad, nearest_valid(rays, valid), rays) if bad.any() else rays


def _require_directions(path: Path, rays: Array) -> None:
    finite = np.isfinite(rays).all(0) & (np.abs(rays) < 1e6).all(0)
    if not finite.all():
        raise UserError(
            f"{path}: {np.count_nonzero(~finite)} rays are not finite (NaN, infinite, or beyond a million); {CURE}"
        )
    zero = np.linalg.norm(rays, axis=0) <= SHORTEST
    if zero.any():
        raise UserError(f"{path}: {np.count_nonzero(zero)} rays have the length 0; {CURE}")


def _require_order(path: Path, rays: Array, valid: Array | None) -> None:
    """Refuses numbers that were reshaped where they should have been transposed: neighbours look elsewhere."""
    height, width = rays.shape[1:]
    unit = rays / np.linalg.norm(rays, axis=0)
    angles = angles_between(unit[:, :, 1:], unit[:, :, :-1])
    if valid is not None:
        angles = angles[valid[:, 1:] & valid[:, :-1]]
    median = float(np.median(angles)) if angles.size else 0.0
    if median > SCRAMBLED / width:
        raise UserError(
            f"{path}: neighbouring rays are {np.degrees(median):.1f} degrees apart, so the numbers are not in the "
            f"order of an image: (H W, 3) must be transposed, not reshaped, to 3x{height}x{width}; {CURE}"
        )


def angles_between(first: Array, second: Array) -> Array:
    """Angles in radians between rays (3, …) of length 1, exact for small ones, too."""
    return np.asarray(
        2 * np.arctan2(np.linalg.norm(first - second, axis=0), np.linalg.norm(first + second, axis=0))
    )


def _bilinear(image: Array, height: int, width: int) -> Array:
    """(C, H, W) to (C, height, width), pixel centres in the middle of pixels."""
    rows, below, down = _taps(image.shape[1], height)
    columns, beside, right = _taps(image.shape[2], width)
    lines = image[:, rows] * (1 - down[:, None]) + image[:, below] * down[:, None]
    return np.asarray(lines[:, :, columns] * (1 - right) + lines[:, :, beside] * right)


def _taps(count: int, wanted: int) -> tuple[Array, Array, Array]:
    """Of each of the wanted pixels: the one before it, the one after, and the share of the latter."""
    position = np.clip((np.arange(wanted) + 0.5) * count / wanted - 0.5, 0, count - 1)
    first = np.minimum(position.astype(np.int64), max(count - 2, 0))
    return first, np.minimum(first + 1, count - 1), position - first
