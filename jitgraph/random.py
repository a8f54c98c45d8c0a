"""Random numbers that a compiled function draws in its own kernels.

The n-th number of a seed is a function of n alone: a counter is mixed by the finaliser of
SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014),
so the elements of an array are drawn independently, in vectors and by several threads.  A generator
draws the same numbers in a compiled function and outside of it.

    rng = jitgraph.random.default_rng(0)

    @jitgraph.compile
    def noisy(x):
        return x + 0.1 * rng.standard_normal(x.shape)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Generator", "default_rng"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_UNUSED = np.uint64(11)  # bits that a float64 in [0, 1) has no room for


class Generator:
    """A stream of random numbers.

    counter: how many 64-bit numbers were drawn, uint64 of shape (1,).
    """

    def __init__(self, seed: int) -> None:
        self.key = _mixed(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64))
        self.counter = np.zeros(1, np.uint64)

    def random(self, size: Any = None) -> Any:
        """float64, uniform in [0, 1), in steps of 2**-53."""
        return _shaped((self._bits(size) >> _UNUSED) * 2.0**-53, size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """float64, uniform in [low, high)."""
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Any = None) -> Any:
        """float64 of mean 0 and variance 1, by Box and Muller's transform of two uniform ones."""
        radius = np.sqrt(-2.0 * np.log(1.0 - (self._bits(size) >> _UNUSED) * 2.0**-53))
        angle = (2.0 * math.pi) * ((self._bits(size) >> _UNUSED) * 2.0**-53)
        return _shaped(radius * np.cos(angle), size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """float64 of mean `loc` and standard deviation `scale`."""
        return loc + scale * self.standard_normal(size)

    def exponential(self, scale: Any = 1.0, size: Any = None) -> Any:
        """float64 of mean `scale`."""
        return -scale * np.log(1.0 - self.random(size))

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """int64, uniform in [low, high), or [0, low) where no `high` is given.

        The 53 leading bits are scaled, which favours no number by more than (high - low) / 2**53.
        """
        start, stop = (0, low) if high is None else (low, high)
        scaled = np.floor(self.random(size) * (stop - start))
        return start + scaled.astype(np.int64)

    def _bits(self, size: Any) -> Any:
        """As many new 64-bit numbers as `size` asks for, in its shape; of shape (1,) for None."""
        shape = (1,) if size is None else size if isinstance(size, tuple) else (size,)
        place = np.zeros(1, np.uint64)[0]
        count = 1
        for n in shape:
            place = np.expand_dims(place, -1) * np.uint64(n) + np.arange(n, dtype=np.uint64)
            count = count * n
        drawn = _mixed(self.key + (self.counter + place) * _GOLDEN)
        np.add(self.counter, np.uint64(count), out=self.counter)
        return drawn


def _mixed(x: Any) -> Any:
    """Stafford's thirteenth variant of a 64-bit finaliser, which SplitMix64 uses."""
    x = (x ^ (x >> _SHIFTS[0])) * _FIRST
    x = (x ^ (x >> _SHIFTS[1])) * _SECOND
    return x ^ (x >> _SHIFTS[2])


def _shaped(drawn: Any, size: Any) -> Any:
    return drawn[0] if size is None else drawn


def default_rng(seed: int | None = None) -> Generator:
    """A generator; seeded by the operating system where no seed is given."""
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    return Generator(seed)
