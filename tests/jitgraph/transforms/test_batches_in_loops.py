"""Loops and branches of functions on batches: loops and branches of the program, as outside."""

import numpy as np
import pytest

import jitgraph
from jitgraph import grad, hessian, jacobian, vmap
from jitgraph.graph import everywhere
from jitgraph.ops.control import COND, LOOP

RNG = np.random.default_rng(0)
ROWS = RNG.random((4, 5))


def decaying(x):
    rate = x * 0.5
    for _ in range(20):
        x = x + 0.1 * np.sin(x * rate)
    return x


def a_number_that_becomes_a_batch(x):
    total = 0.0
    for k in range(20):
        total = total + x.sum() * k
    return total


def an_array_that_becomes_a_batch(x):
    total = np.arange(5.0)
    for _ in range(20):
        total = total * 0.9 + x
    return total


def in_place(x):
    u = np.zeros(5)
    u[:] = x
    for _ in range(12):
        u[1:-1] += 0.2 * (u[2:] - 2 * u[1:-1] + u[:-2]) * x[2]
    return u


def rows_of_an_array(x):
    total, rows = x * 0, np.outer(np.arange(12, dtype=x.dtype), x)
    for row in rows:
        total = total + np.sin(row)
    return total


def kept_numbers(x):
    out = np.zeros(30)
    for k in range(30):
        x = np.cos(x) * 1.1
        out[k] = x.sum()
    return out


def bound_in_the_last_step(x):
    for k in range(12):
        y = x * k
        x = x + y * 0.01
    return y


def with_a_branch(x):
    for k in range(14):
        if k % 3 == 0:
            x = x * x[::-1] + 0.5
        else:
            x = np.tanh(x) + 0.1
    return x


def left(x):
    total = x * 0
    for k in range(100):
        total = total + x
        if k > 20:
            break
    return total


def until_all_are_large(x):
    return jitgraph.while_loop(lambda v: v.sum() < 20, lambda v: v * 1.5, x)


def one_in_another(x):
    for k in range(10):
        for _ in range(11):
            x = x + 0.01 * np.cos(x) * x[::-1]
        y = x * k
    return y * x


FUNCTIONS = (
    decaying, a_number_that_becomes_a_batch, an_array_that_becomes_a_batch, in_place,
    rows_of_an_array,
    kept_numbers, bound_in_the_last_step, with_a_branch, left, until_all_are_large, one_in_another,
)  # fmt: skip
EVERY = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def nodes_of(compiled, op, *args) -> int:
    return sum(n.op is op for n in everywhere(compiled.graph(*args).nodes))


@EVERY
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_batch_is_its_elements(function, dtype) -> None:
    rows, eps = ROWS.astype(dtype), np.finfo(dtype).eps
    compiled = jitgraph.compile(vmap(function), strict=True)
    expected = np.stack([function(row) for row in rows])
    for _ in range(3):
        found = compiled(rows)
        np.testing.assert_allclose(found, expected, rtol=20 * eps, atol=20 * eps)
    assert found.dtype == expected.dtype
    assert nodes_of(compiled, LOOP, rows) >= 1
    assert compiled.cache_info().captures == 1


@EVERY
def test_gradients_of_each_element(function) -> None:
    def number(x):
        return (function(x) ** 2).sum()

    compiled = jitgraph.compile(vmap(grad(number)), strict=True)
    expected = np.stack([grad(number)(row) for row in ROWS])
    np.testing.assert_allclose(compiled(ROWS), expected, rtol=1e-12)
    assert nodes_of(compiled, LOOP, ROWS) >= 2


def test_a_branch_on_what_is_the_same_for_all() -> None:
    def function(x, scale):
        y = np.sin(x) * scale if scale.sum() > 0 else x * 2
        return y * x

    compiled = jitgraph.compile(vmap(function, (0, None)), strict=True)
    for scale in (np.ones(5), -np.ones(5)):
        expected = np.stack([function(row, scale) for row in ROWS])
        np.testing.assert_allclose(compiled(ROWS, scale), expected, rtol=1e-14)
    assert nodes_of(compiled, COND, ROWS, scale) == 1


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("function", [decaying, in_place, with_a_branch, until_all_are_large])
def test_jacobians_run_a_loop_once_for_all_elements(function, mode: str) -> None:
    compiled = jitgraph.compile(jacobian(function, mode=mode), strict=True)
    x, step = ROWS[0], 1e-6
    columns = [(function(x + step * e) - function(x - step * e)) / (2 * step) for e in np.eye(5)]
    np.testing.assert_allclose(compiled(x), np.stack(columns, axis=1), atol=1e-8)
    of_one = nodes_of(jitgraph.compile(grad(lambda x: function(x).sum())), LOOP, x)
    assert nodes_of(compiled, LOOP, x) < 5 * of_one


def test_a_jacobian_of_many_elements_through_a_loop() -> None:
    x = np.linspace(0, 1, 200)
    found = jitgraph.compile(jacobian(decaying), strict=True)(x)
    slopes = grad(lambda x: decaying(x).sum())(x)  # each element by itself
    np.testing.assert_allclose(found, np.diag(slopes), atol=1e-14)


def test_hessians_through_loops_for_each_element_of_a_batch() -> None:
    def number(x):
        return (in_place(x) * np.arange(5)).sum()

    compiled = jitgraph.compile(vmap(hessian(number)), strict=True)
    expected = np.stack([hessian(number)(row) for row in ROWS])
    np.testing.assert_allclose(compiled(ROWS), expected, atol=1e-13)
