"""Running a specialisation: the arrays of its surroundings, and whether it serves a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .interpreter import is_recording
from .program import Specialisation
from .signature import Arguments, layout_of
from .tensor import Tensor

if TYPE_CHECKING:
    from .capture import Captured


def serves(found: Specialisation, arguments: Arguments) -> bool:
    """Whether a program of this signature is right for these sizes and the surroundings as they
    are.
    """
    sizes = arguments.sizes + _long_sizes(lifted_arrays(found.captured))
    return (
        len(sizes) == len(found.symbols)
        and all(fixture.holds() for fixture in found.captured.fixtures)
        and lifted_entries(found.captured) == found.lifted_entries
        and found.holds(sizes)
    )


def run(found: Specialisation, arguments: Arguments) -> Any:
    lifted = [value.fetch() for value in found.captured.lifted]
    tensors = [*arguments.tensors, *map(tensor_of, lifted)]
    arrays, sizes = inputs_of(found, arguments)
    return found.run(arrays, sizes, tensors)


def restoring(found: Specialisation, arguments: Arguments) -> Callable[[], None]:
    """What puts back the arrays that a program has written to when it can't go on."""
    if not found.may_end_after_writes:
        return lambda: None
    arrays, _ = inputs_of(found, arguments)
    kept = [(arrays[k], arrays[k].copy()) for k in found.captured.written]

    def restore() -> None:
        for array, before in kept:
            array[...] = before

    return restore


def inputs_of(found: Specialisation, arguments: Arguments) -> tuple[list[Any], list[int]]:
    """A program's arrays, those of its surroundings last, and the sizes of a call."""
    lifted = [_array(value.fetch()) for value in found.captured.lifted]
    return [*arguments.arrays, *lifted], arguments.sizes + _long_sizes(lifted)


def _array(value: Any) -> Any:
    if type(value) is float:
        return np.asarray(value)
    return value.data if isinstance(value, Tensor) else value


def tensor_of(value: Any) -> Tensor | None:
    return value if isinstance(value, Tensor) else None


_NOTHING = np.zeros(0, "V1")  # where an array was, and is no more


def lifted_arrays(captured: Captured) -> list[np.ndarray[Any, Any]]:
    arrays = [_array(lifted.fetch()) for lifted in captured.lifted]
    return [a if type(a) is np.ndarray else _NOTHING for a in arrays]


def unwritable(found: Specialisation, arguments: Arguments) -> str | None:
    """Why a program that writes to its arguments can't have these."""
    written = found.captured.written
    if not written and not found.donated:
        return None
    arrays = [*arguments.arrays, *lifted_arrays(found.captured)]
    taken = (*written, *found.donated)
    for k in taken:
        if not arrays[k].flags.writeable or (k < len(arguments.same) and not arguments.same[k]):
            does = _does(k in written)
            return f"it {does} an argument that is read-only or not in the machine's own layout"
    shared = _sharing(arrays, {*taken})
    if shared is None:
        return None
    return f"it {_does(shared in written)} an argument that shares memory with another"


def _does(writes: bool) -> str:
    return "writes to" if writes else "is to use the memory of"


def _sharing(arrays: Sequence[np.ndarray[Any, Any]], taken: set[int]) -> int | None:
    """One of these arrays that may share memory with any other: a sweep over their addresses."""
    bounds = [(*byte_bounds(a), k) for k, a in enumerate(arrays) if a.size]
    end = end_of_taken = 0  # of all arrays that start before
    last_taken = -1
    for start, stop, k in sorted(bounds):
        if k in taken and start < end:
            return k
        if start < end_of_taken:
            return last_taken
        if k in taken and stop > end_of_taken:
            end_of_taken, last_taken = stop, k
        end = max(end, stop)
    return None


def _long_sizes(arrays: Sequence[np.ndarray[Any, Any]]) -> list[int]:
    return [d for a in arrays for d in a.shape if d > 1]


def lifted_entries(captured: Captured) -> tuple[Any, ...]:
    """What of the lifted arrays a program depends on."""
    return tuple(
        (
            type(value),
            array.dtype.char,
            array.ndim,
            layout_of(array),
            tuple((axis, d) for axis, d in enumerate(array.shape) if d < 2),
            isinstance(value, Tensor) and value.requires_grad and is_recording(),
        )
        if isinstance(array, np.ndarray)
        else type(value)
        for value in [lifted.fetch() for lifted in captured.lifted]
        for array in [_array(value)]
    )
