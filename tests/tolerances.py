"""The one place that says how close is equal, and the one comparison every test uses."""

import numpy as np

# name: (relative to the largest absolute expected value, absolute); the source of each bound is in the comment.
TOLERANCES = {
    "exact": (0.0, 0.0),
    "formula": (1e-6, 1e-9),  # a formula evaluated twice in float32
    "float64": (1e-10, 1e-14),  # a formula evaluated twice in float64
    "operator": (1e-5, 1e-7),  # one operator, float32, two frameworks
    "stored_float32": (1e-5, 1e-6),  # a float64 result that was stored as float32
}


def assert_close(
    actual: np.ndarray | float,
    expected: np.ndarray | float,
    tolerance: str | tuple[float, float] = "formula",
    share: float = 1.0,
    label: str = "",
) -> None:
    """Asserts |actual - expected| <= relative · max|expected| + absolute for a share of the elements.

    Args:
        tolerance: a name of `TOLERANCES`, or (relative, absolute) where a golden file states its own.
        share: the part of the elements that must agree; 0.999 where single pixels may change sides.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{label}: shape {actual.shape}, expected {expected.shape}"
    relative, absolute = TOLERANCES[tolerance] if isinstance(tolerance, str) else tolerance
    if expected.size == 0:
        return
    bound = relative * np.abs(expected).max() + absolute
    error = np.abs(actual - expected)
    inside = float(np.mean(error <= bound))  # NaN is never inside
    assert inside >= share, (
        f"{label}: {inside:.6f} of the elements within {bound:.3g}; largest error {error.max():.3g}"
    )
