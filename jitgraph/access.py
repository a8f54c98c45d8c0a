"""What operations read: through views, at which index, and in whose memory."""

from __future__ import annotations

from collections.abc import Iterator

from .affine import Index, as_index, fixed
from .graph import Graph, Node
from .ops import Kind
from .ops.indexing import INDEX_ADD, INDEX_PUT
from .ops.views import UPDATE, broadcast_index
from .symbolic import Dim

WRITES = (UPDATE, INDEX_PUT, INDEX_ADD)  # their result lies where their first input was


def memory_of(node: Node) -> Node:
    """The value whose memory a chain of views shows."""
    while not node.op.fresh:
        node = node.inputs[0]
    return node


def readers_before_writes(graph: Graph) -> dict[Node, list[Node]]:
    """For each write, the operations that read what it overwrites and were written before it."""
    readers: dict[Node, list[Node]] = {}
    found: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if node.op in WRITES:
            found[node] = list(readers.get(memory_of(node.inputs[0]), ()))
        if node.op.fresh:
            for source in {memory_of(i) for i in node.inputs}:
                readers.setdefault(source, []).append(node)
    return found


def is_transparent(node: Node) -> bool:
    """A view that is followed as an index map."""
    return node.kind is Kind.VIEW and node.op.index_map is not None


def follow(node: Node, index: Index) -> tuple[Node, Index]:
    """The value behind a chain of views, and the index into it."""
    while is_transparent(node):
        assert node.op.index_map is not None
        source = node.inputs[0]
        index = as_index(node.op.index_map(index, source.spec, **node.attrs))
        node = source
    return node, _normal(index, node)


def behind(node: Node) -> Node:
    """The value behind a chain of views."""
    while is_transparent(node):
        node = node.inputs[0]
    return node


def _normal(index: Index, node: Node) -> Index:
    """Index 0 along axes of size one."""
    return tuple(
        fixed(0) if isinstance(d, int) and d == 1 else i
        for i, d in zip(index, node.spec.shape, strict=True)
    )


def reads(node: Node, index: Index) -> Iterator[tuple[Node, Index]]:
    """What a fusable operation reads to compute its element at `index`.

    For a reduction `index` is that of the element taken in, over the shape of its input.
    """
    for operand in node.inputs:
        own = (
            index
            if node.kind is Kind.REDUCE
            else as_index(broadcast_index(index, operand.spec.shape))
        )
        yield follow(operand, own)


def domain_of(node: Node) -> tuple[Dim, ...]:
    return node.inputs[0].spec.shape if node.kind is Kind.REDUCE else node.spec.shape


def result_place(node: Node, place: Index) -> Index:
    """The index of a member's result; the place of a reduction is that of the elements it takes
    in.
    """
    if node.kind is not Kind.REDUCE:
        return place
    axes, keep = node.attrs["axis"], node.attrs["keepdims"]
    if keep:
        return tuple(fixed(0) if k in axes else i for k, i in enumerate(place))
    return tuple(i for k, i in enumerate(place) if k not in axes)
