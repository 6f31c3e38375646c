"""What happens to the pixels of a sample: cut, mirrored, zoomed, resized; its images, its maps and its K alike."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from core.datasets.augmentation import Augmentation, Zoom
from core.errors import UserError
from core.files.images import as_images, to_array
from core.files.images import resize as lanczos
from core.options.needs import Preparation

Box = tuple[int, int, int, int]  # left, top, right, bottom, pixels


class Medium(NamedTuple):
    """How pictures of a kind are worked on.

    Attributes:
        size: (height, width) of one.
        crop: a box of one.
        mirror: left and right exchanged.
        resize: to a height and a width.
    """

    size: Callable[[Any], tuple[int, int]]
    crop: Callable[[Any, Box], Any]
    mirror: Callable[[Any], Any]
    resize: Callable[[Any, int, int], Any]


@dataclass(frozen=True)
class View:
    """The way of a sample's pixels, drawn once for all it holds.

    Attributes:
        height, width: where it ends.
        border_crop: see `border_box`.
    """

    height: int
    width: int
    border_crop: tuple[float, ...] = ()
    mirrored: bool = False
    zoom: Zoom | None = None

    @classmethod
    def of(cls, preparation: Preparation, augmentation: Augmentation) -> "View":
        """The way of a sample with these draws."""
        size = preparation.height, preparation.width
        return cls(*size, preparation.border_crop, augmentation.mirrored, augmentation.zoom)

    def apply(self, picture: Any, medium: Medium, image_size: tuple[int, int] | None = None) -> Any:
        """A picture on this way.

        Args:
            image_size: (height, width) of the images, where this is a map of the same view in another size.
        """
        picture = self.cut(picture, medium, image_size)
        height, width = medium.size(picture)
        if self.mirrored:  # before any resizing, which need not be exactly symmetric
            picture = medium.mirror(picture)
        if self.zoom:
            enlarged, (left, top) = self.zoom.place(height, width)
            picture = medium.resize(picture, *enlarged)
            picture = medium.crop(picture, (left, top, left + width, top + height))
        return medium.resize(picture, self.height, self.width)

    def cut(self, picture: Any, medium: Medium, image_size: tuple[int, int] | None = None) -> Any:
        """What the border crop leaves of a picture; see `apply`."""
        if not self.border_crop:
            return picture
        height, width = medium.size(picture)
        whole = image_size or (height, width)
        x, y = width / whole[1], height / whole[0]
        left, top, right, bottom = border_box(self.border_crop, *whole)
        return medium.crop(picture, (round(left * x), round(top * y), round(right * x), round(bottom * y)))

    def pixel_map(self, image_size: tuple[int, int] | None, edges: bool) -> np.ndarray:
        """A (3, 3): the pixels of a whole image, resized to (height, width), to those on this way.

        Args:
            image_size: (height, width) of its file; only what cuts or zooms asks for it.
            edges: coordinates are 0 at the outer edge of the first pixel, not at its centre.
        """
        A = np.eye(3)
        if self.border_crop or self.zoom:
            assert image_size is not None
            height, width = image_size
            left, top, right, bottom = border_box(self.border_crop, height, width)
            x, y = width / (right - left), height / (bottom - top)
            A = _stretch(x, y, -left / width * x * self.width, -top / height * y * self.height)
            height, width = bottom - top, right - left
        if self.mirrored:
            A = _stretch(-1, 1, self.width, 0) @ A
        if self.zoom:
            _, (left, top) = self.zoom.place(height, width)
            offset = -left / width * self.width, -top / height * self.height
            A = _stretch(self.zoom.x, self.zoom.y, *offset) @ A
        half = 0 if edges else 0.5
        return np.asarray(_stretch(1, 1, -half, -half) @ A @ _stretch(1, 1, half, half))


def _stretch(x: float, y: float, right: float, down: float) -> np.ndarray:
    return np.array([[x, 0, right], [0, y, down], [0, 0, 1]])


def border_box(crop: tuple[float, ...], height: int, width: int) -> Box:
    """The part of an image that is kept.

    Args:
        crop: (top, height, left, width): a start below 0, and a size not above 0, count from the end; a start that is
            no whole number is the part's centre as a share of the side. (rows, columns): so many are cut off, at the
            top and left, or below 0 at the bottom and right. (size, centre), no whole number: a square. (): all.

    Raises:
        UserError: it does not fit into the image.
    """
    if not crop:
        return 0, 0, width, height
    if len(crop) == 4:
        rows, columns = _span(crop[0], crop[1], height), _span(crop[2], crop[3], width)
    elif float(crop[0]).is_integer() and float(crop[1]).is_integer():
        rows, columns = (
            (max(0, int(n)), side + min(0, int(n))) for n, side in zip(crop, (height, width), strict=True)
        )
    else:
        rows, columns = (_span(crop[1], crop[0], side) for side in (height, width))
    if not (0 <= rows[0] < rows[1] <= height and 0 <= columns[0] < columns[1] <= width):
        raise UserError(
            f"border crop {crop}: leaves nothing of an image of {width}x{height}, or reaches beyond it"
        )
    return columns[0], rows[0], columns[1], rows[1]


def _span(start: float, size: float, length: int) -> tuple[int, int]:
    if not float(start).is_integer():
        return int(start * length - size / 2), int(start * length + size / 2)
    first = int(start) if start >= 0 else length + int(start)
    return first, first + int(size) if size > 0 else length + int(size)


# ---- images ----------------------------------------------------------------------------------------------


def _pillow(resize: Callable[[Image.Image, int, int], Image.Image]) -> Medium:
    return Medium(
        size=lambda image: (image.height, image.width),
        crop=lambda image, box: image.crop(box),
        mirror=lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        resize=resize,
    )


def _bilinear(image: Image.Image, height: int, width: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _float_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    import cv2

    return np.asarray(
        cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)
    )


class ImageKind(NamedTuple):
    """The images of a filter.

    Attributes:
        medium: how they are worked on.
        decode: Pillow's 8-bit image to one.
        restore: the array of one (h, w, 3) to itself.
        symmetric: whether one of a width, resized to another, may be mirrored as well before as afterwards.
    """

    medium: Medium
    decode: Callable[[Image.Image], Any]
    restore: Callable[[np.ndarray], Any]
    symmetric: Callable[[int, int], bool]


@lru_cache(maxsize=1000)
def _is_symmetric(resize: Callable[[Image.Image, int, int], Image.Image], before: int, after: int) -> bool:
    """Whether Pillow resizes rows of one width to another alike from both ends, to the bit: it is tried."""
    rows = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, before, 3), np.uint8))
    mirror, height = _pillow(resize).mirror, rows.height
    return bool(resize(mirror(rows), height, after) == mirror(resize(rows, height, after)))


def _kind(resize: Callable[[Image.Image, int, int], Image.Image]) -> ImageKind:
    """Pillow's images."""
    return ImageKind(_pillow(resize), lambda image: image, Image.fromarray, partial(_is_symmetric, resize))


IMAGES: dict[str, ImageKind] = {
    "lanczos": _kind(lanczos),
    "bilinear": _kind(_bilinear),
    "float_bilinear": ImageKind(
        Medium(
            size=lambda image: image.shape[:2],
            crop=lambda image, box: image[box[1] : box[3], box[0] : box[2]],
            mirror=lambda image: image[:, ::-1],
            resize=_float_bilinear,
        ),
        decode=lambda image: np.asarray(image, np.float32) / 255,
        restore=lambda array: array,
        symmetric=lambda before, after: False,
    ),
}


def network_images(images: Any, preparation: Preparation) -> np.ndarray:
    """Images as the networks were trained with them, (N, height, width, 3); uint8, of `float_bilinear` float32.

    Args:
        images: of any sizes, or one, see `as_images`; or float32 in [0, 1] that are prepared already.
        preparation: whose size and filter they get. Nothing is cut.

    Raises:
        UserError: there is none, or one is something else.
    """
    kind, size = IMAGES[preparation.filter], (preparation.height, preparation.width)
    in_bytes = preparation.filter != "float_bilinear"

    def prepared(image: np.ndarray) -> np.ndarray:
        if image.shape[:2] == size and (image.dtype != np.uint8 or in_bytes):
            return image
        return to_array(kind.medium.resize(kind.decode(Image.fromarray(image)), *size))

    return np.stack([prepared(image) for image in as_images(images, None if in_bytes else size)])


# ---- maps (…, h, w) --------------------------------------------------------------------------------------


def maps(resize: Callable[[Any, int, int], Any], mirror: Callable[[Any], Any]) -> Medium:
    """Maps (…, h, w) with a way of their own to resize and to mirror."""
    return Medium(
        size=lambda array: array.shape[-2:],
        crop=lambda array, box: array[..., box[1] : box[3], box[0] : box[2]],
        mirror=mirror,
        resize=resize,
    )


def scatter(depth: np.ndarray, height: int, width: int) -> np.ndarray:
    """A sparse map (h, w) in another size: every known point (above 0) keeps its value, the last of a pixel stays."""
    rows, columns = np.nonzero(depth > 0)
    y, x = height / depth.shape[0], width / depth.shape[1]
    scattered = np.zeros((height, width), depth.dtype)
    scattered[(rows * y).astype(np.int64), (columns * x).astype(np.int64)] = depth[rows, columns]
    return scattered


def nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """(…, h, w) → (…, height, width) of the pixels floor(i · h / height), floor(j · w / width); values stay."""
    rows, columns = (
        np.arange(wanted) * size // wanted
        for wanted, size in zip((height, width), array.shape[-2:], strict=True)
    )
    return np.asarray(array[..., rows[:, None], columns])


POINTS = maps(scatter, mirror=lambda depth: depth[..., ::-1])
# Of depth, by the words of `Preparation.input_depth`.
DEPTHS = {"points": POINTS, "nearest": maps(nearest, mirror=lambda depth: depth[..., ::-1])}
