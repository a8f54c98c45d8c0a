"""Why a kernel computes with less than whole vector registers, in the user's terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .access import WRITES, memory_of
from .fuse import Group, external_inputs
from .graph import INPUT, Node
from .lower import Lowered
from .ops import Kind
from .ops.elementwise import FLOOR_DIVIDE, REMAINDER

_DIVISIONS = (FLOOR_DIVIDE, REMAINDER)


def narrow(group: Group, kernels: Sequence[Lowered]) -> list[str]:
    """Reasons for elements that are computed one by one, or fewer at a time than would fit."""
    return [*_strided(kernels), *_one_by_one(group), *_widened(group)]


def _strided(kernels: Sequence[Lowered]) -> Iterator[str]:
    found = {
        _argument(node)
        for lowered in kernels
        for node, buffer in zip(lowered.buffers, lowered.kernel.buffers, strict=True)
        if buffer.layout == "A"
    }
    for node in found:
        if node.op is INPUT:
            yield (
                f"the elements of {node.attrs['name']} do not lie side by side and are gathered; "
                "np.ascontiguousarray makes a copy where they do"
            )


def _argument(node: Node) -> Node:
    """The array that a buffer is, before writes in place."""
    node = memory_of(node)
    while node.op in WRITES:
        node = memory_of(node.inputs[0])
    return node


def _one_by_one(group: Group) -> Iterator[str]:
    for node in sorted(group.inside, key=lambda n: n.where):
        where = f"{node.op.name} ({node.where})"
        if node.kind is Kind.SCAN:
            yield f"{where} takes its elements one after the other"
        elif node.op in _DIVISIONS and node.spec.dtype.kind in "iu":
            yield f"{where}: processors have no vector division of integers"


def _widened(group: Group) -> Iterator[str]:
    """The first operation whose elements are wider than any in memory."""
    arrays = [n for n in (*external_inputs(group), *group.outputs) if n.spec.ndim]
    widest = max((n.spec.dtype.itemsize for n in arrays), default=8)
    found = [n for n in group.place if n.spec.ndim and _width(n) > widest]
    if found:
        first = found[0]
        yield (
            f"{first.op.name} ({first.where}) is of {first.spec.dtype}, where the arrays in memory "
            f"have elements of at most {widest} bytes"
        )


def _width(node: Node) -> int:
    return node.spec.dtype.itemsize
