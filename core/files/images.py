"""Reading images and making their pyramid, bit for bit as the published program: Pillow, 8 bit, LANCZOS."""

import contextlib
import errno
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import UserError
from core.faults import in_words
from core.files.regular import open_regular
from core.files.whole import write_bytes

# What Pillow raises on a damaged file: OSError covers unknown formats and truncation, the rest its decoders.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
COMMENT = b"self-supervised monocular depth"  # in the JPEG files of ours: they may be replaced
# Pillow's names of the formats that are opened, whatever a file is called. It knows some 40 others; EPS starts another
# program.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
PNG_HEAD, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
NO_IMAGE = (errno.EISDIR, errno.EINVAL)  # a folder, a pipe
ORIENTATION = 0x0112  # EXIF's tag
ON_ITS_SIDE = (5, 6, 7, 8)  # its values that turn an image by 90°; others, from 9 on, mean nothing
PNG_DEPTH, TIFF_DEPTH = 24, 258  # where the bits a channel stand: a byte of the file, a tag
PPM_HEAD = 4096  # bytes, comments included, within which its largest value stands


class BadImageError(UserError):
    """An image is missing, damaged, or of a kind that cannot be used."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = Path(path), reason


def open_image(
    path: Path, cure: str = "check the path", exact: bool = False, is_photo: bool = False
) -> Image.Image:
    """Opens and decodes an image file of any mode, upright.

    Args:
        cure: what to do when the file is missing; ends the error message.
        exact: its pixels are measurements: see `check_png`.
        is_photo: its channels must have 8 bits.

    Raises:
        BadImageError: missing, truncated, not an image, or a photo of more than 8 bits.
    """
    try:
        with _opened(path, exact) as image:
            if is_photo:
                require_8_bits(image, path)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)  # a telephone stores how it was held
            return image
    except FileNotFoundError as error:
        raise BadImageError(path, f"no such image; {cure}") from error
    except MemoryError as error:
        error.add_note(f"while decoding {path}")
        raise
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


@contextlib.contextmanager
def _opened(path: Path, exact: bool = False) -> Iterator[Image.Image]:
    """An image of a kind that is read, not yet decoded."""
    with open_regular(path) as file:
        if exact:
            check_png(file)
        with Image.open(file, formats=FORMATS) as image:
            yield image


def check_png(file: BinaryIO) -> None:
    """Compares the checksums of all parts of a PNG, at which Pillow does not look where the pixels are.

    Args:
        file: at any place, afterwards at its beginning; nothing is asked of what is no PNG.

    Raises:
        ValueError: one does not fit, or the file ends early.
    """
    end, place = file.seek(0, os.SEEK_END), len(PNG_HEAD)
    file.seek(0)
    kind = b"" if file.read(len(PNG_HEAD)) == PNG_HEAD else PNG_END
    while kind != PNG_END:
        length, kind = int.from_bytes(file.read(4), "big"), file.read(4)
        place += length + 12
        if place > end:
            raise ValueError("it ends early")
        if zlib.crc32(file.read(length), zlib.crc32(kind)) != int.from_bytes(file.read(4), "big"):
            raise ValueError("its own checksum does not fit, so its numbers are not those that were written")
    file.seek(0)


def _unreadable(path: Path, error: Exception) -> BadImageError:
    if isinstance(error, UnidentifiedImageError):
        kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        return BadImageError(
            path, f"damaged or not an image of a kind that is read ({kinds}); convert it to PNG"
        )
    if isinstance(error, OSError) and error.errno is not None:  # of the system; Pillow's have no number
        what, cure = in_words(error)
        readable = "damaged or not an image" if error.errno in NO_IMAGE else "cannot be read"
        return BadImageError(path, f"{readable}: {what}; {cure}")
    return BadImageError(path, f"damaged or not an image ({error}); copy or convert it again")


def image_size(path: Path, is_photo: bool = False) -> tuple[int, int]:
    """(height, width) of an image file, upright, from its header alone.

    Args:
        is_photo: its channels must have 8 bits.

    Raises:
        BadImageError: missing, not an image, or a photo of more than 8 bits.
    """
    try:
        with _opened(path) as image:
            if is_photo:
                require_8_bits(image, path)
            width, height = image.size
            has_exif = image.format != "PNG" or "exif" in image.info  # Pillow decodes a PNG to look for more
            lies_on_its_side = has_exif and image.getexif().get(ORIENTATION, 1) in ON_ITS_SIDE
            return (width, height) if lies_on_its_side else (height, width)
    except FileNotFoundError as error:
        raise BadImageError(path, "no such image; check the path") from error
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def load_image(path: Path, mirrored: bool = False, cure: str = "check the path") -> Image.Image:
    """Loads an image as 8-bit RGB at its native size.

    Args:
        mirrored: exchange left and right. Done before any resizing, which is not exactly symmetric.
        cure: what to do when the file is missing; ends the error message.

    Raises:
        BadImageError: missing, truncated, not an image, or of more than 8 bits.
    """
    image = _as_rgb(open_image(path, cure, is_photo=True))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image


def _as_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def require_8_bits(image: Image.Image, name: Path | str) -> None:
    """Makes sure that an image has 8 bits a channel, or fewer.

    Args:
        image: best not yet decoded: then its file says what Pillow does not, which takes the high byte of colours.

    Raises:
        BadImageError: it has more.
    """
    if image.mode.startswith(("I", "F")):  # conversion would clip at 255
        raise BadImageError(name, f"has more than 8 bits a channel ({image.mode}); convert it to 8-bit RGB")
    if (bits := _bits(image)) > 8:
        raise BadImageError(
            name, f"has more than 8 bits a channel ({bits}-bit {image.mode}); convert it to 8-bit RGB"
        )


def _bits(image: Image.Image) -> int:
    """The bits a channel by the head of its file; 8 where that is at hand no more."""
    if image.format == "TIFF":
        return int(max(np.atleast_1d(getattr(image, "tag_v2", {}).get(TIFF_DEPTH, 8))))
    file = getattr(image, "fp", None)
    if image.format not in ("PNG", "PPM") or file is None:
        return 8
    place = file.tell()
    file.seek(0)
    head = file.read(PPM_HEAD)
    file.seek(place)
    if image.format == "PNG":
        return int(head[PNG_DEPTH])
    words = re.sub(rb"#[^\r\n]*", b"", head).split(maxsplit=4)  # kind, width, height, largest value
    is_stated = words[0] in (b"P2", b"P3", b"P5", b"P6") and len(words) > 3 and words[3].isdigit()
    return int(words[3]).bit_length() if is_stated else 8


def encoded(image: Image.Image, extension: str, **settings: Any) -> bytes:
    """The bytes of an image's file: Pillow, which takes a short write for a whole one, writes none itself.

    Args:
        extension: such as `.png`; says the format.
        settings: of Pillow's `save`.
    """
    content = io.BytesIO()
    image.save(content, format=Image.registered_extensions()[extension.lower()], **settings)
    return content.getvalue()


def write_image(path: Path, image: Image.Image, **settings: Any) -> None:
    """Writes an image, whole or not at all; the extension says the format.

    Args:
        settings: of Pillow's `save`.

    Raises:
        UserError: the file cannot be written.
    """
    write_bytes(path, encoded(image, path.suffix, **settings))


def resize(image: Image.Image, height: int, width: int) -> Image.Image:
    """One LANCZOS resize."""
    return image.resize((width, height), Image.Resampling.LANCZOS)


def pyramid(
    image: Any,
    scales: list[int],
    resize: Callable[[Any, int, int], Any] = resize,
    size: tuple[int, int] | None = None,
) -> dict[int, Any]:
    """Scales of an image, by a chain: each level is made from the 8-bit level above it.

    Args:
        image: scale 0, (H, W).
        scales: the levels wanted.
        resize: an image to a height and a width.
        size: H and W, of what is no Pillow image.

    Returns:
        Images of size (H // 2^s, W // 2^s) by s.
    """
    height, width = size or (image.height, image.width)
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


def as_images(images: Any, float_size: tuple[int, int] | None = None) -> list[np.ndarray]:
    """One image, a batch or a list of them as a list of uint8 (h, w, 3) arrays.

    Args:
        images: arrays uint8 (h, w, 3) RGB, (h, w, 4) with an opacity that is left out, (h, w) or (h, w, 1) grey; images
            of Pillow; or names of files.
        float_size: (height, width) that float32 arrays in [0, 1] may have, too; None: none may come.

    Raises:
        UserError: there is none, or one is something else.
    """
    is_array = isinstance(images, np.ndarray) and images.ndim in (2, 3)
    single = is_array or isinstance(images, str | os.PathLike | Image.Image)
    found = [_as_array(image) for image in ([images] if single else images)]
    if not found:
        raise UserError("no image: give at least one array of shape (height, width, 3)")
    for number, image in enumerate(found):
        if float_size is not None and image.dtype == np.float32 and image.shape == (*float_size, 3):
            continue
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UserError(
                f"image {number} (counted from 0): {image.dtype} of shape {image.shape}, "
                "expected uint8 RGB (height, width, 3)"
            )
    return found


def _as_array(image: Any) -> np.ndarray:
    """A file, an image of Pillow, grey or with opacity: as RGB; anything else as an array as it is."""
    if isinstance(image, str | os.PathLike):
        return to_array(load_image(Path(image)))
    if isinstance(image, Image.Image):
        require_8_bits(image, "an image of Pillow")
        return to_array(_as_rgb(image))
    array = np.asarray(image)
    if array.ndim == 2 or array.shape[2:] == (1,):
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2) if array.size else array
    return array[:, :, :3] if array.ndim == 3 and array.shape[2] == 4 else array
