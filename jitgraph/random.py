"""Random numbers that a compiled function draws in its own kernels.

The n-th number of a seed is a function of n alone, so the elements of an array are drawn
independently, in vectors and by several threads, and need no memory of their own.  The function is
Philox 2x32 of ten rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3", 2011): 64 bits for a counter of 64 bits.  A generator draws the same numbers in a compiled
function and outside of it.

    rng = jitgraph.random.default_rng(0)

    @jitgraph.compile
    def noisy(x):
        return x + 0.1 * rng.standard_normal(x.shape)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .interpreter import is_concrete, is_tracing, only_outside
from .warming import Warming

__all__ = ["Generator", "default_rng"]

_MULTIPLIER = np.uint64(0xD256D193)
_BUMPS = tuple(np.uint64(k * 0x9E3779B9) for k in range(10))  # of the key, round by round
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_UNUSED = {  # bits that a number in [0, 1) has no room for, of 64 and of 32
    np.dtype(np.float64): np.uint64(11), np.dtype(np.float32): np.uint64(8)
}  # fmt: skip
_BLOCK = 4096  # numbers drawn at a time by NumPy


class Generator:
    """A stream of random numbers.

    key, salt: what the seed has become, uint64 of shape (1,), of which 32 bits are used; the salt
    is the upper half of the first counter.  counter: how many numbers were drawn, uint64 of shape
    (1,).
    """

    def __init__(self, seed: int | None = None) -> None:
        self.key, self.salt, self.counter = (np.zeros(1, np.uint64) for _ in range(3))
        self.manual_seed(_entropy() if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Draw what a new generator of this seed draws; this generator."""
        self.key[0], self.salt[0] = np.random.SeedSequence(abs(seed)).generate_state(2, np.uint32)
        self.counter[0] = 0
        return self

    def get_state(self) -> dict[str, int]:
        """What `set_state` goes on from."""
        return {name: int(getattr(self, name)[0]) for name in ("key", "salt", "counter")}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Go on where a generator was when it gave this state."""
        for name in ("key", "salt", "counter"):
            getattr(self, name)[0] = state[name]

    def __getstate__(self) -> dict[str, int]:
        return self.get_state()

    def __setstate__(self, state: Mapping[str, int]) -> None:
        self.key, self.salt, self.counter = (np.zeros(1, np.uint64) for _ in range(3))
        self.set_state(state)

    def random(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Uniform in [0, 1), in steps of 2**-53 (float64) or 2**-24 (float32)."""
        return _shaped(_uniform(self._words(size), np.dtype(dtype)), size)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """float64, uniform in [low, high)."""
        return low + (high - low) * self.random(size)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64) -> Any:
        """Of mean 0 and variance 1, by Box and Muller's transform of two uniform numbers."""
        dtype = np.dtype(dtype)
        if dtype == np.float32:
            first, second = self._words(size)
            u, v = _of_32_bits(first), _of_32_bits(second)
        else:
            u, v = (_uniform(self._words(size), dtype) for _ in range(2))
        one, around = dtype.type(1.0), dtype.type(2.0 * math.pi)
        return _shaped(np.sqrt(dtype.type(-2.0) * np.log(one - u)) * np.cos(around * v), size)

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

    def permutation(self, count: int) -> Any:
        """The numbers below `count` in random order, int64."""
        return np.argsort(self.random(count), kind="stable")

    def choice(
        self, count: int, size: int, replace: bool = True, p: Sequence[float] | None = None
    ) -> Any:
        """`size` numbers below `count`, int64; p: how probable each is.

        Without replacement by the keys of Efraimidis and Spirakis (2006).  Raises ValueError where
        there are too few.
        """
        shares = np.full(count, 1 / count) if p is None else np.asarray(p, np.float64)
        if replace:
            ends = np.cumsum(shares)
            return np.searchsorted(ends, self.random(size) * ends[-1], side="right")
        if size > np.count_nonzero(shares):
            raise ValueError(f"{size} of {np.count_nonzero(shares)} numbers are chosen")
        with np.errstate(divide="ignore"):
            return np.argsort(self.exponential(size=count) / shares, kind="stable")[:size]

    def _words(self, size: Any) -> tuple[Any, Any]:
        """Twice as many new numbers of 32 bits as `size` asks for, as uint64 in its shape; of shape
        (1,) for None.
        """
        shape = (1,) if size is None else size if isinstance(size, tuple) else (size,)
        if not is_tracing():
            return self._words_now(shape)
        place = np.zeros(1, np.uint64)[0]
        count = 1
        for n in shape:
            place = np.expand_dims(place, -1) * np.uint64(n) + np.arange(n, dtype=np.uint64)
            count = count * n
        drawn = philox(self.counter + place, self.key, self.salt)
        if is_concrete(drawn[0]):
            only_outside("random numbers are drawn by a library's function")
        np.add(self.counter, np.uint64(count), out=self.counter)
        return drawn

    def _words_now(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        count = math.prod(shape)
        first, second = (np.empty(count, np.uint64) for _ in range(2))
        _filling(count, first, second, self.counter, self.key, self.salt)
        self.counter += np.uint64(count)
        return first.reshape(shape), second.reshape(shape)


def _fill(first: Any, second: Any, counter: Any, key: Any, salt: Any) -> None:
    """Words of consecutive counters."""
    index = counter + np.arange(first.shape[0], dtype=np.uint64)
    first[...], second[...] = philox(index, key, salt)


def _fill_by_blocks(first: Any, second: Any, counter: Any, key: Any, salt: Any) -> None:
    """The same by NumPy, in the cache."""
    for start in range(0, first.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        _fill(first[block], second[block], counter + np.uint64(start), key, salt)


_filling = Warming(_fill_by_blocks, _fill, _BLOCK, 1 << 22)


def philox(counter: Any, key: Any, salt: Any) -> tuple[Any, Any]:
    """Two numbers of 32 bits for each counter, as uint64.

    key, salt: below 2**32; the salt takes part in the upper half of the counter.
    """
    first, second = counter & _LOW, (counter >> _HALF) ^ salt
    for bump in _BUMPS:
        product = first * _MULTIPLIER
        first = (product >> _HALF) ^ ((key + bump) & _LOW) ^ second
        second = product & _LOW
    return first, second


def _uniform(words: tuple[Any, Any], dtype: np.dtype[Any]) -> Any:
    first, second = words
    if dtype == np.float32:
        return _of_32_bits(first)
    return (((first << _HALF) | second) >> _UNUSED[dtype]) * 2.0**-53


def _of_32_bits(word: Any) -> Any:
    return (word >> _UNUSED[np.dtype(np.float32)]).astype(np.float32) * np.float32(2.0**-24)


def _shaped(drawn: Any, size: Any) -> Any:
    return drawn[0] if size is None else drawn


def _entropy() -> int:
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


def default_rng(seed: int | None = None) -> Generator:
    """A generator; seeded by the operating system where no seed is given."""
    return Generator(seed)
