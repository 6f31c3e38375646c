"""Depth hints on disk: `<folder>/<folder of the line>/image_02|03/<frame, ten digits>.png`, or `.npy`.

A `.png` has 16 bits: whole numbers n of steps of a disparity, 0 where there is no hint. Its texts (tEXt) say the step
and the numerator of depth = numerator / (n · step + 1e-7), which gives the float32 depth back bit for bit. A `.npy` is
float32 (1, h, w), the depth itself, as published programs write it; where both lie there, the `.png` counts.
"""

import contextlib
import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from core.datasets.kitti import MAX_IMAGE_SIDE
from core.datasets.splits import LEFT, SplitLine
from core.errors import UserError
from core.faults import why_not_read
from core.files.arrays import as_float32
from core.files.images import UNREADABLE, check_png, encoded
from core.files.regular import open_regular
from core.files.whole import write_bytes
from core.options.needs import Listing
from core.weights.npz import read_npy

FOLDER = "depth_hints"
SCRIPT = "precompute_depth_hints.py"
COMMAND = f"{SCRIPT} --data_path DATA --split SPLIT"
CURE = f"delete it and make it again: {COMMAND}"
MAX_PIXELS = 1 << 24
MOST = 65535  # the greatest number of 16 bits
MATCHED_STEP = 1 / 16  # of the disparities of OpenCV's matchers
LEAST_NUMBER, MOST_NUMBER = 1e-12, 1e12  # of a text
NUMBERS = ("numerator", "step")
MADE = "made"  # the text that says how
LONGEST_TEXT = 200
# Of focal length times baseline; those of a calibration stray from nominal ones by a hundredth or two.
OTHER_CAMERA = 0.03


@dataclass(frozen=True)
class Coded:
    """A hint in whole numbers.

    Attributes:
        steps: uint16 (h, w), 0 where there is no hint.
        step: pixels of disparity of one.
        numerator: focal length times baseline: pixels of the width times the unit of depth.
    """

    steps: np.ndarray
    step: float
    numerator: float

    def depth(self) -> np.ndarray:
        """float32 (1, h, w), 0 where there is no hint."""
        disparity = self.steps.astype(np.float32) * np.float32(self.step)
        return depth_of(disparity, self.numerator)[None]


def depth_of(disparity: np.ndarray, numerator: float) -> np.ndarray:
    """Depth of a disparity, both float32 (…, h, w); where that is 0, or below, there is none: 0."""
    depth = np.float32(numerator) / (disparity + np.float32(1e-7))
    return np.where(disparity > 0, depth, np.float32(0))


def hint_folder(root: Path, listing: Listing) -> Path:
    """Where the hints of a listing lie."""
    return root / FOLDER if listing.depth_hints is None else Path(listing.depth_hints)


def command_for(listing: Listing) -> str:
    """What makes the hints of a listing, where training looks for them."""
    dataset = "" if listing.dataset == "kitti" else listing.dataset
    words = {"data_path": listing.path, "dataset": dataset, "split": listing.split}
    words["save_path"] = listing.depth_hints or ""
    given = [(f"--{name}", word) for name, word in words.items() if word]
    return shlex.join([SCRIPT, *(word for pair in given for word in pair)])


def relative_path(line: SplitLine) -> PurePosixPath:
    """Of a line's hint, without its ending, below the folder of hints. A line without a side is of the left camera.

    Raises:
        UserError: the line's folder leads elsewhere, or it has another side.
    """
    folder = PurePosixPath(line.folder)
    if folder.is_absolute() or ".." in folder.parts:
        raise UserError(f"split line {str(line)!r}: its folder must lie below the data set's; mend the list")
    camera = LEFT if line.side is None else line.camera
    return folder / f"image_{camera:02d}" / f"{line.frame:010d}"


def find_hint(root: Path, listing: Listing, line: SplitLine) -> Path:
    """The file of a line's hint; where there is none, the one that would be made."""
    return find_in(hint_folder(root, listing), line)


def find_in(folder: Path, line: SplitLine) -> Path:
    """The file of a line's hint in a folder of hints; see `find_hint`."""
    stem = folder / relative_path(line)
    png, npy = (stem.with_name(f"{stem.name}{ending}") for ending in (".png", ".npy"))
    return npy if not png.is_file() and npy.is_file() else png


def read_hint(path: Path, numerator: float | None = None) -> np.ndarray:
    """Reads a hint of either form: float32 (1, h, w), depth in the unit of the network, 0 where there is none.

    Args:
        numerator: focal length times baseline of the pair, widths times the unit of depth; None: unknown. A `.npy` does
            not say what its own was.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it is damaged, no hint, or of another numerator.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    if path.suffix == ".npy":
        return _read_npy(path)
    coded = read_coded(path)
    own = coded.numerator / coded.steps.shape[1]
    if numerator is not None and abs(own / numerator - 1) > OTHER_CAMERA:
        raise UserError(
            f"{path}: was made for another camera: focal length times baseline is {own:.4g}, in training "
            f"{numerator:.4g} (widths of the image times units of depth); make it again with --overwrite and the "
            "--intrinsics of training; with --known_poses leave --baseline out"
        )
    return coded.depth()


def _read_npy(path: Path) -> np.ndarray:
    depth = read_npy(path, CURE, 8 * MAX_PIXELS)
    shape = depth.shape[1:] if depth.ndim == 3 and depth.shape[0] == 1 else depth.shape
    if len(shape) != 2 or 0 in shape or max(shape) > MAX_IMAGE_SIDE or depth.dtype.kind != "f":
        raise UserError(
            f"{path}: holds {depth.dtype} of shape {depth.shape}, no hint (1, height, width); {CURE}"
        )
    depth = as_float32(depth, str(path), CURE).reshape(1, *shape)
    if not np.isfinite(depth).all():
        raise UserError(f"{path}: holds depths that are no numbers; {CURE}")
    return np.maximum(depth, np.float32(0))


def read_coded(path: Path) -> Coded:
    """Reads a hint in whole numbers, a `.png`.

    Raises:
        UserError: it is missing, damaged, or no hint.
    """
    with _opened(path, exact=True) as image:
        numerator, step = (_number(image, name) for name in NUMBERS)
        return Coded(np.array(image, np.uint16), step, numerator)


def how_it_was_made(path: Path) -> str:
    """What `write_hint` was told of a `.png`, from its head alone.

    Raises:
        UserError: it is no hint.
    """
    with _opened(path) as image:
        made = image.info.get(MADE)
        if not isinstance(made, str) or len(made) > LONGEST_TEXT:
            raise ValueError(f"it has no text {MADE!r}")
        return made


@contextlib.contextmanager
def _opened(path: Path, exact: bool = False) -> Iterator[PngImageFile]:
    """A 16-bit PNG, not yet decoded; what is wrong with it inside becomes a UserError.

    Args:
        exact: all its checksums are compared.
    """
    try:
        with open_regular(path) as file, contextlib.ExitStack() as stack:
            if exact:
                check_png(file)
            image = stack.enter_context(Image.open(file, formats=("PNG",)))
            if not isinstance(image, PngImageFile) or not image.mode.startswith("I"):
                raise ValueError(f"it has no 16 bits but is of mode {image.mode}")
            if max(image.size) > MAX_IMAGE_SIDE or image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it has {image.width}x{image.height} pixels")
            yield image
    except UNREADABLE as error:
        raise UserError(f"{path}: not a readable depth hint ({why_not_read(error)}); {CURE}") from None


def _number(image: PngImageFile, name: str) -> float:
    text = image.info.get(name)
    try:
        number = float(text) if isinstance(text, str) and len(text) < 40 else math.nan
    except ValueError:
        number = math.nan
    if not LEAST_NUMBER < number < MOST_NUMBER:
        raise ValueError(f"its text {name!r} is no possible number: it was not written as a hint")
    return number


def write_hint(path: Path, coded: Coded, made: str) -> None:
    """Writes a hint, whole or not at all; the same bytes for the same arguments.

    Args:
        made: how it was made, for whoever would mix hints of several ways.

    Raises:
        UserError: the file cannot be written.
    """
    texts = PngInfo()
    for name, number in zip(NUMBERS, (coded.numerator, coded.step), strict=True):
        texts.add_text(name, repr(float(number)))
    texts.add_text(MADE, made)
    image = Image.fromarray(np.ascontiguousarray(coded.steps, np.uint16))
    write_bytes(path, encoded(image, ".png", pnginfo=texts))


def code(disparity: np.ndarray, numerator: float) -> Coded:
    """A disparity of any precision in 65535 steps, from 0 to the greatest; the error is half a step at most.

    Args:
        disparity: float (h, w), 0 where there is none.
        numerator: see `Coded`.
    """
    greatest = float(disparity.max())
    step = greatest / MOST if greatest > 0 else MATCHED_STEP
    steps = np.clip(np.rint(disparity / step), 1, MOST)  # what is far is not nothing
    return Coded(np.where(disparity > 0, steps, 0).astype(np.uint16), step, numerator)


def make_up_hint(generator: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Random depths of 1 to 20 at four of five pixels, elsewhere 0: (1, height, width)."""
    depth = generator.uniform(1, 20, (1, height, width))
    return np.where(generator.random(depth.shape) < 0.8, depth, 0)
