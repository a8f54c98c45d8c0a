"""Memory of large results, used again.

A fresh array of many megabytes costs as many page faults as the kernel that fills it takes time.
Blocks are therefore kept: each is an array of bytes that results are views of, so that it is free
again exactly when neither a result nor any view of one is alive, which its reference count tells.

Results start at different places of a page.  To a processor that has not yet compared whole
addresses, a load looks like one of what a store before it wrote where the last 12 bits agree, and
waits for it: a function of one number takes up to a tenth longer then.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any, NamedTuple

import numpy as np

SMALLEST = 1 << 20  # bytes; below, the allocator does it as well
MOST_IDLE = 1 << 28  # bytes kept for results to come
_PAGE = 4096
# where in a page the memory of one block after another starts: at a cache line, far from its
# predecessors and from large arrays of NumPy's, which start at 16
_STARTS = (2048, 1024, 3072, 512, 2560, 1536, 3584)
_HELD_HERE = 3  # references to a block's memory while it is looked at: block, name, question


class _Block(NamedTuple):
    memory: np.ndarray[Any, Any]
    start: int
    room: int  # bytes


class Recycler:
    """Blocks in use and idle, the latest used last."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._made = 0
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """An array of anything, as `np.empty` makes it."""
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < SMALLEST:
            return np.empty(shape, dtype)
        block = self._block(nbytes)
        array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, block.memory, block.start)
        return array

    def _block(self, nbytes: int) -> _Block:
        with self._lock:
            blocks = self._blocks
            for position in range(len(blocks) - 1, -1, -1):
                memory, _, room = blocks[position]
                if nbytes <= room <= 2 * nbytes and sys.getrefcount(memory) <= _HELD_HERE:
                    blocks.append(blocks.pop(position))
                    return blocks[-1]
            self._let_go_of_idle()
            blocks.append(self._new(nbytes))
            return blocks[-1]

    def _let_go_of_idle(self) -> None:
        """Those that were used least of late, where too many wait."""
        idle = 0
        for position in range(len(self._blocks) - 1, -1, -1):
            memory, _, room = self._blocks[position]
            if sys.getrefcount(memory) <= _HELD_HERE:
                idle += room
                if idle > MOST_IDLE:
                    del self._blocks[position]

    def _new(self, nbytes: int) -> _Block:
        memory = np.empty(nbytes + _PAGE, np.uint8)
        place = _STARTS[self._made % len(_STARTS)]
        self._made += 1
        return _Block(memory, (place - memory.ctypes.data) % _PAGE, nbytes)

    def clear(self) -> None:
        """Give idle memory back."""
        with self._lock:
            self._blocks.clear()


recycler = Recycler()
