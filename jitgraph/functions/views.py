"""Views and indexing."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BoundsError, CaptureError
from ..interpreter import apply, is_tracing
from ..ops import views
from ..ops.indexing import AT
from ..spec import as_shape, normalize_axes, normalize_axis
from ..spec import dims as sizes
from ..symbolic import add
from ..symbolic_int import to_dim
from .base import array, implements, operand

__all__ = [
    "broadcast_to", "expand_dims", "flip", "moveaxis", "ravel", "reshape", "squeeze",
    "swapaxes", "transpose",
]  # fmt: skip


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """A view of the wanted shape, repeating along axes of size one."""
    return apply(views.BROADCAST_TO, (operand(array),), {"shape": as_shape(shape)})


@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, copy: Any = None) -> Any:
    """The same elements in C order under another shape; one size may be -1."""
    if order != "C":
        raise CaptureError(f"reshape: order {order!r} is not supported; transpose first")
    return apply(views.RESHAPE, (array(a),), {"shape": as_shape(shape)})


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """The elements in C order as one axis."""
    return reshape(a, (-1,), order=order)


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    """Axes permuted; reversed where none are given."""
    a = array(a)
    ndim = a.ndim
    if axes is None:
        order = tuple(range(ndim - 1, -1, -1))
    else:
        order = tuple([normalize_axis("transpose", k, ndim) for k in axes])
    return apply(views.TRANSPOSE, (a,), {"axes": order})


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    a = array(a)
    ndim = a.ndim
    order = list(range(ndim))
    i, j = normalize_axis("swapaxes", axis1, ndim), normalize_axis("swapaxes", axis2, ndim)
    order[i], order[j] = j, i
    return apply(views.TRANSPOSE, (a,), {"axes": tuple(order)})


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes moved to new positions, the others in their order."""
    a = array(a)
    sources = [normalize_axis("moveaxis", k, a.ndim) for k in _sequence(source)]
    targets = [normalize_axis("moveaxis", k, a.ndim) for k in _sequence(destination)]
    order = [k for k in range(a.ndim) if k not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return views.TRANSPOSE(a, axes=tuple(order))


def _sequence(x: Any) -> Sequence[Any]:
    return x if isinstance(x, (tuple, list)) else (x,)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    """New axes of size one at these positions of the result."""
    a = array(a)
    if type(axis) is int:
        axes: tuple[int, ...] = (normalize_axis("expand_dims", axis, a.ndim + 1),)
    else:
        axes = normalize_axes("expand_dims", axis, a.ndim + len(_sequence(axis)))
    return apply(views.EXPAND_DIMS, (a,), {"axes": axes})


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """Without its axes of size one, or without the given ones."""
    a = array(a)
    if axis is None:
        axes = tuple([k for k, d in enumerate(a.shape) if d == 1])
    elif not a.ndim and axis in (0, -1):
        axes = ()
    else:
        axes = normalize_axes("squeeze", axis, a.ndim)
    return apply(views.SQUEEZE, (a,), {"axes": axes})


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """Elements in reverse order along axes."""
    m = array(m)
    axes = normalize_axes("flip", axis, m.ndim)
    reverse = slice(None, None, -1)
    return basic_view(m, [reverse if k in axes else slice(None) for k in range(m.ndim)])


def basic_view(x: Any, items: Sequence[Any]) -> Any:
    """`x[items]` for integers, slices and `None`; an item for each axis of `x`."""
    if not is_tracing():
        with contextlib.suppress(IndexError):  # what follows says more
            return apply(AT, (x,), {"key": tuple(items)})
    slices: list[views.Slice] = []
    dropped: list[int] = []
    new_axes: list[int] = []
    position = 0  # in the result
    for item in items:
        if item is None:
            new_axes.append(position)
            position += 1
            continue
        size = to_dim(x.shape[len(slices)])
        if isinstance(item, slice):
            slices.append(views.normalize_slice(item, size))
            position += 1
        else:
            dropped.append(len(slices))
            slices.append((_bounded(item, size, len(slices)), 1, 1))
    whole = [(0, 1, to_dim(d)) for d in x.shape]
    if slices != whole or not (dropped or new_axes):  # `x[:]` is a view of its own
        x = views.SLICE(x, slices=tuple(slices))
    if dropped:
        x = views.SQUEEZE(x, axes=tuple(dropped))
    if new_axes:
        x = views.EXPAND_DIMS(x, axes=tuple(new_axes))
    return x


def _bounded(item: Any, size: Any, axis: int) -> Any:
    position = to_dim(item)
    if not sizes.at_least(position, 0):
        position = add(position, size)
    if not (sizes.at_least(position, 0) and not sizes.at_least(position, size)):
        raise BoundsError(
            f"index {item} is out of bounds for axis {axis} of size {sizes.shown([size])[1:-2]}"
        )
    return position
