"""Reductions of whole arrays, which are taken block by block: several blocks against NumPy."""

import numpy as np
import pytest

import jitgraph
from support import check


def columns(x):
    return x.sum(axis=0), np.exp(x).max(axis=0), x.min(axis=0)


def total(x):
    return x.sum()


def norm(x):
    return np.sqrt((x * x).sum())


def product_of_signs(x):
    return np.sign(x + 0.1).prod()


def first_largest(x):
    return np.argmax(x)


def first_smallest_of_an_expression(x):
    return np.argmin(np.abs(x - 0.25))


def first_true(x):
    return np.argmax(x > 2.5), np.any(x > 9.0), np.all(x < 9.0)


def largest_and_where(x):
    return x.max(), x.argmax(), x.min()


def elements_and_their_sum(x):
    y = 2 * x
    return y, y.sum(keepdims=True)


def position_and_what_it_is_of(x):
    y = x * x
    z = np.sin(x) * (y + 0.1)
    return z.argmax(), z, y, (y - 1).argmin(axis=None)


def angles(x):
    return np.sin(100 * x).sum()


def running_total(x):
    y = np.cumsum(x)
    return y, y[-1], (y * y).sum()


def kept_axes(x):
    return x.max(keepdims=True) - x.mean(keepdims=True)


FUNCTIONS = [total, norm, product_of_signs, first_largest, first_smallest_of_an_expression,
             first_true, largest_and_where, elements_and_their_sum,
             position_and_what_it_is_of, angles, kept_axes,
             running_total]  # fmt: skip
SHAPES = [(7,), (16384,), (50001,), (3, 20000), (20000, 3), (30, 40, 50), (40000, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_whole_arrays(function, shape) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    for array in (x, np.asfortranarray(x)[..., ::-1]):
        check(function, array, ulps=1e4, atol=1e-9)


def columns_and_elements(x):
    y = x * 2
    return y, y.mean(axis=0, keepdims=True), (y * y).sum(axis=(0, 1)) if x.ndim > 2 else y[0]


@pytest.mark.parametrize("shape", [(1, 5), (63, 4), (700, 5), (70000, 3), (300, 7, 4), (5000, 40)])
@pytest.mark.parametrize("function", [columns, columns_and_elements], ids=lambda f: f.__name__)
def test_columns_of_many_rows(function, shape) -> None:
    check(function, np.random.default_rng(0).standard_normal(shape), ulps=1e4, atol=1e-9)


def test_precise_columns() -> None:
    x = np.full((70000, 3), 0.1, np.float32)
    for axis, array in ((0, x), (1, x.reshape(2, 35000, 3))):
        got = jitgraph.compile(lambda x, axis=axis: x.sum(axis=axis), precise=True)(array)
        exact = array.sum(axis=axis, dtype=np.float64)
        np.testing.assert_array_equal(got, exact.astype(np.float32))


def test_the_first_nan_wins() -> None:
    x = np.zeros(60000, np.float32)
    x[[40000, 41000, 55000]] = np.nan
    x[100] = 1.0
    assert jitgraph.compile(first_largest)(x) == 40000
    assert np.isnan(jitgraph.compile(total)(x))


def test_ties_go_to_the_first() -> None:
    x = np.zeros(60000, np.int32)
    x[[20000, 20001, 55000]] = 3
    assert jitgraph.compile(first_largest)(x) == 20000


@pytest.mark.parametrize("function", [total, norm, angles, columns], ids=lambda f: f.__name__)
def test_a_sum_does_not_depend_on_the_number_of_threads(function) -> None:
    x = np.random.default_rng(1).standard_normal((1 << 13, 128)).astype(np.float32)
    compiled = jitgraph.compile(function)
    before = jitgraph.get_num_threads()
    try:
        found = set()
        for threads in (1, 2, 3):
            jitgraph.set_num_threads(threads)
            found |= {np.asarray(compiled(x)).tobytes() for _ in range(3)}
        assert len(found) == 1
    finally:
        jitgraph.set_num_threads(before)


def test_blocks_make_the_errors_of_sums_small() -> None:
    x = np.random.default_rng(2).random(1 << 22, dtype=np.float32)
    exact = x.sum(dtype=np.float64)
    assert abs(jitgraph.compile(total)(x) - exact) < 4 * abs(x.sum() - exact) + 1e-6 * exact


OF_EXTREMES = {
    "exp of the largest": lambda x: np.exp(x.max()),
    "its square": lambda x: x.max() ** 2,
    "the range squared": lambda x: (x.max() - x.min()) ** 2,
    "its inverse": lambda x: 1 / x.min(),
    "how often it occurs": lambda x: x.max() ** 2 / (x == x.max()).astype(float).sum(),
}


@pytest.mark.parametrize("size", [4, 50_000])
@pytest.mark.parametrize("name", OF_EXTREMES)
def test_a_second_pass_over_all_elements_that_seeks_no_position(name: str, size: int) -> None:
    function = OF_EXTREMES[name]
    x = np.linspace(0.5, 1.5, size)[np.random.default_rng(0).permutation(size)]
    x[[1, size // 2, size - 1]] = 2.0  # in several blocks
    assert jitgraph.compile(function, strict=True)(x) == pytest.approx(function(x))
    if name != "how often it occurs":
        leaf = jitgraph.Tensor(x, requires_grad=True)
        function(leaf).backward()
        found = jitgraph.compile(jitgraph.grad(function), strict=True)(x)
        np.testing.assert_allclose(found, leaf.grad.data, rtol=1e-12)


def test_the_second_derivative_of_a_sum_that_a_comparison_is_a_part_of() -> None:
    x = np.array([0.9, 0.4, 0.3, 0.45])
    found = jitgraph.compile(
        jitgraph.hessian(lambda x: np.maximum(x, 0.35).sum() ** 2), strict=True
    )(x)
    above = (x > 0.35).astype(float)
    np.testing.assert_allclose(found, 2 * np.outer(above, above))


ANGLES = {
    "of a sum": lambda x: np.sin(x.sum()),
    "of a mean, spread": lambda x: (np.cos(x.mean()) * x, x.mean()),
    "of an extreme and of all elements": lambda x: np.sin(x.max()) + np.cos(x).sum(),
}


@pytest.mark.parametrize("name", ANGLES)
def test_angles_that_blocks_are_reduced_to(name: str) -> None:
    for x in (np.linspace(0, 1, 70_000), np.full(70_000, 1e5), np.ones(7)):  # moderate and large
        check(ANGLES[name], x, atol=1e-6)
