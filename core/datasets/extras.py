"""What else a sample may hold, by the name that a method's needs give it: maps made beforehand, such as depth hints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets.hints.files import command_for, find_hint, make_up_hint, read_hint
from core.datasets.preparation import View, maps, nearest
from core.datasets.splits import SplitLine
from core.errors import UserError
from core.options.needs import Listing


@dataclass(frozen=True)
class Extra:
    """A map of a line's target.

    Attributes:
        find: root of the data set, its listing and line → the file, whether or not it is there.
        load: the file, and the focal length times the baseline of the stereo pair in widths of the image and units of
            depth, or None → (…, h, w); raises FileNotFoundError where it was not made, UserError where it is damaged.
        resize: (…, h, w), height, width → (…, height, width).
        mirror: (…, h, w) → the map of the mirrored image.
        command: listing → what makes its files, for whoever lacks them.
        make_up: generator, height, width → (…, height, width), random numbers such as it has, for parity.
    """

    find: Callable[[Path, Listing, SplitLine], Path]
    load: Callable[[Path, float | None], np.ndarray]
    resize: Callable[[np.ndarray, int, int], np.ndarray]
    mirror: Callable[[np.ndarray], np.ndarray]
    command: Callable[[Listing], str]
    make_up: Callable[[np.random.Generator, int, int], np.ndarray]


# Their names are the keys in a sample.
EXTRAS: dict[str, Extra] = {
    # Depth in the unit of the network, float32 (1, h, w), 0 where there is none.
    "hint": Extra(find_hint, read_hint, nearest, lambda depth: depth[..., ::-1], command_for, make_up_hint),
}


def check_extras(name: str, listing: Listing, paths: list[Path]) -> None:
    """Makes sure that an extra was made for all lines, before hours are spent.

    Args:
        listing: that has the lines.
        paths: its files, by `Extra.find`.

    Raises:
        UserError: counts the missing ones, names the first and the command.
    """
    missing = [path for path in dict.fromkeys(paths) if not path.is_file()]
    if missing:
        count = f" ({len(missing)} are missing)" if len(missing) > 1 else ""
        raise UserError(f"{missing[0]}: no such file{count}; make it with: {EXTRAS[name].command(listing)}")


def load_extra(
    name: str,
    listing: Listing,
    path: Path,
    view: View,
    image_size: tuple[int, int],
    numerator: float | None = None,
) -> np.ndarray:
    """An extra of a line on the way of its images, (…, H, W).

    Args:
        listing: that has the line.
        path: its file, by `Extra.find`.
        image_size: (height, width) of the image's file; the map may have another.
        numerator: focal length times baseline of the stereo pair, see `Extra.load`.

    Raises:
        UserError: it was not made; names the file and the command.
    """
    extra = EXTRAS[name]
    try:
        array = extra.load(path, numerator)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; make it with: {extra.command(listing)}") from None
    return np.ascontiguousarray(view.apply(array, maps(extra.resize, extra.mirror), image_size))
