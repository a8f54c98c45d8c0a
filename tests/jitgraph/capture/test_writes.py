"""In-place NumPy, captured as written: what comes back, what the caller's arrays hold, and who
shares memory with whom.
"""

from collections.abc import Callable

import numpy as np
import pytest

import jitgraph
from support import assert_same


def agrees(function: Callable, *args: np.ndarray, calls: int = 2) -> jitgraph.CompiledFunction:
    """NumPy and the compiled function, each on copies of its own, in every argument and result."""
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(calls):
        by_numpy, by_us = [a.copy() for a in args], [a.copy() for a in args]
        expected, got = function(*by_numpy), compiled(*by_us)
        many = isinstance(expected, (tuple, list))
        for want, have in zip(
            expected if many else [expected], got if many else [got], strict=True
        ):
            assert_same(have, want, "result")
            for a, b in zip(by_numpy, by_us, strict=True):
                assert np.shares_memory(have, b) == np.shares_memory(want, a)
        for a, b in zip(by_numpy, by_us, strict=True):
            assert_same(b, a, "argument")
    assert compiled.cache_info().captures == 1
    return compiled


def fill(x):
    y = np.zeros((x.shape[0], 3))
    y[1:-1, 0] = x[1:-1] * 2
    y[:, 1] += np.arange(x.shape[0])
    y[..., 2] = 5
    return y


def argument(x):
    x[1:-1] = 0.5 * (x[:-2] + x[2:])
    x *= 2
    return x


def view_of_argument(x):
    x[0] = 7
    return x[1:]


def through_views(x):
    y = np.zeros((4, x.shape[0]))
    row = y[1]
    row[:] = x
    column = y.T[2]
    column += 1
    inner = y[1:, 1:][::-1]
    inner[0] = -1
    inner[..., ::2] *= 3
    return y, row.sum()


def through_reshape(x):
    y = np.zeros(12)
    grid = y.reshape(3, 4)
    grid[1:, 1:3] = x[0]
    grid.reshape(-1)[-1] = 9
    y.reshape(2, 6)[:, 0] -= 1
    copied = grid.T.reshape(-1)
    copied[0] = 100
    return y, copied


def old_value_kept(x):
    before = x.copy()
    x[0] = 1
    x[1:] += before[:-1]
    return before, x


def old_value_read_later(x):
    y = x * 2
    z = y + 1
    y[0] = 0
    w = y * z
    y[1] = 0
    return w, y, z


def overlap(x):
    x[1:] = x[:-1]
    x[:-1] += x[1:]
    x[::2] = x[::-2] if x.shape[0] % 2 else x[-2::-2]
    return x


def swap(x, y):
    t = x.copy()
    x[...] = y
    y[:] = t


def out_arguments(x, y):
    z = np.empty_like(x)
    np.add(x, y, out=z)
    np.multiply(z, 2, out=z)
    np.sqrt(np.abs(z), z)
    np.subtract(z, 1, out=x, where=y > 0)
    return z


def masked(x, y):
    x[x > 0] = 1
    x[y > 0] += 2
    y[y < 0] = np.abs(y[y < 0]) * 0.5
    z = np.where(x > 1, x, y)
    z[np.isnan(z) | (z > 2)] = 0
    return z


def gathers(x, y):
    index = np.array([0, 2, 2])
    x[index] = 4
    x[[1, -1]] += y[:2]
    np.add.at(y, index, 1.0)
    return x[index], y[::2][np.array([0, 1])]


def loops(x):
    for k in range(3):
        x[k] = x[k - 1] + k
    for row in x.reshape(1, -1):
        row += 1
    return x


def returned_twice(x):
    y = x + 1
    z = y[1:]
    y[1] = 0
    return y, z, y


def chained(x):
    a = b = np.zeros(x.shape[0])
    a += x
    b[0] = 3
    return a, b


def scalar_is_no_array(x):
    total = x.sum()
    before = total
    total += 1
    return total - before, x


def copyto_and_fill(x, y):
    np.copyto(x, y * 2)
    z = np.ones(3)
    z.fill(7)
    y.sort()
    return z


def stencil(a, b):
    for _ in range(2):
        b[1:-1] = (a[:-2] + a[1:-1] + a[2:]) / 3
        a[1:-1] = (b[:-2] + b[1:-1] + b[2:]) / 3


def into_integers(x):
    n = np.zeros(x.shape[0], dtype=np.int32)
    n[:] = x * 10
    n[0] = 2.9
    n //= 3
    return n


def empty_region(x):
    x[2:2] = 5
    x[:0] += 1
    return x


def broadcast_value(x):
    y = np.zeros((3, x.shape[0]))
    y[:] = x
    y[1:] = x[None] * 2
    y[:, 1:2] = np.arange(3.0)[:, None]
    y[0, ...] = x.reshape(1, -1)
    return y


def reads_an_element_after_a_write(x):
    x += x
    first = x[0]
    x += first
    return x


def reversed_onto_itself(x):
    backwards = np.flip(x)
    x += x
    backwards[...] = x
    return x


def new_array_of_what_was_written(x):
    x[...] = x * 2
    return x * 1, x


ONE = (reads_an_element_after_a_write, reversed_onto_itself, new_array_of_what_was_written,
       fill, argument, view_of_argument, through_views, through_reshape, old_value_kept,
       old_value_read_later, overlap, loops, returned_twice, chained, scalar_is_no_array,
       into_integers, empty_region, broadcast_value)  # fmt: skip
TWO = (swap, out_arguments, masked, gathers, copyto_and_fill, stencil)


@pytest.mark.parametrize("function", ONE + TWO, ids=lambda f: f.__name__)
def test_writes(function: Callable) -> None:
    rng = np.random.default_rng(3)
    arrays = rng.standard_normal((2, 7))
    agrees(function, *arrays[: 1 if function in ONE else 2])


def test_writes_are_in_place() -> None:
    """No copy of an array because a part of it is written."""
    text = agrees(stencil, np.arange(9.0), np.arange(9.0)).source(np.ones(9), np.ones(9))
    assert ".copy()" not in text and "array(" not in text.split("def program")[1]
    assert "empty(" not in text.split("def program")[1]


def test_a_write_that_reads_its_neighbours_takes_a_detour() -> None:
    def function(x):
        x[1:-1] = 0.5 * (x[:-2] + x[2:])
        return x

    text = agrees(function, np.arange(9.0)).source(np.ones(9))
    assert "empty((s0 - 2,)" in text.split("def program")[1]


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed"])
def test_arguments_of_any_layout_are_written(layout: str) -> None:
    base = np.arange(48.0).reshape(6, 8)
    x = {"fortran": np.asfortranarray(base), "strided": base[::2, 1::3], "reversed": base[::-1]}

    def function(x):
        x[1:] -= x[0]
        x[:, 0] = 1
        return x.T

    compiled = jitgraph.compile(function, strict=True)
    mine, numpys = x[layout].copy(order="K"), x[layout].copy(order="K")
    assert_same(compiled(mine), function(numpys))
    assert_same(mine, numpys)


def test_read_only_and_overlapping_arguments_are_numpys_affair() -> None:
    f = jitgraph.compile(lambda x, y: np.add(x, 1, out=y))
    x = np.arange(5.0)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        f(np.ones(5), x)
    y = np.arange(6.0)
    f(y[:-1], y[1:])
    np.testing.assert_array_equal(y, [0, 1, 2, 3, 4, 5])
    assert f.cache_info().fallbacks == 2


def test_a_write_that_numpy_refuses() -> None:
    def assign(x):
        x[1:] = np.ones(9)

    def integers(n):
        n += 0.5

    def repeated(x):
        np.broadcast_to(x, (2, x.shape[0]))[0] = 1

    for function, argument, kind, message in (
        (assign, np.ones(4), ValueError, "could not broadcast"),
        (integers, np.ones(4, int), TypeError, "cannot cast"),
        (repeated, np.ones(4), ValueError, "read-only"),
    ):
        before = argument.copy()
        with pytest.raises(kind, match=message):
            jitgraph.compile(function)(argument)
        np.testing.assert_array_equal(argument, before)


def test_an_array_of_the_surroundings_is_written_at_every_call() -> None:
    count = np.zeros(2)

    @jitgraph.compile(strict=True)
    def f(x):
        count[0] += 1
        return x * count[0]

    assert [f(np.ones(1))[0] for _ in range(3)] == [1, 2, 3]
    assert count[0] == 3


def test_a_tensor_of_the_surroundings_is_written_at_every_call() -> None:
    a, one = jitgraph.Tensor(np.array([1, 3, 2], "f4")), np.ones(3, "f4")

    @jitgraph.compile(strict=True)
    def f(x):
        y = a * x
        a[0] = 5
        return y

    for _ in range(5):
        a.data[0] = 1
        assert f(one).tolist() == [1, 3, 2] and a.tolist() == [5, 3, 2]
