"""Memory of large results, used again.

A fresh array of many megabytes costs as many page faults as the kernel that fills it takes time.
Blocks are therefore kept: each is an array of bytes that results are views of, so that it is free
again exactly when neither a result nor any view of one is alive, which its reference count tells.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np

SMALLEST = 1 << 20  # bytes; below, the allocator does it as well
MOST_IDLE = 1 << 28  # bytes kept for results to come
ALIGNMENT = 64
_HELD_HERE = 3  # references to a block while it is looked at: the list, the loop, the question


class Recycler:
    """Blocks in use and idle, the latest used last."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray[Any, Any]] = []
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """An array of anything, as `np.empty` makes it."""
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < SMALLEST:
            return np.empty(shape, dtype)
        block = self._block(nbytes)
        start = -block.ctypes.data % ALIGNMENT
        array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, block, start)
        return array

    def _block(self, nbytes: int) -> np.ndarray[Any, Any]:
        with self._lock:
            found, idle = None, 0
            for position in range(len(self._blocks) - 1, -1, -1):
                block = self._blocks[position]
                if sys.getrefcount(block) > _HELD_HERE:
                    continue
                fits = nbytes <= block.nbytes - ALIGNMENT <= 2 * nbytes
                if found is None and fits:
                    found = position
                    continue
                idle += block.nbytes
                if idle > MOST_IDLE:
                    del self._blocks[position]
                    found = None if found is None else found - 1
            if found is not None:
                block = self._blocks.pop(found)
            else:
                block = np.empty(nbytes + ALIGNMENT, np.uint8)
            self._blocks.append(block)
            return block

    def clear(self) -> None:
        """Give idle memory back."""
        with self._lock:
            self._blocks.clear()


recycler = Recycler()
