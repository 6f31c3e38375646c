"""Road, kerbs and pavements: a strip painted in street coordinates, and the height of the ground."""

from dataclasses import dataclass

import cv2
import numpy as np

from core.rendering.path import CentreLine
from core.rendering.shadows import DEPTH, PIXELS_PER_METRE, shadow_map
from core.rendering.textures import finish, fractal, noise

Array = np.ndarray
KERB = 0.12  # metres
SIDE = 12.0  # metres painted to either side; the strip continues mirrored
TEXEL = 0.03  # metres
ROAD, KERB_FACE, PAVEMENT = 0, 1, 2
FAR = 400.0  # metres; the ground ends there, in the haze


@dataclass
class Ground:
    """z = 0 where |d| < half_width, z = 0.12 beyond, a vertical kerb between."""

    line: CentreLine
    half_width: float
    first: float  # s of the left end of the strip
    length: float
    texture: int = -1
    grain: int = -1

    def intersect(self, origin: Array, rays: Array) -> tuple[Array, Array]:
        """Ray parameters (N,) and which of ROAD, KERB_FACE, PAVEMENT was met, seen from above the road."""
        count = len(rays)
        t, face = np.full(count, np.inf), np.zeros(count, np.int32)
        down = np.flatnonzero(rays[:, 2] < -origin[2] / (2 * FAR))
        ray = rays[down].astype(float)
        upper = (KERB - origin[2]) / ray[:, 2]
        lower = -origin[2] / ray[:, 2]
        d_upper = self._d(origin, ray, upper)
        d_lower = d_upper.copy()
        near = np.abs(d_upper) < self.half_width
        d_lower[near] = self._d(origin, ray[near], lower[near])
        on_pavement = ~near
        kerb = near & (np.abs(d_lower) >= self.half_width)
        side = np.where(d_lower > 0, 1.0, -1.0) * self.half_width
        crossing = lower.copy()
        crossing[kerb] = self._crossing(origin, ray[kerb], upper[kerb], lower[kerb], side[kerb])
        t[down] = np.where(on_pavement, upper, np.where(kerb, crossing, lower))
        face[down] = np.where(on_pavement, PAVEMENT, np.where(kerb, KERB_FACE, ROAD))
        t[t > FAR * 4] = np.inf
        return t.astype(np.float32), face

    def _d(self, origin: Array, rays: Array, t: Array) -> Array:
        return self.line.offset(origin[:2] + t[:, None] * rays[:, :2])

    def _crossing(self, origin: Array, rays: Array, low: Array, high: Array, side: Array) -> Array:
        """Where d reaches `side` between two ray parameters, by false position."""
        d_low, d_high = self._d(origin, rays, low), self._d(origin, rays, high)
        t = low
        for _ in range(2):
            t = low + (high - low) * (side - d_low) / np.where(d_high == d_low, 1, d_high - d_low)
            d = self._d(origin, rays, t)
            beyond = (d - side) * np.sign(side) > 0
            high, d_high = np.where(beyond, t, high), np.where(beyond, d, d_high)
            low, d_low = np.where(beyond, low, t), np.where(beyond, d_low, d)
        return t

    def paint(self, rng: np.random.Generator, shadows: list[Array], contacts: list[Array]) -> Array:
        """The strip (h, w, 3) uint8: columns along s, rows from d = +SIDE down to −SIDE.

        Args:
            shadows: polygons in shadow of the sun, world metres.
            contacts: footprints of what stands on the ground, darkened around their edge.
        """
        texel = max(TEXEL, self.length / 14000)
        w = int(np.ceil(self.length / texel / 512)) * 512
        h = int(2 * SIDE / TEXEL) // 256 * 256 + 256
        s = self.first + (np.arange(w) + 0.5) * self.length / w
        d = SIDE - (np.arange(h) + 0.5) * 2 * SIDE / h
        image = self._asphalt(rng, h, w)
        self._marks(rng, image, s, d)
        self._pavement(rng, image, s, d)
        return finish(image * self._light(s, d, shadows, contacts)[:, :, None])

    def _asphalt(self, rng: np.random.Generator, h: int, w: int) -> Array:
        light = 1 + 0.07 * fractal(rng, h, w, 300, 40, 0.9) + 0.075 * fractal(rng, h, w, 12, 1.5, 1.0)
        light += 0.06 * noise(rng, h, w, (14, 400))  # wheel tracks, oil
        image = light[:, :, None] * np.array([108, 106, 104], np.float32)
        scale_x, scale_y = w / self.length, h / (2 * SIDE)
        for _ in range(int(self.length / 7)):  # repairs
            x, y = rng.uniform(0, w), h / 2 + rng.uniform(-self.half_width, self.half_width) * scale_y
            a, b = int(rng.uniform(0.5, 4) * scale_x), int(rng.uniform(0.4, 1.6) * scale_y)
            patch = image[max(0, int(y)) : int(y) + b, max(0, int(x)) : int(x) + a]
            patch *= rng.choice([0.68, 0.78, 1.2])
            patch[:2] *= 0.6
            patch[-2:] *= 0.6
            patch[:, :2] *= 0.6
        for _ in range(int(self.length / 4)):  # cracks
            steps = np.cumsum(rng.normal(0, 1, (24, 2)) * [0.35, 0.1] * rng.choice([1, 3], 2), 0)
            start = [rng.uniform(0, self.length), SIDE + rng.uniform(-self.half_width, self.half_width)]
            pixels = np.rint((start + steps) * [scale_x, scale_y]).astype(np.int32)
            cv2.polylines(image, [pixels], False, (48.0, 48.0, 50.0), 1, cv2.LINE_AA)
        for _ in range(int(self.length / 18)):  # manholes
            centre = (int(rng.uniform(0, w)), int(h / 2 + rng.uniform(-2.5, 2.5) * scale_y))
            axes = (int(0.34 * scale_x), int(0.34 * scale_y))
            cv2.ellipse(image, centre, axes, 0, 0, 360, (62.0, 60.0, 58.0), -1, cv2.LINE_AA)
            cv2.ellipse(image, centre, axes, 0, 0, 360, (128.0, 124.0, 120.0), 2, cv2.LINE_AA)
        return image

    def _marks(self, rng: np.random.Generator, image: Array, s: Array, d: Array) -> None:
        rows = np.flatnonzero(np.abs(d) < self.half_width - 0.3)
        d, image = d[rows], image[rows[0] : rows[-1] + 1]
        wear = np.clip(0.8 + 0.25 * fractal(rng, len(d), len(s), 40, 3, 0.9), 0.2, 1)
        middle = (np.abs(d) < 0.07)[:, None] & (np.mod(s, 6.0) < 3.0)[None, :]
        parking = (np.abs(np.abs(d) - (self.half_width - 2.1)) < 0.05)[:, None] & (np.mod(s, 2.0) < 1.0)[
            None, :
        ]
        crossing = (np.mod(d, 1.0) < 0.5)[:, None] & (np.mod(s, 47.0) < 3.0)[None, :]
        cover = np.where(middle | parking | crossing, wear, 0).astype(np.float32)[:, :, None]
        image += cover * (np.array([214, 212, 204], np.float32) - image)

    def _pavement(self, rng: np.random.Generator, image: Array, s: Array, d: Array) -> None:
        rows = np.abs(d) > self.half_width
        slab_s, slab_d = (s / 0.6).astype(int), (np.abs(d[rows]) / 0.6).astype(int)
        slab_s = slab_s - slab_s.min()
        shade = rng.uniform(0.82, 1.14, (slab_d.max() + 1, slab_s.max() + 1)).astype(np.float32)
        slabs = shade[slab_d[:, None], slab_s[None, :]]
        slabs *= np.where(np.mod(s, 0.6) < 0.03, 0.62, 1)[None, :]
        slabs *= np.where(np.mod(np.abs(d[rows]), 0.6) < 0.035, 0.62, 1)[:, None]
        stone = slabs * (1 + 0.08 * fractal(rng, len(slab_d), len(s), 120, 3, 0.85))
        grass = np.clip(0.9 + 0.3 * fractal(rng, len(slab_d), len(s), 100, 2, 0.9), 0.2, 2)
        garden = (np.abs(d[rows]) > self.half_width + 2.6)[:, None] & (noise(rng, 1, len(s), (1, 500)) > -0.3)
        colour = np.where(
            garden[:, :, None],
            grass[:, :, None] * np.array([86, 104, 58], np.float32),
            stone[:, :, None] * np.array([148, 142, 134], np.float32),
        )
        kerb = (np.abs(d[rows]) < self.half_width + 0.25)[:, None]
        joints = np.where(np.mod(s, 1.0) < 0.03, 0.55, 1) * 176
        image[rows] = np.where(kerb[:, :, None], joints[None, :, None] * stone[:, :, None] ** 0.5, colour)
        gutter = np.abs(np.abs(d) - self.half_width + 0.12) < 0.12
        image[gutter] *= 0.72

    def _light(self, s: Array, d: Array, shadows: list[Array], contacts: list[Array]) -> Array:
        """Factor (h, w): soft shadows of the sun, and the darkness around what stands on the ground."""
        few_s, few_d = np.linspace(s[0], s[-1], len(s) // 4), np.linspace(d[0], d[-1], len(d) // 4)
        points, _ = self.line.points(few_s[None, :], few_d[:, None])
        low, high = points.min((0, 1)) - 1, points.max((0, 1)) + 1
        maps = ((points - low) * PIXELS_PER_METRE - 0.5).astype(np.float32)
        sun = cv2.remap(shadow_map(shadows, low, high, 0.16), maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)
        near = cv2.remap(shadow_map(contacts, low, high, 0.3), maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)
        light = (1 - DEPTH * sun) * (1 - 0.6 * near)
        return cv2.resize(light, (len(s), len(d)), interpolation=cv2.INTER_LINEAR)
