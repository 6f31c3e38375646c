"""A camera by its name and numbers."""

from collections.abc import Sequence
from math import isfinite

from core.cameras.distortion import Distortion
from core.cameras.models import Camera, Equirectangular, ImagePlane, KannalaBrandt, Pinhole, Unified, dummy
from core.options.base import require
from core.options.cameras import require_camera


def make_camera(
    name: str, numbers: Sequence[float], height: int, width: int, where: str = "option parameters"
) -> Camera:
    """A camera for images of a size.

    Args:
        name: of `core.options.cameras.CAMERAS`.
        numbers: in pixels of images of that size, as `CAMERAS` lists them.
        where: the option or file, which begins a message.

    Raises:
        UserError: no such model, or impossible numbers.
    """
    require_camera(name, len(numbers), where)
    require(all(map(isfinite, numbers)), f"{where}: a number is not finite; check them")
    if name == "dummy":
        return dummy(height, width)
    if name == "equirectangular":
        return Equirectangular(height, width)
    plane = plane_of(numbers[:4], height, width, where)
    if name == "pinhole":
        return Pinhole(plane, Distortion(*numbers[4:]))
    if name == "kannala_brandt":
        k1, k2, k3, k4 = numbers[4:]
        return KannalaBrandt(plane, (k1, k2, k3, k4))
    require(numbers[4] >= 0, f"{where}: xi must not be below 0, not {numbers[4]:g}")
    return Unified(plane, numbers[4], Distortion(*numbers[5:]))


def plane_of(numbers: Sequence[float], height: int, width: int, where: str, skew: float = 0.0) -> ImagePlane:
    """The image plane of fx, fy, cx, cy in pixels of an image.

    Raises:
        UserError: no camera for such an image has these numbers; they are in units of the image size, most likely.
    """
    fx, fy, cx, cy = numbers
    side = max(height, width)
    possible = all(0.01 * side < f < 100 * side for f in (fx, fy))
    possible &= -width < cx < 2 * width and -height < cy < 2 * height and abs(skew) < fx
    require(
        possible,
        f"{where}: fx fy cx cy {fx:g} {fy:g} {cx:g} {cy:g} are no camera for images {width}x{height}; they must be in "
        "pixels of the images that they were calibrated with (width and height of which can be given)",
    )
    return ImagePlane(fx, fy, cx, cy, skew)
