"""The random draws of a training item, and the colour jitter: Pillow, 8 bit, as the published program."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

FACTOR_RANGE = (0.8, 1.2)  # of brightness, contrast and saturation
HUE_RANGE = (-0.1, 0.1)  # in turns of the colour circle


@dataclass(frozen=True)
class Augmentation:
    """What happens to all images of one item.

    Attributes:
        jitter: operations and their factors in the order in which they are done; empty for plain colours.
        mirrored: left and right exchanged.
    """

    jitter: tuple[tuple[str, float], ...] = ()
    mirrored: bool = False

    def apply_colours(self, image: Image.Image) -> Image.Image:
        """The image with its colours augmented, each operation rounded to 8 bit."""
        for name, factor in self.jitter:
            image = OPERATIONS[name](image, factor)
        return image


def draw(rng: np.random.Generator) -> Augmentation:
    """Draws what happens to a training item: jitter in half of the cases, mirroring in half."""
    with_colour, mirrored = (rng.random(2) > 0.5).tolist()
    if not with_colour:
        return Augmentation(mirrored=mirrored)
    factors = {name: rng.uniform(*FACTOR_RANGE) for name in ("brightness", "contrast", "saturation")}
    factors["hue"] = rng.uniform(*HUE_RANGE)
    names = list(factors)
    return Augmentation(tuple((names[i], factors[names[i]]) for i in rng.permutation(len(names))), mirrored)


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
    hues, saturations, values = image.convert("HSV").split()
    steps = int(255 * shift)
    hues = hues.point([(level + steps) % 256 for level in range(256)])
    return Image.merge("HSV", (hues, saturations, values)).convert("RGB")


OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}
