"""Ten of the programs against Numba loops with `parallel=True`, written by hand.

    python -m benchmarks.rivals [--scale SCALE] [--markdown FILE] [names]

The loops are what one writes who knows Numba: `prange` over the rows, no temporaries.  Each side
runs in a process of its own, in turn, with as many threads as there are cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import prange

import jitgraph

from .harness import readable
from .program_table import copies, difference
from .programs import programs
from .tables import show

ROUNDS, CALLS = 5, 15
SIDES = ("jitgraph", "numba")
loops = numba.njit(parallel=True, fastmath=True, error_model="numpy")


@loops
def jacobi_1d(a, b):
    for _ in range(4):
        for i in prange(1, a.size - 1):
            b[i] = (a[i - 1] + a[i] + a[i + 1]) * (1 / 3)
        for i in prange(1, a.size - 1):
            a[i] = (b[i - 1] + b[i] + b[i + 1]) * (1 / 3)


@loops
def jacobi_2d(a, b):
    n, m = a.shape
    for _ in range(3):
        for i in prange(1, n - 1):
            for j in range(1, m - 1):
                b[i, j] = 0.2 * (a[i, j] + a[i, j - 1] + a[i, j + 1] + a[i + 1, j] + a[i - 1, j])
        for i in prange(1, n - 1):
            for j in range(1, m - 1):
                a[i, j] = 0.2 * (b[i, j] + b[i, j - 1] + b[i, j + 1] + b[i + 1, j] + b[i - 1, j])
    total = 0.0
    for i in prange(1, n - 1):
        for j in range(1, m - 1):
            total += a[i, j]
    return total / ((n - 2) * (m - 2))


@loops
def heat_3d(u, alpha):
    n, m, k = u.shape
    new = np.empty_like(u)
    for _ in range(2):
        for x in prange(1, n - 1):
            for y in range(1, m - 1):
                for z in range(1, k - 1):
                    around = u[x + 1, y, z] + u[x - 1, y, z] + u[x, y + 1, z] + u[x, y - 1, z]
                    around += u[x, y, z + 1] + u[x, y, z - 1] - 6.0 * u[x, y, z]
                    new[x, y, z] = u[x, y, z] + alpha * around
        for x in prange(1, n - 1):
            u[x, 1:-1, 1:-1] = new[x, 1:-1, 1:-1]
    return u


@loops
def fdtd_2d(ex, ey, hz, source):
    n, m = ex.shape
    for t in range(3):
        for i in prange(n):
            for j in range(m):
                if i == 0:
                    ey[i, j] = source[t]
                else:
                    ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
                if j > 0:
                    ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
        for i in prange(n - 1):
            for j in range(m - 1):
                hz[i, j] -= 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])


@loops
def wave_step(now, before, c2):
    n, m = now.shape
    after = np.empty_like(now)
    for i in prange(1, n - 1):
        for j in range(1, m - 1):
            around = now[i + 1, j] + now[i - 1, j] + now[i, j + 1] + now[i, j - 1]
            after[i, j] = 2 * now[i, j] - before[i, j] + c2 * (around - 4 * now[i, j])
        after[i, 0] = now[i, 1]
        after[i, m - 1] = now[i, m - 2]
    for j in range(m):
        after[0, j], after[n - 1, j] = now[1, j], now[n - 2, j]
    after[0, 0], after[0, m - 1] = now[0, 1], now[0, m - 2]
    after[n - 1, 0], after[n - 1, m - 1] = now[n - 1, 1], now[n - 1, m - 2]
    return after


@loops
def largest_magnitude(x):
    largest = 0.0
    for i in prange(x.shape[0]):
        row = 0.0
        for j in range(x.shape[1]):
            row = max(row, abs(x[i, j]))
        largest = max(largest, row)
    return largest


@numba.njit
def wave_equation(now, before, c2):
    for _ in range(3):
        after = wave_step(now, before, c2)
        before = now
        now = after
    return now, largest_magnitude(now)


@loops
def floyd_warshall(path):
    n = path.shape[0]
    for k in range(n):
        row = path[k].copy()
        for i in prange(n):
            first = path[i, k]
            for j in range(n):
                path[i, j] = min(path[i, j], first + row[j])


@loops
def game_of_life(board):
    n, m = board.shape
    for _ in range(3):
        old = board.copy()
        for i in prange(n):
            up, down = max(i - 1, 0), min(i + 1, n - 1)
            for j in range(m):
                count = 0
                for x in range(up, down + 1):
                    for y in range(max(j - 1, 0), min(j + 2, m)):
                        count += old[x, y]
                count -= old[i, j]
                board[i, j] = count == 3 or (old[i, j] == 1 and count == 2)
    total = np.uint64(0)
    for i in prange(n):
        for j in range(m):
            total += np.uint64(board[i, j])
    return total


@loops
def mandelbrot(x, y):
    count = np.zeros((y.size, x.size), np.int64)
    for i in prange(y.size):
        for j in range(x.size):
            cr, ci, zr, zi, steps = x[j], y[i], 0.0, 0.0, 0
            for _ in range(12):
                if not zr * zr + zi * zi < 4:
                    break
                zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
                steps += 1
            count[i, j] = steps
    return count


@loops
def horizontal_diffusion(field, out, coefficient):
    n, m, depth = out.shape
    lap = np.empty((n + 2, m + 2, depth))
    for i in prange(n + 2):
        for j in range(m + 2):
            for k in range(depth):
                lap[i, j, k] = 4.0 * field[i + 1, j + 1, k] - (
                    field[i + 2, j + 1, k] + field[i, j + 1, k]
                    + field[i + 1, j + 2, k] + field[i + 1, j, k]
                )  # fmt: skip
    for i in prange(n):
        for j in range(m):
            for k in range(depth):
                here = field[i + 2, j + 2, k]
                down = lap[i + 2, j + 1, k] - lap[i + 1, j + 1, k]
                down = 0.0 if down * (field[i + 3, j + 2, k] - here) > 0 else down
                up = lap[i + 1, j + 1, k] - lap[i, j + 1, k]
                up = 0.0 if up * (here - field[i + 1, j + 2, k]) > 0 else up
                right = lap[i + 1, j + 2, k] - lap[i + 1, j + 1, k]
                right = 0.0 if right * (field[i + 2, j + 3, k] - here) > 0 else right
                left = lap[i + 1, j + 1, k] - lap[i + 1, j, k]
                left = 0.0 if left * (here - field[i + 2, j + 1, k]) > 0 else left
                out[i, j, k] = here - coefficient[i, j, k] * (down - up + right - left)


@numba.njit(fastmath=True, error_model="numpy")
def pull_of_all(position, i, box, cutoff):
    """The force on one particle, and its part of the energy."""
    fx = fy = fz = energy = 0.0
    for j in range(position.shape[0]):
        dx = position[i, 0] - position[j, 0]
        dy = position[i, 1] - position[j, 1]
        dz = position[i, 2] - position[j, 2]
        dx -= box * math.floor(dx / box + 0.5)
        dy -= box * math.floor(dy / box + 0.5)
        dz -= box * math.floor(dz / box + 0.5)
        r2 = dx * dx + dy * dy + dz * dz
        if 0 < r2 < cutoff * cutoff:
            inv2 = 1 / r2
            inv6 = inv2 * inv2 * inv2
            strength = 24 * inv2 * inv6 * (2 * inv6 - 1)
            fx += strength * dx
            fy += strength * dy
            fz += strength * dz
            energy += inv6 * (inv6 - 1)
    return fx, fy, fz, energy


@loops
def lennard_jones(position, box, cutoff):
    n = position.shape[0]
    force, energies = np.empty((n, 3)), np.empty(n)
    for i in prange(n):
        force[i, 0], force[i, 1], force[i, 2], energies[i] = pull_of_all(position, i, box, cutoff)
    return force, 2 * energies.sum()


RIVALS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        jacobi_1d, jacobi_2d, heat_3d, fdtd_2d, wave_equation, floyd_warshall, game_of_life,
        mandelbrot, horizontal_diffusion, lennard_jones,
    )
}  # fmt: skip


def serve(side: str, scale: float) -> None:
    """Answer each name on the input with the seconds of the best call of some."""
    ready: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in ready:
            ready[name] = checked(name, side, scale)
        function, args = ready[name]
        found = float("inf")
        for _ in range(CALLS):
            given = copies(args)
            start = time.perf_counter()
            function(*given)
            found = min(found, time.perf_counter() - start)
        print(json.dumps(found), flush=True)


def checked(name: str, side: str, scale: float) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """One side's function, whose result is NumPy's, and its arguments."""
    program = programs()[name]
    function = RIVALS[name] if side == "numba" else jitgraph.compile(program.run)
    args = program.make(scale)
    mine, numpys = copies(args), copies(args)
    got, want = function(*mine), program.run(*numpys)
    if side == "numba":  # whose numbers are Python's
        got, want = json_like(got), json_like(want)
    if wrong := difference((got, mine), (want, numpys)):
        raise SystemExit(f"{name} by {side} is wrong{wrong}")
    return function, args


def json_like(value: Any) -> Any:
    """With plain numbers instead of NumPy's."""
    if isinstance(value, tuple):
        return tuple(map(json_like, value))
    return value.item() if isinstance(value, np.generic) else value


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals")
    parser.add_argument("names", nargs="*", help="programs; all ten unless given")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the programs' arrays")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    names = options.names or list(RIVALS)
    if options.side:
        serve(options.side, options.scale)
        return 0
    command = [sys.executable, "-m", "benchmarks.rivals", "--scale", str(options.scale), "--side"]
    peers = {
        side: subprocess.Popen(
            [*command, side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for side in SIDES
    }
    times = {side: dict.fromkeys(names, float("inf")) for side in SIDES}
    for name in names:
        for _, (side, peer) in itertools.product(range(ROUNDS), peers.items()):
            assert peer.stdin is not None and peer.stdout is not None
            print(name, file=peer.stdin, flush=True)
            times[side][name] = min(times[side][name], json.loads(peer.stdout.readline()))
    for peer in peers.values():
        peer.communicate()
    header = ["program", "jitgraph", "Numba by hand", "times faster"]
    rows = [
        [name, readable(times["jitgraph"][name]), readable(times["numba"][name]),
         f"{times['numba'][name] / times['jitgraph'][name]:.2f}"]
        for name in names
    ]  # fmt: skip
    show(f"against loops by hand, scale {options.scale:g}", header, rows, options.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
