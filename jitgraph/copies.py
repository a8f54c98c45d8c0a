"""Writes of what is in memory already, as the entry stub makes them: strided copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jitgraph_codegen.native import Copy, Strided

from .access import is_transparent
from .affine import Index, as_index, identity
from .graph import CONSTANT, Node
from .ops.views import FULL
from .symbolic import Dim, Shape, add, mul, product, sub


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
    strides = [product(base.spec.shape[k + 1 :]) for k in range(base.spec.ndim)]
    offset: Dim = 0
    for (start, _, _), stride in zip(slices, strides, strict=True):
        offset = add(offset, mul(start, stride))
    steps = tuple(mul(step, stride) for (_, step, _), stride in zip(slices, strides, strict=True))
    target = _strided(array, offset, steps)
    source, index = value, identity(shape)
    while is_transparent(source):
        if named(source) is not None or source.op.index_map is None:
            break
        inner = source.inputs[0]
        index = as_index(source.op.index_map(index, inner.spec, **source.attrs))
        source = inner
    sizes, dtype = tuple(map(str, shape)), base.spec.dtype.name
    if source.op is CONSTANT:
        element = np.asarray(source.attrs["value"], base.spec.dtype).tobytes().hex()
        nothing = Strided("", "0", ("0",) * len(shape))
        return Copy(target, nothing, sizes, dtype, element)
    name = named(source)
    if name is None or source.op is FULL:
        return None
    if name == array and not _apart(index, slices):
        return None
    place = _place(index, source.spec.shape, len(shape))
    return None if place is None else Copy(target, _strided(name, *place), sizes, dtype, "")


def _strided(array: str, offset: Dim, steps: Shape) -> Strided:
    return Strided(array, str(offset), tuple(map(str, steps)))


def _place(index: Index, shape: Shape, ndim: int) -> tuple[Dim, Shape] | None:
    """Where the first element is in contiguous memory, and the steps along each axis."""
    offset: Dim = 0
    steps: list[Dim] = [0] * ndim
    for k, place in enumerate(index):
        stride = product(shape[k + 1 :])
        offset = add(offset, mul(place.offset, stride))
        for atom, coefficient in place.terms:
            if not isinstance(atom, int):
                return None
            steps[atom] = add(steps[atom], mul(coefficient, stride))
    return offset, tuple(steps)


def _apart(index: Index, slices: tuple[tuple[Dim, int, Dim], ...]) -> bool:
    """Whether what is read lies in another row, column... than what is written."""
    for place, (start, _, size) in zip(index, slices, strict=True):
        distance = sub(start, place.offset)
        one = isinstance(size, int) and size == 1 and not place.terms
        if one and isinstance(distance, int) and distance != 0:
            return True
    return False
