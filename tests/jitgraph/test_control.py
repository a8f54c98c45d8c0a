"""Loops and branches as functions: the same in dynamic mode and compiled, there as one program."""

import numpy as np
import pytest

import jitgraph as jg
from jitgraph.tree import flatten

X = np.random.default_rng(0).standard_normal((40, 5))


def conditional(x):
    return jg.cond(x.sum() > 0, lambda v: v * 2, lambda v: v - 1, x)


def growing(x):
    return jg.while_loop(lambda s: s[0].max() < 100, lambda s: (s[0] * 1.5 + 1, s[1] + 1), (x, 0))


def counted(x):
    return jg.fori_loop(0, 50, lambda i, v: v * 0.9 + i, x)


def running(x):
    return jg.scan(lambda s, row: (s + row, {"p": s * row, "q": row.sum()}), np.zeros(5), x)


def of_a_length(x):
    return jg.scan(lambda s, _: (s * 0.5, s.max()), x, None, 20)


def by_rows(x):
    return jg.map(lambda row: row / np.abs(row).sum(), x)


@pytest.mark.parametrize(
    "function", [conditional, growing, counted, running, of_a_length, by_rows],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_compiled_as_in_dynamic_mode(function) -> None:
    compiled = jg.compile(function, strict=True)
    (want, expected), (got, kind) = flatten(function(X)), flatten(compiled(X))
    assert kind == expected
    for g, w in zip(got, want, strict=True):
        assert type(g) is type(w)
        np.testing.assert_allclose(g, w, rtol=1e-13)
    control = [node for node in compiled.graph(X).nodes if node.op.name in ("loop", "cond")]
    assert len(control) == 1


def test_scans_are_what_numpy_accumulates() -> None:
    total, sums = jg.scan(lambda s, row: (s + row, s + row), np.zeros(5), X)
    np.testing.assert_allclose(sums, np.cumsum(X, axis=0))
    np.testing.assert_allclose(total, X.sum(axis=0))


def test_gradients_go_through_scans() -> None:
    x = jg.tensor(X[:6], requires_grad=True)
    _, squares = jg.scan(lambda s, row: (s + row, s * row), jg.zeros(5), x)
    squares.sum().backward()
    wanted = X[:6].sum(axis=0) - X[:6]
    np.testing.assert_allclose(x.grad.numpy(), wanted)


@pytest.mark.parametrize(
    ("xs", "length", "message"),
    [
        ((X, X[:3]), None, "different lengths"), (X, 3, "different lengths"),
        (None, None, "needs a length"), (X[:0], None, "no step"),
    ],
)  # fmt: skip
def test_scans_need_one_length(xs, length, message) -> None:
    with pytest.raises(jg.ShapeError, match=message):
        jg.scan(lambda s, x: (s, s), 0.0, xs, length)
