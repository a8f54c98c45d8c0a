"""How much of a plain copy's bandwidth kernels reach that only move memory.

    python -m benchmarks.streaming

Each kernel reads and writes arrays of 4 million float32 once; the copy is NumPy's `copyto` of as
many bytes, on one thread and, in halves, on two, of which the better counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import jitgraph

from .tables import show

SHAPE = (4096, 1024)
ROUNDS = 40
KERNELS: dict[str, tuple[Callable[..., Any], int, int]] = {  # function, arrays, results
    "x + 1": (lambda x: x + 1, 1, 1),
    "x + y": (lambda x, y: x + y, 2, 1),
    "a * x + y": (lambda x, y: np.float32(2.5) * x + y, 2, 1),
    "where(x > y, x, 0)": (lambda x, y: np.where(x > y, x, 0), 2, 1),
    "x * y + z": (lambda x, y, z: x * y + z, 3, 1),
    "x - mean of its row": (lambda x: x - x.mean(axis=1, keepdims=True), 1, 1),
    "five-point stencil": (lambda x: x[1:-1, 1:-1] + x[:-2, 1:-1] + x[2:, 1:-1]
                           + x[1:-1, :-2] + x[1:-1, 2:], 1, 1),
}  # fmt: skip


def best(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    for _ in range(5):
        call()
    found = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        found = min(found, time.perf_counter() - start)
    return found


def copy_seconds(count: int) -> float:
    """Of a copy that reads and writes `count` bytes together."""
    source = np.ones(count // 2, np.uint8)
    target = np.empty_like(source)
    half = len(source) // 2
    with ThreadPoolExecutor(2) as pool:

        def both() -> None:
            parts = [(target[:half], source[:half]), (target[half:], source[half:])]
            list(pool.map(lambda part: np.copyto(*part), parts))

        return min(best(lambda: np.copyto(target, source)), best(both))


def main() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(SHAPE).astype("f4") for _ in range(3)]
    rows = []
    for name, (function, reads, writes) in KERNELS.items():
        given = arrays[:reads]
        compiled = jitgraph.compile(function, strict=True)
        count = (reads + writes) * arrays[0].nbytes
        seconds = best(lambda: compiled(*given))
        share = copy_seconds(count) / seconds
        rows.append((name, f"{1e3 * seconds:.3f}", f"{count / seconds / 1e9:.1f}", f"{share:.0%}"))
    show("memory bandwidth", ("kernel", "ms", "GB/s", "of a copy"), rows)


if __name__ == "__main__":
    main()
