"""Derivatives of loops and branches of a program: loops and branches themselves."""

import functools

import numpy as np
import pytest

import jitgraph
from jitgraph import grad, jvp, value_and_grad
from jitgraph.graph import everywhere
from jitgraph.ops.control import COND, LOOP

X = np.linspace(0.1, 1.0, 5)


def decaying(x):
    rate = x * 0.5
    for _ in range(20):
        x = x + 0.1 * np.sin(x * rate)
    return (x**2).sum()


def in_place(x):
    u = np.zeros(5)
    u[:] = x
    for _ in range(12):
        u[1:-1] = u[1:-1] + 0.2 * (u[2:] - 2 * u[1:-1] + u[:-2]) * x[2]
    return (u * np.arange(5)).sum()


def nested(x):
    for k in range(10):
        for _ in range(11):
            x = x + 0.01 * np.cos(x) * x[::-1]
        y = x * k
    return (y * x).sum()


def with_a_clock(x):
    time = 0.0
    for _ in range(15):
        x = x * (1 - 0.1 * time) + time
        time = time + 0.1
    return x.sum()


def rows(x):
    out = np.zeros((90, 5))
    out[0] = x
    for i in range(1, 90):
        out[i] = out[i - 1] * 0.9 + np.sin(x * i)
    return (out**2).sum()


def many_steps(x):
    time = 0.0
    for k in range(131):
        y = x * 0.9 + k * 0.01
        x = x * (1 - 0.001 * time) + y * 0.1
        time = time + 0.1
    return (x * y).sum()


def heat(x):
    u = np.zeros(50)
    u[20:30] = x[0]
    u[5] = x[1]
    for _ in range(1000):
        u[1:-1] = u[1:-1] + 0.2 * x[2] * (u[2:] - 2 * u[1:-1] + u[:-2])
    return (u**2).sum()


def branching(x):
    y = np.exp(x * x[0]) if x.sum() > 1 else x**3
    if x[0] > 0.05:
        y = y * x
        y[1] = 2 * x[2]
    return (y * x).sum()


def with_a_branch_in_a_loop(x):
    for k in range(14):
        if k % 3 == 0:
            x = x * x[::-1] + 0.5
        else:
            x = np.tanh(x) + 0.1
    return x.sum()


LOOPS = (decaying, in_place, nested, with_a_clock, rows, many_steps, heat, with_a_branch_in_a_loop)
FUNCTIONS = (*LOOPS, branching)


def differences(function, x) -> np.ndarray:
    step = 1e-6 * np.eye(len(x))
    return np.array([(function(x + e) - function(x - e)) / 2e-6 for e in step])


def nodes_of(compiled, op, *args) -> int:
    return sum(n.op is op for n in everywhere(compiled.graph(*args).nodes))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_gradients(function) -> None:
    compiled = jitgraph.compile(grad(function), strict=True)
    for x in (X, X * 0.3, X):
        np.testing.assert_allclose(compiled(x), differences(function, x), rtol=1e-6, atol=1e-8)
    assert nodes_of(compiled, LOOP if function in LOOPS else COND, X) >= 2
    assert compiled.cache_info().captures == 1


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_tangents(function) -> None:
    compiled = jitgraph.compile(lambda x, t: jvp(function, (x,), (t,)), strict=True)
    value, tangent = compiled(X, np.arange(5.0))
    assert value == pytest.approx(function(X), rel=1e-12)
    expected = (differences(function, X) * np.arange(5.0)).sum()
    assert tangent == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("function", [decaying, in_place, branching], ids=lambda f: f.__name__)
def test_second_derivatives(function) -> None:
    def slope(x):
        return (grad(function)(x) * np.arange(5.0)).sum()

    compiled = jitgraph.compile(grad(slope), strict=True)
    np.testing.assert_allclose(compiled(X), differences(slope, X), rtol=1e-5, atol=1e-7)


def test_the_loop_that_keeps_its_steps_takes_the_others_place() -> None:
    compiled = jitgraph.compile(value_and_grad(decaying), strict=True)
    value, _ = compiled(X)
    assert value == pytest.approx(decaying(X), rel=1e-12)
    assert nodes_of(compiled, LOOP, X) == 2


def test_a_thousand_steps_keep_some_sixty_states() -> None:
    text = jitgraph.compile(grad(heat), strict=True).explain(X)
    assert text.details["peak_bytes"] < 80 * 50 * 8


def test_any_moderate_number_of_steps_is_one_program() -> None:
    def steps(x, n):
        for _ in range(n):
            x = x + 0.1 * np.sin(x)
        return x.sum()

    compiled = jitgraph.compile(grad(steps), strict=True)
    for n in (12, 30, 19):
        expected = differences(lambda x, n=n: steps(x, n), X)
        np.testing.assert_allclose(compiled(X, n), expected, rtol=1e-7)
    assert compiled.cache_info().captures == 1


@pytest.mark.parametrize("function", [decaying, nested, many_steps], ids=lambda f: f.__name__)
def test_on_tensors_a_compiled_loop_goes_back_as_a_loop(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for x in (X, X * 0.3):
        leaf = jitgraph.Tensor(x, requires_grad=True)
        compiled(leaf).backward()
        np.testing.assert_allclose(leaf.grad.data, differences(function, x), rtol=1e-6)
    assert nodes_of(compiled, LOOP, leaf) >= 1


def test_on_tensors_a_compiled_branch_goes_back_as_a_branch() -> None:
    def function(x):
        y = np.exp(x * x[0]) if x.sum() > 1 else x**3
        return (y * x).sum()

    compiled = jitgraph.compile(function, strict=True)
    for x in (X, X * 0.3):
        leaf = jitgraph.Tensor(x, requires_grad=True)
        compiled(leaf).backward()
        np.testing.assert_allclose(leaf.grad.data, differences(function, x), rtol=1e-6)
    assert nodes_of(compiled, COND, leaf) == 1


def written_on_one_side(x):
    u = x * 1
    if x.sum() > 0:
        u[0] = u[1] * 3
    return (u**2).sum()


def each_side_another(x):
    u, v = x * 1, x * 2
    if x.sum() > 0:
        u[0] = u[1] * 3
    else:
        v[0] = u[0] ** 2
    return (u**2).sum() + (v * x).sum()


def some_steps_write(x):
    u = x * 1
    for k in range(12):
        if k % 3 == 1:
            continue
        u[1:] = u[:-1] * 0.5 + x[1:]
    return (u**2).sum()


def element_by_element(x):
    u = x.copy()
    for k in range(1, x.shape[0]):
        u[k] = np.sin(u[k - 1]) + 0.5 * u[k]
    return (u**2).sum()


def also_selected(x):
    """A branch reads all of what `where` reads a part of."""
    y = np.exp(x)
    positive = np.where(x > 0, y, 0.0).sum()
    z = y * 2 if x.sum() > 0 else y * 3
    return positive + z.sum()


@pytest.mark.parametrize(
    "function",
    [written_on_one_side, each_side_another, some_steps_write, element_by_element, also_selected],
)
def test_writes_on_some_ways_through_a_function(function) -> None:
    step = 1e-6
    for x in (np.array([0.5, 1.5, -0.7]), np.array([-0.5, -1.5, 0.7]), np.linspace(0.1, 1, 40)):
        found = grad(function)(x)
        for k in range(x.size):
            shift = np.zeros_like(x)
            shift[k] = step
            slope = (function(x + shift) - function(x - shift)) / (2 * step)
            assert found[k] == pytest.approx(slope, rel=1e-6, abs=1e-7)


def states(x):
    u = np.zeros(5)
    u[:] = x
    for _ in range(12):
        u[1:-1] = u[1:-1] + 0.2 * (u[2:] - 2 * u[1:-1] + u[:-2]) * x[2]
        u[0] *= 0.9
    return u * u


def chosen_and_written(x):
    u = x.copy()
    if x.sum() > 0:
        u[1:] *= x[:-1]
    else:
        u[:-1] += x[1:] ** 2
    return u


def directional(function, x, d, step=1e-6):
    return (function(x + step * d) - function(x - step * d)) / (2 * step)


@pytest.mark.parametrize("function", [states, chosen_and_written])
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_jacobians_of_what_is_written_in_place(function, mode: str) -> None:
    expected = np.stack([directional(function, X, e) for e in np.eye(5)], axis=1)
    jacobian = jitgraph.jacobian(function, mode=mode)
    for _ in range(3):
        np.testing.assert_allclose(jacobian(X), expected, atol=1e-8)


def test_what_is_kept_is_of_one_function() -> None:
    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def states(self, x):
            return states(x) * self.factor

    _, change = jvp(states, (X,), (X,))

    @functools.wraps(states)
    def negated(x):
        return -states(x)

    for factor, function in ((-1, negated), (2, Scaled(2).states), (3, Scaled(3).states)):
        for _ in range(2):
            np.testing.assert_allclose(jvp(function, (X,), (X,))[1], factor * change)


@pytest.mark.parametrize("function", [states, chosen_and_written])
def test_second_derivatives_of_what_is_written_in_place(function) -> None:
    def total(x):
        return (function(x) * np.arange(5)).sum()

    expected = np.stack([directional(grad(total), X, e) for e in np.eye(5)])
    np.testing.assert_allclose(jitgraph.hessian(total)(X), expected, atol=1e-7)
    d = np.cos(X)
    for _ in range(2):
        (found,) = jitgraph.hvp(total, (X,), (d,))
        np.testing.assert_allclose(found, expected @ d, atol=1e-7)
        value, change = jvp(function, (X,), (d,))
        np.testing.assert_allclose(value, function(X))
        np.testing.assert_allclose(change, directional(function, X, d), atol=1e-8)


def by_another_name(x):
    y = x * 2
    part = y[1:]
    part *= 3
    return y.sum() * y


def numbers_in_an_array(x):
    out = np.zeros(2)
    out[0], out[1] = x.sum(), x[0] * x[1]
    return out


def at_the_same_position(x):
    out = np.ones(4)
    out[[0, 0, 2]] = x[:3] ** 2
    out[[1, 1]] += x[3]
    return out


@pytest.mark.parametrize("function", [by_another_name, numbers_in_an_array, at_the_same_position])
def test_what_is_written_under_another_name_and_over(function) -> None:
    expected = np.stack([directional(function, X, e) for e in np.eye(5)], axis=1)
    for mode in ("reverse", "forward"):
        np.testing.assert_allclose(jitgraph.jacobian(function, mode=mode)(X), expected, atol=1e-7)
    for called in (function, jitgraph.compile(function)):
        value, change = jvp(called, (X,), (np.cos(X),))
        np.testing.assert_allclose(value, function(X))
        np.testing.assert_allclose(change, expected @ np.cos(X), atol=1e-7)


def test_a_change_in_place_that_no_graph_holds_is_refused_on_the_tape() -> None:
    def function(x):
        y = x * 2
        part = y[1:]
        part *= 3
        return y[: int(y[-1])].sum()  # a size that values decide

    with pytest.raises(jitgraph.GradientError, match="changed in place"):
        grad(function)(X)
