"""What can be asked for its items, and what gives them one after the other."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..creation import generator
from ..random import Generator
from ..tensor import Tensor


class Dataset:
    """Base: a subclass has a length, and gives the item at a position from 0 on."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has no __len__")

    def __getitem__(self, position: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset:
    """Base: a subclass gives its items one after the other."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__")


class TensorDataset(Dataset):
    """Arrays (or Tensors) of one length; item k holds row k of each."""

    def __init__(self, *arrays: Any) -> None:
        if not arrays:
            raise ValueError("TensorDataset needs at least one array")
        self.arrays = [a.data if isinstance(a, Tensor) else np.asarray(a) for a in arrays]
        lengths = {len(a) for a in self.arrays}
        if len(lengths) > 1:
            raise ValueError(f"TensorDataset: the arrays have different lengths {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, position: Any) -> tuple[Any, ...]:
        return tuple(Tensor(a[position]) for a in self.arrays)


class Subset(Dataset):
    """Some of another dataset's items."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray[Any, Any]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: Any) -> Any:
        return self.dataset[int(self.indices[position])]


class ConcatDataset(Dataset):
    """Datasets one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        self.ends = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, position: int) -> Any:
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of {len(self)} items")
        position %= len(self)
        number = bisect.bisect_right(self.ends, position)
        return self.datasets[number][position - (self.ends[number - 1] if number else 0)]


def random_split(dataset: Any, lengths: Sequence[float], seed: int | None = None) -> list[Subset]:
    """Parts of random items that have nothing in common.

    lengths: numbers of items that come to all of them, or shares that come to one; what these leave
    over goes to the first parts, as in PyTorch.  seed: else `manual_seed` decides.
    """
    count = len(dataset)
    sizes = list(lengths)
    if math.isclose(sum(sizes), 1) and sum(sizes) <= 1 + 1e-9 and count != 1:
        if any(not 0 <= share <= 1 for share in sizes):
            raise ValueError(f"shares {list(lengths)} must lie in [0, 1]")
        sizes = [math.floor(count * share) for share in sizes]
        for k in range(count - int(sum(sizes))):
            sizes[k % len(sizes)] += 1
    if sum(sizes) != count:
        raise ValueError(f"parts of {list(lengths)} items are not all {count}")
    rng = generator() if seed is None else Generator(seed)
    order = rng.permutation(count)
    ends = list(itertools.accumulate(map(int, sizes), initial=0))
    return [Subset(dataset, order[a:b]) for a, b in itertools.pairwise(ends)]
