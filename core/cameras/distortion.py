"""The radial and tangential distortion of lenses (Brown 1971; Mei and Rives 2007 apply it behind a mirror's model)."""

from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np

from core.cameras.inverse import first_positive_root, invert_increasing

Array = np.ndarray
FARTHEST = 1e3  # tangent of an angle of 89.94 degrees
STEPS = 20
SMALL = 1e-9  # of the normalised plane: a millionth of a pixel


@dataclass(frozen=True)
class Distortion:
    """x' = x (1 + k1 r² + k2 r⁴ + k3 r⁶) / (1 + k4 r² + k5 r⁴ + k6 r⁶) + 2 p1 x y + p2 (r² + 2 x²), y' likewise.

    The numbers come in the order in which calibration files have them.
    """

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    k5: float = 0.0
    k6: float = 0.0

    @cached_property
    def is_none(self) -> bool:
        """Whether nothing is distorted."""
        return not any(astuple(self))

    @cached_property
    def largest(self) -> float:
        """Radius up to which the radial part grows; beyond it the formula folds back and means nothing."""
        above = np.polynomial.Polynomial([1, self.k1, self.k2, self.k3])
        below = np.polynomial.Polynomial([1, self.k4, self.k5, self.k6])
        square = np.polynomial.Polynomial([0, 1])
        slope = (above + 2 * square * above.deriv()) * below - 2 * square * above * below.deriv()
        fold = first_positive_root(list(slope.coef))
        pole = first_positive_root(list(below.coef))
        return min(float(np.sqrt(min(fold, pole))), FARTHEST)

    def distort(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Points of the normalised plane as the lens shows them, and which of them it can show."""
        if self.is_none:
            return x, y, np.ones(np.shape(x), bool)
        square = x * x + y * y
        seen = square <= self.largest**2 * (1 + SMALL)
        x, y, square = (np.where(seen, values, 0.0) for values in (x, y, square))
        radial = self._ratio(square)
        return (
            x * radial + 2 * self.p1 * x * y + self.p2 * (square + 2 * x * x),
            y * radial + self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y,
            seen,
        )

    def undistort(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """The inverse, and where there is one."""
        if self.is_none:
            return x, y, np.ones(np.shape(x), bool)
        radius = np.hypot(x, y)
        straight = invert_increasing(self._radial, self._slope, radius, self.largest)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(radius > 0, straight / radius, 1.0)
        u, v = x * share, y * share
        for _ in range(STEPS if self.p1 or self.p2 else 0):
            u, v = self._newton(u, v, x, y)
        again = self.distort(u, v)
        most = SMALL * (1 + radius)
        found = again[2] & (np.abs(again[0] - x) < most) & (np.abs(again[1] - y) < most)
        return np.where(found, u, 0.0), np.where(found, v, 0.0), found

    def _newton(self, u: Array, v: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """One step towards the (u, v) that is shown at (x, y)."""
        square = u * u + v * v
        radial, change = self._ratio(square), self._ratio_slope(square)
        a = radial + 2 * change * u * u + 2 * self.p1 * v + 6 * self.p2 * u
        b = 2 * change * u * v + 2 * self.p1 * u + 2 * self.p2 * v  # the matrix [[a, b], [b, d]] is symmetric
        d = radial + 2 * change * v * v + 6 * self.p1 * v + 2 * self.p2 * u
        off_u = u * radial + 2 * self.p1 * u * v + self.p2 * (square + 2 * u * u) - x
        off_v = v * radial + self.p1 * (square + 2 * v * v) + 2 * self.p2 * u * v - y
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            determinant = a * d - b * b
            step = np.stack([d * off_u - b * off_v, a * off_v - b * off_u]) / determinant
        most = 0.2 * (1 + np.sqrt(square))
        step = np.clip(np.nan_to_num(step), -most, most)
        return u - step[0], v - step[1]

    def _ratio(self, square: Array) -> Array:
        above = 1 + square * (self.k1 + square * (self.k2 + square * self.k3))
        return above / (1 + square * (self.k4 + square * (self.k5 + square * self.k6)))

    def _ratio_slope(self, square: Array) -> Array:
        above = 1 + square * (self.k1 + square * (self.k2 + square * self.k3))
        below = 1 + square * (self.k4 + square * (self.k5 + square * self.k6))
        above_slope = self.k1 + square * (2 * self.k2 + square * 3 * self.k3)
        below_slope = self.k4 + square * (2 * self.k5 + square * 3 * self.k6)
        return (above_slope * below - above * below_slope) / below**2

    def _radial(self, radius: Array) -> Array:
        return radius * self._ratio(radius * radius)

    def _slope(self, radius: Array) -> Array:
        square = radius * radius
        return self._ratio(square) + 2 * square * self._ratio_slope(square)


NO_DISTORTION = Distortion()
