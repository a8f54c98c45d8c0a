"""Elementary functions one by one: time and error against NumPy's and PyTorch's.

    python -m benchmarks.functions [--markdown FILE] [names]

A million elements a call, best of several, each peer in processes of its own, which take turns as
the machine is not always equally fast.  The error is the
largest found, in units in the last place, over numbers from the whole range and near 0 and 1,
against mpmath with 250 bits (2300 for sin, cos and tan).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

from .tables import show

COUNT, SAMPLES, TURNS = 1 << 20, 300, 5
PEERS = ("jitgraph", "numpy", "torch")
DTYPES = ("float32", "float64")

# the exact function, what is timed on, and in float64 what the error is taken over
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[float, float], tuple[float, float]]] = {
    "exp": (mpmath.exp, (-80, 80), (-745, 709)),
    "exp2": (lambda x: mpmath.mpf(2) ** x, (-100, 100), (-1074, 1023)),
    "expm1": (mpmath.expm1, (-5, 5), (-40, 709)),
    "log": (mpmath.log, (1e-3, 100), (0, 1e300)),
    "log2": (lambda x: mpmath.log(x, 2), (1e-3, 100), (0, 1e300)),
    "log10": (lambda x: mpmath.log(x, 10), (1e-3, 100), (0, 1e300)),
    "log1p": (mpmath.log1p, (-0.9, 10), (-1, 1e300)),
    "power": (mpmath.power, (0.01, 20), (1e-3, 50)),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), (-100, 100), (-1e300, 1e300)),
    "hypot": (mpmath.hypot, (-10, 10), (-1e150, 1e150)),
    "sin": (mpmath.sin, (-10, 10), (-1e300, 1e300)),
    "cos": (mpmath.cos, (-10, 10), (-1e300, 1e300)),
    "tan": (mpmath.tan, (-10, 10), (-1e300, 1e300)),
    "arcsin": (mpmath.asin, (-1, 1), (-1, 1)),
    "arccos": (mpmath.acos, (-1, 1), (-1, 1)),
    "arctan": (mpmath.atan, (-10, 10), (-1e300, 1e300)),
    "arctan2": (mpmath.atan2, (-10, 10), (-1e100, 1e100)),
    "sinh": (mpmath.sinh, (-10, 10), (-710, 710)),
    "cosh": (mpmath.cosh, (-10, 10), (-710, 710)),
    "tanh": (mpmath.tanh, (-5, 5), (-1e300, 1e300)),
    "arcsinh": (mpmath.asinh, (-100, 100), (-1e300, 1e300)),
    "arccosh": (mpmath.acosh, (1, 100), (1, 1e300)),
    "arctanh": (mpmath.atanh, (-1, 1), (-1, 1)),
    "erf": (mpmath.erf, (-3, 3), (-1e300, 1e300)),
    "erfc": (mpmath.erfc, (-3, 10), (-6, 26.5)),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), (-10, 10), (-708, 1e300)),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), (-10, 10), (-708, 1e3)),
}
OF_TWO = ("power", "hypot", "arctan2")


def timed_on(name: str, dtype: str) -> tuple[np.ndarray, ...]:
    low, high = FUNCTIONS[name][1]
    rng = np.random.default_rng(0)
    x = rng.uniform(low, high, COUNT).astype(dtype)
    if name not in OF_TWO:
        return (x,)
    other = (-3, 3) if name == "power" else (low, high)
    return x, rng.uniform(*other, COUNT).astype(dtype)


def sampled(name: str, dtype: str) -> tuple[np.ndarray, ...]:
    """Numbers of any exponent, near 0, near 1, and spread evenly."""
    low, high = FUNCTIONS[name][2]
    most = float(np.finfo(dtype).max)
    low, high = max(low, -most), min(high, most)
    rng = np.random.default_rng(1)
    signs = rng.choice([-1, 1], SAMPLES)
    exponents = rng.uniform(np.log(1e-30), np.log(max(abs(low), abs(high))), SAMPLES)
    x = np.concatenate([
        signs * np.exp(exponents),
        rng.uniform(-2, 2, SAMPLES),
        signs + rng.choice([-1, 1], SAMPLES) * np.exp2(rng.uniform(-20, 0, SAMPLES)),
        rng.uniform(max(low, -700), min(high, 700), SAMPLES),
    ])  # fmt: skip
    x = x[(x >= low) & (x <= high)].astype(dtype)
    if name not in OF_TWO:
        return (x,)
    y = rng.permutation(x)
    return x, np.clip(y, -20, 20) if name == "power" else y


def implementation(peer: str, name: str) -> Callable[..., Any] | None:
    """The function on NumPy arrays; None where the peer has none."""
    if peer == "numpy":
        return getattr(np, name, None)
    if peer == "torch":
        import torch

        aliases = {"softplus": torch.nn.functional.softplus, "power": torch.pow}
        function = aliases.get(name) or getattr(torch, name, None)
        return None if function is None else lambda *a: function(*map(torch.from_numpy, a)).numpy()
    import jitgraph

    function = getattr(np, name, None) or getattr(jitgraph, name)
    if name in OF_TWO:
        return jitgraph.compile(lambda x, y: function(x, y), strict=True)
    return jitgraph.compile(lambda x: function(x), strict=True)


def nanoseconds(call: Callable[[], Any]) -> float:
    """Of an element, the best of several rounds."""
    for _ in range(5):
        call()
    number = max(1, int(0.02 / timeit.timeit(call, number=1)))
    return min(timeit.repeat(call, number=number, repeat=7)) / number / COUNT * 1e9


def largest_error(name: str, given: tuple[np.ndarray, ...], got: np.ndarray) -> float:
    """In units in the last place of the exact value."""
    exact, worst, info = FUNCTIONS[name][0], 0.0, np.finfo(got.dtype)
    with mpmath.workprec(2300 if name in ("sin", "cos", "tan") else 250):
        for *values, g in zip(*given, got, strict=True):
            wanted = exact(*[mpmath.mpf(float(v)) for v in values])
            if isinstance(wanted, mpmath.mpc) or not mpmath.isfinite(wanted):
                continue
            if info.tiny <= abs(wanted) <= info.max and np.isfinite(g):
                unit = mpmath.mpf(float(np.spacing(np.abs(got.dtype.type(float(wanted))))))
                worst = max(worst, float(abs(mpmath.mpf(float(g)) - wanted) / unit))
    return worst


def measured(peer: str, names: list[str], errors: bool) -> dict[str, float]:
    """By function and dtype: the largest error, or nanoseconds."""
    found: dict[str, float] = {}
    for name in names:
        function = implementation(peer, name)
        for dtype in DTYPES if function is not None else ():
            assert function is not None
            with np.errstate(all="ignore"):
                if errors:
                    given = sampled(name, dtype)
                    result = largest_error(name, given, np.asarray(function(*given)))
                else:
                    on = timed_on(name, dtype)
                    result = nanoseconds(lambda: function(*on))
            found[f"{name} {dtype}"] = result
    return found


def asked(peer: str, names: list[str], *options: str) -> dict[str, float]:
    """What another process measures."""
    command = [sys.executable, "-m", "benchmarks.functions", "--peer", peer, *options, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(FUNCTIONS))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--peer", choices=PEERS)
    parser.add_argument("--errors", action="store_true")
    options = parser.parse_args()
    if options.peer:
        print(json.dumps(measured(options.peer, options.names, options.errors)))
        return
    errors = {peer: asked(peer, options.names, "--errors") for peer in PEERS}
    times: dict[str, dict[str, float]] = {peer: {} for peer in PEERS}
    for _ in range(TURNS):
        for peer, best in times.items():
            for key, time in asked(peer, options.names).items():
                best[key] = min(time, best.get(key, time))
    header = ["function", *[f"{p}, ns" for p in PEERS], *[f"{p}, ULP" for p in PEERS], "ahead"]
    rows = []
    for key, own in times["jitgraph"].items():
        others = [times[p][key] for p in PEERS[1:] if key in times[p]]
        cells = [f"{best[key]:.3f}" if key in best else "-" for best in times.values()]
        cells += [f"{errors[p][key]:.2f}" if key in errors[p] else "-" for p in PEERS]
        rows.append([key, *cells, f"{min(others) / own:.2f}" if others else "-"])
    show("elementary functions, an element of a million", header, rows, options.markdown)


if __name__ == "__main__":
    main()
