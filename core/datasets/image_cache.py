"""Images in memory."""

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np


class ImageCache:
    """The most recently used arrays, up to a number; for several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._arrays: OrderedDict[tuple[Path, bool], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, bool]) -> np.ndarray | None:
        """The array of a file, mirrored or not; None where it is not kept."""
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                self._arrays.move_to_end(key)
            return array

    def put(self, key: tuple[Path, bool], array: np.ndarray) -> None:
        """Keeps an array, and forgets the one that was not used for longest."""
        if self._size == 0:
            return
        with self._lock:
            self._arrays[key] = array
            self._arrays.move_to_end(key)
            if len(self._arrays) > self._size:
                self._arrays.popitem(last=False)
