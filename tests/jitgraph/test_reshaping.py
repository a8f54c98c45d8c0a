"""Reshapes of transposed arrays are copied by kernels, not by NumPy between them."""

import numpy as np
import pytest

import jitgraph
from support import assert_same

X = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
W = np.cos(np.arange(30.0)).reshape(15, 2)


def joined_heads(x):
    return np.swapaxes(x, 1, 2).reshape(x.shape[0], x.shape[2], -1) @ W.astype(x.dtype)


def of_columns(x):
    return np.transpose(x, (3, 0, 1, 2)).reshape(5, 6, 4) * 2


def used_twice(x):
    rows = np.transpose(x, (0, 2, 3, 1)).reshape(8, 15)
    return rows @ rows.T, rows.sum(axis=0)


def taken_apart(x):
    return np.transpose(x, (0, 3, 1, 2)).reshape(2, 5, 3, 2, 2) + 1


def in_a_loop(x):
    total = np.zeros((2, 4, 15))
    for k in range(12):
        total = total * 0.5 + np.swapaxes(x + k, 1, 2).reshape(2, 4, 15)
    return total


@pytest.mark.parametrize("function", [joined_heads, of_columns, used_twice, taken_apart, in_a_loop])
def test_values(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for x in (X, X[:, :, ::-1], X.astype("f4"), np.asfortranarray(X)):
        got, want = compiled(x), function(x)
        many = isinstance(want, tuple)
        for g, w in zip(*((got, want) if many else ([got], [want])), strict=True):
            assert_same(g, w, ulps=32)


def test_no_step_of_pythons_is_left() -> None:
    compiled = jitgraph.compile(joined_heads, strict=True)
    for _ in range(4):
        compiled(X)
    assert compiled.explain(X).details["calls"] == "in machine code"
