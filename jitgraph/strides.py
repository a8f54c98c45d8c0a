"""Where the elements that an index reads lie in contiguous memory."""

from __future__ import annotations

from collections.abc import Callable

from .access import is_transparent
from .affine import Index, as_index, identity
from .graph import Node
from .symbolic import Dim, Shape, add, mul, product


def followed(node: Node, in_memory: Callable[[Node], bool]) -> tuple[Node, Index]:
    """The value behind a chain of views, or the first one that is in memory itself, and the index
    into it of the node's elements.
    """
    index = identity(node.spec.shape)
    while is_transparent(node) and not in_memory(node) and node.op.index_map is not None:
        source = node.inputs[0]
        index = as_index(node.op.index_map(index, source.spec, **node.attrs))
        node = source
    return node, index


def strides(shape: Shape) -> Shape:
    """Of an array in C order, in elements."""
    return tuple(product(shape[k + 1 :]) for k in range(len(shape)))


def place(index: Index, shape: Shape, ndim: int) -> tuple[Dim, Shape] | None:
    """Where the first element of an index over `ndim` axes is, and the step along each of these;
    None where it is no combination of axes.
    """
    offset: Dim = 0
    steps: list[Dim] = [0] * ndim
    for at, stride in zip(index, strides(shape), strict=True):
        offset = add(offset, mul(at.offset, stride))
        for atom, coefficient in at.terms:
            if not isinstance(atom, int):
                return None
            steps[atom] = add(steps[atom], mul(coefficient, stride))
    return offset, tuple(steps)
