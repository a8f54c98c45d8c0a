"""Arrays that are filled and then written over: what is filled, and that the values are NumPy's."""

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import sizes_assumed
from support import check

X = np.arange(42.0).reshape(6, 7)


def framed(x):
    out = np.zeros_like(x)
    out[1:-1, 1:-1] = x[2:, 1:-1] - x[:-2, 1:-1]
    return out


def edges_last(x):
    out = np.empty_like(x)
    out[1:-1] = x[2:] + x[:-2]
    out[0], out[-1] = x[1], x[-2]
    return out


def edges_read_before(x):
    out = np.zeros_like(x)
    out[1:-1] = x[2:] + x[:-2]
    out[0] = out[-1] + 1
    return out


def copied(x):
    out = np.copy(x)
    out[1:-1] = x[2:] - x[:-2]
    return out


def argument_kept(x):
    out = np.ones((*x.shape, 4))
    out[1:-1, 1:-1, 1:-1] = x[1:-1, 1:-1, None]
    out[..., 0] = 7.0
    return out


def in_steps(x):
    out = np.zeros_like(x)
    out[::2] = x[::2] * 2
    return out


def overlapping(x):
    out = np.full_like(x, 3.0)
    out[:4] = x[:4] * 2
    out[2:] = x[2:] * 5
    return out


def two_readers(x):
    out = np.zeros_like(x)
    total = out.sum()
    out[1:] = x[1:] * 2
    return out, total


PROGRAMS = (
    framed, edges_last, edges_read_before, copied, argument_kept, in_steps, overlapping, two_readers
)  # fmt: skip


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(6, 7), (3, 3), (5, 4)], ids=str)
def test_values_are_numpys(function, shape):
    check(function, np.random.default_rng(0).standard_normal(shape))


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_of_memory_that_was_used_before(function):
    """Recycled memory holds the numbers of earlier results."""
    compiled, x = jitgraph.compile(function), np.random.default_rng(0).standard_normal((600, 300))
    for factor in range(1, 6):
        np.testing.assert_array_equal(compiled(x * factor)[0], function(x * factor)[0])


def driver(function, *args) -> list[str]:
    """The driver's lines that fill, copy and write."""
    text = jitgraph.compile(function, strict=True).source(*args)
    lines = text[text.index("def program") :].splitlines()
    return [
        line.split("#")[0].strip() for line in lines
        if "empty(" in line or "full(" in line or "array(" in line or "] = " in line
    ]  # fmt: skip


def test_only_the_frame_is_filled():
    assert driver(framed, X) == [
        "t0 = empty((s0, s1), float64)",
        "t0[0:1, 0:s1] = t1",
        "t0[1:s0 - 1, 0:1] = t2",
        "t0[1:s0 - 1, s1 - 1:s1] = t3",
        "t0[s0 - 1:s0, 0:s1] = t4",
    ]


def test_nothing_is_filled_that_is_written_whole():
    assert driver(edges_last, X) == [
        "t0 = empty((s0, s1), float64)",
        "t0[0:1, 0:s1] = t3",
        "t0[s0 - 1:s0, 0:s1] = t6",
    ]


def test_the_kernel_stores_into_the_copy():
    assert driver(copied, X) == [
        "t0 = empty((s0, s1), float64)",
        "t0[0:1, 0:s1] = t1",
        "t0[s0 - 1:s0, 0:s1] = t2",
    ]


@pytest.mark.parametrize("function", [in_steps, two_readers], ids=lambda f: f.__name__)
def test_what_is_read_or_written_in_steps_is_filled_whole(function):
    assert any("full(" in line for line in driver(function, X))


def test_parts_whose_order_no_guard_tells_are_filled_whole():
    def function(x, y):
        out = np.zeros(x.shape[0] + y.shape[0])
        out[: x.shape[0]] = x
        out[y.shape[0] :] = x * 2
        return out

    check(function, np.ones(4), np.ones(9))
    assert any("full(" in line for line in driver(function, np.ones(4), np.ones(9)))


def test_in_a_loop_of_the_program():
    def function(x):
        for _ in range(20):
            y = np.zeros_like(x)
            y[1:-1] = 0.5 * (x[2:] + x[:-2])
            x = y
        return x

    check(function, np.arange(12.0))
    text = jitgraph.compile(function, strict=True).source(np.arange(12.0))
    assert "for u" in text
    assert "full(" not in text


def test_sizes_follow_from_guards_of_others():
    text = jitgraph.compile(framed, strict=True).graph(X)
    sizes = sizes_assumed(text.guards)
    rows = text.inputs[0].spec.shape[0]
    assert sizes.at_least(rows, 3)
    assert not sizes.at_least(rows, 4)
