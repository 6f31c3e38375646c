"""Which of several disparities fits best at each pixel, by the photometric error of the other image carried over."""

from dataclasses import dataclass

import cv2
import numpy as np

C1, C2 = np.float32(0.01**2), np.float32(0.03**2)
SSIM_SHARE = np.float32(0.85)
EPSILON = np.float32(1e-7)


def box(image: np.ndarray) -> np.ndarray:
    """Means of 3x3 pixels, float32 (H, W, C); the border is reflected without its last pixel."""
    return np.asarray(cv2.boxFilter(image, cv2.CV_32F, (3, 3), borderType=cv2.BORDER_REFLECT_101))


class PhotometricError:
    """The error of images that should look like a target: 0.85 SSIM + 0.15 L1 (Godard et al. 2017), per pixel."""

    def __init__(self, target: np.ndarray) -> None:
        """Takes the target's statistics, once; float32 (H, W, 3) in [0, 1]."""
        self.target = target
        self.mean = box(target)
        self.mean_2 = self.mean * self.mean
        self.variance = box(target * target) - self.mean_2

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """float32 (H, W) of an image (H, W, 3)."""
        mean = box(image)
        mean_2, product = mean * mean, mean * self.mean
        variance = box(image * image) - mean_2
        covariance = box(image * self.target) - product
        numerator = (2 * product + C1) * (2 * covariance + C2)
        denominator = (mean_2 + self.mean_2 + C1) * (variance + self.variance + C2)
        ssim = np.clip((1 - numerator / denominator) / 2, 0, 1)
        error = SSIM_SHARE * ssim + (1 - SSIM_SHARE) * np.abs(image - self.target)
        # `mean` over so short an axis takes ten times as long, and a product adds up in an order of its own.
        return np.asarray((error[..., 0] + error[..., 1] + error[..., 2]) / np.float32(3))


class Carrier:
    """Brings the source to the target by a depth: the warp of training where the baseline is horizontal, row by row.

    A depth of 0, no depth, samples a corner of the source's top row, as the full projection does: published hints
    depend on it.
    """

    def __init__(self, source: np.ndarray, focal_length: float, shift: float, align_corners: bool) -> None:
        """Prepares.

        Args:
            source: float32 (H, W, 3).
            focal_length: pixels of the width.
            shift: x of T_source_target, in the unit of depth.
            align_corners: of the sampling of training.
        """
        self.height, self.width = source.shape[:2]
        self.align_corners = align_corners
        self.shift = np.float32(focal_length * shift)
        self.corner = source[0, 0 if shift < 0 else -1]
        self.rows = np.ascontiguousarray(self._vertically(source))

    def _vertically(self, source: np.ndarray) -> np.ndarray:
        """The rows that are sampled: the same as there are, or, where coordinates are stretched, between them."""
        if self.align_corners:
            return source
        y = np.arange(self.height, dtype=np.float32)
        y = np.clip(y * np.float32(self.height / (self.height - 1)) - np.float32(0.5), 0, self.height - 1)
        upper = np.floor(y).astype(np.intp)
        weight = (y - upper)[:, None, None]
        return source[upper] * (1 - weight) + source[np.minimum(upper + 1, self.height - 1)] * weight

    def __call__(self, depth: np.ndarray) -> np.ndarray:
        """The source as it looks from the target at a depth: float32 (H, W) → (H, W, 3)."""
        x = np.arange(self.width, dtype=np.float32)
        x = (x * depth + self.shift) / (depth + EPSILON)
        if not self.align_corners:
            x = x * np.float32(self.width / (self.width - 1)) - np.float32(0.5)
        x = np.clip(x, 0, self.width - 1)
        left = x.astype(np.intp)
        weight = (x - left)[..., None]
        first = np.arange(self.height)[:, None] * self.width
        pixels = self.rows.reshape(-1, 3)
        carried = pixels.take(first + left, 0)
        carried += (pixels.take(first + np.minimum(left + 1, self.width - 1), 0) - carried) * weight
        carried[depth == 0] = self.corner
        return np.asarray(carried)


@dataclass(frozen=True)
class Fused:
    """What came of candidates.

    Attributes:
        best: uint8 (H, W), the number of the best candidate.
        error: float32 (H, W), its photometric error.
        chosen: uint16 (H, W), its disparity in sixteenths of a pixel, 0 where there is none.
    """

    best: np.ndarray
    error: np.ndarray
    chosen: np.ndarray


def errors(
    target: np.ndarray,
    source: np.ndarray,
    depths: np.ndarray,
    focal_length: float,
    shift: float,
    align_corners: bool = True,
) -> np.ndarray:
    """Photometric error of each candidate, float32 (N, H, W).

    Args:
        target, source: uint8 (H, W, 3).
        depths: float32 (N, H, W), 0 where there is none.
        focal_length, shift, align_corners: see `Carrier`.
    """
    error_of = PhotometricError(target.astype(np.float32) / np.float32(255))
    carrier = Carrier(source.astype(np.float32) / np.float32(255), focal_length, shift, align_corners)
    return np.stack([error_of(carrier(depth)) for depth in depths])


def fuse(candidates: np.ndarray, error: np.ndarray, exclude_invalid: bool = False) -> Fused:
    """The candidate of the least error at each pixel, the first of equals.

    Args:
        candidates: uint16 (N, H, W), sixteenths of a pixel, 0 where there is none.
        error: float32 (N, H, W).
        exclude_invalid: what has no disparity does not win where another candidate has one. As published, it may, by
            the error of a corner of the image.
    """
    compared = np.where(candidates > 0, error, np.inf) if exclude_invalid else error
    best = compared.argmin(0)

    def taken(maps: np.ndarray) -> np.ndarray:
        return np.take_along_axis(maps, best[None], 0)[0]

    return Fused(best.astype(np.uint8), taken(error), taken(candidates))
