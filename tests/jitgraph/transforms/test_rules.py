"""Rules of one's own, constants, and what is computed again."""

import numpy as np
import pytest

import jitgraph
from jitgraph import (
    GradientError,
    Tensor,
    checkpoint,
    custom_vjp,
    grad,
    stop_gradient,
    vmap,
)
from jitgraph.graph import everywhere
from support import assert_same

X = np.linspace(0.1, 1.0, 5)


@custom_vjp
def doubled_slope(x, y):
    return np.sin(x) * y, x + y


doubled_slope.defvjp(
    lambda x, y: (doubled_slope(x, y), (x, y)),
    lambda known, g: (2 * np.cos(known[0]) * known[1] * g[0], None),
)


def loss(x):
    a, _ = doubled_slope(x, X * 3)
    return (a * x).sum()


EXPECTED = 2 * np.cos(X) * X * 3 * X + np.sin(X) * X * 3


def test_a_rule_of_ones_own() -> None:
    assert_same(doubled_slope(X, X)[0], np.sin(X) * X)
    np.testing.assert_allclose(grad(loss)(X), EXPECTED, rtol=1e-14)
    np.testing.assert_allclose(grad(loss)(Tensor(X)).data, EXPECTED, rtol=1e-14)
    compiled = jitgraph.compile(grad(loss), strict=True)
    np.testing.assert_allclose(compiled(X), EXPECTED, rtol=1e-14)
    leaf = Tensor(X, requires_grad=True)
    loss(leaf).backward()
    np.testing.assert_allclose(leaf.grad.data, EXPECTED, rtol=1e-14)


def test_a_rule_is_differentiated_itself() -> None:
    def twice(x):
        return grad(loss)(x).sum()

    by_rule = 2 * np.cos(X) * X * 3  # of `a`, where it stands by itself
    expected = -2 * np.sin(X) * X * 3 * X + 2 * np.cos(X) * X * 3 + by_rule
    np.testing.assert_allclose(grad(twice)(X), expected, rtol=1e-7)
    np.testing.assert_allclose(grad(twice)(Tensor(X)).data, expected, rtol=1e-7)


def test_a_rule_on_a_batch() -> None:
    batch = np.stack([X, X * 2, X * 3])
    found = vmap(grad(lambda x: doubled_slope(x, x)[0].sum()))(batch)
    np.testing.assert_allclose(found, 2 * np.cos(batch) * batch, rtol=1e-14)


def test_rules_that_are_none() -> None:
    @custom_vjp
    def without(x):
        return x

    with pytest.raises(GradientError, match="has no rule yet"):
        without(X)
    without.defvjp(lambda x: (x, None), lambda known, g: g)
    with pytest.raises(GradientError, match="a tuple of 1 cotangents"):
        grad(lambda x: without(x).sum())(Tensor(X))


def test_constants_for_derivatives() -> None:
    def function(x):
        return (x * stop_gradient({"s": np.sin(x)})["s"]).sum()

    assert_same(grad(function)(X), np.sin(X))
    assert_same(grad(function)(Tensor(X)).data, np.sin(X))
    assert_same(stop_gradient(X), X)


def block(x, w):
    return np.tanh(x * w), np.exp(x)


def through(step):
    def function(x, w):
        a, b = step(x, w)
        return (a * b).sum()

    return function


def test_what_is_computed_again_is_the_same() -> None:
    expected = grad(through(block), (0, 1))(X, X * 2)
    for args in ((X, X * 2), (Tensor(X), Tensor(X * 2))):
        found = grad(through(checkpoint(block)), (0, 1))(*args)
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(getattr(got, "data", got), want, rtol=1e-13)


def test_a_checkpoint_computes_again() -> None:
    calls = []

    @checkpoint
    def counted(x):
        calls.append(1)
        return np.exp(x)

    leaf = Tensor(X, requires_grad=True)
    result = counted(leaf).sum()
    assert len(calls) == 1
    result.backward()
    assert len(calls) == 2
    assert_same(leaf.grad.data, np.exp(X))
    kept, again = (
        jitgraph.compile(grad(lambda x, f=f: f(x).sum()), strict=True).graph(X)
        for f in (np.tanh, checkpoint(np.tanh))
    )
    count = [sum(n.op.name == "tanh" for n in everywhere(g.nodes)) for g in (kept, again)]
    assert count == [1, 1]  # the first result is not asked for


@custom_vjp
def tenfold(x):
    return x * 1.0


tenfold.defvjp(lambda x: (x * 1.0, None), lambda _, g: (g * 10.0,))


def in_a_branch(x):
    y = tenfold(x) if x.sum() > 0 else x * 2
    return y.sum()


def in_a_loop(x):
    for _ in range(12):
        x = tenfold(x)
    return x.sum()


@pytest.mark.parametrize(("function", "slope"), [(in_a_branch, 10), (in_a_loop, 1e12)])
def test_rules_hold_in_loops_and_branches(function, slope) -> None:
    assert_same(grad(function)(X), np.full(5, float(slope)))


def test_rules_hold_in_compiled_functions_of_tensors() -> None:
    leaf = Tensor(X, requires_grad=True)
    jitgraph.compile(lambda x: tenfold(x).sum())(leaf).backward()
    assert leaf.grad.tolist() == [10.0] * 5


def closing_over(x, w):
    return checkpoint(lambda x: np.sin(x * w))(x).sum()


def test_a_checkpoint_closes_over_what_has_a_gradient() -> None:
    expected = X * np.cos(X * (X + 1)), (X + 1) * np.cos(X * (X + 1))
    for args in ((X, X + 1), (Tensor(X), Tensor(X + 1))):
        found = grad(closing_over, (1, 0))(*args)
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(getattr(got, "data", got), want, rtol=1e-14)


def test_a_rule_does_not_close_over_what_has_a_gradient() -> None:
    def function(x, w):
        @custom_vjp
        def own(x):
            return x * w

        own.defvjp(lambda x: (x * w, None), lambda _, g: (g * w,))
        return own(x).sum()

    for args in ((X, X), (Tensor(X), Tensor(X))):
        assert_same(np.asarray(grad(function)(*args)), X)
        with pytest.raises(GradientError, match="no argument of it"):
            grad(function, (0, 1))(*args)
