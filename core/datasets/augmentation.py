"""The random draws of a training item, and the colour jitter: Pillow, 8 bit, as the published program."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from core.datasets.hue import turn
from core.options.needs import AugmentationPolicy

# Operations and their factors in the order in which they are done; empty for plain colours.
Jitter = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Zoom:
    """An image enlarged, and a part of its former size cut out.

    Attributes:
        x, y: factors of the width and of the height, from 1.
        left, top: where the part lies, 0 at one end to 1 at the other.
    """

    x: float
    y: float
    left: float
    top: float

    def place(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(height, width) of an image when enlarged, and (left, top) of the part, pixels."""
        enlarged = int(height * self.y), int(width * self.x)
        # Whole offsets 0 … enlarged - former, both ends alike.
        top, left = int(self.top * (enlarged[0] - height + 1)), int(self.left * (enlarged[1] - width + 1))
        return enlarged, (left, top)


@dataclass(frozen=True)
class Augmentation:
    """What happens to all images of one item.

    Attributes:
        jitter: of the target; of the sources, too, unless they have their own.
        mirrored: left and right exchanged.
        zoom: None for none.
        jitter_of_sources: of each, where each frame draws its own; empty otherwise.
        points: seed of which points of a network's depth stay; None where it is not drawn.
    """

    jitter: Jitter = ()
    mirrored: bool = False
    zoom: Zoom | None = None
    jitter_of_sources: tuple[Jitter, ...] = ()
    points: int | None = None

    def apply_colours(self, image: Image.Image, number: int = 0) -> Image.Image:
        """The image with its colours augmented, each operation rounded to 8 bit.

        Args:
            number: of the frame in the item; 0 is the target.
        """
        own = number > 0 and self.jitter_of_sources
        for name, factor in self.jitter_of_sources[number - 1] if own else self.jitter:
            image = OPERATIONS[name](image, factor)
        return image


def draw(
    rng: np.random.Generator,
    policy: AugmentationPolicy,
    zoom: float = 1.0,
    sources: int = 0,
    thinned: bool = False,
) -> Augmentation:
    """Draws what happens to a training item.

    The order is fixed, and what a policy does not ask for takes no number: so an item stays what it was when policies
    learn something new, which is drawn last.

    Args:
        zoom: its greatest factor.
        sources: how many there are.
        thinned: some points alone of a network's depth stay.
    """
    with_colour, mirrored = (rng.random(2) > (1 - policy.jitter, 1 - policy.mirroring)).tolist()
    jitter = draw_jitter(rng, policy) if with_colour else ()
    drawn_zoom = None
    if zoom > 1:
        x, y = rng.uniform(1, zoom, 2).tolist()
        top, left = rng.random(2).tolist()
        drawn_zoom = Zoom(x, y, left, top)
    own = range(sources) if with_colour and policy.per_frame else ()
    of_sources = tuple(draw_jitter(rng, policy) for _ in own)
    points = int(rng.integers(2**31)) if thinned else None
    return Augmentation(jitter, mirrored, drawn_zoom, of_sources, points)


def draw_jitter(rng: np.random.Generator, policy: AugmentationPolicy) -> Jitter:
    """Draws factors and their order; those of the channels come last."""
    ranges = {name: getattr(policy, name) for name in ("brightness", "contrast", "saturation", "hue")}
    factors = [(name, rng.uniform(*limits)) for name, limits in ranges.items()]
    jitter = tuple(factors[number] for number in rng.permutation(len(factors)))
    if policy.channels != (1, 1):
        jitter += (("channels", tuple(rng.uniform(*policy.channels, 3).tolist())),)
    return jitter


def brightness(image: Image.Image, factor: float) -> Image.Image:
    """Blends with black."""
    return Image.blend(Image.new("RGB", image.size), image, factor)


def contrast(image: Image.Image, factor: float) -> Image.Image:
    """Blends with the mean grey level of the image, rounded half up."""
    grey = np.asarray(image.convert("L"))
    level = (2 * int(grey.sum(dtype=np.int64)) + grey.size) // (2 * grey.size)
    return Image.blend(Image.new("RGB", image.size, (level, level, level)), image, factor)


def saturation(image: Image.Image, factor: float) -> Image.Image:
    """Blends with the grey image."""
    return Image.blend(image.convert("L").convert("RGB"), image, factor)


def hue(image: Image.Image, shift: float) -> Image.Image:
    """Turns the colour circle: adds trunc(255 · shift), modulo 256, to the 8-bit hue."""
    return turn(image, int(255 * shift))


def channels(image: Image.Image, factors: tuple[float, float, float]) -> Image.Image:
    """Scales red, green and blue, each by its factor."""
    red, green, blue = factors
    return image.convert("RGB", (red, 0, 0, 0, 0, green, 0, 0, 0, 0, blue, 0))


OPERATIONS: dict[str, Callable[[Image.Image, Any], Image.Image]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
    "channels": channels,
}
