"""What is known of an array before it is computed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import AxisError, DTypeError, ShapeError
from .symbolic import Dim, Shape, ShapeEnv, mod
from .symbolic_int import to_dim

FUSABLE = frozenset("?bBhHiIlLqQfd")  # dtype characters that loops are generated for
COMPLEX = frozenset("FD")  # loops for arithmetic; NumPy carries out the rest
SUPPORTED = (
    FUSABLE | COMPLEX | {"e"}
)  # float16 appears as NumPy's result for int8; it runs on NumPy


@dataclass(frozen=True)
class Spec:
    """Shape and dtype of an array; `weak` for Python scalars, which do not decide the result's
    dtype.
    """

    shape: Shape
    dtype: np.dtype[Any]
    weak: bool = False

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        shape = f"[{', '.join(map(str, self.shape))}]" if self.shape else ""
        return f"{'~' if self.weak else ''}{self.dtype.name}{shape}"


PYTHON_SCALARS: dict[type, np.dtype[Any]] = {
    bool: np.dtype(bool), int: np.dtype(np.int64), float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}  # fmt: skip
_WEAK_TYPES = {"i": int, "f": float, "c": complex}


def promotion_type(spec: Spec) -> Any:
    """What NumPy's promotion should see: `int` or `float` for a Python scalar, the dtype
    otherwise.
    """
    if spec.weak and spec.dtype.kind in _WEAK_TYPES:
        return _WEAK_TYPES[spec.dtype.kind]
    return spec.dtype


def check_dtype(dtype: np.dtype[Any], what: str) -> None:
    if dtype.char not in SUPPORTED:
        raise DTypeError(
            f"{what} has dtype {dtype}: jitgraph works on bool, integers, float32, float64 "
            "and their complex numbers; convert it with x.astype(np.float64)"
        )


def spec_of(value: Any) -> Spec:
    """The spec of a Python scalar or an array; `DTypeError` for anything else."""
    weak = PYTHON_SCALARS.get(type(value))
    if weak is not None:
        return Spec((), weak, weak=True)
    array = np.asarray(value)
    check_dtype(array.dtype, f"an operand of type {type(value).__name__}")
    return Spec(array.shape, array.dtype)


class Dims(threading.local):
    """Questions about sizes, answered for the trace that is running, or for plain ints outside one.

    Each thread has traces of its own.  Operations ask through this one object, so that the same
    shape rules serve NumPy arrays and symbols.
    """

    def __init__(self) -> None:
        self._environments: list[ShapeEnv] = []

    def push(self, env: ShapeEnv) -> None:
        self._environments.append(env)

    def pop(self) -> None:
        self._environments.pop()

    @property
    def env(self) -> ShapeEnv | None:
        return self._environments[-1] if self._environments else None

    def same(self, a: Dim, b: Dim) -> bool:
        return a == b or (self.env is not None and self.env.same(a, b))

    def canonical(self, dim: Dim) -> Dim:
        return dim if self.env is None else self.env.canonical(dim)

    def divides(self, a: Dim, b: Dim) -> bool:
        """Whether b is a multiple of a for all sizes, without asking for their values."""
        return mod(self.canonical(b), self.canonical(a)) == 0

    def at_least(self, a: Dim, b: Dim) -> bool:
        if isinstance(a, int) and isinstance(b, int):
            return a >= b
        if self.env is None:
            raise ShapeError(f"whether {a} >= {b} can only be asked while a function is captured")
        return self.env.at_least(a, b)

    def shown(self, shape: Sequence[Dim]) -> str:
        """A shape as the user knows it: in numbers."""
        values = [self.env.shown(d) if self.env is not None else d for d in shape]
        return f"({', '.join(map(str, values))}{',' if len(values) == 1 else ''})"


dims = Dims()


def broadcast(name: str, shapes: Sequence[Shape]) -> Shape:
    """NumPy's broadcasting; `ShapeError` names the operation and both shapes."""
    ndim = max((len(shape) for shape in shapes), default=0)
    result: list[Dim | None] = [None] * ndim
    for shape in shapes:
        for axis, dim in enumerate(shape, start=ndim - len(shape)):
            known = result[axis]
            if known is None:
                result[axis] = dim
            elif dim == known or dims.same(dim, 1):
                continue
            elif dims.same(known, 1):
                result[axis] = dim
            elif not dims.same(known, dim):
                listed = " and ".join(dims.shown(s) for s in shapes)
                raise ShapeError(f"{name}: shapes {listed} do not broadcast")
    return tuple(1 if d is None else d for d in result)


def normalize_axis(name: str, axis: Any, ndim: int) -> int:
    if type(axis) is int and -ndim <= axis < ndim:
        return axis % ndim
    if isinstance(axis, float) or not hasattr(axis, "__index__"):
        raise DTypeError(f"{name}: axis must be an integer, not {axis!r}")
    number = int(axis)
    if not -ndim <= number < ndim:
        raise AxisError(f"{name}: axis {number} is out of bounds for an array of {ndim} dimensions")
    return number % ndim


def normalize_axes(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """`None`, an int or a tuple of them as a sorted tuple of distinct axes."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = sorted(normalize_axis(name, a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: duplicate value in axis {axis}")
    return tuple(axes)


def as_shape(shape: Any) -> Shape:
    """An int or a sequence of sizes as a tuple."""
    if isinstance(shape, (tuple, list)):
        return tuple(map(to_dim, shape))
    return (to_dim(shape),)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real parts of numbers."""
    return np.zeros((), dtype).real.dtype


def is_inexact(dtype: Any) -> bool:
    """Whether values of a dtype may change by little: floating-point and complex numbers, which
    have gradients.
    """
    return np.dtype(dtype).kind in "fc"
