"""Tiles transposed in registers hold what plain loops put there, of any dtype and size."""

import numpy as np
import pytest

import jitgraph
from jitgraph_codegen.transposing import COLUMNS, ROWS, transpose_tile

SIZES = ((200, 333), (1, 70), (129, 64), (31, 1000), (ROWS, COLUMNS), (ROWS + 1, COLUMNS + 1))


@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "f4", "f8", "c8", "c16"])
def test_arrays_read_across_their_rows(dtype: str, rng: np.random.Generator) -> None:
    compiled = jitgraph.compile(lambda x, y: x + y.T, strict=True)
    for size in SIZES:
        x, y = ((rng.random(s) * 100).astype(dtype) for s in (size, size[::-1]))
        np.testing.assert_array_equal(compiled(x, y), x + y.T)
    if dtype[0] != "c":
        assert "transpose_tile(" in compiled.source(x, y)


def test_several_arrays_and_views_of_them(rng: np.random.Generator) -> None:
    x, y = rng.random((150, 130)), rng.random((130, 150))
    compiled = jitgraph.compile(lambda x, y: x[1:] * y.T[1:] - np.exp(y.T)[1:], strict=True)
    np.testing.assert_allclose(
        compiled(x, y), x[1:] * y.T[1:] - np.exp(y.T)[1:], rtol=1e-14, atol=1e-15
    )


def test_it_runs_in_the_interpreter() -> None:
    """So that generated code can be stepped through."""
    tile = np.zeros((ROWS, COLUMNS))
    array = np.arange(6 * 200.0).reshape(2, 3, 200)
    transpose_tile(tile, array, (1, 0, 5), 1, 3, 100)
    np.testing.assert_array_equal(tile[:100, :3], array[1, :, 5:105].T)
    assert not tile[100:].any()
    assert not tile[:, 3:].any()
