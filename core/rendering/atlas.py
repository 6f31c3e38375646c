"""Textures that never alias: every texture is stored with all its halvings along both axes, in one image."""

import cv2
import numpy as np

Array = np.ndarray
ROW = 1024  # samples per row handed to OpenCV, whose maps are limited to 32767 rows and columns
LIMIT = 32000  # pixels along a side of an image that OpenCV can sample


class Atlas:
    """A set of textures, each a ripmap: halved independently along its two axes.

    Street surfaces are seen at grazing angles: a pixel covers a long and narrow piece of them, along the axes
    of the texture. A ripmap filters exactly that, where an isotropic mipmap would blur or flicker.
    """

    def __init__(self) -> None:
        self._textures: list[Array] = []
        self._scales: list[tuple[float, float]] = []
        self._image: Array | None = None

    def add(self, texture: Array, width: float, height: float) -> int:
        """Adds a texture and returns its number.

        Args:
            texture: (h, w, 3) uint8.
            width, height: the size it covers, metres. Beyond it the texture continues mirrored.
        """
        h, w = (_halvable(size) for size in texture.shape[:2])
        if (h, w) != texture.shape[:2]:
            texture = cv2.resize(texture, (w, h), interpolation=cv2.INTER_LINEAR)
        self._textures.append(texture)
        self._scales.append((w / width, h / height))
        return len(self._textures) - 1

    def freeze(self) -> None:
        """Packs what was added, row by row, into one image. Call once, before `sample`."""
        order = sorted(range(len(self._textures)), key=lambda i: -self._textures[i].shape[0])
        wide = max(2 * t.shape[1] for t in self._textures)
        total = sum(4 * t.shape[0] * t.shape[1] for t in self._textures)
        wide = min(LIMIT, max(wide, int(np.sqrt(total))))
        places: dict[int, tuple[int, int]] = {}
        x = y = shelf = 0
        for i in order:
            h, w = self._textures[i].shape[:2]
            if x + 2 * w > wide:
                x, y, shelf = 0, y + shelf, 0
            places[i] = (x, y)
            x, shelf = x + 2 * w, max(shelf, 2 * h)
        image = np.zeros((y + shelf, wide, 3), np.uint8)
        for i, (x, y) in places.items():
            _paste_ripmap(image, self._textures[i], x, y)
        self._image = image
        self._size = np.array([t.shape[1::-1] for t in self._textures], np.float32)
        self._place = np.array([places[i] for i in range(len(places))], np.float32)
        self._scale = np.array(self._scales, np.float32)
        self._levels = np.array(
            [[_levels(t.shape[1]) - 1, _levels(t.shape[0]) - 1] for t in self._textures], np.float32
        )
        self._textures = []

    def sample(self, texture: Array, u: Array, v: Array, step_u: Array, step_v: Array) -> Array:
        """Colours of N points.

        Args:
            texture: (N,) texture numbers.
            u, v: (N,) positions, metres to the right and down from the upper left corner.
            step_u, step_v: (N,) extent of a pixel along both axes, metres.

        Returns:
            (N, 3) float32, 0..255.
        """
        assert self._image is not None
        size, place, scale, most = (a[texture] for a in (self._size, self._place, self._scale, self._levels))
        axes = []
        for axis, (position, step) in enumerate(((u, step_u), (v, step_v))):
            pixels = _mirrored(position * scale[:, axis], size[:, axis])
            level = np.log2(np.maximum(step * scale[:, axis], 1))
            level = np.minimum(level, most[:, axis])
            low = np.floor(level)
            part = level - low
            taps = []
            for which, weight in ((low, 1 - part), (np.minimum(low + 1, most[:, axis]), part)):
                shrink = np.exp2(-which)
                inside = np.clip(pixels * shrink - 0.5, 0, size[:, axis] * shrink - 1)
                taps.append((place[:, axis] + 2 * size[:, axis] * (1 - shrink) + inside, weight))
            axes.append(taps)
        colour = np.zeros((len(u), 3), np.float32)
        for x, weight_x in axes[0]:
            for y, weight_y in axes[1]:
                colour += (weight_x * weight_y)[:, None] * _remap(self._image, x, y)
        return colour


def _halvable(size: int) -> int:
    """The next size that can be halved often enough for the far end of the street."""
    unit = 32 if size < 200 else 128
    return -(-size // unit) * unit


def _levels(size: int) -> int:
    """How often a side can be halved exactly, plus one."""
    return (size & -size).bit_length()


def _paste_ripmap(image: Array, texture: Array, x: int, y: int) -> None:
    row = texture
    top = y
    for _ in range(_levels(texture.shape[0])):
        cell, left = row, x
        for _ in range(_levels(texture.shape[1])):
            h, w = cell.shape[:2]
            image[top : top + h, left : left + w] = cell
            left += w
            if w > 1:
                cell = cv2.resize(cell, (w // 2, h), interpolation=cv2.INTER_AREA)
        top += row.shape[0]
        if row.shape[0] > 1:
            row = cv2.resize(row, (row.shape[1], row.shape[0] // 2), interpolation=cv2.INTER_AREA)


def _mirrored(position: Array, size: Array) -> Array:
    wave = np.mod(position, 2 * size)
    return np.minimum(wave, 2 * size - wave)


def _remap(image: Array, x: Array, y: Array) -> Array:
    count = len(x)
    padded = -(-count // ROW) * ROW
    maps: Array = np.zeros((2, padded), np.float32)
    maps[0, :count], maps[1, :count] = x, y
    x, y = maps.reshape(2, -1, ROW)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR).reshape(-1, 3)[:count]
