"""Gradients of every operation, checked along random directions: on the tape, with rules as they
are and prepared, and compiled.
"""

from collections.abc import Callable

import numpy as np
import pytest

import jitgraph
from jitgraph.ops import UFUNCS
from support import DOMAINS, directional, prepared_at_once

DIFFERENTIABLE = [u for u, op in UFUNCS.items() if op.differentiable]


def compare(
    function: Callable, args: tuple, rng: np.random.Generator, tolerance: float = 1e-6
) -> None:
    for f in (function, jitgraph.compile(function, strict=True)):
        by_tape, by_difference = directional(f, args, rng)
        assert by_tape == pytest.approx(by_difference, rel=tolerance, abs=tolerance)
    with prepared_at_once():
        by_tape, by_difference = directional(function, args, rng)
    assert by_tape == pytest.approx(by_difference, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("ufunc", DIFFERENTIABLE, ids=lambda u: u.__name__)
def test_elementwise_gradients(ufunc: np.ufunc, rng: np.random.Generator) -> None:
    low, high = DOMAINS.get(ufunc.__name__, (-2, 2))
    args = tuple(rng.uniform(low, high, shape) for shape in ((3, 4), (4,))[: ufunc.nin])
    if ufunc in (np.remainder, np.fmod):
        args = (args[0] + 5, np.full(4, 1.7))
    compare(lambda *a: ufunc(*a), args, rng)


COMPOSED: dict[str, tuple[Callable, tuple]] = {
    "where": (lambda x, y: np.where(x > 0.3, x * y, y), ((3, 4), (4,))),
    "clip": (lambda x: np.clip(x, -0.5, 0.7), ((5,),)),
    "cast": (lambda x: x.astype(np.float64) * 2, ((5,),)),
    "sum": (lambda x: x.sum(axis=0) * x[0], ((3, 4),)),
    "mean": (lambda x: x.mean(axis=(0, 2)) ** 2, ((3, 4, 2),)),
    "prod": (lambda x: x.prod(axis=1), ((3, 4),)),
    "cumsum": (lambda x: np.cumsum(x, axis=0) ** 2, ((3, 4),)),
    "cumprod": (lambda x: np.cumprod(x, axis=1) * np.arange(4), ((3, 4),)),
    "cumprod_of_columns": (lambda x: np.cumprod(x, axis=0), ((3, 4),)),
    "cummax": (lambda x: np.maximum.accumulate(x, axis=0) ** 2, ((3, 4),)),
    "cummin": (lambda x: np.minimum.accumulate(x) * np.arange(7), ((7,),)),
    "cummin_of_rows": (lambda x: np.minimum.accumulate(x, axis=1) * x, ((3, 4),)),
    "max": (lambda x: x.max(axis=-1, keepdims=True) * x, ((3, 4),)),
    "min": (lambda x: x.min(axis=0), ((3, 4),)),
    "var": (lambda x: x.var(axis=1, ddof=1), ((3, 4),)),
    "std_of_all": (lambda x: x.std() * 2, ((3, 4),)),
    "length": (lambda x: np.sqrt((x * x).sum()), ((3, 4),)),
    "std": (lambda x: x.std(axis=0), ((5, 4),)),
    "softmax": (jitgraph.softmax, ((3, 5),)),
    "log_softmax": (jitgraph.log_softmax, ((3, 5),)),
    "logsumexp": (lambda x: jitgraph.logsumexp(x, axis=1), ((3, 5),)),
    "sigmoid": (jitgraph.sigmoid, ((7,),)),
    "erf": (jitgraph.erf, ((7,),)),
    "transpose": (lambda x: x.T * np.arange(1.0, 4), ((3, 4),)),
    "reshape": (lambda x: x.reshape(2, 6) ** 2, ((3, 4),)),
    "slice": (lambda x: x[1:, ::-2] * x[:-1, ::2], ((4, 4),)),
    "row": (lambda x: x[1] * x[:, None, 2], ((4, 4),)),
    "squeeze": (lambda x: np.squeeze(x[:1]) * np.expand_dims(x[0], 0), ((3, 4),)),
    "broadcast": (lambda x: np.broadcast_to(x, (5, 4)) ** 2, ((4,),)),
    "concatenate": (lambda x, y: np.concatenate([x, y * x[:1]], axis=0) ** 2, ((3, 4), (2, 4))),
    "stack": (lambda x, y: np.stack([x, x * y], axis=1), ((3,), (3,))),
    "matmul": (lambda x, y: x @ y, ((3, 4), (4, 2))),
    "matmul_vector": (lambda x, y: x @ y, ((3, 4), (4,))),
    "vector_matmul": (lambda x, y: x @ y, ((4,), (5, 4, 2))),
    "matmul_batch": (lambda x, y: x @ y, ((2, 1, 3, 4), (5, 4, 2))),
    "dot": (lambda x, y: np.dot(x, y), ((4,), (4,))),
    "einsum": (lambda x, y: np.einsum("bij,bkj->bik", x, y), ((2, 3, 4), (2, 5, 4))),
    "einsum_diagonal": (lambda x: np.einsum("ii->i", x) ** 2, ((3, 3),)),
    "take": (lambda x: x[np.array([2, 0, 2])] ** 2, ((3, 4),)),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_gradients(name: str, rng: np.random.Generator) -> None:
    function, shapes = COMPOSED[name]
    compare(function, tuple(rng.standard_normal(s) for s in shapes), rng)


def test_product_gradients_with_zeros() -> None:
    x = jitgraph.tensor(np.array([[2.0, 0, 3], [0, 0, 5], [2, 3, 4]]), requires_grad=True)
    x.prod(axis=1).sum().backward()
    assert x.grad.tolist() == [[0, 6, 0], [0, 0, 0], [12, 8, 6]]


def test_running_product_gradients_with_zeros() -> None:
    def function(x):
        return (np.cumprod(x, axis=1) * np.arange(1.0, 5)).sum()

    x = np.array([[2.0, 0, 3, 4], [0, 2, 0, 5], [1, 2, 3, 0], [1, -1, 2, 3]])
    expected = [[1, 2 * (2 + 9 + 48), 0, 0], [1 + 4, 0, 0, 0], [1 + 4 + 18, 2 + 9, 6, 24]]
    for gradient in (
        jitgraph.grad(function)(x),
        jitgraph.compile(jitgraph.grad(function), strict=True)(x),
    ):
        np.testing.assert_allclose(gradient[:3], expected)


def test_no_nan_from_the_branch_not_taken() -> None:
    x = jitgraph.tensor([0.0, 4.0], requires_grad=True)
    jitgraph.where(x > 0, jitgraph.sqrt(jitgraph.where(x > 0, x, 1.0)), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 0.25]
