"""`jitgraph bench --programs`: whole NumPy programs, unmodified, against NumPy.

For each program: where on the ladder it runs, seconds of its first call with what is cached on this
machine, and the best call of both, NumPy's and jitgraph's rounds taken in turn on fresh copies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

import jitgraph

from .harness import readable
from .programs import programs
from .tables import show

ROUNDS = 7


@dataclass(frozen=True)
class Outcome:
    """Times in seconds; wrong: what differs from NumPy, or nothing."""

    rung: str
    first: float
    numpy: float
    ours: float
    wrong: str


def measure(
    run: Callable[..., Any], make: Callable[[float], tuple[Any, ...]], scale: float
) -> Outcome:
    """Run a program by NumPy and compiled."""
    args = make(scale)
    compiled = jitgraph.compile(run)
    mine, numpys = copies(args), copies(args)
    start = time.perf_counter()
    got = compiled(*mine)
    first = time.perf_counter() - start
    wrong = difference((got, mine), (run(*numpys), numpys))
    best = {run: float("inf"), compiled: float("inf")}
    for _ in range(ROUNDS):
        for function in best:
            given = copies(args)
            start = time.perf_counter()
            function(*given)
            best[function] = min(best[function], time.perf_counter() - start)
    return Outcome(rung(compiled, copies(args)), first, best[run], best[compiled], wrong)


def copies(args: Sequence[Any]) -> list[Any]:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in args]


def rung(compiled: jitgraph.CompiledFunction, args: Sequence[Any]) -> str:
    """Graph (with the number of calls in the middle of it), Numba, or Python."""
    text = compiled.explain(*args)
    if "compiled by Numba" in text:
        return "Numba"
    if "static graph" not in text:
        return "Python"
    calls = text.count("\n  Python ")
    return f"graph, {calls} calls" if calls else "graph"


def difference(got: Any, expected: Any, where: str = "") -> str:
    """The first place where results or arguments differ in type, dtype, shape or value."""
    if isinstance(expected, (tuple, list)):
        if len(got) != len(expected):
            return f"{where}: {len(got)} values, not {len(expected)}"
        pairs = zip(got, expected, strict=True)
        parts = (difference(g, e, f"{where}[{k}]") for k, (g, e) in enumerate(pairs))
        return next((p for p in parts if p), "")
    if type(got) is not type(expected):
        return f"{where}: {type(got).__name__}, not {type(expected).__name__}"
    a, b = np.asarray(got), np.asarray(expected)
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{where}: {a.dtype}{a.shape}, not {b.dtype}{b.shape}"
    if b.dtype.kind not in "fc":
        return "" if np.array_equal(a, b) else f"{where}: other values"
    tolerance = 1e3 * np.finfo(b.dtype).eps
    size = np.max(np.abs(b), initial=0, where=np.isfinite(b))
    close = np.allclose(a, b, rtol=tolerance, atol=tolerance * size, equal_nan=True)
    return "" if close else f"{where}: other values"


def main(names: Sequence[str], scale: float, markdown: Path | None) -> int:
    """Measure, print, and write the table where asked; 1 if a program gave a wrong result."""
    known = programs()
    if unknown := [n for n in names if n not in known]:
        print(f"unknown program {unknown[0]!r}; there are {', '.join(known)}")
        return 2
    header = ["program", "runs as", "first call", "NumPy", "jitgraph", "times faster"]
    rows: list[list[str]] = []
    failed = 0
    for name in track(names or list(known), description="programs", transient=True):
        found = measure(known[name].run, known[name].make, scale)
        ratio = f"{found.numpy / found.ours:.2f}"
        failed += bool(found.wrong)
        rows.append([
            name, found.rung + (f" (wrong{found.wrong})" if found.wrong else ""),
            readable(found.first), readable(found.numpy), readable(found.ours), ratio,
        ])  # fmt: skip
    show(f"whole programs, scale {scale:g}", header, rows, markdown)
    return int(failed > 0)
