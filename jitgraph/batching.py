"""Values that stand for any element of a batch: `vmap` runs a function on them.

A batched value holds the whole batch, along a first axis that the function does not see.  Each
operation is carried out on all elements at once, by a rule for its kind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from . import functions as F
from . import interpreter
from .errors import CaptureError, DTypeError, ShapeError, user_line
from .functions.base import array
from .functions.indexing import gathered, is_basic_key, mask_key
from .methods import ArrayMethods, InPlace
from .ops import Kind, Op, views
from .ops import elementwise as ew
from .ops.fft import FFT, IRFFT, RFFT
from .ops.indexing import AT, INDEX, INDEX_ADD, INDEX_PUT, PLACED
from .ops.library import CONCATENATE, MATMUL
from .ops.linalg import ARGSORT, SORT, STACKED
from .ops.reductions import ANY
from .ops.views import BROADCAST_TO, EXPAND_DIMS, SQUEEZE, TRANSPOSE
from .spec import as_shape
from .symbolic import Dim

Rule = Callable[["Batch", Op, Sequence[Any], dict[str, Any]], Any]


class Batched(InPlace, ArrayMethods):
    """Any element of a batch.

    value: all of them, along the first axis: an array, a Tensor, a traced value, or batched itself.
    level: which of the functions that run one in another the batch belongs to.
    """

    __slots__ = ("level", "value")

    def __init__(self, value: Any, level: int) -> None:
        self.value, self.level = value, level

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(self.value.shape[1:])

    @property
    def ndim(self) -> int:
        return int(self.value.ndim) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.value.dtype)
        return dtype

    def taken_apart(self) -> tuple[tuple[int], tuple[Any]]:
        """Its level, and what it holds; see `tree.flatten`."""
        return (self.level,), (self.value,)

    @classmethod
    def put_together(cls, level: tuple[int], held: Sequence[Any]) -> Batched:
        return cls(held[0], level[0])

    def __bool__(self) -> bool:
        raise CaptureError(
            f"a branch needs the value of one element of a batch ({user_line()}); use np.where"
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        if not is_basic_key(key):
            self._write_at(key, value)
            return
        items = key if isinstance(key, tuple) else (key,)
        held = isinstance(value, Batched) and value.level == self.level
        self.value[(slice(None), *items)] = _aligned(value, self, key) if held else value

    def _write_at(self, key: Any, value: Any) -> None:
        """`self[key] = value` for masks and integer arrays, which may be other ones for each."""
        if not mask_key(key):
            found = gathered(self, key)
            part = INDEX(found.x, *found.arrays, **found.attrs)
            new = F.broadcast_to(F.astype(array(value), self.dtype), part.shape)
            found.x._write(INDEX_PUT(found.x, new, *found.arrays, **found.attrs))
            return
        (mask,) = key if isinstance(key, tuple) and len(key) == 1 else (key,)
        if isinstance(mask, tuple) or getattr(value, "ndim", False):
            raise CaptureError(
                f"elements of a batch that a mask selects are written one by one ({user_line()}); "
                "use np.where"
            )
        mask = array(mask)
        further = tuple(range(mask.ndim, self.ndim))
        mask = EXPAND_DIMS(mask, axes=further) if further else mask
        self._write(F.astype(ew.WHERE(mask, value, self), self.dtype))

    def _write(self, new: Batched) -> None:
        if new.level != self.level:
            raise CaptureError(
                f"a batch is written to an array that is the same for all of its elements "
                f"({user_line()}); write to a new array, as of np.zeros"
            )
        self.value[...] = new.value

    def _became(self, result: Any, name: str) -> Any:
        if not self.ndim:
            return result  # as NumPy's numbers are not changed
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise DTypeError(
                f"{name}: cannot cast its result of dtype {result.dtype} to {self.dtype} in place; "
                "write x = x + y, which makes a new array"
            )
        if as_shape(result.shape) != as_shape(self.shape):
            raise ShapeError(f"{name}: its result has another shape than what it is assigned to")
        self._write(result)
        return self

    def __repr__(self) -> str:
        return f"<any of {self.value!r}>"


def _aligned(value: Batched, target: Batched, key: Any) -> Any:
    """A value's batch with the axes of the part that it is written to."""
    return _with_axes(value.value, value.ndim, target[key].ndim)


def _with_axes(batch: Any, own: int, wanted: int) -> Any:
    """A batch of values of some axes, as one of values of more."""
    missing = tuple(range(1, 1 + wanted - own))
    return EXPAND_DIMS(batch, axes=missing) if missing else batch


class Batch:
    """The batch of one level, in one operation."""

    def __init__(self, level: int, args: Sequence[Any]) -> None:
        self.level = level
        first = next(a for a in args if self.holds(a))
        self.size: Dim = as_shape(first.value.shape)[0]

    def holds(self, x: Any) -> bool:
        return isinstance(x, Batched) and x.level == self.level

    def whole(self, x: Any) -> Any:
        """All elements, of a value that may be the same for all."""
        return x.value if self.holds(x) else repeated(x, self.size)


def any_of(condition: Any) -> Any:
    """Whether a condition of its own for each element of batches holds for any of them."""
    while isinstance(condition, Batched):
        condition = condition.value
    return ANY(condition, axis=tuple(range(condition.ndim)), keepdims=False)


def repeated(x: Any, size: Dim) -> Any:
    """The same array for each element of a batch."""
    if not isinstance(x, ArrayMethods):
        x = np.asarray(x)
        if interpreter.is_tracing():  # which knows the size
            number = x if x.ndim else x[()]
            x = interpreter.current_trace().apply(ew.CAST, (number,), {"dtype": x.dtype})
    return BROADCAST_TO(EXPAND_DIMS(x, axes=(0,)), shape=(size, *as_shape(x.shape)))


def _apply(op: Op, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    level = max(a.level for a in args if isinstance(a, Batched))
    batch = Batch(level, args)
    rule = _RULES.get(op) or _BY_KIND.get(op.kind)
    if rule is None:
        raise CaptureError(f"{op.name} is not known for batches ({user_line()})")
    return Batched(rule(batch, op, args, attrs), level)


def _elementwise(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    rank = max(getattr(a, "ndim", 0) for a in args)
    values = [_with_axes(a.value, a.ndim, rank) if batch.holds(a) else a for a in args]
    return op(*values, **attrs)


def _reduction(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    axis = tuple(k + 1 for k in attrs["axis"])
    return op(args[0].value, **{**attrs, "axis": axis})


def _scan(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    return op(args[0].value, **{**attrs, "axis": attrs["axis"] + 1})


def _broadcast(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    (x,), shape = args, as_shape(attrs["shape"])
    return op(_with_axes(x.value, x.ndim, len(shape)), shape=(batch.size, *shape))


def _full(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    whole = _broadcast(batch, BROADCAST_TO, args, attrs)
    return ew.CAST(whole, dtype=np.dtype(whole.dtype))


def _moved_axes(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    before = (0,) if op is TRANSPOSE else ()
    return op(args[0].value, axes=(*before, *(k + 1 for k in attrs["axes"])))


def _reshape(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    return op(args[0].value, shape=(batch.size, *as_shape(attrs["shape"])))


def _slice(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """Of slices, and of updates of them."""
    slices = ((0, 1, batch.size), *attrs["slices"])
    return op(*map(batch.whole, args), slices=slices)


def _matmul(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    x, y = args
    row, column = x.ndim == 1, y.ndim == 1
    x = EXPAND_DIMS(x, axes=(0,)) if row else x
    y = EXPAND_DIMS(y, axes=(1,)) if column else y
    product = _elementwise(batch, MATMUL, (x, y), attrs)
    dropped = [*([product.ndim - 2] if row else []), *([product.ndim - 1] if column else [])]
    return SQUEEZE(product, axes=tuple(dropped)) if dropped else product


def _concatenate(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    return op(*map(batch.whole, args), axis=attrs["axis"] + 1)


def _indexed(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """Positions in each element of the batch: the number of the element is one more of them."""
    given = 1 if op is INDEX else 2  # the array, and what is written to it
    axes, front = attrs["axes"], attrs["front"]
    positions = args[given:]
    rank = max(getattr(p, "ndim", 0) for p in positions)
    count = interpreter.made(ew.IOTA, size=batch.size, dtype=np.dtype(np.int64))
    count = EXPAND_DIMS(count, axes=tuple(range(1, 1 + rank))) if rank else count
    index = [count, *(_with_axes(batch.whole(p), p.ndim, rank) for p in positions)]
    there = (0, *(k + 1 for k in axes))
    start = 0 if front else axes[0]  # where the result has the axes of the positions
    order = [1 + start + k for k in range(rank)]
    if op is INDEX:
        found = op(batch.whole(args[0]), *index, axes=there, front=True)
        if not start:
            return found
        return F.moveaxis(found, tuple(range(1, 1 + rank)), tuple(order))
    value = batch.whole(args[1])
    if start:
        value = F.moveaxis(value, tuple(order), tuple(range(1, 1 + rank)))
    return op(batch.whole(args[0]), value, *index, axes=there, front=True)


def _stacked(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """The stack gets one more axis in front; that of a value with fewer has axes of one between."""
    rank = max(a.ndim for a in args)
    return op(*(_with_axes(batch.whole(a), a.ndim, rank) for a in args), **attrs)


def _sorted(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    return op(args[0].value, axis=attrs["axis"] + 1)


def _by_key(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    value, key = args[0].value, attrs["key"]
    moved = attrs | {"key": (slice(None), *(key if isinstance(key, tuple) else (key,)))}
    if op is PLACED:
        moved["shape"] = (value.shape[0], *attrs["shape"])
    return op(value, **moved)


def _transformed(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    moved = {k: v + 1 if k == "axis" else v for k, v in attrs.items()}
    if "axes" in moved:
        moved["axes"] = tuple(k + 1 for k in attrs["axes"])
    return op(args[0].value, **moved)


def _roll(batch: Batch, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    return op(args[0].value, axis=attrs["axis"] + 1, offset=attrs["offset"])


_BY_KIND: dict[Kind, Rule] = {
    Kind.ELEMENTWISE: _elementwise, Kind.REDUCE: _reduction, Kind.SCAN: _scan,
}  # fmt: skip
_RULES: dict[Op, Rule] = {
    BROADCAST_TO: _broadcast, views.FULL: _full, TRANSPOSE: _moved_axes, EXPAND_DIMS: _moved_axes,
    SQUEEZE: _moved_axes, views.RESHAPE: _reshape, views.SLICE: _slice, views.UPDATE: _slice,
    views.ROLL: _roll, AT: _by_key, PLACED: _by_key, MATMUL: _matmul,
    CONCATENATE: _concatenate, INDEX: _indexed, INDEX_PUT: _indexed, INDEX_ADD: _indexed,
    SORT: _sorted, ARGSORT: _sorted,
    **dict.fromkeys(STACKED, _stacked), **dict.fromkeys((FFT, RFFT, IRFFT), _transformed),
}  # fmt: skip

interpreter.register(Batched, interpreter.BATCHED, _apply)


class Together:
    """The batches that values belong to, for what computes with all of their elements."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._sizes: dict[int, Dim] = {}
        for value in values:
            while isinstance(value, Batched):
                self._sizes[value.level] = as_shape(value.value.shape)[0]
                value = value.value

    @property
    def sizes(self) -> tuple[Dim, ...]:
        """Those of the axes that stand in front of a whole value's own."""
        return tuple(self._sizes[level] for level in sorted(self._sizes))

    def whole(self, x: Any) -> Any:
        """All elements, of a value that may be the same for all."""
        for level in sorted(self._sizes, reverse=True):
            inside = isinstance(x, Batched) and x.level == level
            x = x.value if inside else repeated(x, self._sizes[level])
        return x

    def any(self, x: Any) -> Any:
        """Any element, of a value of all of them."""
        for level in sorted(self._sizes):
            x = Batched(x, level)
        return x


# functions that run on batches, one in another


class _Running(threading.local):
    def __init__(self) -> None:
        self.sizes: list[Dim] = []  # of the batch of each level


_running = _Running()


@contextmanager
def running(size: Dim) -> Iterator[int]:
    """While a function runs on a batch; gives its level."""
    _running.sizes.append(size)
    try:
        with interpreter.batches(_of_own):
            yield len(_running.sizes) - 1
    finally:
        _running.sizes.pop()


def apart() -> AbstractContextManager[None]:
    """While values of all elements are computed with: new arrays are what they are."""
    return interpreter.batches(None)


def _of_own(array: Any) -> Any:
    """An array for each element of the batches that run, which may be written to."""
    batches = Spread()
    return batches.any(ew.CAST(batches.whole(array), dtype=np.dtype(array.dtype)))


class Spread:
    """The batches that run when it is made, for what does not know of them: a value with an axis in
    front for each.
    """

    def __init__(self) -> None:
        self.sizes = tuple(_running.sizes)

    def whole(self, x: Any) -> Any:
        """The value of all elements of all batches; of batches that began later, any element."""
        return self._whole(x, len(self.sizes))

    def _whole(self, x: Any, levels: int) -> Any:
        if isinstance(x, Batched) and x.level >= levels:
            inner = self._whole(x.value, levels)
            order = (levels, *range(levels), *range(levels + 1, inner.ndim))
            return Batched(TRANSPOSE(inner, axes=order) if levels else inner, x.level)
        if not levels:
            return x
        level = levels - 1
        if isinstance(x, Batched) and x.level == level:
            return self._whole(x.value, level)
        return self._whole(repeated(x, self.sizes[level]), level)

    def any(self, x: Any) -> Any:
        """Any element of all batches, of a value of all of them."""
        if isinstance(x, Batched) and x.level >= len(self.sizes):
            levels = len(self.sizes)
            order = (*range(1, levels + 1), 0, *range(levels + 1, x.value.ndim))
            value = TRANSPOSE(x.value, axes=order) if levels else x.value
            return Batched(self.any(value), x.level)
        for level in range(len(self.sizes)):
            x = Batched(x, level)
        return x
