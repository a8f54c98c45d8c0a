"""Python's `max` and `min` of traced numbers."""

import numpy as np
import pytest

import jitgraph


def of_numpys(x):
    return x / max(x.max(), -x.min()), min([x[0], x[1], x[2]])


def of_integers(x):
    k = x.astype(np.int64)
    return k - max(k[0], k[1]), min(k.max(), k.sum())


def of_both_in_a_loop(x):
    for _ in range(20):
        x = x / max(np.abs(x).sum(), 1e-12) + 0.1
        x = x * min((x > 0).sum(), 2)
    return x


def of_python_numbers(x, a, b):
    return x * max(a, b) + min(a, b, 1.0)


@pytest.mark.parametrize(
    ("function", "further"),
    [(of_numpys, ()), (of_integers, ()), (of_both_in_a_loop, ()), (of_python_numbers, (2.5, -1.5))],
)
def test_they_are_operations(function, further) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for values in ([1.0, 2.0, 3.0], [3.0, -7.0, 2.0], [2.0, 2.0, -2.0]):
        got, want = compiled(np.array(values), *further), function(np.array(values), *further)
        many = isinstance(want, tuple)
        for g, w in zip(got if many else [got], want if many else [want], strict=True):
            assert type(g) is type(w)
            np.testing.assert_allclose(g, w, rtol=1e-14)
    assert "in machine code" in compiled.explain(np.ones(3), *further)


def test_the_first_one_wins_where_nan_is_not_larger() -> None:
    compiled = jitgraph.compile(lambda x: (max(x[0], x[1]), max(x[1], x[0])), strict=True)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(np.array([np.nan, 1.0])), [np.nan, 1.0])


def that_shows_the_kind(x):
    for _ in range(20):
        x = x * (1.0 / max(x.sum(), 0.5))
    return x


def of_single_precision(x):
    x = x.astype(np.float32)
    for _ in range(20):
        x = x / max(x.sum(), 0.1)
    return x


@pytest.mark.parametrize("function", [that_shows_the_kind, of_single_precision])
def test_where_the_kind_of_number_matters_python_decides(function) -> None:
    compiled = jitgraph.compile(function)
    for values in ([1.0, 2.0], [-3.0, 1.0], [0.01, 0.02]):
        got, want = compiled(np.array(values)), function(np.array(values))
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-5)
    graph = jitgraph.compile(function, strict=True).graph(np.ones(2))
    assert "= loop(" not in str(graph)
