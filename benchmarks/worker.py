"""One peer in a process of its own: reads names of workloads, answers with timings.

A request is a line with a workload's name; the answer is a line of JSON: seconds a call (best of a
round), seconds of the first call, and the error against float64 NumPy.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import numpy as np

from .peers import prepare
from .workloads import WORKLOADS, Workload

ROUND = 0.3  # seconds of calls in one round


class _Prepared:
    """A workload that was run once on this peer."""

    def __init__(self, peer: str, work: Workload) -> None:
        inputs = work.inputs()
        start = time.perf_counter()
        call = prepare(peer, work, inputs)
        if call is None:
            raise NotImplementedError
        result = np.asarray(call())
        self.first = time.perf_counter() - start
        self.call = call
        self.error = _error(work, inputs, result)


def _error(work: Workload, inputs: tuple[np.ndarray, ...], result: np.ndarray) -> float:
    """Largest difference from float64 NumPy over its largest value; of positions, the share."""
    exact = np.asarray(
        work.function(np, *[a.astype("f8") if a.dtype.kind == "f" else a for a in inputs])
    )
    if exact.dtype.kind == "i":
        return float(np.mean(exact != result))
    return float(np.max(np.abs(result - exact)) / np.max(np.abs(exact)))


def _round(call: Any) -> float:
    best, spent, count = float("inf"), 0.0, 1
    while spent < ROUND:
        start = time.perf_counter()
        for _ in range(count):
            call()
        took = time.perf_counter() - start
        spent += took
        best = min(best, took / count)
        if took < 1e-3:
            count *= 4  # so that the clock's own cost does not show
    return best


def main(peer: str) -> None:
    warnings.simplefilter("ignore")
    known: dict[str, _Prepared] = {}
    for line in sys.stdin:
        name = line.strip()
        try:
            prepared = known.get(name) or known.setdefault(name, _Prepared(peer, WORKLOADS[name]))
            answer = {
                "seconds": _round(prepared.call),
                "first": prepared.first,
                "error": prepared.error,
            }
        except NotImplementedError:
            answer = {"skipped": "no form of this workload"}
        except Exception as error:  # a peer's failure is a result, not the end of the run
            answer = {"skipped": f"{type(error).__name__}: {error}"[:200]}
        print("\n" + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
