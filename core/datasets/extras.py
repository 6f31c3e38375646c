"""What else a sample may hold, by the name that a method's needs give it: maps made beforehand, such as depth hints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.preparation import View, maps
from core.datasets.splits import SplitLine
from core.errors import UserError


@dataclass(frozen=True)
class Extra:
    """A map of a line's target.

    Attributes:
        load: root of the data set and line → (…, h, w); raises FileNotFoundError where it was not made.
        resize: (…, h, w), height, width → (…, height, width).
        mirror: (…, h, w) → the map of the mirrored image.
        command: what makes the files, for whoever lacks them.
        make_up: generator, height, width → (…, height, width), random numbers such as it has, for parity.
    """

    load: Callable[[Path, SplitLine], np.ndarray]
    resize: Callable[[np.ndarray, int, int], np.ndarray]
    mirror: Callable[[np.ndarray], np.ndarray]
    command: str
    make_up: Callable[[np.random.Generator, int, int], np.ndarray]


# Their names are the keys in a sample.
EXTRAS: dict[str, Extra] = {}


def load_extra(name: str, root: Path, line: SplitLine, view: View, image_size: tuple[int, int]) -> np.ndarray:
    """An extra of a line on the way of its images, (…, H, W).

    Args:
        image_size: (height, width) of the image's file; the map may have another.

    Raises:
        UserError: it was not made; names the file and the command.
    """
    extra = EXTRAS[name]
    try:
        array = extra.load(root, line)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; make it with: {extra.command}") from None
    return np.ascontiguousarray(view.apply(array, maps(extra.resize, extra.mirror), image_size))
