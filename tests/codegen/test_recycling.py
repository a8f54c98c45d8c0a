"""Memory of large results is used again once nobody looks at it, and not before."""

import numpy as np

from jitgraph_codegen.recycling import MOST_IDLE, SMALLEST, Recycler

F8 = np.dtype(np.float64)
LARGE = (SMALLEST // 8 + 5, 2)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


def test_memory_is_used_again_when_the_last_view_is_gone() -> None:
    pool = Recycler()
    first = pool.empty(LARGE, F8)
    assert first.shape == LARGE and first.dtype == F8 and first.flags.c_contiguous
    assert address(first) % 64 == 0 and first.flags.writeable
    place, view = address(first), first[3:, 1].T[::2]
    del first
    second = pool.empty(LARGE, F8)
    assert address(second) != place
    view[0] = 5
    del view
    assert address(pool.empty(LARGE, F8)) == place


def test_results_start_at_different_places_of_a_page() -> None:
    pool = Recycler()
    arrays = [pool.empty(LARGE, F8) for _ in range(3)]
    places = [16, *(address(a) % 4096 for a in arrays)]  # 16: where NumPy's own start
    for k, place in enumerate(places):
        assert all(256 <= (place - other) % 4096 <= 3840 for other in places[:k])


def test_two_results_never_share_memory() -> None:
    pool = Recycler()
    arrays = [pool.empty(LARGE, F8) for _ in range(3)]
    for k, array in enumerate(arrays):
        array[...] = k
    assert [a[0, 0] for a in arrays] == [0, 1, 2]
    del arrays[1]
    fourth = pool.empty(LARGE, F8)
    assert not any(np.shares_memory(fourth, a) for a in arrays)


def test_small_arrays_are_numpys_own() -> None:
    assert Recycler().empty((10,), F8).base is None


def test_idle_memory_is_bounded() -> None:
    pool = Recycler()
    size = MOST_IDLE // 16
    arrays = [pool.empty((size + k * SMALLEST,), np.dtype(np.uint8)) for k in range(10)]
    arrays += [pool.empty((3 * size,), np.dtype(np.uint8)) for _ in range(8)]
    del arrays
    pool.empty(LARGE, F8)
    assert sum(b.room for b in pool._blocks) <= MOST_IDLE + 2 * SMALLEST * 8
    pool.clear()
    assert pool._blocks == []
