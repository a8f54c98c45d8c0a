"""Indexing by basic keys, which give views, and by integer arrays, which gather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BoundsError, CaptureError
from ..interpreter import apply
from ..ops import indexing
from ..symbolic_int import SymbolicInt
from .base import array
from .views import basic_view


@dataclass(frozen=True)
class Gather:
    """A key with integer arrays: `x` after the slices in it, then arrays for some of its axes."""

    x: Any
    arrays: tuple[Any, ...]
    axes: tuple[int, ...]
    front: bool

    @property
    def attrs(self) -> dict[str, Any]:
        return {"axes": self.axes, "front": self.front}


def getitem(x: Any, key: Any) -> Any:
    """`x[key]` for integers, slices, `...`, `None` and integer arrays."""
    if is_basic_key(key):
        return basic_view(x, _spelled_out(x, key))
    found = gathered(x, key)
    return indexing.INDEX(found.x, *found.arrays, **found.attrs)


def take_axis(x: Any, index: Any, axis: int) -> Any:
    """Elements at integer positions along an axis; negative ones count from the end."""
    positions = array(index)
    if isinstance(positions, np.ndarray) and not positions.size:
        positions = positions.astype(np.int64)  # of an empty list NumPy makes floats
    return apply(indexing.INDEX, (x, positions), {"axes": (axis,), "front": False})


def gathered(x: Any, key: Any) -> Gather:
    """A key with integer arrays, its slices and new axes applied."""
    items = _spelled_out(x, key)
    if bad := [i for i in items if not (_is_basic(i) or _is_index_array(i))]:
        raise CaptureError(
            f"indexing with {type(bad[0]).__name__} is not captured; use np.take or np.where"
        )
    positions = [k for k, i in enumerate(items) if i is not None and not isinstance(i, slice)]
    front = positions != list(range(positions[0], positions[0] + len(positions)))
    x = basic_view(x, [i if i is None or isinstance(i, slice) else slice(None) for i in items])
    arrays = tuple(_positions(items[k]) for k in positions)
    return Gather(x, arrays, tuple(positions), front)


def _positions(item: Any) -> Any:
    if isinstance(item, SymbolicInt):
        return np.asarray(int(item))
    found = array(item)
    if found.ndim and np.dtype(found.dtype).kind == "f" and found.shape[0] == 0:
        return found.astype(np.intp)  # the empty list
    return found


def _spelled_out(x: Any, key: Any) -> list[Any]:
    """A key with an item for each axis, and `None` for new ones."""
    items = list(key) if isinstance(key, tuple) else [key]
    used = sum(i is not None and i is not Ellipsis for i in items)
    if used > x.ndim:
        raise BoundsError(f"too many indices: {used} for an array of {x.ndim} dimensions")
    dots = [k for k, i in enumerate(items) if i is Ellipsis]
    if len(dots) > 1:
        raise BoundsError("an index can only have a single ellipsis ('...')")
    at = dots[0] if dots else len(items)
    items[at : at + 1] = [slice(None)] * (x.ndim - used)
    return items


def is_basic_key(key: Any) -> bool:
    if type(key) is int or type(key) is slice:
        return True
    return all(map(_is_basic, key)) if isinstance(key, tuple) else _is_basic(key)


def mask_key(key: Any) -> bool:
    """Whether a key has a boolean mask in it: the size of `x[key]` depends on values."""
    items = key if isinstance(key, tuple) else (key,)
    return any(_is_mask(i) for i in items)


def _is_mask(item: Any) -> bool:
    if isinstance(item, list):
        return bool(item) and all(isinstance(i, (bool, np.bool_)) for i in item)
    return isinstance(item, (bool, np.bool_)) or (
        hasattr(item, "dtype") and np.dtype(item.dtype) == np.bool_
    )


def _is_basic(item: Any) -> bool:
    if item is None or item is Ellipsis or type(item) in (slice, SymbolicInt):
        return True
    return type(item) is int or isinstance(item, np.integer)


def _is_index_array(item: Any) -> bool:
    if isinstance(item, (list, range)):
        return True
    return hasattr(item, "ndim") and np.dtype(item.dtype).kind in "iu"
