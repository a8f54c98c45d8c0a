"""Matrix products that the entry stub makes by NumPy's BLAS, against NumPy."""

import threading

import numpy as np
import pytest

import jitgraph
from jitgraph import program
from jitgraph_codegen import blas
from jitgraph_codegen.native import Product
from support import assert_same

BY_BLAS = {
    "matrices": (lambda a, b: a @ b, (5, 7), (7, 3)),
    "and a kernel": (lambda a, b: np.tanh(a @ b).sum(axis=0), (5, 7), (7, 3)),
    "columns": (lambda a, b: a.T @ b, (7, 5), (7, 3)),
    "rows": (lambda a, b: a @ b.T, (5, 7), (3, 7)),
    "both transposed": (lambda a, b: a.T @ b.T, (7, 5), (3, 7)),
    "matrix by vector": (lambda a, b: a @ b, (5, 7), (7,)),
    "transposed by vector": (lambda a, b: a.T @ b, (5, 7), (5,)),
    "vector by matrix": (lambda a, b: b @ a, (5, 7), (5,)),
    "vector by transposed": (lambda a, b: b @ a.T, (5, 7), (7,)),
    "vectors": (lambda a, b: a @ b, (50,), (50,)),
    "vectors with steps": (lambda a, b: a[::2] @ b[1::2], (50,), (50,)),
    "parts": (lambda a, b: a[1:4, 2:] @ b[2:], (5, 7), (7, 3)),
    "one column": (lambda a, b: a[:, 1] @ b[:, 2], (5, 7), (5, 3)),
    "stacks": (lambda a, b: a @ b, (4, 5, 7), (4, 7, 3)),
    "stacks of rows": (lambda a, b: a @ b.swapaxes(1, 2), (4, 5, 7), (4, 3, 7)),
    "a stack by a matrix": (lambda a, b: a @ b, (4, 5, 7), (7, 3)),
    "parts of a stack": (lambda a, b: a[:, 1:] @ b, (4, 5, 7), (7, 3)),
    "stacks of stacks": (lambda a, b: a @ b, (2, 4, 5, 7), (2, 4, 7, 3)),
    "parts of stacks of stacks": (lambda a, b: a[:, 1:, 1:] @ b, (2, 4, 5, 7), (7, 3)),
    "stacks that broadcast": (lambda a, b: a @ b, (4, 5, 7), (1, 7, 3)),
    "stacks across stacks": (lambda a, b: a @ b, (2, 1, 5, 7), (4, 7, 3)),
    "axes exchanged": (lambda a, b: a.swapaxes(0, 1) @ b.swapaxes(0, 1), (5, 4, 7), (7, 4, 3)),
    "another shape": (lambda a, b: a.reshape(-1, 7) @ b, (4, 5, 7), (7, 3)),
    "einsum": (lambda a, b: np.einsum("ij,kj->ik", a, b), (4, 7), (3, 7)),
    "a single row": (lambda a, b: a @ b, (1, 7), (7, 3)),
    "a single column": (lambda a, b: a @ b, (5, 7), (7, 1)),
    "zeros": (lambda a, b: a @ np.zeros(7, a.dtype) + 1, (7, 7), (7, 3)),
    "one after the other": (lambda a, b: (a @ b) @ (b.T @ a.T) @ a, (5, 7), (7, 3)),
}
BY_NUMPY = {
    "upside down": (lambda a, b: a[::-1] @ b, (5, 7), (7, 3)),
    "every other column": (lambda a, b: a[:, ::2] @ b, (5, 14), (7, 3)),
}
needs_blas = pytest.mark.skipif(not blas.addresses(), reason="NumPy has another BLAS")


def called(function, *args):
    """The result of a call that comes late enough for machine code, and whether BLAS is called by
    it.
    """
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(4):
        result = compiled(*args)
    ((found,),) = compiled._cache.values()
    assert found.not_native == ""
    steps = found.source(found.graph, found.layouts).native.steps
    return result, any(isinstance(step, Product) for step in steps)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int64"])
@pytest.mark.parametrize("name", BY_BLAS | BY_NUMPY)
def test_products(name: str, dtype: str, rng) -> None:
    function, *shapes = (BY_BLAS | BY_NUMPY)[name]
    a, b = ((4 * rng.standard_normal(shape)).astype(dtype) for shape in shapes)
    result, multiplied = called(function, a, b)
    expected = function(a, b)
    assert result.dtype == expected.dtype and result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    by_blas = name in BY_BLAS and dtype.startswith("float") and bool(blas.addresses())

    assert multiplied == by_blas


@needs_blas
def test_strided_arguments_are_numpys(rng) -> None:
    a, b = rng.standard_normal((5, 20)), rng.standard_normal((7, 3))
    result, multiplied = called(lambda a, b: a @ b, a[:, 3:10], b)
    assert_same(result, a[:, 3:10] @ b, ulps=64)
    assert not multiplied


@needs_blas
def test_large_products_let_other_threads_run(rng) -> None:
    a = rng.standard_normal((600, 600))
    product = jitgraph.compile(lambda a: a @ a)
    expected = a @ a
    found = []

    def work() -> None:
        found.extend(product(a) for _ in range(8))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 24
    for result in found:
        np.testing.assert_allclose(result, expected, rtol=1e-9)


def test_programs_with_products_run_where_blas_is_another(monkeypatch, rng) -> None:
    monkeypatch.setattr(blas, "addresses", dict)
    monkeypatch.setattr(program, "_generator", lambda: "another BLAS")
    a = rng.standard_normal((5, 5))
    result, multiplied = called(lambda a: a @ a + 1, a)
    assert_same(result, a @ a + 1, ulps=64)
    assert not multiplied
