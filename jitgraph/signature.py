"""Signatures: what of a call's arguments a program depends on.

    signature ::= structure of the arguments, one entry per leaf
    entry     ::= array: dtype, layout, which axes have size 0 or 1; whether a Tensor, and one to
                  differentiate
                | float, complex or integer above 1: a value that is known when the program runs
                | static: the value itself

Sizes beyond 1 are no part of it; they come to a program as arguments.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import CaptureError, DTypeError
from .interpreter import is_recording
from .spec import SUPPORTED, Spec, check_dtype
from .symbolic import SMALLEST, ShapeEnv
from .tensor import Tensor

ARRAY, NUMBER, TENSOR, WANTED = "array", "number", "tensor", "differentiated"
ALIAS = "alias"  # an array that was an earlier argument too
FLOAT, COMPLEX, INTEGER, STATIC = "float", "complex", "integer", "static"
LARGEST = 2**31  # of an integer that is not compiled in: the product of two has a place in int64
_BY_VALUE = (bool, int, float, complex, str, bytes, type(None), frozenset)


class Same:
    """An object by identity, whatever it says it is equal to."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


_ROLES = (ARRAY, NUMBER, TENSOR, WANTED)


@dataclass
class Arguments:
    """The leaves of a call, sorted by how a program takes them."""

    entries: tuple[Hashable, ...]
    arrays: list[np.ndarray[Any, Any]]  # what the program is given, floats as 0-d arrays
    sizes: list[int]  # of all axes longer than one, and the integers, in order
    tensors: list[Tensor | None]  # beside `arrays`
    mutable: list[bool]  # whether each is an array, not a number
    same: list[bool]  # whether each is the user's own memory, not a converted copy

    @property
    def any_tensor(self) -> bool:
        return any(t is not None for t in self.tensors)


def read(leaves: Sequence[Any], static: Sequence[bool]) -> Arguments:
    """Look at the leaves of a call. static: which leaves are compile-time values by the user's
    word.
    """
    entries: list[Hashable] = []
    seen: dict[int, int] = {}
    found = Arguments((), [], [], [], [], [])
    for leaf, is_static in zip(leaves, static, strict=True):
        kind = type(leaf)
        if kind is np.ndarray and id(leaf) in seen and not is_static:
            entries.append((ALIAS, seen[id(leaf)]))
        elif kind is np.ndarray and not is_static:
            seen[id(leaf)] = len(entries)
            entries.append((ARRAY, *_array_entry(leaf, found, None)))
        elif kind is Tensor:
            role = WANTED if leaf.requires_grad and is_recording() else TENSOR
            entries.append((role, *_array_entry(leaf.data, found, leaf)))
        elif kind in (float, complex) and not is_static:
            entries.append(FLOAT if kind is float else COMPLEX)
            found.arrays.append(np.asarray(leaf))
            found.tensors.append(None)
            found.mutable.append(False)
            found.same.append(False)
        elif kind is int and SMALLEST <= leaf < LARGEST and not is_static:
            entries.append(INTEGER)
            found.sizes.append(leaf)
        elif isinstance(leaf, np.generic) and not is_static:
            entries.append((NUMBER, *_array_entry(np.asarray(leaf), found, None)))
            found.mutable[-1] = False
        else:
            entries.append(_static_entry(leaf))
    found.entries = tuple(entries)
    return found


def _array_entry(
    array: np.ndarray[Any, Any], found: Arguments, tensor: Tensor | None
) -> tuple[Any, ...]:
    if array.dtype.char not in SUPPORTED:
        check_dtype(array.dtype, "an argument")
    flags = array.flags
    native = flags.aligned and array.dtype.isnative
    if not native:
        array = array.astype(array.dtype.newbyteorder("="))
        flags = array.flags
    found.arrays.append(array)
    found.tensors.append(tensor)
    found.mutable.append(True)
    found.same.append(native)
    small = []
    for axis, size in enumerate(array.shape):
        if size > 1:
            found.sizes.append(size)
        else:
            small.append((axis, size))
    return array.dtype.char, array.ndim, layout_of(array), tuple(small)


def layout_of(array: np.ndarray[Any, Any]) -> str:
    """ "C"; "R" where the elements of a row lie side by side, as in `x[:, 1:-1]`; else "A"."""
    if array.flags.c_contiguous:
        return "C"
    return "R" if array.strides[-1] == array.itemsize else "A"


def _static_entry(leaf: Any) -> Hashable:
    if isinstance(leaf, np.ndarray) and type(leaf) is not np.ndarray:
        raise CaptureError(
            f"arguments of the array subclass {type(leaf).__name__} are not captured"
        )
    if isinstance(leaf, np.ndarray):
        raise DTypeError("an array can't be a static argument; pass a tuple")
    if isinstance(leaf, (set, bytearray, memoryview)):
        raise CaptureError(f"an argument of type {type(leaf).__name__} is not captured")
    plain = type(leaf) in _BY_VALUE or isinstance(leaf, np.dtype)
    return STATIC, type(leaf), leaf if plain else Same(leaf)


def is_input(entry: Hashable) -> bool:
    """Whether a leaf is an array that the program is given; integers come with the sizes."""
    return is_number(entry) or (isinstance(entry, tuple) and entry[0] in _ROLES)


def is_named(entry: Hashable) -> bool:
    """Whether a leaf is known to the capture by a name: arrays, and numbers given at run time."""
    alias = isinstance(entry, tuple) and entry[0] == ALIAS
    return is_input(entry) or entry == INTEGER or alias


def is_number(entry: Hashable) -> bool:
    """Whether a leaf is a Python number that the program is given as an array of no axes."""
    return entry in (FLOAT, COMPLEX)


def array_spec(array: np.ndarray[Any, Any], env: ShapeEnv, weak: bool) -> Spec:
    """The spec of a program's input: a fresh symbol for each size beyond 1."""
    return Spec(env.shape(array.shape), array.dtype, weak)
