"""Batches of a dataset, read in this process or in others ahead of time.

Batches come in the order of the sampler, and what is drawn at random while one is read depends on
the seed, the epoch and the batch's number alone: so they are the same for any number of workers.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import creation
from ..tensor import Tensor
from .datasets import IterableDataset, TensorDataset
from .samplers import BatchSampler, RandomSampler, SequentialSampler

Collate = Callable[[list[Any]], Any]


class DataLoader:
    """Iterates over batches of a dataset.

    dataset: anything with `len` and integer indexing (a TensorDataset is cut without a copy per
    item), or an IterableDataset.
    shuffle: a new order each epoch.  seed: fixes the orders and what is drawn while items are read;
    otherwise `manual_seed` does.  sampler, batch_sampler: positions, or lists of them, instead.
    num_workers: processes that read batches ahead, `prefetch_factor` each; they start without
    anything of this one (so dataset and `collate_fn` are pickled) and end with the epoch, or with
    the loader if `persistent_workers`.  An exception in one of them is raised here, with its
    traceback.
    collate_fn: makes a batch of a list of items; see `collate`.  batch_size: None for items as they
    are.
    """

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool = False,
        seed: int | None = None, drop_last: bool = False, sampler: Any = None,
        batch_sampler: Any = None, num_workers: int = 0, collate_fn: Collate | None = None,
        prefetch_factor: int = 2, persistent_workers: bool = False,
    ) -> None:  # fmt: skip
        if num_workers < 0 or prefetch_factor < 1:
            raise ValueError("num_workers is at least 0, prefetch_factor at least 1")
        if sum((shuffle, sampler is not None, batch_sampler is not None)) > 1:
            raise ValueError("shuffle, sampler and batch_sampler exclude each other")
        self.streams = isinstance(dataset, IterableDataset)
        if self.streams and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("the order of an IterableDataset is its own")
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.num_workers, self.prefetch_factor = num_workers, prefetch_factor
        self.persistent_workers = persistent_workers
        self.collate_fn = collate_fn or (_as_is if batch_size is None else collate)
        self.batches = None if self.streams else _batches(
            dataset, batch_size, shuffle, seed, drop_last, sampler, batch_sampler
        )  # fmt: skip
        self._seed = seed
        self._epoch = 0
        self._pool: ProcessPoolExecutor | None = None

    def __len__(self) -> int:
        if self.batches is None:
            raise TypeError("how many batches an IterableDataset gives is not known")
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        seed = self._seed
        if seed is None:
            seed = int(creation.generator().integers(0, 2**63))
        epoch, self._epoch = self._epoch, self._epoch + 1
        tasks = self._tasks((seed, epoch))
        if self.num_workers:
            return self._by_workers(tasks)
        reader = _Reader(self.dataset, self.collate_fn, self.batch_size, self.drop_last)
        return itertools.takewhile(_is_batch, (reader(*task) for task in tasks))

    def _tasks(self, entropy: tuple[int, int]) -> Iterator[tuple[Any, tuple[int, ...]]]:
        """What a reader is asked for: positions, and what decides what is drawn."""
        every = itertools.repeat(None) if self.batches is None else self.batches
        for number, positions in enumerate(every):
            yield positions, (*entropy, number)

    def _by_workers(self, tasks: Iterator[tuple[Any, tuple[int, ...]]]) -> Iterator[Any]:
        pool = self._started()
        waiting: deque[Future[Any]] = deque()
        try:
            for task in itertools.islice(tasks, self._workers * self.prefetch_factor):
                waiting.append(pool.submit(_read, *task))
            while waiting:
                batch = waiting.popleft().result()
                if not _is_batch(batch):
                    return
                for task in itertools.islice(tasks, 1):
                    waiting.append(pool.submit(_read, *task))
                yield batch
        finally:
            for future in waiting:
                future.cancel()
            if not self.persistent_workers or self.streams:
                self._pool = None
                pool.shutdown(wait=True, cancel_futures=True)

    @property
    def _workers(self) -> int:
        """One for a stream, which is not to be read twice."""
        return 1 if self.streams else self.num_workers

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers, multiprocessing.get_context("spawn"), _start,
                (self.dataset, self.collate_fn, self.batch_size, self.drop_last),
            )  # fmt: skip
        return self._pool

    def close(self) -> None:
        """End workers that persist."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)


def _batches(
    dataset: Any, batch_size: int | None, shuffle: bool, seed: int | None, drop_last: bool,
    sampler: Any, batch_sampler: Any,
) -> Any:  # fmt: skip
    if batch_sampler is not None:
        return batch_sampler
    if sampler is None:
        sampler = RandomSampler(dataset, seed=seed) if shuffle else SequentialSampler(dataset)
    return sampler if batch_size is None else BatchSampler(sampler, batch_size, drop_last)


class _End:
    """What comes after the last batch of a stream."""


def _is_batch(batch: Any) -> bool:
    return not isinstance(batch, _End)


class _Reader:
    """Reads batches of a dataset, in whatever process."""

    def __init__(
        self, dataset: Any, collate_fn: Collate, batch_size: int | None, drop_last: bool
    ) -> None:
        self.dataset, self.collate_fn = dataset, collate_fn
        self.batch_size, self.drop_last = batch_size, drop_last
        self.stream: Iterator[Any] | None = None

    def __call__(self, positions: Any, entropy: tuple[int, ...]) -> Any:
        with _drawing_from(entropy):
            if isinstance(self.dataset, IterableDataset):
                return self._next()
            if not isinstance(positions, list):
                return self.collate_fn(self.dataset[positions])
            if isinstance(self.dataset, TensorDataset) and self.collate_fn is collate:
                return self.dataset[np.asarray(positions)]
            return self.collate_fn([self.dataset[int(k)] for k in positions])

    def _next(self) -> Any:
        if self.stream is None:
            self.stream = iter(self.dataset)
        size = self.batch_size
        items = list(itertools.islice(self.stream, 1 if size is None else size))
        if not items or (size is not None and self.drop_last and len(items) < size):
            self.stream = None
            return _End()
        return self.collate_fn(items[0] if size is None else items)


@contextmanager
def _drawing_from(entropy: tuple[int, ...]) -> Iterator[None]:
    """While an item is read, random numbers are its own; those of others go on where they were."""
    seeds = np.random.SeedSequence(entropy).generate_state(3, np.uint32)
    before = creation.get_rng_state(), random.getstate(), np.random.get_state()
    creation.manual_seed(int(seeds[0]))
    random.seed(int(seeds[1]))
    np.random.seed(int(seeds[2]))
    try:
        yield
    finally:
        creation.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])


_reader: _Reader | None = None  # of a worker


def _start(dataset: Any, collate_fn: Collate, batch_size: int | None, drop_last: bool) -> None:
    global _reader
    _reader = _Reader(dataset, collate_fn, batch_size, drop_last)


def _read(positions: Any, entropy: tuple[int, ...]) -> Any:
    assert _reader is not None
    return _reader(positions, entropy)


def _as_is(item: Any) -> Any:
    return item


def collate(items: Sequence[Any]) -> Any:
    """Items stacked: arrays, Tensors and numbers into Tensors with one more axis in front, tuples
    and dicts part by part, anything else into a list.
    """
    first = items[0]
    if isinstance(first, Mapping):
        return {key: collate([item[key] for item in items]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(column) for column in zip(*items, strict=True)))
    if isinstance(first, (tuple, list)):
        return tuple(collate(column) for column in zip(*items, strict=True))
    if isinstance(first, (Tensor, np.ndarray, np.generic, bool, int, float)):
        return Tensor(np.stack([v.data if isinstance(v, Tensor) else np.asarray(v) for v in items]))
    return list(items)
