"""Colour maps of disparity and depth."""

import numpy as np

from core.disparity import resize_map


def colour_map(
    values: np.ndarray, size: tuple[int, int] | None = None, limits: tuple[float, float] | None = None
) -> np.ndarray:
    """Paints a map in magma, dark for the least value, from its minimum to its 95th percentile.

    Args:
        values: (h, w) disparity, sigmoid or depth.
        size: (height, width) to resize to first, bilinearly; None keeps the size.
        limits: the values of the darkest and the lightest colour; None takes minimum and 95th percentile.

    Returns:
        (height, width, 3) uint8 RGB. A constant map is dark; what is not finite is black.
    """
    import cv2

    values = np.asarray(values, np.float32)
    if size is not None:
        values = resize_map(values, *size)
    finite = np.isfinite(values)
    whole = bool(finite.all())  # as always, but for cameras that do not see everywhere
    low, high = limits if limits is not None else robust_limits(values if whole else values[finite])
    share = (values if whole else np.where(finite, values, low)) - low
    share *= 1 / (high - low) if high > low else 0.0
    np.clip(share, 0, 1, out=share)
    share *= 256
    # 256 bins of equal width, the last one closed.
    level = np.minimum(share, 255, out=share).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
    if not whole:
        colours[~finite] = 0
    return np.asarray(colours)


def magma_map(values: np.ndarray) -> np.ndarray:
    """Paints a map (h, w) as `colour_map`, but rounds as published pictures do: (h, w, 3) uint8 RGB.

    The colours are numbers in [0, 1], times 255 and cut off; the levels are in the precision of the map.
    """
    from matplotlib import colormaps  # has the colours as numbers

    values = np.asarray(values)
    finite = np.isfinite(values)
    low, high = robust_limits(values[finite])
    extent = high - low if high > low else 1.0
    share = np.clip((np.where(finite, values, low) - low) / extent, 0, 1)
    level = np.minimum(share * 256, 255).astype(np.uint8)
    table = (np.asarray(colormaps["magma"](np.arange(256)))[:, :3] * 255).astype(np.uint8)
    colours = table[level]
    colours[~finite] = 0
    return np.asarray(colours)


def plasma_map(disparity: np.ndarray) -> np.ndarray:
    """Paints a disparity (h, w) in plasma, dark from 0, far, light at its 95th percentile: (h, w, 3) uint8 RGB."""
    from matplotlib import colormaps

    disparity = np.asarray(disparity)
    share = np.clip(disparity / (np.percentile(disparity, 95) + 1e-6), 0, 1)
    colours = np.asarray(colormaps["plasma"](share))[..., :3]
    return np.rint(colours * 255).astype(np.uint8)


def jet_map(depth: np.ndarray) -> np.ndarray:
    """Paints a depth (h, w) from red, its minimum, to blue, its maximum: (h, w, 3) uint8 RGB; what is NaN counts as 0.

    OpenCV's jet, whose blue is taken for red, as the authors of published pictures have it.
    """
    import cv2

    depth = np.where(np.isnan(depth), np.float32(0), np.asarray(depth, np.float32))
    low, high = depth.min(), depth.max()
    level = ((depth - low) / (high - low + np.float32(1e-8)) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_JET))


def stretch(values: np.ndarray) -> np.ndarray:
    """(H, W) stretched from its own minimum and maximum to 0 … 255, (H, W, 1) uint8: for the training log."""
    low, high = float(values.min()), float(values.max())
    extent = high - low if high != low else 1e5
    return ((values - low) / extent * 255).astype(np.uint8)[:, :, None]


def robust_limits(values: np.ndarray) -> tuple[float, float]:
    """Minimum and 95th percentile of finite values; (0, 0) of none."""
    if values.size == 0:
        return 0.0, 0.0
    return float(values.min()), float(np.percentile(values, 95))


class SteadyLimits:
    """Limits of the colours of a video: they follow those of its frames slowly, so that nothing flickers."""

    SHARE = 0.1  # of the newest frame; half of a change is made after seven frames

    def __init__(self) -> None:
        self._limits: np.ndarray | None = None

    def update(self, values: np.ndarray) -> tuple[float, float]:
        """The limits for the next frame, a map of finite numbers (h, w)."""
        limits = np.array(robust_limits(np.asarray(values)))
        if self._limits is not None:
            limits = self._limits + self.SHARE * (limits - self._limits)
        self._limits = limits
        return float(limits[0]), float(limits[1])
