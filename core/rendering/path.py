"""The centre line of the road, and street coordinates: distance s along it and d to its left, metres."""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass
class CentreLine:
    """y = Σ amplitude · (sin(wave · x + phase) − sin(phase)), tabulated for x in [first, last].

    Curvature is continuous and bounded; the line runs on straight outside the table.
    """

    amplitudes: Array
    waves: Array
    phases: Array
    first: float
    last: float

    def __post_init__(self) -> None:
        self._x = np.arange(self.first, self.last + 0.1, 0.1)
        slope = self.derivatives(self._x)[1]
        length = np.concatenate([[0], np.cumsum(np.hypot(1, (slope[1:] + slope[:-1]) / 2) * 0.1)])
        self._s = length - np.interp(0, self._x, length)

    def derivatives(self, x: Array) -> tuple[Array, Array, Array]:
        """y, y' and y'' at x."""
        inside = np.clip(x, self.first, self.last)
        y, slope, bend = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
        for amplitude, wave, phase in zip(self.amplitudes, self.waves, self.phases, strict=True):
            sine, cosine = np.sin(wave * inside + phase), np.cos(wave * inside + phase)
            y += amplitude * (sine - np.sin(phase))
            slope += amplitude * wave * cosine
            bend -= amplitude * wave**2 * sine
        return y + slope * (x - inside), slope, np.where(x == inside, bend, 0)

    def coordinates(self, points: Array) -> tuple[Array, Array, Array]:
        """Street coordinates s, d (N,) of points (N, 2), and headings (N,) of the line beside them."""
        q, slope, d = self._foot(points)
        outside = q - np.clip(q, self.first, self.last)
        return np.interp(q, self._x, self._s) + outside * np.hypot(1, slope), d, np.arctan(slope)

    def offset(self, points: Array) -> Array:
        """d alone (N,), metres."""
        return self._foot(points)[2]

    def _foot(self, points: Array) -> tuple[Array, Array, Array]:
        """x of the foot points, the slope there, and d."""
        x, y = points[:, 0].astype(float), points[:, 1].astype(float)
        q = x.copy()
        for _ in range(3):
            height, slope, bend = self.derivatives(q)
            # Newton's step for the foot point; the floor keeps points beyond the centre of curvature tame.
            q += ((x - q) + (y - height) * slope) / np.maximum(1 + slope**2 - (y - height) * bend, 0.4)
        height, slope, _ = self.derivatives(q)
        return q, slope, ((y - height) - slope * (x - q)) / np.hypot(1, slope)

    def points(self, s: Array, d: Array) -> tuple[Array, Array]:
        """World points (..., 2) and headings (...) of street coordinates."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        x = np.interp(s, self._s, self._x)
        y, slope, _ = self.derivatives(x)
        norm = np.hypot(1, slope)
        return np.stack([x - d * slope / norm, y + d / norm], -1), np.arctan(slope)

    def clearance(self, points: Array) -> float:
        """Least distance of points (N, 2) from the line, metres: inside a bend, far may be near again."""
        height = self.derivatives(self._x)[0]
        x, y = points[:, 0], points[:, 1]
        return float(np.hypot(x[:, None] - self._x[::10], y[:, None] - height[::10]).min())

    def frame(self, s: float, d: float, turn: float = 0.0, z: float = 0.0) -> Array:
        """T_world_local (4, 4) of what stands at (s, d), x along the street turned by `turn` radians."""
        point, heading = self.points(np.array(s), np.array(d))
        angle = float(heading) + turn
        T = np.eye(4)
        T[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        T[:3, 3] = [*point, z]
        return T
