"""Running loaded kernels: buffers to pointers, and one pool of threads to share a range.

Kernels are sequential over a range; parallelism is running parts of the range side by side.  The
caller works too, so the pool has one thread less than there are cores to use.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from .array_memory import address
from .machine_code import MachineCode

PARALLEL_WORK = 1 << 22  # additions; below this, waking a thread costs more than it gains


class _Job:
    """One parallel launch: parts are taken by whoever is free."""

    __slots__ = ("bounds", "buffers", "entry", "finished", "left", "lock", "next", "sizes")

    def __init__(self, entry: Any, buffers: Any, sizes: Any, bounds: list[tuple[int, int]]) -> None:
        self.entry, self.buffers, self.sizes, self.bounds = entry, buffers, sizes, bounds
        self.lock = threading.Lock()
        self.next, self.left = 0, len(bounds)
        self.finished = threading.Event()

    def work(self) -> None:
        while True:
            with self.lock:
                if self.next == len(self.bounds):
                    return
                lo, hi = self.bounds[self.next]
                self.next += 1
            self.entry(self.buffers, self.sizes, lo, hi)
            with self.lock:
                self.left -= 1
                if self.left == 0:
                    self.finished.set()


class Pool:
    """Daemon threads that wait for jobs; made at the first parallel launch, anew after a fork."""

    def __init__(self) -> None:
        self.size = _default_threads()
        self._threads: list[threading.Thread] = []
        self._jobs: list[_Job] = []
        self._wake = threading.Condition()

    def run(self, job: _Job) -> None:
        with self._wake:
            while len(self._threads) < self.size - 1:
                thread = threading.Thread(target=self._serve, daemon=True, name="jitgraph")
                self._threads.append(thread)
                thread.start()
            self._jobs.append(job)
            self._wake.notify(self.size - 1)
        job.work()
        job.finished.wait()

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._jobs:
                    self._wake.wait()
                job = self._jobs[-1]
                if job.next == len(job.bounds):
                    self._jobs.remove(job)
                    continue
            job.work()


def _default_threads() -> int:
    given = os.environ.get("JITGRAPH_NUM_THREADS")
    if given is not None:
        try:
            return max(1, int(given))
        except ValueError:
            raise ValueError(f"JITGRAPH_NUM_THREADS={given!r} is no number of threads") from None
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_pool = Pool()


def _renew_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _pool
    _pool = Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_pool)


def threads() -> int:
    """How many threads a parallel kernel may use."""
    return _pool.size


class LoadedKernel:
    """A kernel in memory, called with arrays, int64 arguments, its extent and its work, counted in
    additions.
    """

    __slots__ = ("_buffers", "_sizes", "code", "name", "parallel")

    def __init__(
        self, name: str, code: MachineCode, buffers: int, sizes: int, parallel: bool
    ) -> None:
        self.name, self.code, self.parallel = name, code, parallel
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
        parts = _parts(extent, work) if self.parallel else 1
        if parts == 1:
            self.code.entry(buffers, numbers, 0, extent)
            return
        bounds = [(extent * k // parts, extent * (k + 1) // parts) for k in range(parts)]
        _pool.run(_Job(self.code.entry, buffers, numbers, bounds))


def _parts(extent: int, work: int) -> int:
    """How many parts a range is cut into: a few per thread, so that a slow one is made up for."""
    if _pool.size == 1 or work < PARALLEL_WORK or extent == 1:
        return 1
    per_thread = 4 if work >= 16 * PARALLEL_WORK else 1
    return min(extent, _pool.size * per_thread)
