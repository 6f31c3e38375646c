"""Images in memory, and behind it in a folder."""

import threading
import weakref
from collections import OrderedDict
from pathlib import Path

import numpy as np

from core.datasets.disk_cache import DiskCache
from core.datasets.memory import ALLOWANCE

# A file, and whether mirrored; None: as it is, and mirrored it is the same mirrored.
Key = tuple[Path, bool | None]


class ImageCache:
    """Arrays that were used; for several threads.

    Args:
        size: how many at most: what was not used for longest is forgotten. None: as many as `ALLOWANCE` lets, of which
            none is forgotten: an epoch uses each once, so the newest is no better than the oldest.
        disk: what keeps all of them, too, and has those of former runs.
    """

    def __init__(self, size: int | None, disk: DiskCache | None = None) -> None:
        self._size, self._disk = size, disk
        self._arrays: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._taken: list[int] = []
        weakref.finalize(self, _give_back, self._taken).atexit = False

    def get(self, key: Key) -> np.ndarray | None:
        """The array of a file; None where it is not kept."""
        with self._lock:
            array = self._arrays.get(key)
            if array is not None:
                self._arrays.move_to_end(key)
                return array
        array = None if self._disk is None else self._disk.get(*key)
        if array is not None:
            self._keep(key, array)
        return array

    def put(self, key: Key, array: np.ndarray) -> None:
        """Keeps an array, if it may."""
        self._keep(key, array)
        if self._disk is not None:
            self._disk.put(*key, array)

    def _keep(self, key: Key, array: np.ndarray) -> None:
        """Keeps an array in memory, if it may."""
        if self._size == 0:
            return
        with self._lock:
            if self._size is None:
                if key in self._arrays or not ALLOWANCE.take(array.nbytes):
                    return
                self._taken.append(array.nbytes)
            self._arrays[key] = array
            self._arrays.move_to_end(key)
            if self._size is not None and len(self._arrays) > self._size:
                self._arrays.popitem(last=False)


def _give_back(taken: list[int]) -> None:
    if taken:
        ALLOWANCE.give_back(sum(taken))
