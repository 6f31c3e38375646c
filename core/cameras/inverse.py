"""Inverting an increasing function, many values at once."""

from collections.abc import Callable

import numpy as np

Array = np.ndarray
STEPS = 100  # bisection alone would be done


def invert_increasing(
    function: Callable[[Array], Array], slope: Callable[[Array], Array], values: Array, top: float
) -> Array:
    """Where a function that grows from f(0) = 0 to f(top) takes given values: Newton's steps, kept inside a bracket.

    Args:
        slope: the function's derivative.
        values: any shape, at least 0.
        top: finite; what lies above f(top) comes out as `top`.

    Returns:
        float64 of the shape of the values, within some 1e-15 of the range.
    """
    low, high = np.zeros_like(values), np.full_like(values, top)
    found = np.minimum(values, top)
    for _ in range(STEPS):
        error = function(found) - values
        high, low = np.where(error > 0, found, high), np.where(error > 0, low, found)
        with np.errstate(divide="ignore", invalid="ignore"):
            guess = found - error / slope(found)
        guess = np.where((guess >= low) & (guess <= high), guess, (low + high) / 2)
        moved = np.abs(guess - found).max(initial=0.0)
        found = guess
        if moved < 1e-15:
            break
    return found


def first_positive_root(coefficients: list[float]) -> float:
    """Least real root above 0 of a polynomial, coefficients from the constant on; infinite where there is none."""
    roots = np.roots(coefficients[::-1])
    real = roots.real[(np.abs(roots.imag) < 1e-9 * (1 + np.abs(roots.real))) & (roots.real > 0)]
    return float(real.min(initial=np.inf))
