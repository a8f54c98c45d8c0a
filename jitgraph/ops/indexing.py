"""Gathers and scatters: elements at positions that integer arrays give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..interpreter import create, made
from ..spec import Spec, as_shape, broadcast, dims
from ..symbolic import Shape, product
from .elementwise import EQUAL, IOTA, WHERE
from .op import Kind, Op, opaque, register
from .views import EXPAND_DIMS, FULL, RESHAPE

Axes = tuple[int, ...]
_AT_A_TIME = 1 << 16  # elements by which rows are added
_AT_ONCE = 1 << 10  # elements for which NumPy's own loop over rows is faster

# An index is arrays of one broadcast shape, each for one of `axes`.  The broadcast axes stand where
# the first of them was, or in `front`, by NumPy's rule for index arrays that are not adjacent.


def _result_shape(x: Spec, index: tuple[Spec, ...], axes: Axes, front: bool) -> Shape:
    for spec in index:
        if spec.dtype.kind not in "iu":
            raise DTypeError(f"an index array must hold integers, not {spec.dtype}")
    if x.ndim == 0:
        raise ShapeError("an array of no axes has no axis to index")
    gathered = broadcast("index", [s.shape for s in index])
    before = () if front else tuple(d for k, d in enumerate(x.shape) if k < axes[0])
    after = tuple(d for k, d in enumerate(x.shape) if k not in axes)[len(before) :]
    return (*before, *gathered, *after)


def _key(ndim: int, index: tuple[Any, ...], axes: Axes) -> tuple[Any, ...]:
    """NumPy's key. Arrays that are not adjacent put their axes in front, as `front` says."""
    key: list[Any] = [slice(None)] * ndim
    for axis, positions in zip(axes, index, strict=True):
        key[axis] = positions
    return tuple(key)


def _index_spec(x: Spec, *index: Spec, axes: Axes, front: bool) -> Spec:
    return Spec(_result_shape(x, index, axes, front), x.dtype)


def _adjacent(axes: Axes) -> bool:
    return axes == tuple(range(axes[0], axes[0] + len(axes)))


def _index_eval(x: Any, *index: Any, axes: Axes, front: bool) -> Any:
    """`x[key]` has its gathered axes in place; with `front` they come first all the same."""
    x = np.asarray(x)
    if axes == (0,):
        return _rows(x, index[0])
    found = x[_key(x.ndim, index, axes)]
    if front and _adjacent(axes) and axes[0]:
        count = np.broadcast(*index).ndim
        return np.moveaxis(found, range(axes[0], axes[0] + count), range(count))
    return found


def _rows(x: Any, positions: Any) -> Any:
    """`x[positions]`, the quick way where there is one."""
    return x.take(positions, 0) if positions.dtype == np.intp else x[positions]


def _placed(x: Any, value: Any, index: tuple[Any, ...], axes: Axes, front: bool) -> Any:
    """The value with its axes where NumPy's key has them."""
    if front and _adjacent(axes) and axes[0]:
        count = np.broadcast(*index).ndim
        return np.moveaxis(value, range(count), range(axes[0], axes[0] + count))
    return value


def _put_spec(x: Spec, value: Spec, *index: Spec, axes: Axes, front: bool) -> Spec:
    shape = _result_shape(x, index, axes, front)
    if value.ndim != len(shape) or not all(map(dims.same, value.shape, shape)):
        raise ShapeError(
            f"shape mismatch: value of shape {dims.shown(value.shape)} could not be written at an "
            f"index of shape {dims.shown(shape)}"
        )
    return x


def put_in_place(x: Any, value: Any, *index: Any, axes: Axes, front: bool) -> None:
    """`x[index] = value`."""
    x[_key(x.ndim, index, axes)] = _placed(x, value, index, axes, front)


def add_in_place(x: Any, value: Any, *index: Any, axes: Axes, front: bool) -> None:
    """`np.add.at(x, index, value)`: positions that occur twice are added to twice."""
    if axes == (0,) and value.size > _AT_ONCE and _adds_rows(x, value, *index):
        _add_rows(x.reshape(-1), value.reshape(index[0].size, -1), index[0].ravel())
        return
    np.add.at(x, _key(x.ndim, index, axes), _placed(x, value, index, axes, front))


def _adds_rows(x: Any, value: Any, positions: Any) -> bool:
    """Whether whole rows are added, at positions that exist."""
    if not x.flags.c_contiguous or x.dtype != value.dtype or x.ndim < 2 or not value.size:
        return False
    rows = positions.ndim > 0 and value.shape == (*positions.shape, *x.shape[1:])
    return bool(rows and -len(x) <= positions.min() and positions.max() < len(x))


def _add_rows(flat: Any, rows: Any, positions: Any) -> None:
    """Element by element, in the same order, for which NumPy has a loop without iterators."""
    width = rows.shape[1]
    positions = np.where(positions < 0, positions + flat.size // width, positions) * width
    within, step = np.arange(width), max(1, _AT_A_TIME // width)
    for start in range(0, len(positions), step):
        part = slice(start, start + step)
        places = positions[part, None] + within
        np.add.at(flat, places.ravel(), rows[part].ravel())


def _on_a_copy(change: Callable[..., None]) -> Callable[..., Any]:
    def eval(x: Any, value: Any, *index: Any, **attrs: Any) -> Any:
        whole = np.array(x)
        change(whole, value, *index, **attrs)
        return whole

    return eval


def _index_gradient(g: Any, out: Any, x: Any, *index: Any, axes: Axes, front: bool) -> list[Any]:
    zeros = create(FULL, np.zeros((), g.dtype)[()], shape=x.shape)
    return [INDEX_ADD(zeros, g, *index, axes=axes, front=front), *[None] * len(index)]


def _put_gradient(
    g: Any, out: Any, x: Any, value: Any, *index: Any, axes: Axes, front: bool
) -> list[Any]:
    taken = INDEX(g, *index, axes=axes, front=front)
    kept = INDEX_PUT(g, taken * 0, *index, axes=axes, front=front)
    stays = _stays(x, taken, index, axes, 0 if front else axes[0])
    if stays is not None:
        taken = WHERE(stays, taken, np.dtype(g.dtype).type(0))
    return [kept, taken, *[None] * len(index)]


def _stays(x: Any, taken: Any, index: tuple[Any, ...], axes: Axes, start: int) -> Any:
    """Which values are not written over by a later one at the same position; None for all.

    Their numbers are written to the positions and read again.  start: where `taken` has the axes
    of the positions.
    """
    count = taken.ndim - (x.ndim - len(axes))
    shape = as_shape(taken.shape)[start : start + count]
    if all(dims.same(d, 1) for d in shape):
        return None
    numbers = RESHAPE(made(IOTA, size=product(shape), dtype=np.dtype(np.int64)), shape=shape)
    sizes = tuple(as_shape(x.shape)[k] for k in axes)
    where = {"axes": tuple(range(len(axes))), "front": False}
    written = INDEX_PUT(made(FULL, np.int64(0), shape=sizes), numbers, *index, **where)
    last = EQUAL(INDEX(written, *index, **where), numbers)
    others = (*range(start), *range(start + count, taken.ndim))
    return EXPAND_DIMS(last, axes=others) if others else last


def _add_gradient(
    g: Any, out: Any, x: Any, value: Any, *index: Any, axes: Axes, front: bool
) -> list[Any]:
    return [g, INDEX(g, *index, axes=axes, front=front), *[None] * len(index)]


INDEX: Op = opaque("index", _index_eval, _index_spec, vjp_all=_index_gradient)
GATHER: Op = register(
    Op("gather", Kind.VIEW, _index_eval, _index_spec)  # the same, computed where it is used
)
INDEX_PUT: Op = opaque("index_put", _on_a_copy(put_in_place), _put_spec, vjp_all=_put_gradient)
INDEX_ADD: Op = opaque("index_add", _on_a_copy(add_in_place), _put_spec, vjp_all=_add_gradient)


def places_along(shape: Shape, positions: Any, axis: int) -> list[Any]:
    """Indices of the elements at positions along an axis, all other axes as they are."""
    index = []
    for k, d in enumerate(shape):
        if k == axis:
            index.append(positions)
            continue
        count = made(IOTA, size=d, dtype=np.dtype(np.int64))
        others = tuple(j for j in range(len(shape)) if j != k)
        index.append(EXPAND_DIMS(count, axes=others) if others else count)
    return index


def along(x: Any, positions: Any, axis: int) -> Any:
    """The elements at positions along an axis."""
    index = places_along(as_shape(x.shape), positions, axis)
    return INDEX(x, *index, axes=tuple(range(len(index))), front=False)


# `x[key]` by integers, slices and `None`, or by one array of positions or a mask, and what takes a
# cotangent back: in dynamic mode one operation, where a graph has several.  None is in the table.


def _not_in_graphs(*specs: Spec, **attrs: Any) -> Spec:
    raise AssertionError("a graph has other operations for this")


def in_zeros(x: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
    whole = np.zeros(shape, x.dtype)
    items = key if isinstance(key, tuple) else (key,)
    array = next((k for k in items if isinstance(k, np.ndarray)), None)
    if array is None or array.dtype == bool:
        whole[key] = x
    elif array is key:
        add_in_place(whole, x, key, axes=(0,), front=False)
    else:
        np.add.at(whole, key, x)
    return whole


AT: Op = Op(
    "slice", Kind.VIEW, lambda x, *, key: x[key], _not_in_graphs,
    (lambda g, out, x, *, key: PLACED(g, key=key, shape=x.shape),), fresh=False,
)  # fmt: skip
PLACED: Op = Op(
    "placed", Kind.OPAQUE, in_zeros, _not_in_graphs,
    (lambda g, out, x, *, key, shape: AT(g, key=key),),
)  # fmt: skip
