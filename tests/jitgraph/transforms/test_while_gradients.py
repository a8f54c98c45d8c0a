"""Derivatives of loops whose number of steps is known when they have run."""

import numpy as np
import pytest

import jitgraph
from jitgraph import grad, jvp
from jitgraph.graph import everywhere
from jitgraph.ops.control import LOOP
from jitgraph.while_gradients import ROOM

X = np.linspace(0.1, 1.0, 5)


def until_large(x):
    while x.sum() < 30.0:
        x = x * 1.5
    return (x**2).sum()


def newton(x):
    """The cube root, where an iteration comes to rest."""
    y = x + 1
    while np.abs(y**3 - x).max() > 1e-12:
        y = y - (y**3 - x) / (3 * y**2)
    return (y * np.arange(5)).sum()


def in_place(x):
    u = np.zeros(5)
    u[:] = x
    steps = 0
    while u.max() > 0.3:
        u[1:-1] += 0.2 * (u[2:] - 2 * u[1:-1] + u[:-2]) * x[2]
        u *= 0.995
        steps += 1
    return (u * np.arange(5)).sum() + steps


def with_a_break(x):
    y = x * 1
    for _ in range(200):
        new = y - 0.1 * (y**3 - x)
        if np.abs(new - y).max() < 1e-4:
            break
        y = new
    return (y * np.arange(5)).sum()


def with_the_number_of_the_step(x):
    y = x * 1
    for k in range(200):
        y = y * 0.9 + 0.01 * k * x
        if y.sum() > 5:
            break
    return (y**2).sum()


def rows(x):
    out = np.zeros((90, 5))
    out[0] = x
    for i in range(1, 90):
        out[i] = out[i - 1] * 0.9 + np.sin(x * i)
        out[i, 1:-1] *= x[2]
        if out[i].sum() < -1:
            break
    return (out**2).sum()


def windows(x):
    total = x * 0
    for k in range(3):
        total = total + 0.1
        for j in range(3):
            total[j : j + 2] += x[j : j + 2] ** 2 * k
            if total.max() > 1.5:
                break
    return (total * np.arange(5)).sum()


def one_in_another(x):
    total = x * 0
    for k in range(12):
        y = x + 0.1 * k
        while np.abs(y).max() > 0.2:
            y = np.sin(y) * 0.9
        total = total + y * x
    return (total**2).sum()


def bound_in_the_last_step(x):
    y = x * 1
    while y.max() < 9:
        change = y * x[::-1] + 0.1
        y = y + change
    return (y * change).sum()


def with_an_assertion(x):
    y = x * 1
    while y.max() < 9:
        y = y * 1.3 + 0.01
        assert y.min() > 0, "negative"
    return (y**2).sum()


FUNCTIONS = (
    until_large, newton, in_place, with_a_break, with_the_number_of_the_step, rows,
    windows, one_in_another, bound_in_the_last_step, with_an_assertion,
)  # fmt: skip
EVERY = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def differences(function, x) -> np.ndarray:
    step = 1e-6 * np.eye(len(x))
    return np.array([(function(x + e) - function(x - e)) / 2e-6 for e in step])


@EVERY
def test_gradients(function) -> None:
    compiled = jitgraph.compile(grad(function), strict=True)
    for x in (X, X * 0.7, X, X):
        np.testing.assert_allclose(compiled(x), differences(function, x), rtol=1e-5, atol=1e-7)
    assert compiled.cache_info().captures == 1
    assert any(n.op is LOOP and "test" in n.attrs for n in everywhere(compiled.graph(X).nodes))


@EVERY
def test_tangents(function) -> None:
    compiled = jitgraph.compile(lambda x, t: jvp(function, (x,), (t,)), strict=True)
    value, tangent = compiled(X, np.arange(5.0))
    assert value == pytest.approx(function(X), rel=1e-12)
    expected = (differences(function, X) * np.arange(5.0)).sum()
    assert tangent == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("function", [until_large, in_place], ids=lambda f: f.__name__)
def test_second_derivatives(function) -> None:
    def slope(x):
        return (grad(function)(x) * np.arange(5.0)).sum()

    compiled = jitgraph.compile(grad(slope), strict=True)
    np.testing.assert_allclose(compiled(X), differences(slope, X), rtol=1e-5, atol=1e-6)


def heat(x):
    u, time = np.zeros(5), 0.0
    u[:] = x
    while time < 1.0:
        u[1:-1] += 0.2 * x[2] * (u[2:] - 2 * u[1:-1] + u[:-2])
        time += 0.001
    return (u**2).sum()


def test_a_simulation_of_a_thousand_steps_that_a_number_of_pythons_ends() -> None:
    compiled = jitgraph.compile(grad(heat), strict=True)
    np.testing.assert_allclose(compiled(X), differences(heat, X), rtol=1e-6, atol=1e-8)


def flow(x, steps):
    time = x[0] * 0
    while time < steps:
        x = x + np.cos(x) * x[::-1] / (steps + 1.0)
        time = time + 1
    return (x**2).sum()


def test_any_number_of_steps_is_one_program() -> None:
    """None, as many as there is room for, and so many that strides double several times."""
    compiled = jitgraph.compile(grad(flow), strict=True)
    for steps in (0, 1, 2, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM + 1, 1000, ROOM**2, ROOM**2 + 1):
        leaf = jitgraph.Tensor(X, requires_grad=True)
        flow(leaf, np.float64(steps)).backward()
        found = compiled(X, np.float64(steps))
        np.testing.assert_allclose(found, leaf.grad.data, rtol=1e-9)
    assert compiled.cache_info().captures == 1


def test_ten_thousand_steps_keep_two_times_the_room() -> None:
    state = np.linspace(0, 1, 1000)
    text = jitgraph.compile(grad(flow), strict=True).explain(state, np.float64(10000))
    assert text.details["peak_bytes"] < (2 * ROOM + 20) * state.nbytes


def test_on_tensors_a_compiled_loop_goes_back_as_a_loop() -> None:
    compiled = jitgraph.compile(until_large, strict=True)
    for x in (X, X * 0.3):
        leaf = jitgraph.Tensor(x, requires_grad=True)
        compiled(leaf).backward()
        np.testing.assert_allclose(leaf.grad.data, differences(until_large, x), rtol=1e-6)


def test_an_assertion_in_a_step_still_holds() -> None:
    compiled = jitgraph.compile(grad(with_an_assertion))
    compiled(X)
    with pytest.raises(AssertionError, match="negative"):
        compiled(-X + 1e-3)


def test_a_use_of_the_number_of_the_step_that_has_no_gradient_says_so() -> None:
    def function(x):
        total = x[0] * 0
        for k in range(90):
            total = total + x[k, k] ** 2 * x[0]
            if total.sum() > 50:
                break
        return total.sum()

    with pytest.raises(jitgraph.GradientError, match="a variable of its own"):
        jitgraph.compile(grad(function), strict=True)(np.eye(100))
