"""Fusion: what becomes one kernel, what does not, and that `explain` says why."""

import numpy as np
import pytest

import jitgraph
from support import check


def steps(function, *args) -> list[str]:
    """The program's steps: "kernel", or the name of the library call."""
    text = jitgraph.compile(function, strict=True).explain(*args)
    lines = [line.split() for line in text.splitlines()]
    return ["kernel" if w[0] == "kernel" else w[1] for w in lines if w[0] in ("kernel", "NumPy")]


X = np.ones((6, 5), "f4")
W = np.ones((5, 4), "f4")
SQUARE = np.ones((5, 5), "f4")


def standardise(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


ONE_KERNEL = {
    "elementwise": lambda x: np.tanh(x * 2) + np.where(x > 0, x, 0) ** 2,
    "broadcast": lambda x: x + x[0] * 2 + x[:, :1],
    "stencil": lambda x: x[1:-1] * 2 - x[:-2] - x[2:],
    "stencil_of_a_computed_value": lambda x: (x * 2)[1:] - (x * 2)[:-1],
    "transposed": lambda x: np.exp(x.T * 2 + 1).T + x,
    "softmax": lambda x: jitgraph.softmax(x),
    "layernorm": lambda x: (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True),
    "two_reductions": lambda x: x.max(axis=1) - x.min(axis=1),
    "two_outputs": lambda x: (lambda h: (h, h.sum(axis=1)))(np.exp(x)),
    "row_then_elements": lambda x: (x * x).sum(axis=1) ** 0.5 + 1,
}


@pytest.mark.parametrize("name", ONE_KERNEL)
def test_one_kernel(name: str) -> None:
    assert steps(ONE_KERNEL[name], X) == ["kernel"]


def test_sums_of_columns_add_up_rows() -> None:
    """The loop that runs through memory is the inner one; what uses the sums is another kernel."""
    f = jitgraph.compile(lambda x: (x * x).sum(axis=0) / 2, strict=True)
    text = f.source(X)
    assert steps(f._function, X) == ["kernel", "kernel"]
    assert "for i in range(n1):\n                t2 = x[j, i]\n" in text
    np.testing.assert_allclose(f(X), f._function(X))
    np.testing.assert_allclose(jitgraph.compile(standardise)(POINTS), standardise(POINTS))
    for axis in (0, 1, (0, 1), (0, 2)):
        cube = np.arange(24.0).reshape(2, 3, 4)
        compiled = jitgraph.compile(lambda x, axis=axis: (x.sum(axis=axis), x.min(axis=axis)))
        for got, want in zip(
            compiled(cube), (cube.sum(axis=axis), cube.min(axis=axis)), strict=True
        ):
            np.testing.assert_array_equal(got, want)


def test_library_calls_split_kernels() -> None:
    assert steps(lambda x, w: np.tanh(x * 2) @ w + 1, X, W) == ["kernel", "matmul", "kernel"]
    assert steps(lambda x, w: (x @ w).sum(), X, W) == ["matmul", "kernel"]


def test_a_whole_reduction_ends_its_kernel() -> None:
    """Dividing by a total would have to run after it on one thread."""
    assert steps(lambda x: x / x.sum(), X) == ["kernel", "kernel"]


def test_refusals_are_explained() -> None:
    text = jitgraph.compile(lambda x: x.sum(axis=0) / (x * 2).sum(), strict=True).explain(X)
    assert "not fused: " in text and "test_fuse.py" in text


def test_no_step_between_members_of_a_kernel_depends_on_it() -> None:
    """a -> matmul -> b with a -> b must not become one kernel of a and b."""

    def function(x):
        a = x * 2
        return a + a @ SQUARE

    assert steps(function, X) == ["kernel", "matmul", "kernel"]
    np.testing.assert_allclose(jitgraph.compile(function)(X), function(X))


POINTS, CENTERS = np.random.default_rng(0).standard_normal((2, 7, 3))


def squared_distances(x, c):
    d = x[:, None, :] - c[None, :, :]
    return (d * d).sum(axis=2)


def standardised(x, c):
    d = x[:, None, :] * c[None, :, :]
    d = (d - d.mean(axis=2, keepdims=True)) / (1 + d.var(axis=2, keepdims=True))
    return d.max(axis=2)


NESTED = {
    "nearest": lambda x, c: squared_distances(x, c).argmin(axis=1),
    "nearest_and_its_distance": lambda x, c: (lambda d: (d.argmin(axis=1), d.min(axis=1) ** 0.5))(
        squared_distances(x, c)
    ),
    "potential": lambda x, c: (1 / np.sqrt(squared_distances(x, c) + 1)).sum(axis=1),
    "statistics_first": lambda x, c: standardised(x, c).sum(axis=1),
    "distances_too": lambda x, c: (lambda d: (d, d.sum(axis=1) * 2))(squared_distances(x, c)),
}


@pytest.mark.parametrize("name", NESTED)
def test_reductions_of_reductions_are_one_kernel(name: str) -> None:
    """The large array between them never exists."""
    function = NESTED[name]
    assert steps(function, POINTS, CENTERS) == ["kernel"]
    got = jitgraph.compile(function)(POINTS, CENTERS)
    expected = function(POINTS, CENTERS)
    many = isinstance(expected, tuple)
    for g, e in zip(got if many else [got], expected if many else [expected], strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-13)


def test_nested_reductions_are_not_made_twice() -> None:
    """A softmax over centres would need the distances in three passes: they are kept instead."""
    assert len(steps(lambda x, c: jitgraph.softmax(squared_distances(x, c)), POINTS, CENTERS)) == 2
    whole = steps(lambda x, c: squared_distances(x, c).sum(), POINTS, CENTERS)
    assert whole == ["kernel", "kernel"]  # rows in parallel, then their sum


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.T * 2,
        lambda x: np.exp(x[None].transpose(2, 0, 1)),
        lambda x: x[:3].T + x[-1, 0],
        lambda x: np.sin(x.T) + np.arange(x.shape[0]),
        lambda x: x @ x.T + (x @ x.T).T * np.arange(x.shape[0]),
    ],
)
def test_arrays_read_across_their_rows_are_read_in_tiles(function, rng) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for shape in ((41, 40), (70, 65), (8, 64), (129, 3), (200, 200)):
        x = rng.standard_normal(shape)
        np.testing.assert_allclose(compiled(x), function(x), rtol=1e-13, atol=1e-13)
    if function(x).shape[-1] != 3:
        assert "scratch(128, 64, float64)" in compiled.source(x)


def test_more_axes_are_read_in_strips(rng: np.random.Generator) -> None:
    compiled = jitgraph.compile(lambda x: x.transpose(2, 1, 0) * 2, strict=True)
    for shape in ((41, 4, 40), (33, 2, 65)):
        x = rng.standard_normal(shape)
        np.testing.assert_array_equal(compiled(x), x.transpose(2, 1, 0) * 2)
    assert "strip * 32" in compiled.source(x)


def test_positions_of_extremes_in_two_loops(rng: np.random.Generator) -> None:
    f = jitgraph.compile(lambda x: (x.argmax(axis=1), (-x).argmin(axis=1), x.argmin()), strict=True)
    for x in (rng.standard_normal((5, 40)), rng.integers(0, 3, (4, 9)), np.full((2, 3), -np.inf)):
        x = x.astype("f8")
        x[1, -1] = np.nan
        for got, want in zip(f(x), f._function(x), strict=True):
            np.testing.assert_array_equal(got, want)


SIBLINGS = {
    "sums": (lambda x, y: ((x * y).sum(), (x - y).max()), 1),
    "elements": (lambda x, y: (x + y, x - y, np.exp(x)), 1),
    "rows": (lambda x, y: (x.sum(axis=1), np.exp(y + x), x.std(axis=1)), 1),
    "extremes": (lambda x, y: (x.min(), x.argmax(), x * 2), 1),
    "other axes": (lambda x, y: (x.sum(axis=1), x.max(axis=0)), 2),
    "one needs the other": (lambda x, y: (x.sum(), np.sort(x, axis=0) * x.sum()), 2),
    "axes of one": (lambda x, y: (x[:, :1].sum(axis=1), x[:, :1].max(axis=0)), 2),
}


@pytest.mark.parametrize("name", SIBLINGS)
def test_groups_that_read_the_same_elements_are_one(name: str, rng) -> None:
    function, kernels = SIBLINGS[name]
    x, y = rng.standard_normal((2, 30, 20))
    check(function, x, y, ulps=64)
    told = jitgraph.compile(function, strict=True).explain(x, y)
    assert sum(step["kind"] == "kernel" for step in told.details["steps"]) == kernels


def test_reductions_over_axes_of_one_element(rng) -> None:
    def spread(x):
        least = x.T.min(axis=0, keepdims=True)
        return least.sum(axis=0), x + least.std(axis=0), least, (least > 0).any(axis=0)

    check(spread, rng.standard_normal((7, 7)))
