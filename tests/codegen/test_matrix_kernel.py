"""The kernel for products of smaller matrices: all layouts, edges and parts, and who gets it."""

import ctypes
import itertools
import math

import numpy as np
import pytest

import jitgraph
from jitgraph_codegen import matrix_kernel
from jitgraph_codegen.matrix_kernel import SIZES, tile

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
needs_kernel = pytest.mark.skipif(tile("float32") is None, reason="BLAS does all products here")


def multiply(x: np.ndarray, y: np.ndarray, height: int, cuts: int = 1) -> np.ndarray:
    """x @ y by the kernel, in parts of so many rows, its range cut in so many runs."""
    shape = tile(x.dtype.name)
    assert shape is not None
    stack = (1,) * (4 - x.ndim) + x.shape[:-2]
    rows, inner, columns = *x.shape[-2:], y.shape[-1]
    result = np.full((*stack, rows + 1, columns), np.nan, x.dtype)  # with a row that must stay
    whole = np.full((*stack, rows, columns), np.nan, x.dtype)
    steps = [[0] * (4 - m.ndim) + [s // m.itemsize for s in m.strides] for m in (x, y)]
    down, along = math.ceil(rows / height), math.ceil(columns / shape.columns)
    given = {
        "rows": rows, "inner": inner, "columns": columns, "height": height,
        "parts_down": down, "parts_along": along, "stacked": stack[1],
        "x_stack": steps[0][0], "x_stacked": steps[0][1],
        "x_down": steps[0][2], "x_along": steps[0][3],
        "y_stack": steps[1][0], "y_stacked": steps[1][1],
        "y_down": steps[1][2], "y_along": steps[1][3],
    }  # fmt: skip
    target = whole if math.prod(stack) > 1 else result[0, 0]
    buffers = (ctypes.c_void_p * 3)(*(a.ctypes.data for a in (x, y, target)))
    sizes = (ctypes.c_int64 * len(SIZES))(*(given[name] for name in SIZES))
    kernel = KERNEL(matrix_kernel.addresses()[matrix_kernel.name(x.dtype.name)])
    parts = math.prod(stack) * down * along
    ends = [parts * k // cuts for k in range(cuts + 1)]
    for lo, hi in itertools.pairwise(ends):
        kernel(buffers, sizes, lo, hi)
    assert np.isnan(result[..., -1, :]).all()
    return whole if math.prod(stack) > 1 else result[0, 0, :-1]


def laid_out(values: np.ndarray, how: str) -> np.ndarray:
    """The same matrices in another memory."""
    if how == "transposed":
        return np.swapaxes(np.swapaxes(values, -1, -2).copy(), -1, -2)
    if how == "part":
        wider = np.zeros((*values.shape[:-1], values.shape[-1] + 5), values.dtype)
        wider[..., : values.shape[-1]] = values
        return wider[..., : values.shape[-1]]
    return values


LAYOUTS = ("rows", "transposed", "part")


@needs_kernel
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("of_y", LAYOUTS)
@pytest.mark.parametrize("of_x", LAYOUTS)
def test_sizes_that_fit_no_tile(of_x: str, of_y: str, dtype: str, rng: np.random.Generator) -> None:
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for _ in range(40):
        rows, inner, columns = (int(n) for n in rng.integers(1, 70, 3))
        x = rng.standard_normal((rows, inner)).astype(dtype)
        y = rng.standard_normal((inner, columns)).astype(dtype)
        height = int(rng.integers(1, rows + 1))
        found = multiply(laid_out(x, of_x), laid_out(y, of_y), height, int(rng.integers(1, 4)))
        expected = x.astype("f8") @ y.astype("f8")
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@needs_kernel
def test_runs_of_inner_are_added(rng: np.random.Generator) -> None:
    inner = 2 * matrix_kernel.RUN + 7
    x, y = rng.standard_normal((9, inner)), rng.standard_normal((inner, 30))
    np.testing.assert_allclose(multiply(x, y, 9), x @ y, rtol=1e-10, atol=1e-11)


@needs_kernel
def test_stacks_with_steps_of_their_own(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 20, 4, 8)).astype("f4").transpose(0, 2, 1, 3)
    y = rng.standard_normal((3, 4, 33, 8)).astype("f4").transpose(0, 1, 3, 2)
    np.testing.assert_allclose(multiply(x, y, 16, cuts=5), x @ y, rtol=1e-4, atol=1e-5)
    same_for_all = np.broadcast_to(y[0, 0], y.shape)
    np.testing.assert_allclose(multiply(x, same_for_all, 16), x @ y[0, 0], rtol=1e-4, atol=1e-5)


@needs_kernel
def test_what_is_no_number_stays_where_it_is() -> None:
    x, y = np.eye(20, dtype="f4"), np.ones((20, 50), "f4")
    x[3, 3], y[7, 9] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        expected = x @ y
    np.testing.assert_array_equal(multiply(x, y, 20), expected)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(768, 128, 200), (40, 1500, 30), (3, 5, 7), (200, 2, 1)])
def test_programs_give_what_numpy_does(
    shape: tuple[int, int, int], threads: int, rng: np.random.Generator
) -> None:
    x, y = rng.standard_normal(shape[:2]), rng.standard_normal(shape[1:])
    compiled = jitgraph.compile(lambda x, y: (x @ y, y.T @ x.T), strict=True)
    before = jitgraph.get_num_threads()
    jitgraph.set_num_threads(threads)
    try:
        for _ in range(4):  # by Python first, then in machine code
            for found, expected in zip(compiled(x, y), (x @ y, y.T @ x.T), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    finally:
        jitgraph.set_num_threads(before)
