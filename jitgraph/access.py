"""What operations read: through views, at which index, and in whose memory."""

from __future__ import annotations

from collections.abc import Iterator

from .affine import Affine, Index, Taken, as_index, fixed
from .graph import Graph, Node
from .ops import Kind
from .ops.elementwise import IOTA
from .ops.indexing import GATHER, INDEX_ADD, INDEX_PUT
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
            for source in {memory_of(s) for i in node.inputs for s in sources(i)}:
                readers.setdefault(source, []).append(node)
    return found


def writes_to_arguments(graph: Graph) -> set[Node]:
    """Writes that make the final values of arguments, which happen in the caller's memory."""
    found: set[Node] = set()
    for argument, value in graph.writes:
        chain, node = [], value
        while node.op in WRITES:
            chain.append(node)
            node = node.inputs[0]
        if node is argument:
            found.update(chain)
    return found


def is_transparent(node: Node) -> bool:
    """A view that is followed as an index map."""
    return node.op is GATHER or (node.kind is Kind.VIEW and node.op.index_map is not None)


def follow(node: Node, index: Index) -> tuple[Node, Index]:
    """The value behind a chain of views, and the index into it."""
    while is_transparent(node):
        source = node.inputs[0]
        if node.op is GATHER:
            index = _gathered(node, index)
        else:
            assert node.op.index_map is not None
            index = as_index(node.op.index_map(index, source.spec, **node.attrs))
        node = source
    return node, _normal(index, node)


def _gathered(node: Node, index: Index) -> Index:
    """Where in its array the element is that a gather has at an index."""
    array, *positions = node.inputs
    axes: tuple[int, ...] = node.attrs["axes"]
    start = 0 if node.attrs["front"] else axes[0]
    count = max(p.spec.ndim for p in positions)
    over, rest = index[start : start + count], iter(index[:start] + index[start + count :])
    found: dict[int, Affine] = {}
    for axis, operand in zip(axes, positions, strict=True):
        at = as_index(broadcast_index(over, operand.spec.shape))
        found[axis] = _position(*follow(operand, at), array.spec.shape[axis])
    return tuple(found[k] if k in found else next(rest) for k in range(array.spec.ndim))


def _position(positions: Node, at: Index, size: Dim) -> Affine:
    if positions.op is IOTA and positions.spec.shape == (size,):
        return at[0]
    return Affine(((Taken(positions, at, size), 1),))


def sources(node: Node) -> list[Node]:
    """The values that an operand's elements come from: the one behind a chain of views, and the
    positions of gathers among them.
    """
    found: list[Node] = []
    while is_transparent(node):
        if node.op is GATHER:
            for positions in node.inputs[1:]:
                found += sources(positions)
        node = node.inputs[0]
    return [node, *found]


def _normal(index: Index, node: Node) -> Index:
    """Index 0 along axes of size one; positions from arrays stay, as they may be outside."""
    return tuple(
        fixed(0) if is_one(d) and not any(i.taken()) else i
        for i, d in zip(index, node.spec.shape, strict=True)
    )


def operands(node: Node, index: Index) -> Iterator[tuple[Node, Index]]:
    """What a fusable operation combines to compute its element at `index`.

    For a reduction `index` is that of the element taken in, over the shape of its input.
    """
    for operand in node.inputs:
        own = (
            index
            if node.kind is Kind.REDUCE
            else as_index(broadcast_index(index, operand.spec.shape))
        )
        yield follow(operand, own)


def reads(node: Node, index: Index) -> Iterator[tuple[Node, Index]]:
    """The same, and what it reads to know where they are."""
    for source, at in operands(node, index):
        yield source, at
        yield from _read_for(at)


def _read_for(index: Index) -> Iterator[tuple[Node, Index]]:
    for taken in (t for i in index for t in i.taken()):
        yield taken.positions, taken.at
        yield from _read_for(taken.at)


def is_one(dim: Dim) -> bool:
    return isinstance(dim, int) and dim == 1


def runs_along_memory(scan: Node) -> bool:
    """Whether a scan runs along the last axis, as far as that matters."""
    return all(map(is_one, scan.spec.shape[scan.attrs["axis"] + 1 :]))


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
