"""Tiles transposed in registers hold what plain loops put there, of any dtype and size."""

import numpy as np
import pytest

import jitgraph
from jitgraph_codegen.loop_ir import (
    INDEX,
    Buffer,
    For,
    Load,
    Range,
    Store,
    Transpose,
    Var,
    map_expressions,
)
from jitgraph_codegen.tiling import tiled
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


ROW, COLUMN = Var("i", INDEX), Var("j", INDEX)


def store_of(*index: Var) -> tuple[Store, ...]:
    y = Buffer("y", "float64", ("n",) * len(index), "C", "in")
    return (Store(Buffer("out", "float64", ("n", "n"), "C", "out"), (ROW, COLUMN), Load(y, index)),)


@pytest.mark.parametrize(("index", "plain"), [((COLUMN, ROW), True), ((ROW, COLUMN, ROW), False)])
def test_a_diagonal_is_no_tile(index: tuple[Var, ...], plain: bool) -> None:
    """One index of the array alone has to run along the columns, and one along the rows."""
    assert (tiled("i", "j", "n", "m", store_of(*index)) is not None) == plain


def test_what_changes_expressions_changes_a_tiles_as_well() -> None:
    nest = tiled("i", "j", "n", "m", store_of(COLUMN, ROW))
    assert nest is not None
    first, begin = Var("first", INDEX), Var("begin", INDEX)
    renamed = map_expressions(nest, lambda e: begin if e == first else e)

    def transposes(body):
        for stmt in body:
            if isinstance(stmt, Transpose):
                yield stmt
            if isinstance(stmt, (For, Range)):
                yield from transposes(stmt.body)

    (made,) = transposes(renamed)
    assert made.source.index[0] == begin
