"""Matrix products as the entry stub makes them, by BLAS: where operands lie and how they are read.

An operand may be a chain of views; its index, followed to memory, gives the steps from row to row,
from column to column, and from matrix to matrix of a stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jitgraph_codegen import blas
from jitgraph_codegen.native import Matrix, Product

from .graph import Node
from .ops.library import MATMUL
from .strides import followed, place
from .symbolic import Dim, Shape, mul, product


def native_product(node: Node, result: str, named: Callable[[Node], str | None]) -> Product | None:
    """The step for a product of matrices; None where BLAS does not take it as it lies.

    named: the variable of a contiguous array in memory, None for others.
    """
    if node.op is not MATMUL or not blas.addresses():
        return None
    dtype = node.spec.dtype.name
    if dtype not in blas.DTYPES or any(i.spec.dtype != node.spec.dtype for i in node.inputs):
        return None
    if any(d == 0 for i in node.inputs for d in i.spec.shape):
        return None
    x, y = (_operand(i, named) for i in node.inputs)
    if x is None or y is None:
        return None
    if x.ndim == 1 or y.ndim == 1:
        return _with_a_vector(x, y, result, dtype)
    stack = node.spec.shape[:-2]
    while stack and y.ndim == 2 and x.ndim > 2 and x.follows_itself():
        x, stack = x.joined(), stack[:-1]  # the rows of these matrices are those of one
    left, right = x.matrix(stack), y.matrix(stack)
    if left is None or right is None:
        return None
    rows, inner, columns = map(str, (*x.shape[-2:], y.shape[-1]))
    sizes = tuple(map(str, stack))
    return Product(result, "gemm", dtype, left, right, sizes, rows, inner, columns)


def _with_a_vector(x: _Operand, y: _Operand, result: str, dtype: str) -> Product | None:
    if x.ndim == y.ndim:
        left, right = x.vector(), y.vector()
        if left is None or right is None:
            return None
        return Product(result, "dot", dtype, left, right, (), "1", str(x.shape[0]), "1")
    turned = x.ndim == 1  # a row by a matrix is the transposed matrix by a column
    of_matrix, of_vector = (y, x) if turned else (x, y)
    if of_matrix.ndim > 2:
        return None
    matrix, vector = of_matrix.matrix(()), of_vector.vector()
    if matrix is None or vector is None:
        return None
    rows, inner = map(str, of_matrix.shape)
    if turned:
        matrix, rows, inner = replace(matrix, crossed=not matrix.crossed), inner, rows
    return Product(result, "gemv", dtype, matrix, vector, (), rows, inner, "1")


@dataclass(frozen=True)
class _Operand:
    """Where elements are: for each axis its size and its step, in elements of an array."""

    array: str
    offset: Dim
    shape: Shape
    steps: Shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def vector(self) -> Matrix | None:
        (step,) = self.steps
        if step == 0:
            return None
        return Matrix(self.array, str(self.offset), str(step), (), False)

    def matrix(self, stack: Shape) -> Matrix | None:
        """Rows or columns of adjacent elements, as BLAS takes them; one for each of a stack."""
        *leading, rows, columns = self.shape
        *apart, down, along = self.steps
        missing = len(stack) - len(leading)
        over = tuple("0" if d == 1 else str(s) for d, s in zip(leading, apart, strict=True))
        for step, width, other, count, crossed in (
            (along, columns, down, rows, False),
            (down, rows, along, columns, True),
        ):
            if step == 1 or width == 1:
                distance = width if count == 1 else other
                if distance == 0:
                    return None
                matrices = ("0",) * missing + over
                return Matrix(self.array, str(self.offset), str(distance), matrices, crossed)
        return None

    def follows_itself(self) -> bool:
        """Whether the first row of each matrix comes after the last of the one before."""
        return self.steps[-3] == mul(self.steps[-2], self.shape[-2])

    def joined(self) -> _Operand:
        """With the last axis of the stack as part of the rows."""
        rows = product(self.shape[-3:-1])
        shape, steps = (
            (*self.shape[:-3], rows, self.shape[-1]),
            (*self.steps[:-3], *self.steps[-2:]),
        )
        return replace(self, shape=shape, steps=steps)


def _operand(node: Node, named: Callable[[Node], str | None]) -> _Operand | None:
    base, index = followed(node, lambda behind: behind.op.fresh)
    array, found = named(base), place(index, base.spec.shape, node.spec.ndim)
    if array is None or found is None:
        return None
    if any(coefficient < 0 for at in index for _, coefficient in at.terms):
        return None  # BLAS does not run backwards
    return _Operand(array, found[0], node.spec.shape, found[1])
