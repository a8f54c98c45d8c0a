"""The order in which items are read: iterables of positions, new ones each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np

from ..creation import generator
from ..random import Generator


class Sampler:
    """Base: a subclass gives positions, and how many they are."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__")


class SequentialSampler(Sampler):
    """All positions as they come."""

    def __init__(self, dataset: Sized) -> None:
        self.dataset = dataset

    def __iter__(self) -> Iterator[int]:
        yield from range(len(self.dataset))

    def __len__(self) -> int:
        return len(self.dataset)


class _Drawing(Sampler):
    """seed: of the orders of all epochs; else `manual_seed` decides."""

    def __init__(self, seed: int | None) -> None:
        self._own = None if seed is None else Generator(seed)

    @property
    def rng(self) -> Generator:
        return self._own or generator()


class RandomSampler(_Drawing):
    """All positions in random order; with replacement `num_samples` that may repeat."""

    def __init__(
        self, dataset: Sized, replacement: bool = False, num_samples: int | None = None,
        seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(seed)
        self.dataset, self.replacement = dataset, replacement
        self.num_samples = num_samples

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        if self.replacement:
            yield from self.rng.integers(0, count, len(self)).tolist()
            return
        left = len(self)
        while left > 0:
            yield from self.rng.permutation(count)[:left].tolist()
            left -= count

    def __len__(self) -> int:
        return len(self.dataset) if self.num_samples is None else self.num_samples


class SubsetRandomSampler(_Drawing):
    """Some positions in random order."""

    def __init__(self, indices: Sequence[int], seed: int | None = None) -> None:
        super().__init__(seed)
        self.indices = indices

    def __iter__(self) -> Iterator[int]:
        for k in self.rng.permutation(len(self.indices)):
            yield int(self.indices[k])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Drawing):
    """Positions drawn by weights, which need not come to one."""

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True,
        seed: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(seed)
        shares = np.asarray(weights, np.float64)
        if shares.ndim != 1 or (shares < 0).any() or not shares.sum() > 0:
            raise ValueError("weights are numbers that are not negative, and not all zero")
        self.shares, self.num_samples = shares / shares.sum(), num_samples
        self.replacement = replacement

    def __iter__(self) -> Iterator[int]:
        drawn = self.rng.choice(
            len(self.shares), self.num_samples, replace=self.replacement, p=self.shares
        )
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of another sampler's positions; drop_last: leave out a last one that is smaller."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool = False) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: a batch has at least one item")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for position in self.sampler:
            batch.append(position)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)
        return whole if self.drop_last or not rest else whole + 1
