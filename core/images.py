"""Reading images and making their pyramid, bit for bit as the published program: Pillow, 8 bit, LANCZOS."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from core.errors import UserError

# What Pillow raises on a damaged file: OSError covers unknown formats and truncation, the rest its decoders.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def open_image(path: Path, cure: str = "check the path") -> Image.Image:
    """Opens and decodes an image file of any mode, upright.

    Args:
        cure: what to do when the file is missing; ends the error message.

    Raises:
        UserError: missing, truncated, or not an image.
    """
    try:
        with Image.open(path) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # a telephone stores how it was held
            return image
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such image; {cure}") from error
    except UNREADABLE as error:
        raise UserError(f"{path}: damaged or not an image ({error}); copy or convert it again") from error


def load_image(path: Path, mirrored: bool = False, cure: str = "check the path") -> Image.Image:
    """Loads an image as 8-bit RGB at its native size.

    Args:
        mirrored: exchange left and right. Done before any resizing, which is not exactly symmetric.
        cure: what to do when the file is missing; ends the error message.

    Raises:
        UserError: missing, truncated, not an image, or of more than 8 bits.
    """
    image = open_image(path, cure)
    if image.mode.startswith(("I", "F")):  # conversion would clip at 255
        raise UserError(f"{path}: has more than 8 bits a channel ({image.mode}); convert it to 8-bit RGB")
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image


def resize(image: Image.Image, height: int, width: int) -> Image.Image:
    """One LANCZOS resize."""
    return image.resize((width, height), Image.Resampling.LANCZOS)


def pyramid(image: Image.Image, scales: list[int]) -> dict[int, Image.Image]:
    """Scales of an image, by a chain: each level is made from the 8-bit level above it.

    Args:
        image: scale 0, (H, W).
        scales: the levels wanted.

    Returns:
        Images of size (H // 2^s, W // 2^s) by s.
    """
    width, height = image.size
    levels = {0: image}
    for scale in range(1, max(scales, default=0) + 1):
        levels[scale] = resize(levels[scale - 1], height >> scale, width >> scale)
    return {scale: levels[scale] for scale in scales}


def to_array(image: Image.Image) -> np.ndarray:
    """uint8 (H, W, 3), read-only."""
    array = np.asarray(image)
    array.flags.writeable = False
    return array


def resize_array(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """One LANCZOS resize of uint8 (h, w, 3); the array itself where the size is right."""
    if image.shape[:2] == (height, width):
        return image
    return to_array(resize(Image.fromarray(image), height, width))
