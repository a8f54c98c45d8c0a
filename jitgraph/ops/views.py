"""Views: the same elements under another index.

An index is a tuple of affine expressions, one per axis.  `index_map` methods only use `+` and `*`
on them, so the same rule serves loop variables and plain integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import AxisError, ShapeError
from ..interpreter import create
from ..spec import Spec, as_shape, dims, normalize_axes, normalize_axis
from ..symbolic import Dim, Shape, add, floordiv, mul, product, sub, surely_nonnegative
from ..symbolic_int import to_dim
from .op import Kind, Op, opaque, register, view

Index = tuple[Any, ...]
Slice = tuple[Dim, int, Dim]  # start, step, number of elements


# broadcast_to


def _broadcast_spec(x: Spec, *, shape: Any) -> Spec:
    target = as_shape(shape)
    extra = len(target) - x.ndim
    fits = extra >= 0 and all(
        d == t or dims.same(d, 1) or dims.same(d, t)
        for d, t in zip(x.shape, target[max(extra, 0) :], strict=True)
    )
    if not fits:
        raise ShapeError(
            f"broadcast_to: shape {dims.shown(x.shape)} does not broadcast to {dims.shown(target)}"
        )
    return Spec(target, x.dtype)


def broadcast_index(index: Index, shape: Shape) -> Index:
    """The index into an operand of this shape for an index of the result it broadcasts to."""
    own = index[len(index) - len(shape) :]
    return tuple(0 if isinstance(d, int) and d == 1 else i for i, d in zip(own, shape, strict=True))


def _broadcast(x: Any, *, shape: tuple[int, ...]) -> Any:
    """As `np.broadcast_to` does it, without what that does for subclasses of arrays."""
    if shape and min(shape) < 0:
        raise ValueError("sizes to broadcast to can't be negative")
    array = (np.asarray(x),)
    return np.nditer(array, _BROADCASTING, _READ, itershape=shape, order="C").itviews[0]


_BROADCASTING: Any = ["multi_index", "zerosize_ok"]
_READ: Any = ["readonly"]


BROADCAST_TO = view(
    "broadcast_to",
    _broadcast,
    _broadcast_spec,
    lambda index, x, *, shape: broadcast_index(index, x.shape),
    lambda g, out, x, *, shape: g,  # the engine sums what was broadcast
)


# full: one scalar everywhere, in memory of its own


def _full_eval(x: Any, *, shape: Any) -> Any:
    value = np.asarray(x)
    return np.zeros(shape, value.dtype) if is_zero_bits(value) else np.full(shape, value)


def is_zero_bits(value: Any) -> bool:
    """Whether fresh, zeroed memory holds the value; -0.0 is another."""
    return not any(np.asarray(value).tobytes())


FULL: Op = view(
    "full",
    _full_eval,
    lambda x, *, shape: Spec(as_shape(shape), x.dtype),
    lambda index, x, *, shape: (),
    lambda g, out, x, *, shape: g,
    fresh=True,
)


UNINITIALISED = register(
    Op(
        "uninitialised",
        Kind.OPAQUE,
        np.empty,
        lambda *, shape, dtype: Spec(as_shape(shape), np.dtype(dtype)),
    )
)  # memory whose elements are all written before anything reads them


# transpose, expand_dims, squeeze


def _transpose_spec(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    if sorted(axes) != list(range(x.ndim)):
        raise AxisError(f"transpose: axes {axes} are no permutation of {x.ndim} dimensions")
    return Spec(tuple(x.shape[k] for k in axes), x.dtype)


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(axes.index, range(len(axes))))


def _transpose(x: Any, *, axes: tuple[int, ...]) -> Any:
    return (x if type(x) is np.ndarray else np.asarray(x)).transpose(axes)


TRANSPOSE: Op = view(
    "transpose",
    _transpose,
    _transpose_spec,
    lambda index, x, *, axes: tuple(index[k] for k in inverse(axes)),
    lambda g, out, x, *, axes: TRANSPOSE(g, axes=inverse(axes)),
)


def _expand_spec(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    axes = normalize_axes("expand_dims", axes, x.ndim + len(axes))
    rest = iter(x.shape)
    return Spec(tuple(1 if k in axes else next(rest) for k in range(x.ndim + len(axes))), x.dtype)


def _expanded(x: Any, *, axes: tuple[int, ...]) -> Any:
    shape = list(np.shape(x))
    for k in axes:
        shape.insert(k, 1)
    return np.asarray(x).reshape(shape)


EXPAND_DIMS = view(
    "expand_dims",
    _expanded,
    _expand_spec,
    lambda index, x, *, axes: tuple(i for k, i in enumerate(index) if k not in axes),
    lambda g, out, x, *, axes: SQUEEZE(g, axes=axes),
)


def _squeeze_spec(x: Spec, *, axes: tuple[int, ...]) -> Spec:
    for k in axes:
        normalize_axis("squeeze", k, x.ndim)
        if not dims.same(x.shape[k], 1):
            raise ShapeError(
                f"squeeze: axis {k} of shape {dims.shown(x.shape)} has a size other than one"
            )
    return Spec(tuple(d for k, d in enumerate(x.shape) if k not in axes), x.dtype)


def _squeeze_index(index: Index, x: Spec, *, axes: tuple[int, ...]) -> Index:
    rest = iter(index)
    return tuple(0 if k in axes else next(rest) for k in range(x.ndim))


SQUEEZE: Op = view(
    "squeeze",
    lambda x, *, axes: np.asarray(x).squeeze(axes),
    _squeeze_spec,
    _squeeze_index,
    lambda g, out, x, *, axes: EXPAND_DIMS(g, axes=axes),
)


# detached: the same elements, constants for derivatives

DETACHED: Op = view(
    "detached",
    lambda x: np.asarray(x),
    lambda x: x,
    lambda index, x: index,
    None,
)


# roll: one axis moved around its end, in memory of its own


def _roll(x: Any, *, axis: int, offset: Any) -> Any:
    before = (slice(None),) * axis
    return np.concatenate((x[(*before, slice(offset, None))], x[(*before, slice(offset))]), axis)


def _roll_index(index: Index, x: Spec, *, axis: int, offset: Dim) -> Index:
    moved = (index[axis] + offset).wrapped(x.shape[axis])
    return (*index[:axis], moved, *index[axis + 1 :])


ROLL: Op = view(
    "roll",  # the element at k is that at k + offset, for 0 <= offset < size of the axis
    _roll,
    lambda x, *, axis, offset: Spec(x.shape, x.dtype),
    _roll_index,
    lambda g, out, x, *, axis, offset: ROLL(
        g, axis=axis, offset=sub(as_shape(x.shape)[axis], offset)
    ),
    fresh=True,
)


# reshape: no affine map, so it is taken on memory


def _misfit(x: Spec, target: list[Dim]) -> ShapeError:
    return ShapeError(f"reshape: {dims.shown(x.shape)} has no view of shape {dims.shown(target)}")


def _reshape_spec(x: Spec, *, shape: Any) -> Spec:
    target = list(as_shape(shape))
    unknown = [k for k, d in enumerate(target) if isinstance(d, int) and d == -1]
    total = product(x.shape)
    if len(unknown) > 1:
        raise ShapeError("reshape: only one size can be -1")
    if unknown:
        rest = product(d for k, d in enumerate(target) if k not in unknown)
        if dims.same(rest, 0):
            raise _misfit(x, target)
        if not dims.divides(rest, total):
            _last_axes_kept(x, target)
            total, rest = dims.canonical(total), dims.canonical(rest)
        target[unknown[0]] = floordiv(total, rest)
        if not dims.same(mul(target[unknown[0]], rest), total):
            raise _misfit(x, target)
    elif not dims.same(product(target), total):
        raise _misfit(x, target)
    return Spec(tuple(target), x.dtype)


def _last_axes_kept(x: Spec, target: list[Dim]) -> None:
    """Ask whether the last axes stay what they are, as in `x.reshape(-1, 65)`: what is left for the
    unknown size is then no quotient.
    """
    for mine, wanted in zip(reversed(x.shape), reversed(target), strict=False):
        if wanted == -1 or not dims.same(mine, wanted):
            return


def _reshape(x: Any, *, shape: tuple[int, ...]) -> Any:
    return (x if type(x) is np.ndarray else np.asarray(x)).reshape(shape)


RESHAPE: Op = view(
    "reshape",
    _reshape,
    _reshape_spec,
    None,
    lambda g, out, x, *, shape: RESHAPE(g, shape=x.shape),
)


# basic slicing: one (start, step, size) per axis; a flip is a slice with step -1


def python_slice(start: int, step: int, size: int) -> slice:
    stop = start + step * size
    return slice(start, stop if stop >= 0 else None, step) if size else slice(0, 0, 1)


def _slice_eval(x: Any, *, slices: tuple[tuple[int, int, int], ...]) -> Any:
    return x[tuple(python_slice(*s) for s in slices)]


def _slice_spec(x: Spec, *, slices: tuple[Slice, ...]) -> Spec:
    return Spec(tuple(size for _, _, size in slices), x.dtype)


def _slice_index(index: Index, x: Spec, *, slices: tuple[Slice, ...]) -> Index:
    return tuple(
        start if isinstance(size, int) and size == 1 else i * step + start
        for i, (start, step, size) in zip(index, slices, strict=True)
    )


def _slice_gradient(g: Any, out: Any, x: Any, *, slices: tuple[Slice, ...]) -> Any:
    return UPDATE(create(FULL, np.zeros((), g.dtype)[()], shape=x.shape), g, slices=slices)


SLICE = view(
    "slice",
    _slice_eval,
    _slice_spec,
    _slice_index,
    _slice_gradient,
)


def _update_eval(x: Any, value: Any, *, slices: tuple[tuple[int, int, int], ...]) -> Any:
    whole = np.array(x)
    whole[tuple(python_slice(*s) for s in slices)] = value
    return whole


def _update_spec(x: Spec, value: Spec, *, slices: tuple[Slice, ...]) -> Spec:
    sizes = tuple(size for _, _, size in slices)
    fits = value.ndim == len(sizes) and all(map(dims.same, value.shape, sizes))
    if value.dtype != x.dtype or not fits:
        raise ShapeError(f"update: {value} does not fit a part of shape {dims.shown(sizes)}")
    return x


def _zeros_at(g: Any, slices: tuple[Slice, ...]) -> Any:
    """Zeros for what has been written over, whatever the cotangent is there."""
    return create(FULL, np.zeros((), g.dtype)[()], shape=tuple(size for _, _, size in slices))


UPDATE: Op = opaque(
    "update",  # x with one of its slices replaced: what a write leaves behind
    _update_eval,
    _update_spec,
    (
        lambda g, out, x, value, *, slices: UPDATE(g, _zeros_at(g, slices), slices=slices),
        lambda g, out, x, value, *, slices: SLICE(g, slices=slices),
    ),
)


def whole_slices(shape: tuple[Any, ...]) -> tuple[Slice, ...]:
    """The slices that leave an array as it is."""
    return tuple((0, 1, to_dim(d)) for d in shape)


def are_disjoint(a: Slice, b: Slice) -> bool:
    """Whether two parts of an axis, in steps of one, surely have nothing in common."""
    (start, step, size), (other, step_of_other, count) = a, b
    if step != 1 or step_of_other != 1:
        return False
    gaps = sub(other, add(start, size)), sub(start, add(other, count))
    return any(map(surely_nonnegative, gaps))


def normalize_slice(item: slice, size: Dim) -> Slice:
    """A Python slice of an axis as (start, step, size), by Python's own rules on symbolic sizes."""
    step = 1 if item.step is None else int(item.step)
    if step == 0:
        raise ShapeError("slice step cannot be zero")
    if step > 0:
        start = _clip(item.start, size, 0, size, default=0)
        stop = _clip(item.stop, size, 0, size, default=size)
        span = sub(stop, start)
    else:
        last = sub(size, 1)
        start = _clip(item.start, size, -1, last, default=last)
        stop = _clip(item.stop, size, -1, last, default=-1)
        span = sub(start, stop)
    if not dims.at_least(span, 1):
        return 0, 1, 0
    count = span if abs(step) == 1 else floordiv(add(span, abs(step) - 1), abs(step))
    return start, step, count


def _clip(bound: Any, size: Dim, low: Dim, high: Dim, default: Dim) -> Dim:
    if bound is None:
        return default
    position = as_shape(bound)[0]
    if not dims.at_least(position, 0):
        position = add(position, size)
        return position if dims.at_least(position, low) else low
    return position if dims.at_least(high, position) else high
