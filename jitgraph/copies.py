"""Writes of what is in memory already, as the entry stub makes them: strided copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jitgraph_codegen.native import Copy, Strided

from .access import memory_of
from .affine import Index
from .graph import CONSTANT, Node
from .ops.host import HOST_RESULT
from .strides import followed, place, strides
from .symbolic import Dim, Shape, add, mul, sub


def native_copy(write: Node, array: str, named: Callable[[Node], str | None]) -> Copy | None:
    """The step for `array[slices] = value`; None where the value is not plainly in memory, or may
    overlap what is written.

    array: the variable that is written.  named: that of a contiguous array, None for others.
    """
    base, value = write.inputs[:2]
    slices = write.attrs["slices"]
    shape = tuple(size for _, _, size in slices)
    if value.spec.shape != shape or value.spec.dtype != base.spec.dtype or base.spec.weak:
        return None
    along = strides(base.spec.shape)
    offset: Dim = 0
    for (start, _, _), stride in zip(slices, along, strict=True):
        offset = add(offset, mul(start, stride))
    steps = tuple(mul(step, stride) for (_, step, _), stride in zip(slices, along, strict=True))
    target = _strided(array, offset, steps)
    source, index = followed(value, lambda node: named(node) is not None)
    sizes, dtype = tuple(map(str, shape)), base.spec.dtype.name
    if source.op is CONSTANT:
        element = np.asarray(source.attrs["value"], base.spec.dtype).tobytes().hex()
        nothing = Strided("", "0", ("0",) * len(shape))
        return Copy(target, nothing, sizes, dtype, element)
    name, owner = named(source), memory_of(source)
    if name is None or owner.op is HOST_RESULT:  # whose memory may be anybody's
        return None
    shared = named(owner) == array or owner is memory_of(base)
    if shared and not (owner is source and _apart(index, slices)):
        return None
    found = place(index, source.spec.shape, len(shape))
    return None if found is None else Copy(target, _strided(name, *found), sizes, dtype, "")


def _strided(array: str, offset: Dim, steps: Shape) -> Strided:
    return Strided(array, str(offset), tuple(map(str, steps)))


def _apart(index: Index, slices: tuple[tuple[Dim, int, Dim], ...]) -> bool:
    """Whether what is read lies in another row, column... than what is written."""
    if len(index) != len(slices):
        return False
    for at, (start, _, size) in zip(index, slices, strict=True):
        distance = sub(start, at.offset)
        one = isinstance(size, int) and size == 1 and not at.terms
        if one and isinstance(distance, int) and distance != 0:
            return True
    return False
