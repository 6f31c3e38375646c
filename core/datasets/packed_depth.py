"""The numbers of sparse depth as they are packed best: small steps in place of pixels, and bytes of a kind together.

Both lose nothing. So little is left to find that the fastest level of deflate packs them smaller than its default does
the numbers themselves, in a quarter of its time.
"""

from collections.abc import Sequence

import numpy as np

LEVEL = 1  # of deflate


def pack_indices(indices: Sequence[np.ndarray]) -> np.ndarray:
    """Ascending numbers of pixels, of each map, as the steps to them from the one before; the first of a map from -1.

    Returns:
        All maps one after the other: uint16, or uint32 where a step is too large for that.
    """
    steps = [np.diff(index, prepend=-1).astype(np.uint32) for index in indices]
    joined = np.concatenate(steps or [np.empty(0, np.uint32)])
    return joined.astype(np.uint16) if joined.max(initial=0) < 2**16 else joined


def unpack_index(steps: np.ndarray) -> np.ndarray:
    """The numbers of pixels of one map, int64 (M,), of its steps."""
    index = np.cumsum(steps, dtype=np.int64)
    index -= 1
    return index


def pack_values(values: np.ndarray) -> np.ndarray:
    """float32 (M,) as uint8 (4, M): the lowest bytes of all numbers, the next ones, …"""
    little = np.ascontiguousarray(values, "<f4")
    return np.ascontiguousarray(little.view(np.uint8).reshape(-1, 4).T)


def unpack_values(planes: np.ndarray) -> np.ndarray:
    """The float32 (M,) of `pack_values`."""
    return np.ascontiguousarray(planes.T).view("<f4").ravel().astype(np.float32, copy=False)
