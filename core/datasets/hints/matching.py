"""Disparities of a stereo pair by OpenCV's semi-global matching (Hirschmüller 2008), as candidates for a hint."""

from functools import cache
from typing import Any

import numpy as np

# Block size 3 gives the same disparities as 2, bit for bit: these eight stand for twelve.
BLOCK_SIZES = (1, 2)
SEARCHED = (64, 96, 128, 160)  # pixels


@cache
def matchers() -> tuple[Any, ...]:
    """The matchers, in the order in which the first of equal candidates wins."""
    import cv2

    return tuple(
        cv2.StereoSGBM_create(  # type: ignore[attr-defined]
            minDisparity=0,
            numDisparities=disparities,
            blockSize=block,
            P1=36,
            P2=288,
            preFilterCap=63,
            uniquenessRatio=10,
            speckleWindowSize=100,
            speckleRange=16,
            mode=cv2.STEREO_SGBM_MODE_SGBM,
        )
        for block in BLOCK_SIZES
        for disparities in SEARCHED
    )


def candidates(target: np.ndarray, source: np.ndarray, side: int) -> np.ndarray:
    """Disparities of a target in sixteenths of a pixel: uint16 (8, H, W), 0 where there is none.

    Args:
        target, source: uint8 (H, W, 3), rectified.
        side: -1: the target is the left image, 1: the right one, which is matched in a mirror.
    """
    pair = [np.ascontiguousarray(image if side < 0 else image[:, ::-1]) for image in (target, source)]
    found = np.stack([matcher.compute(*pair) for matcher in matchers()])
    sixteenths = np.maximum(found, 0).astype(np.uint16)  # -16 where there is none
    return sixteenths if side < 0 else np.ascontiguousarray(sixteenths[..., ::-1])
