"""Loaded kernels as callables of arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from . import threads
from .array_memory import address
from .machine_code import MachineCode

_RUN_PARTS = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
    ctypes.c_int64,
)  # fmt: skip


@cache
def _run_parts() -> Any:
    return _RUN_PARTS(threads.run_parts())


class LoadedKernel:
    """A kernel in memory, called with arrays, int64 arguments, its extent and its work, counted in
    additions.
    """

    __slots__ = ("_buffers", "_sizes", "code", "name", "parallel")

    def __init__(
        self, name: str, code: MachineCode, buffers: int, sizes: int, parallel: bool
    ) -> None:
        self.name, self.code = name, code
        self.parallel = parallel and threads.is_supported()
        self._buffers = ctypes.c_void_p * buffers
        self._sizes = ctypes.c_int64 * sizes

    def __call__(
        self,
        arrays: Sequence[np.ndarray[Any, Any]],
        sizes: Sequence[int],
        extent: int,
        work: int,
    ) -> None:
        buffers = self._buffers(*map(address, arrays))
        numbers = self._sizes(*sizes)
        if self.parallel and work >= threads.PARALLEL_WORK:
            pool = threads.pool_address()
            _run_parts()(pool, self.code.address, buffers, numbers, extent, work)
        else:
            self.code.entry(buffers, numbers, 0, extent)
