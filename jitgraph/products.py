"""Matrix products as the entry stub makes them, by BLAS: where operands lie and how they are read.

An operand may be a chain of views; its index, followed to memory, gives the steps from row to row,
from column to column, and from matrix to matrix of a stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from jitgraph_codegen.blas import DTYPES
from jitgraph_codegen.native import Matrix, Product

from .affine import identity
from .fuse import follow
from .graph import Node
from .ops.library import MATMUL
from .symbolic import Dim, add, mul, product


def native_product(node: Node, result: str, named: Callable[[Node], str | None]) -> Product | None:
    """The step for a product of matrices; None where BLAS does not take it as it lies.

    named: the variable of a contiguous array in memory, None for others.
    """
    x, y = node.inputs
    dtype = node.spec.dtype.name
    same = x.spec.dtype == y.spec.dtype == node.spec.dtype
    if node.op is not MATMUL or dtype not in DTYPES or not same:
        return None
    if any(d == 0 for d in (*x.spec.shape, *y.spec.shape)):
        return None
    places = _place(x, named), _place(y, named)
    if places[0] is None or places[1] is None:
        return None
    return _product(x, y, result, dtype, places[0], places[1])


def _product(
    x: Node, y: Node, result: str, dtype: str, from_x: _Place, from_y: _Place
) -> Product | None:
    if x.spec.ndim == 1 and y.spec.ndim == 1:
        left, right = from_x.vector(), from_y.vector()
        if left is None or right is None:
            return None
        length = str(x.spec.shape[0])
        return Product(result, "dot", dtype, left, right, "1", "1", length, "1")
    if 1 in (x.spec.ndim, y.spec.ndim):
        turned = x.spec.ndim == 1  # a row by a matrix: the transposed matrix by a column
        of_matrix, of_vector = (from_y, from_x) if turned else (from_x, from_y)
        matrix, vector = of_matrix.matrix(), of_vector.vector()
        if matrix is None or vector is None or of_matrix.ndim != 2:
            return None
        height, width = map(str, of_matrix.shape)
        if turned:
            matrix, height, width = replace(matrix, crossed=not matrix.crossed), width, height
        return Product(result, "gemv", dtype, matrix, vector, "1", height, width, "1")
    rows, inner = x.spec.shape[-2:]
    columns = y.spec.shape[-1]
    together = y.spec.ndim == 2 and from_x.ndim > 2 and from_x.rows_together()
    if together:  # the rows of all matrices are those of one
        rows, from_x = product((*x.spec.shape[:-2], rows)), from_x.as_one()
    left, right = from_x.matrix(), from_y.matrix()
    if left is None or right is None:
        return None
    stacked = () if together else x.spec.shape[:-2]
    if not together and y.spec.ndim > 2 and y.spec.shape[:-2] != stacked:
        return None
    return Product(
        result, "gemm", dtype, left, right, str(product(stacked)), str(rows), str(inner),
        str(columns),
    )  # fmt: skip


class _Place:
    """Where the elements of an operand are: for each axis its size and step in elements."""

    def __init__(self, array: str, shape: tuple[Dim, ...], steps: list[Dim], offset: Dim) -> None:
        self.array, self.shape, self.steps, self.offset = array, shape, steps, offset

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def vector(self) -> Matrix | None:
        (step,) = self.steps
        if step == 0:
            return None
        return Matrix(self.array, str(self.offset), str(step), "0", False)

    def matrix(self) -> Matrix | None:
        """As BLAS takes it: rows or columns of adjacent elements."""
        *_, rows, columns = self.shape
        *_, down, along = self.steps
        stack = self._stack()
        if stack is None:
            return None
        for step, other, width, count, crossed in (
            (along, down, columns, rows, False),
            (down, along, rows, columns, True),
        ):
            if step == 1 or width == 1:
                if count == 1:
                    other = width
                if other == 0:
                    return None
                return Matrix(self.array, str(self.offset), str(other), str(stack), crossed)
        return None

    def _stack(self) -> Dim | None:
        """The step from one matrix to the next, if there is one such."""
        if self.ndim == 2:
            return 0
        *leading, last = range(self.ndim - 2)
        for k in reversed(leading):
            if self.steps[k] != mul(self.steps[k + 1], self.shape[k + 1]):
                return None
        return self.steps[last]

    def rows_together(self) -> bool:
        """Whether each row of each matrix comes at the same distance from the one before."""
        pairs = range(self.ndim - 2)
        return all(self.steps[k] == mul(self.steps[k + 1], self.shape[k + 1]) for k in pairs)

    def as_one(self) -> _Place:
        shape = (product(self.shape[:-1]), self.shape[-1])
        return _Place(self.array, shape, self.steps[-2:], self.offset)


def _place(operand: Node, named: Callable[[Node], str | None]) -> _Place | None:
    base, index = follow(operand, identity(operand.spec.shape))
    array = named(base)
    if array is None:
        return None
    steps: list[Dim] = [0] * operand.spec.ndim
    offset: Dim = 0
    for k, place in enumerate(index):
        stride = product(base.spec.shape[k + 1 :])
        offset = add(offset, mul(place.offset, stride))
        for atom, coefficient in place.terms:
            if not isinstance(atom, int) or coefficient < 0:
                return None
            steps[atom] = add(steps[atom], mul(coefficient, stride))
    return _Place(array, operand.spec.shape, steps, offset)
