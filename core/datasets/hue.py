"""Turning the colour circle as Pillow does, equal to the bit, in a fraction of its time.

Pillow goes through HSV pixel by pixel, with branches and divisions. Of its way there, the 8-bit hue depends on how far
red, green and blue are below the largest of them, and saturation on the largest and the smallest: two tables, made with
Pillow itself, of 200,000 and 65,536 colours. Its way back is a formula, whose float32 is compared
with Pillow's own answers before it is trusted.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

STEP = 15  # of the levels at which the formula is compared with Pillow, from 0 to 255


class Tables(NamedTuple):
    """What Pillow does to all colours.

    Attributes:
        first: int32 (65536,), by how far green (times 256) and red are below the largest: where `hues` has them.
        hues: uint8, at a place of `first` plus how far blue is below the largest.
        saturations: float32 (65536,) in [0, 1], by the largest (times 256) and the difference to the smallest.
        weights: float32 (256,), by the hue: the middle channel is largest · (1 - saturation · weight).
        exact: whether the formula of the way back is Pillow's.
    """

    first: np.ndarray
    hues: np.ndarray
    saturations: np.ndarray
    weights: np.ndarray
    exact: bool


def turn(image: Image.Image, steps: int) -> Image.Image:
    """Adds to the 8-bit hue of an RGB image, modulo 256, as Pillow's conversions to HSV and back round."""
    found = tables()
    if not found.exact:
        return turned_by_pillow(image, steps)
    red, green, blue = (np.asarray(channel) for channel in image.split())
    largest = np.maximum(np.maximum(red, green), blue)
    below = (largest - green).astype(np.uint16)
    below <<= 8
    below |= largest - red
    place = found.first.take(below)
    place += largest - blue
    hue = found.hues.take(place)
    hue += np.uint8(steps % 256)
    colour = largest.astype(np.uint16)
    colour <<= 8
    colour |= largest - np.minimum(np.minimum(red, green), blue)
    channels = _channels(hue, found.saturations.take(colour), largest, found.weights)
    return Image.merge("RGB", [Image.fromarray(channel) for channel in channels])


def turned_by_pillow(image: Image.Image, steps: int) -> Image.Image:
    """The same, pixel by pixel: what `turn` is equal to."""
    hues, saturations, values = image.convert("HSV").split()
    hues = hues.point([(level + steps) % 256 for level in range(256)])
    return Image.merge("HSV", (hues, saturations, values)).convert("RGB")


@lru_cache(maxsize=1)
def tables() -> Tables:
    """Made once in a process, in some 50 ms."""
    first, hues = _hues()
    found = Tables(first, hues, _saturations(), _weights(), exact=False)
    return found._replace(exact=_is_pillows(found))


def _hues() -> tuple[np.ndarray, np.ndarray]:
    """`Tables.first` and `Tables.hues`."""
    red, green = np.arange(65536) & 255, np.arange(65536) >> 8
    counts = np.where(
        (red > 0) & (green > 0), 1, 256
    )  # one channel at least is the largest: if not these, blue
    first = np.cumsum(counts) - counts
    below = np.empty((counts.sum(), 3), np.uint8)
    below[:, 0], below[:, 1] = red.repeat(counts), green.repeat(counts)
    below[:, 2] = np.arange(len(below)) - first.repeat(counts)
    return first.astype(np.int32), _converted(255 - below, "RGB", "HSV")[:, 0].copy()


def _saturations() -> np.ndarray:
    """`Tables.saturations`; what no colour has is that of black."""
    largest, difference = np.arange(65536) >> 8, np.arange(65536) & 255
    rest = np.maximum(largest - difference, 0)
    return _converted(np.stack([largest, rest, rest], 1), "RGB", "HSV")[:, 1] / np.float32(255)


def _weights() -> np.ndarray:
    """`Tables.weights`: the middle channel falls within odd sixths of the circle, and rises within even ones."""
    position = np.arange(256, dtype=np.float32) * np.float32(6) / np.float32(255)
    sixth = np.floor(position)
    within = position - sixth
    return np.where(sixth % 2 == 0, np.float32(1) - within, within)


def _converted(colours: np.ndarray, mode: str, other: str) -> np.ndarray:
    """Colours (N, 3) converted by Pillow, uint8."""
    rows = np.ascontiguousarray(colours, np.uint8)
    image = Image.frombytes(mode, (len(rows), 1), rows.tobytes()).convert(other)
    return np.frombuffer(image.tobytes(), np.uint8).reshape(-1, 3)


def _is_pillows(found: Tables) -> bool:
    """Whether the way back is Pillow's for every hue, and every `STEP`th level of saturation and of brightness."""
    levels = np.arange(0, 256, STEP, dtype=np.uint8)
    hue, saturation, value = (
        axis.ravel() for axis in np.meshgrid(np.arange(256, dtype=np.uint8), levels, levels, indexing="ij")
    )
    found_channels = _channels(hue, saturation / np.float32(255), value, found.weights)
    expected = _converted(np.stack([hue, saturation, value], 1), "HSV", "RGB")
    return np.array_equal(np.stack(found_channels, 1), expected)


def _channels(
    hue: np.ndarray, saturation: np.ndarray, largest: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Red, green and blue: each is the largest for a third of the circle, and the smallest for the opposite one."""
    smallest = _part(largest, saturation)
    middle = _part(largest, saturation * weights.take(hue))
    # Sixths of the circle begin at levels 0, 43, 85, 128, 170 and 213; level 255 is the first again.
    turned = hue + np.uint8(1)
    first, second, third, fourth, fifth = (turned <= last for last in (43, 85, 128, 170, 213))
    thirds = (first | ~fifth, second ^ fourth), (first ^ third, ~fourth), (third ^ fifth, second)
    red, green, blue = (_chosen(most, largest, _chosen(least, smallest, middle)) for most, least in thirds)
    return red, green, blue


def _part(largest: np.ndarray, share: np.ndarray) -> np.ndarray:
    """largest · (1 - share), rounded half up, uint8."""
    part = np.float32(1) - share
    part *= largest
    part += np.float32(0.5)
    return part.astype(np.uint8)


def _chosen(where: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    """`np.where` of bytes, by bits: a quarter of its time."""
    return no ^ ((yes ^ no) & np.negative(where.view(np.uint8)))
