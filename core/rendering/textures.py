"""Painted surfaces, (h, w, 3) uint8 RGB: contrast at every scale, for photometric losses to follow."""

import cv2
import numpy as np

Array = np.ndarray
Colour = tuple[float, float, float]

WALLS: list[Colour] = [
    (196, 178, 148), (176, 96, 74), (150, 148, 142), (204, 190, 164), (140, 78, 62), (182, 150, 104),
    (168, 178, 182), (126, 120, 110), (190, 160, 140), (158, 136, 112),
]  # fmt: skip
FRAMES: list[Colour] = [(228, 226, 220), (70, 50, 38), (92, 98, 94), (208, 204, 192)]


def noise(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]) -> Array:
    """Smooth noise (height, width) float32, unit variance, with features of `cell` (rows, columns) pixels."""
    grid = (int(height / cell[0]) + 4, int(width / cell[1]) + 4)
    values = rng.standard_normal(grid).astype(np.float32)
    big = cv2.resize(
        values, (int(grid[1] * cell[1]) + 1, int(grid[0] * cell[0]) + 1), interpolation=cv2.INTER_CUBIC
    )
    return big[:height, :width] * 1.3


def fractal(
    rng: np.random.Generator, height: int, width: int, coarse: float, fine: float, decay: float
) -> Array:
    """Octaves of `noise` from `coarse` to `fine` pixels, each `decay` times as strong as the coarser one."""
    total, weight, cell, power = np.zeros((height, width), np.float32), 1.0, coarse, 0.0
    while cell >= fine:
        total += weight * noise(rng, height, width, (cell, cell))
        power += weight**2
        weight, cell = weight * decay, cell / 2
    return total / np.sqrt(power)


def finish(colour: Array) -> Array:
    return np.clip(np.rint(colour), 0, 255).astype(np.uint8)


def wall(rng: np.random.Generator, width: float, height: float, base: Colour, bricks: bool) -> Array:
    """A bare wall, 40 pixels to the metre, float32: plaster with stains, or brick courses."""
    w, h = max(32, int(width * 40)), max(32, int(height * 40))
    light = 1 + 0.07 * fractal(rng, h, w, 160, 20, 0.9) + 0.06 * fractal(rng, h, w, 10, 1.25, 0.9)
    light += 0.05 * noise(rng, h, w, (120, 6))  # rain runs down
    if bricks:
        rows, columns = np.arange(h) // 4, np.arange(w)
        shift = (columns[None, :] + 6 * (rows[:, None] % 2)) // 12
        shade = rng.uniform(0.8, 1.15, (rows[-1] + 1, shift.max() + 1)).astype(np.float32)
        light *= shade[rows[:, None], shift]
        light *= np.where(np.arange(h) % 4 == 0, 1.13, 1)[:, None]
    image = light[:, :, None] * np.array(base, np.float32)
    image[-28:] *= 0.68  # plinth
    image[-30:-28] *= 0.45
    return image


def facade(
    rng: np.random.Generator, width: float, height: float, base: Colour, shop: bool, bricks: bool
) -> Array:
    """A house front with storeys of windows, a door, and perhaps a shop at street level."""
    image = wall(rng, width, height, base, bricks)
    h, w = image.shape[:2]
    storeys = max(1, round(height / rng.uniform(2.8, 3.4)))
    columns = max(2, round(width / rng.uniform(2.0, 3.3)))
    storey, column = h / storeys, w / columns
    frame = np.array(FRAMES[rng.integers(len(FRAMES))], np.float32)
    wide, tall = rng.uniform(0.36, 0.6), rng.uniform(0.45, 0.62)
    door = int(rng.integers(columns))
    accent = rng.uniform(40, 200, 3).astype(np.float32)
    for level in range(storeys):
        top = h - (level + 1) * storey
        if level:
            y = int(h - level * storey)
            image[y - 3 : y] *= 1.25
            image[y : y + 2] *= 0.6
        for k in range(columns):
            left = k * column
            if level == 0 and shop and k != door:
                _window(rng, image, left + 4, top + storey * 0.3, column - 8, storey * 0.6, frame * 0.6)
                continue
            if level == 0 and k == door:
                _door(rng, image, left + column * 0.3, h - 86.0, accent)
                continue
            _window(
                rng,
                image,
                left + column * (1 - wide) / 2,
                top + storey * 0.2,
                column * wide,
                storey * tall,
                frame,
            )
    if shop:
        y = int(h - storey * 0.98)
        image[y : y + int(storey * 0.2)] = (
            accent * (1 + 0.05 * noise(rng, int(storey * 0.2), w, (3, 3)))[:, :, None]
        )
        for x in np.arange(w * 0.2, w * 0.75, 14):  # lettering
            image[y + 6 : y + int(storey * 0.2) - 6, int(x) : int(x) + int(rng.integers(3, 10))] = 235
    image[:10] *= 0.8  # eaves
    return finish(image)


def _rectangle(image: Array, x: float, y: float, w: float, h: float, colour: Array | float) -> None:
    image[max(0, round(y)) : max(0, round(y + h)), max(0, round(x)) : max(0, round(x + w))] = colour


def _window(
    rng: np.random.Generator, image: Array, x: float, y: float, w: float, h: float, frame: Array
) -> None:
    _rectangle(image, x - 3, y - 3, w + 6, h + 6, frame * 0.62)
    _rectangle(image, x - 2, y - 2, w + 4, h + 4, frame)
    rows = max(1, round(y + h) - round(y))
    top, bottom = rng.uniform(70, 150), rng.uniform(25, 60)
    glass = np.linspace(top, bottom, rows, dtype=np.float32)[:, None, None] * np.array(
        [0.9, 1.0, 1.08], np.float32
    )
    columns = image[max(0, round(y)) : max(0, round(y + h)), max(0, round(x)) : max(0, round(x + w))].shape[1]
    patch = np.repeat(glass, columns, 1) * (1 + 0.12 * noise(rng, rows, columns, (9, 7)))[:, :, None]
    target = image[max(0, round(y)) : max(0, round(y + h)), max(0, round(x)) : max(0, round(x + w))]
    target[:] = patch[: target.shape[0]]
    if rng.uniform() < 0.45:  # curtains or a blind
        _rectangle(image, x, y, w, h * rng.uniform(0.2, 0.8), rng.uniform(140, 215))
    _rectangle(image, x + w / 2 - 1, y, 2, h, frame)
    _rectangle(image, x, y + h * 0.35, w, 2, frame)
    _rectangle(image, x - 5, y + h + 2, w + 10, 3, frame * 1.05)
    _rectangle(image, x - 5, y + h + 5, w + 10, 3, 45)  # the shadow under the sill


def _door(rng: np.random.Generator, image: Array, x: float, y: float, colour: Array) -> None:
    _rectangle(image, x - 4, y - 4, 48, 90, 190)
    _rectangle(image, x, y, 40, 86, colour)
    for row in (6, 46):
        _rectangle(image, x + 6, y + row, 28, 34, colour * 0.7)
    _rectangle(image, x + 33, y + 42, 3, 8, 220)


def roof(rng: np.random.Generator, width: float, height: float) -> Array:
    """Tiles, 20 pixels to the metre, in rows of 0.3 m."""
    w, h = max(64, int(width * 20)), max(64, int(height * 20))
    base = np.array([(126, 66, 50), (84, 74, 70), (104, 84, 68)][rng.integers(3)], np.float32)
    tiles = rng.uniform(0.8, 1.2, (h // 6 + 1, w // 5 + 1)).astype(np.float32)
    light: Array = tiles[np.arange(h)[:, None] // 6, np.arange(w)[None, :] // 5]
    light = (
        light
        * np.where(np.arange(h) % 6 == 5, 0.55, 1)[:, None]
        * (1 + 0.08 * fractal(rng, h, w, 60, 4, 0.8))
    )
    return finish(light[:, :, None] * base)


def leaves(rng: np.random.Generator) -> Array:
    """Foliage, 512 pixels for 5 m: clumps, twigs and holes."""
    clumps = fractal(rng, 512, 512, 48, 2.5, 1.0)
    light = np.clip(1 + 0.4 * clumps, 0.2, 2.2)
    green = np.stack([light * 92, light * 116, light * 58], -1)
    dry = noise(rng, 512, 512, (90, 90))[:, :, None]
    return finish(green * (1 + 0.12 * dry * np.array([1, 0.3, -0.4], np.float32)))


def bark(rng: np.random.Generator) -> Array:
    """Bark, 128 x 256 pixels for 1 m x 2 m."""
    light = 1 + 0.25 * noise(rng, 256, 128, (24, 5)) + 0.15 * fractal(rng, 256, 128, 32, 3, 0.8)
    return finish(np.clip(light, 0.3, 2)[:, :, None] * np.array([98, 82, 66], np.float32))


def metal(rng: np.random.Generator) -> Array:
    """Worn grey paint, 64 pixels for 1 m, to be tinted."""
    light = 1 + 0.08 * fractal(rng, 64, 64, 32, 2, 0.9)
    return finish(np.repeat((light * 150)[:, :, None], 3, 2))


def grain(rng: np.random.Generator) -> Array:
    """Structure of 1 cm and more around 128, 512 pixels for 5 m: a factor on the ground near the camera."""
    light = 1 + 0.16 * fractal(rng, 512, 512, 8, 1.0, 1.0)
    return finish(np.repeat((light * 128)[:, :, None], 3, 2))


def clouds(rng: np.random.Generator) -> Array:
    """Share of cloud 0..255, 512 pixels."""
    cover = np.clip(110 + 95 * fractal(rng, 512, 512, 170, 8, 0.55), 0, 255)
    return finish(np.repeat(cover[:, :, None], 3, 2))


def fence(rng: np.random.Generator, width: float, height: float, boards: bool) -> Array:
    """Boards or a stone wall, 40 pixels to the metre."""
    w, h = max(32, int(width * 40)), max(32, int(height * 40))
    if not boards:
        return finish(wall(rng, width, height, (150, 142, 130), True))
    shade = rng.uniform(0.65, 1.2, w // 6 + 1).astype(np.float32)[np.arange(w) // 6]
    light = shade * np.where(np.arange(w) % 6 == 0, 0.4, 1) * (1 + 0.1 * noise(rng, h, w, (30, 3)))
    return finish(light[:, :, None] * np.array([142, 110, 78], np.float32))


def car_side(rng: np.random.Generator, paint: Colour) -> Array:
    """Flank of a car, 80 pixels to the metre, 4.3 m x 0.7 m."""
    image = _paint(rng, 56, 344, paint)
    for x in (96, 170, 244):
        image[4:50, x : x + 2] *= 0.35
    for x in (150, 224):
        image[14:18, x : x + 14] = 200 if sum(paint) < 300 else 50
    image[-8:] = 38
    for x in (62, 276):  # wheel arches
        cv2.circle(image, (x, 54), 29, (18.0, 18.0, 18.0), -1)
    image[20:32, :10], image[20:32, -12:] = (225, 220, 200), (150, 24, 20)
    return finish(image)


def car_end(rng: np.random.Generator, paint: Colour, front: bool) -> Array:
    """Front or rear of a car, 80 pixels to the metre, 1.75 m x 0.7 m."""
    image = _paint(rng, 56, 140, paint)
    light = (232.0, 230.0, 215.0) if front else (168.0, 22.0, 18.0)
    for x in (8, 108):
        cv2.rectangle(image, (x, 10), (x + 24, 22), light, -1)
    if front:
        cv2.rectangle(image, (40, 12), (100, 24), (30.0, 30.0, 30.0), -1)
    cv2.rectangle(image, (46, 30), (94, 40), (225.0, 225.0, 220.0), -1)
    image[33:37, 52:88:5] = 30
    image[-14:] *= 0.45
    image[-16:-14] *= 1.3
    return finish(image)


def car_roof(rng: np.random.Generator, paint: Colour) -> Array:
    """Bonnet and roof: paint with a few soft spots, 1 m x 1 m."""
    return finish(_paint(rng, 64, 64, paint))


def car_glass(rng: np.random.Generator, paint: Colour, side: bool) -> Array:
    """Side windows with pillars, or a windscreen: 128 x 40 pixels."""
    shine = np.linspace(120, 40, 40, dtype=np.float32)[:, None, None]
    image: Array = shine * np.array([0.85, 0.95, 1.0], np.float32)
    image = np.repeat(image, 128, 1) * (1 + 0.1 * noise(rng, 40, 128, (12, 10)))[:, :, None]
    edge = np.array(paint, np.float32) * 0.9
    image[:3], image[:, :4], image[:, -4:] = edge, edge, edge
    if side:
        image[:, 60:65] = 22
    return finish(image)


def wheel(rng: np.random.Generator) -> Array:
    """Tyre and rim, 64 x 64 pixels."""
    image = np.full((64, 64, 3), 26.0, np.float32)
    cv2.circle(image, (32, 32), 20, (165.0, 165.0, 168.0), -1)
    for angle in np.arange(5) * 2 * np.pi / 5 + rng.uniform(0, 1):
        cv2.circle(
            image, (int(32 + 12 * np.cos(angle)), int(32 + 12 * np.sin(angle))), 4, (45.0, 45.0, 45.0), -1
        )
    return finish(image)


def _paint(rng: np.random.Generator, height: int, width: int, paint: Colour) -> Array:
    light: Array = np.linspace(1.12, 0.82, height, dtype=np.float32)[:, None]
    light = light * (
        1 + 0.06 * noise(rng, height, width, (20, 40)) + 0.03 * noise(rng, height, width, (3, 3))
    )
    return (light[:, :, None] * np.array(paint, np.float32)).astype(np.float32)
