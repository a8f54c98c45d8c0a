"""Tracers: what stands for the arrays and numbers of a call while its function is captured.

A tracer shows a storage, the memory NumPy would have, through a chain of views.  A write gives the
storage a new value; whoever looks at the same storage afterwards sees it.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import CaptureError, DTypeError, ShapeError, user_line
from ..functions.base import operand
from ..functions.indexing import getitem, is_basic_key, mask_key
from ..functions.views import broadcast_to
from ..graph import Node
from ..methods import ArrayMethods, InPlace
from ..ops import Op, scalars, views
from ..ops import elementwise as ew
from ..spec import dims
from ..symbolic_int import SymbolicInt, to_dim, user_int

if TYPE_CHECKING:
    from .host import HostCall
    from .trace import Trace

_KEEP = "keep it an array, or make the argument static"

ViewStep = tuple[Op, dict[str, Any]]


@dataclass(eq=False)
class Storage:
    """The memory behind some tracers.

    node: its present value as a whole.
    order: "C" where NumPy's array would surely be C-contiguous, which decides what reshape does.
    """

    node: Node
    order: str = "?"
    version: int = 0
    mutable: bool = True
    unclear: bool = False  # a reshape of it may or may not have been a copy
    of_loop: str = ""  # the loop after which another name may be bound to the same memory
    calls: list[HostCall] = field(default_factory=list)  # that were given it, or gave it

    def assign(self, node: Node) -> None:
        self.node, self.version = node, self.version + 1


class Tracer(InPlace, ArrayMethods):
    """A value of the graph that is being captured."""

    __slots__ = ("_seen", "chain", "storage", "trace")

    def __init__(
        self, trace: Trace, storage: Storage, chain: tuple[ViewStep, ...] = (), node: Any = None
    ) -> None:
        self.trace, self.storage, self.chain = trace, storage, chain
        self._seen: tuple[int, Node] = (storage.version, node or storage.node)

    @property
    def node(self) -> Node:
        """The present value."""
        version, node = self._seen
        if version != self.storage.version:
            node = self.trace.viewed(self.storage.node, self.chain)
            self._seen = self.storage.version, node
        return node

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` in the user's function sees: the class of the value it stands for."""
        return self.trace.stands_for(self._seen[1])

    @property
    def shape(self) -> tuple[int | SymbolicInt, ...]:
        return tuple(user_int(d, self.trace.env) for d in self._seen[1].spec.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._seen[1].spec.dtype

    @property
    def ndim(self) -> int:
        return self._seen[1].spec.ndim

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        return self.size * self.itemsize

    @property
    def real(self) -> Any:
        return self._part(ew.REAL) if self.dtype.kind == "c" else self

    @property
    def imag(self) -> Any:
        return self._part(ew.IMAG)

    def _part(self, op: Op) -> Any:
        """A part of complex numbers: a view for NumPy, which is not to be written here."""
        found = op(self)
        found.storage.unclear = self.storage.unclear = True
        return found

    def __repr__(self) -> str:
        return f"<traced {self._seen[1].spec}>"

    def _settled(self, what: str, cure: str) -> Any:
        """The value as a Python number, where it follows from sizes."""
        value = None if self.ndim else self.trace.settled(self.node)
        if value is None:
            refusal = CaptureError(
                f"{what} needs the value of a traced array ({user_line()}); {cure}"
            )
            self.trace.refused = refusal
            raise refusal
        return value

    def __str__(self) -> str:
        return str(self._settled("text of it", "print() it, or return it"))

    def __format__(self, spec: str) -> str:
        return format(self._settled("formatting it", "print() it, or return it"), spec)

    def __hash__(self) -> int:
        if self.ndim:
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return hash(self._settled("an entry of a set or dict", "use np.unique"))

    def __bool__(self) -> bool:
        cure = "use np.where, or np.logical_and"
        return bool(self._settled("a branch (if, while, and, or)", cure))

    def __float__(self) -> float:
        return float(self._settled("float()", _KEEP))

    def __int__(self) -> int:
        return int(self._settled("int()", _KEEP))

    def __complex__(self) -> complex:
        return complex(self._settled("complex()", _KEEP))

    def __index__(self) -> int:
        cure = "make the argument static"
        return operator.index(self._settled("using it as an index or a size", cure))

    def __round__(self, *digits: int) -> Any:
        return round(self._settled("round()", "use np.round"), *digits)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        cure = "use NumPy functions that jitgraph captures"
        return np.asarray(self._settled("a conversion to a NumPy array", cure), dtype)

    def __getattr__(self, name: str) -> Any:
        method = getattr(np.ndarray, name, None)
        if name.startswith("__") or not callable(method):
            raise AttributeError(f"a traced array has no attribute {name!r}")
        return self.trace.calls.library_method(self, method)

    def item(self) -> Any:
        """The single element as a Python number, known when the program runs."""
        return self.trace.apply(scalars.ITEM, (self,), {})

    def detach(self) -> Any:
        """The same memory as a constant, for gradients."""
        return views.DETACHED(self)

    @property
    def data(self) -> Any:
        """What stands for the array in a Tensor."""
        return views.DETACHED(self)

    def backward(self, gradient: Any = None) -> None:
        """Add its gradient to that of every Tensor it depends on; see `training`."""
        self.trace.training.backward(self, gradient)

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    # indexing and writes

    def __getitem__(self, key: Any) -> Any:
        if mask_key(key):
            return self.trace.calls.selected(self, key)
        found = getitem(self, key)
        if type(found) is Tracer and not found.ndim and is_basic_key(key):
            items = key if isinstance(key, tuple) else (key,)
            if not any(i is Ellipsis for i in items):  # a scalar, and no view
                found = ew.CAST(found, dtype=found.dtype)
                found.storage.mutable = False
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        if is_basic_key(key):
            target = getitem(self, key)
            if not _is_same_place(target, value):
                self.trace.writes.write(target, value)
        else:
            self.trace.writes.at(self, key, value)

    def fill(self, value: Any) -> None:
        """Every element set to a scalar, in place."""
        self.trace.writes.write(self, value)

    def sort(self, axis: int = -1, **options: Any) -> None:
        """Sorted along an axis, in place."""
        self.trace.writes.write(self, self.trace.calls.library_call(np.sort, (self, axis), options))

    def _became(self, result: Any, name: str) -> Any:
        if not self.storage.mutable or self.trace.of_tensors:
            return result
        self.trace.writes.result(self, result, name)
        return self

    def __imatmul__(self, other: Any) -> Any:
        result = self @ other
        if self.trace.of_tensors:
            return result
        self.trace.writes.result(self, result, "matmul")
        return self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        where = kwargs.pop("where", True)
        if method == "at":
            return self.trace.writes.ufunc_at(ufunc, *inputs)
        result = self.trace.calls.ufunc(ufunc, method, inputs, kwargs)
        if out is None and where is True:
            return result
        if out is None:
            raise CaptureError(f"np.{ufunc.__name__}(..., where=) without out= is undefined")
        return self.trace.writes.out(ufunc.__name__, out, result, where)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.trace.calls.numpy_function(func, args, kwargs)


def _is_same_place(target: Any, value: Any) -> bool:
    """Whether `a[k] += b` writes back what it has just changed in place."""
    return (
        isinstance(value, ArrayMethods)
        and type(value) is Tracer
        and value.storage is target.storage
        and value.chain == target.chain
    )


def fitted(target: Tracer, value: Any, name: str) -> Any:
    """A value to be written: cast to the target's dtype and broadcast to its shape."""
    value = operand(value)
    if not hasattr(value, "ndim"):
        value = target.trace.literal(value, target.dtype)
    extra = value.ndim - target.ndim
    if extra > 0:
        if not all(dims.same(to_dim(d), 1) for d in value.shape[:extra]):
            raise _misfit(target, value, name)
        value = value.reshape(value.shape[extra:])
    value = ew.CAST(value, dtype=target.dtype)
    shape = target._seen[1].spec.shape
    if value._seen[1].spec.shape == shape:
        return value
    try:
        return broadcast_to(value, shape)
    except ShapeError:
        raise _misfit(target, value, name) from None


def _misfit(target: Tracer, value: Any, name: str) -> ShapeError:
    shapes = [tuple(map(to_dim, x.shape)) for x in (value, target)]
    return ShapeError(
        f"{name}: could not broadcast an array of shape {dims.shown(shapes[0])} into shape "
        f"{dims.shown(shapes[1])}"
    )


def check_same_kind(result: Any, target: Tracer, name: str) -> None:
    """NumPy's rule for writing a result into an array: a float does not go into integers."""
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise DTypeError(
            f"{name}: cannot cast its result of dtype {result.dtype} to {target.dtype} in place; "
            "write x = x + y, which makes a new array"
        )


def _python(row: Op, name: str) -> Any:
    """The operator `name` as Python's where both operands are Python numbers, else NumPy's."""
    general, reflected = getattr(ArrayMethods, name), name.startswith("__r")

    def operator(self: ScalarTracer, other: Any) -> Any:
        if type(other) in (ScalarTracer, SymbolicInt) or scalars.is_python_number(other):
            a, b = (other, self) if reflected else (self, other)
            if row is scalars.DIVIDE:
                return self.trace.quotient(a, b)
            return self.trace.apply(row, (a, b), {})
        return general(self, other)

    return operator


class ScalarTracer(Tracer):
    """A Python number that is known only when the program runs."""

    __slots__ = ()
    __hash__ = Tracer.__hash__

    __add__, __radd__ = _python(scalars.ADD, "__add__"), _python(scalars.ADD, "__radd__")
    __sub__ = _python(scalars.SUBTRACT, "__sub__")
    __rsub__ = _python(scalars.SUBTRACT, "__rsub__")
    __mul__ = _python(scalars.MULTIPLY, "__mul__")
    __rmul__ = _python(scalars.MULTIPLY, "__rmul__")
    __truediv__ = _python(scalars.DIVIDE, "__truediv__")
    __rtruediv__ = _python(scalars.DIVIDE, "__rtruediv__")
    __floordiv__ = _python(scalars.FLOOR_DIVIDE, "__floordiv__")
    __rfloordiv__ = _python(scalars.FLOOR_DIVIDE, "__rfloordiv__")
    __mod__ = _python(scalars.REMAINDER, "__mod__")
    __rmod__ = _python(scalars.REMAINDER, "__rmod__")
    __pow__, __rpow__ = _python(scalars.POWER, "__pow__"), _python(scalars.POWER, "__rpow__")
    __eq__, __ne__ = _python(scalars.EQUAL, "__eq__"), _python(scalars.NOT_EQUAL, "__ne__")
    __lt__, __le__ = _python(scalars.LESS, "__lt__"), _python(scalars.LESS_EQUAL, "__le__")
    __gt__, __ge__ = _python(scalars.GREATER, "__gt__"), _python(scalars.GREATER_EQUAL, "__ge__")
    __iadd__, __isub__, __imul__, __itruediv__ = __add__, __sub__, __mul__, __truediv__
    __ifloordiv__, __imod__, __ipow__ = __floordiv__, __mod__, __pow__

    def __neg__(self) -> Any:
        return self.trace.apply(scalars.NEGATIVE, (self,), {})

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.trace.apply(scalars.ABSOLUTE, (self,), {})


TRACERS = (Tracer, ScalarTracer)
