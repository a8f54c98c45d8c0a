"""Batches of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..creation import generator
from ..tensor import Tensor


class TensorDataset:
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

    def __getitem__(self, k: Any) -> tuple[Any, ...]:
        return tuple(Tensor(a[k]) for a in self.arrays)


class DataLoader:
    """Iterates over batches of a dataset.

    dataset: anything with `len` and integer indexing; a TensorDataset is cut without a copy per
    item.
    shuffle: a new order each epoch; `seed` fixes the orders, otherwise `manual_seed` does.
    drop_last: leave out a last batch that is smaller.
    """

    def __init__(
        self, dataset: Any, batch_size: int = 1, shuffle: bool = False, seed: int | None = None,
        drop_last: bool = False,
    ) -> None:  # fmt: skip
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: a batch has at least one item")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = (
            dataset,
            batch_size,
            shuffle,
            drop_last,
        )
        self._rng = None if seed is None else np.random.default_rng(seed)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole if self.drop_last or not rest else whole + 1

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        count = len(self.dataset)
        order = (self._rng or generator()).permutation(count) if self.shuffle else np.arange(count)
        for k in range(len(self)):
            yield self._batch(order[k * self.batch_size : (k + 1) * self.batch_size])

    def _batch(self, positions: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        if isinstance(self.dataset, TensorDataset):
            return self.dataset[positions]
        return collate([self.dataset[int(k)] for k in positions])


def collate(items: Sequence[Any]) -> tuple[Any, ...]:
    """Items (tuples, or single values) stacked into one Tensor per position."""
    rows = [item if isinstance(item, tuple) else (item,) for item in items]
    return tuple(
        Tensor(np.stack([v.data if isinstance(v, Tensor) else np.asarray(v) for v in column]))
        for column in zip(*rows, strict=True)
    )
