"""Sigmoid, disparity and depth; what is done to disparity maps before they are used."""

import numpy as np

# A nominal stereo baseline of 0.1 stands for KITTI's 0.54 m: depth of models trained with stereo → metres.
STEREO_SCALE_FACTOR = 5.4


def sigmoid_to_disparity(sigmoid: np.ndarray, min_depth: float, max_depth: float) -> np.ndarray:
    """Maps the network's output in (0, 1) linearly to 1 / max_depth … 1 / min_depth, in the dtype given."""
    low, high = 1 / max_depth, 1 / min_depth
    return sigmoid * (high - low) + low


def disparity_to_depth(disparity: np.ndarray) -> np.ndarray:
    """depth = 1 / disparity: metres, or metres up to one scale for monocular training."""
    return 1 / disparity


def blend_mirrored(disparity: np.ndarray, mirrored_pass: np.ndarray) -> np.ndarray:
    """Joins the predictions of an image and of its mirror image (Godard et al. 2017, section 4, "pp").

    Each pass is unreliable at the left edge of what it saw, so the left edge of the result comes from the
    mirrored pass, the right edge from the plain one, and the middle is their mean.

    Args:
        disparity: (…, H, W).
        mirrored_pass: (…, H, W) prediction of the mirrored image, mirrored back.

    Returns:
        (…, H, W) float64.
    """
    disparity, mirrored_pass = np.asarray(disparity, np.float64), np.asarray(mirrored_pass, np.float64)
    x = np.linspace(0, 1, disparity.shape[-1])
    left = 1 - np.clip(20 * (x - 0.05), 0, 1)
    right = left[::-1]
    mean = (disparity + mirrored_pass) / 2
    return right * disparity + left * mirrored_pass + (1 - left - right) * mean


def resize_map(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, half-pixel centres, no antialiasing: (h, w) float32 or float64 → (height, width)."""
    import cv2

    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR))
