"""Elements at positions from arrays, computed in the kernels that use them."""

import numpy as np
import pytest

import jitgraph
from support import check

ROWS, COLUMNS = 6, 9


def table(rng):
    return rng.standard_normal((ROWS, COLUMNS))


def rows(x, k):
    return x[k] * 2


def columns(x, k):
    return x[:, k] + x[:, :1]


def pairs(x, k):
    return np.exp(x[k, k]) - 1


def in_front(x, k):
    return (x[None][:, k, :, None] * 3).sum(axis=-1)


def apart(x, k):
    y = np.broadcast_to(x[:, None], (x.shape[0], 4, x.shape[1]))
    return y[k, 1:, k] - 0.5


def matrix_of_positions(x, k):
    return (x[np.stack([k, k[::-1]])] * x[0]).sum(axis=1)


def computed_positions(x, k):
    return x[(k + 1) % x.shape[0]] * x[k // 2]


def of_what_is_computed(x, k):
    return (x * x + 1)[k].sum(axis=1)


def positions_of_extremes(x, k):
    return x[np.arange(x.shape[0]), x.argmax(axis=1)] - x.max(axis=1)


def chosen_logits(x, k):
    top = x.max(axis=1, keepdims=True)
    total = np.log(np.exp(x - top).sum(axis=1)) + top[:, 0]
    return (total - x[np.arange(x.shape[0]), np.resize(k, x.shape[0])]).mean()


def taken(x, k):
    return np.take(x, k, axis=1).sum(axis=0) + np.take(x, k).sum()


def along_axis(x, k):
    order = np.argsort(x, axis=1)
    return np.take_along_axis(x, order, axis=1) * 2


def whole_sum(x, k):
    return (x[k] ** 2).sum()


def positions_of_positions(x, k):
    return x[k[k[:3] // 2]] / 2


def gathered_twice(x, k):
    y = x[k] * x[:5]
    return y[k % 5] * x[:5], y


def read_before_written(x, k):
    y = x * 2
    z = y[k]
    y[0] = -1.0
    return y, z + 1


def two_readers(x, k):
    z = x[k]
    return z.sum(axis=0), z * 2, z


FUNCTIONS = [
    rows, columns, pairs, in_front, apart, matrix_of_positions, computed_positions,
    of_what_is_computed, positions_of_extremes, chosen_logits, taken, along_axis, whole_sum,
    positions_of_positions, gathered_twice, read_before_written, two_readers,
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "uint64"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_against_numpy(function, dtype: str, rng) -> None:
    signed = not dtype.startswith("u")
    k = rng.integers(-ROWS if signed and function is not computed_positions else 0, ROWS, 5)
    check(function, table(rng), k.astype(dtype), ulps=64, atol=1e-12)


def test_several_are_one_kernel(rng) -> None:
    def interpolated(grid, at):
        left = np.floor(at).astype(np.int64)
        part = at - left
        return grid[left] * (1 - part) + grid[left + 1] * part

    compiled = jitgraph.compile(interpolated, strict=True)
    grid, at = rng.standard_normal(100), rng.random(1000) * 98
    told = compiled.explain(grid, at)
    assert [step["kind"] for step in told.details["steps"]] == ["kernel"]
    np.testing.assert_allclose(compiled(grid, at), interpolated(grid, at), rtol=1e-12)


@pytest.mark.parametrize("calls", [1, 5])
@pytest.mark.parametrize(
    ("function", "position"), [(rows, ROWS), (columns, -COLUMNS - 1), (whole_sum, 99), (taken, 50)]
)
def test_a_position_outside_is_numpys_error(function, position: int, calls: int, rng) -> None:
    x, k = table(rng), np.array([0, 1, 2])
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(calls):
        compiled(x, k)
    with pytest.raises(IndexError) as expected:
        function(x, np.array([0, position, 1]))
    for _ in range(3):
        with pytest.raises(IndexError) as raised:
            compiled(x, np.array([0, position, 1]))
        assert str(raised.value) == str(expected.value)
    np.testing.assert_allclose(compiled(x, k), function(x, k), rtol=1e-12)


def test_an_axis_of_one_element_has_one_position() -> None:
    compiled = jitgraph.compile(rows, strict=True)
    x = np.ones((1, 3))
    np.testing.assert_array_equal(compiled(x, np.array([0, -1])), 2 * np.ones((2, 3)))
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 1"):
        compiled(x, np.array([0, 1]))


def test_large_gathers_are_shared_among_threads(rng) -> None:
    x, k = rng.standard_normal(1 << 20), rng.integers(0, 1 << 20, 1 << 20)
    compiled = jitgraph.compile(rows, strict=True)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(x, k), rows(x, k))
    k[-5] = 1 << 20
    with pytest.raises(IndexError):
        compiled(x, k)


def test_an_error_leaves_arguments_as_they_were(rng) -> None:
    def add_rows(x, k, y):
        y += 1.0
        y += x[k]

    x = table(rng)
    compiled = jitgraph.compile(add_rows)
    for _ in range(4):
        mine, numpys = np.zeros((3, COLUMNS)), np.zeros((3, COLUMNS))
        compiled(x, np.array([0, 1, 2]), mine)
        add_rows(x, np.array([0, 1, 2]), numpys)
        np.testing.assert_array_equal(mine, numpys)
    before = mine.copy()
    with pytest.raises(IndexError):
        compiled(x, np.array([0, 1, 77]), mine)
    np.testing.assert_array_equal(mine, before)


def test_gradients_go_through_gathers(rng) -> None:
    compiled = jitgraph.compile(of_what_is_computed, strict=True)
    x, k = table(rng), np.array([0, 3, 3])
    mine, tape = (jitgraph.Tensor(x, requires_grad=True) for _ in "ab")
    compiled(mine, k).sum().backward()
    of_what_is_computed(tape, k).sum().backward()
    np.testing.assert_allclose(mine.grad.data, tape.grad.data, rtol=1e-12)


@pytest.mark.parametrize("function", [
    lambda x, i: (x[:, i] ** 2).sum(axis=0),
    lambda x, i: x[:, i].reshape(-1) + 1,
    lambda x, i: x[:, i] @ x.T,
    lambda x, i: np.roll(x.T, 1, axis=0).reshape(-1) * 2,
    lambda x, i: np.take(x, i, axis=1).ravel() * 2,
])  # fmt: skip
def test_columns_that_numpy_gives_in_another_order_of_memory(function) -> None:
    x, i = np.arange(6.0).reshape(2, 3), np.array([2, 0, 1])
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(5):
        np.testing.assert_array_equal(compiled(x, i), function(x, i))
    t = jitgraph.tensor(x, requires_grad=True)
    if "T" not in function.__code__.co_names:
        compiled(t, i).sum().backward()
        want = jitgraph.tensor(x, requires_grad=True)
        function(want, i).sum().backward()
        np.testing.assert_array_equal(t.grad.data, want.grad.data)


def test_columns_that_are_written_to() -> None:
    def function(x, i):
        y = x[:, i]
        y[0] = 5
        y[:, 1] += 2
        return y

    x, i = np.arange(6.0).reshape(2, 3), np.array([2, 0, 1])
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(5):
        np.testing.assert_array_equal(compiled(x, i), function(x, i))
