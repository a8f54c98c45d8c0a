"""Datasets, samplers and loaders: the same batches for any number of workers."""

import multiprocessing
import os
import random
from collections import Counter, namedtuple

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor
from jitgraph.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

Pair = namedtuple("Pair", "image label")


class Noisy(Dataset):
    """Items with random numbers of all three kinds, and who has read them."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, k):
        drawn = jitgraph.rand(2).data, np.random.rand(), random.random()
        return Pair(drawn[0] + k, {"drawn": drawn[1:], "reader": os.getpid()})


class Failing(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, k):
        if k == 5:
            raise KeyError("item five is broken")
        return np.ones(2) * k


class Counting(IterableDataset):
    def __iter__(self):
        yield from range(7)


def values(loader):
    return [
        (b.image.data.tolist(), [d.data.tolist() for d in b.label["drawn"]]) for b in loader
    ]  # fmt: skip


def test_batches_are_the_same_for_any_number_of_workers() -> None:
    loaders = [DataLoader(Noisy(10), 4, shuffle=True, seed=3, num_workers=n) for n in (0, 1, 2)]
    epochs = [[values(loader) for _ in range(2)] for loader in loaders]
    assert epochs[0] == epochs[1] == epochs[2]
    assert epochs[0][0] != epochs[0][1]
    assert values(DataLoader(Noisy(10), 4, shuffle=True, seed=4)) != epochs[0][0]
    for _ in range(2):
        jitgraph.manual_seed(7)
        found = [values(DataLoader(Noisy(6), 4, shuffle=True, num_workers=n)) for n in (0,)]
        epochs.append(found)
    assert epochs[-1] == epochs[-2]


def test_reading_leaves_the_callers_random_numbers_alone() -> None:
    jitgraph.manual_seed(0)
    np.random.seed(0)
    loader = iter(DataLoader(Noisy(4), 2, seed=1))
    next(loader)
    after = jitgraph.rand(3).data, np.random.rand()
    jitgraph.manual_seed(0)
    np.random.seed(0)
    np.testing.assert_array_equal(after[0], jitgraph.rand(3).data)
    assert after[1] == np.random.rand()


def test_workers_read_ahead_and_end_with_the_epoch() -> None:
    loader = DataLoader(Noisy(8), 2, num_workers=2, prefetch_factor=2)
    readers = {int(b.label["reader"].data[0]) for b in loader}
    assert os.getpid() not in readers
    assert not multiprocessing.active_children()
    for batch in loader:
        assert batch.image.shape == (2, 2)
        break
    assert not multiprocessing.active_children()
    lasting = DataLoader(Noisy(4), 2, num_workers=1, persistent_workers=True)
    first, second = ({int(b.label["reader"].data[0]) for b in lasting} for _ in range(2))
    assert first == second
    lasting.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_exception_arrives_with_its_line(workers) -> None:
    loader = DataLoader(Failing(), 2, num_workers=workers)
    seen = []
    with pytest.raises(KeyError, match="item five is broken") as raised:
        seen += [batch.data[:, 0].tolist() for batch in loader]
    if workers:
        assert 'raise KeyError("item five is broken")' in str(raised.value.__cause__)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 2])
def test_streams(workers) -> None:
    for drop_last, sizes in ((False, [3, 3, 1]), (True, [3, 3])):
        loader = DataLoader(Counting(), 3, drop_last=drop_last, num_workers=workers)
        for _ in range(2):
            batches = list(loader)
            assert [len(b) for b in batches] == sizes
            assert [k for b in batches for k in b.tolist()] == list(range(sum(sizes)))
    assert list(DataLoader(Counting(), None, num_workers=workers)) == list(range(7))
    with pytest.raises(TypeError, match="is not known"):
        len(loader)


def test_collating() -> None:
    items = [{"a": np.ones(2) * k, "b": (k, f"name {k}"), "c": [True, 0.5]} for k in range(3)]
    batch = next(iter(DataLoader(items, 3)))
    assert batch["a"].shape == (3, 2) and batch["a"].dtype == np.float64
    numbers, names = batch["b"]
    assert numbers.tolist() == [0, 1, 2] and names == ["name 0", "name 1", "name 2"]
    assert [c.dtype for c in batch["c"]] == [np.bool_, np.float64]
    own = DataLoader(items, 2, collate_fn=lambda found: len(found))
    assert list(own) == [2, 1]
    assert next(iter(DataLoader([Tensor([1.0]), Tensor([2.0])], 2))).shape == (2, 1)


def test_parts_of_datasets() -> None:
    data = TensorDataset(np.arange(10), np.arange(10) ** 2)
    parts = random_split(data, [0.5, 0.3, 0.2], seed=0)
    assert [len(p) for p in parts] == [5, 3, 2]
    assert sorted(int(x.data) for p in parts for x, _ in (p[k] for k in range(len(p)))) == [
        *range(10)
    ]
    assert [len(p) for p in random_split(data, [7, 3])] == [7, 3]
    assert [len(p) for p in random_split(range(7), [0.5, 0.5])] == [4, 3]
    with pytest.raises(ValueError, match="not all 10"):
        random_split(data, [7, 2])
    both = Subset(data, [3, 1]) + data
    assert isinstance(both, ConcatDataset) and len(both) == 12
    assert [int(both[k][0].data) for k in (0, 1, 2, -1)] == [3, 1, 0, 9]
    with pytest.raises(IndexError, match="position 12"):
        both[12]


def test_samplers() -> None:
    items = range(6)
    drawn = RandomSampler(items, seed=0)
    assert sorted(drawn) == list(items) and list(drawn) != list(drawn)
    repeated = list(RandomSampler(items, replacement=True, num_samples=50, seed=0))
    assert len(repeated) == 50 and set(repeated) <= set(items)
    assert len(list(RandomSampler(items, num_samples=15, seed=0))) == 15
    assert sorted(SubsetRandomSampler([4, 2, 9], seed=0)) == [2, 4, 9]
    counts = Counter(WeightedRandomSampler([0, 1, 3], 4000, seed=0))
    assert counts[0] == 0 and counts[2] / counts[1] == pytest.approx(3, rel=0.15)
    assert list(BatchSampler([5, 6, 7], 2)) == [[5, 6], [7]]
    assert list(BatchSampler([5, 6, 7], 2, drop_last=True)) == [[5, 6]]
    loader = DataLoader(items, batch_sampler=[[1, 2], [5]])
    assert [b.tolist() for b in loader] == [[1, 2], [5]] and len(loader) == 2
    assert [b.tolist() for b in DataLoader(items, 2, sampler=[4, 3, 2])] == [[4, 3], [2]]


ERRORS = {
    "a size": (lambda: DataLoader(range(3), 0), "at least one item"),
    "two orders": (lambda: DataLoader(range(3), shuffle=True, sampler=[1]), "exclude each other"),
    "a stream's order": (lambda: DataLoader(Counting(), shuffle=True), "is its own"),
    "workers": (lambda: DataLoader(range(3), num_workers=-1), "at least 0"),
    "weights": (lambda: WeightedRandomSampler([0, 0], 3), "not all zero"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do(name) -> None:
    call, match = ERRORS[name]
    with pytest.raises(ValueError, match=match):
        call()
