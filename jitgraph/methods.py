"""Operators and methods that Tensors and traced values share, as NumPy and PyTorch users expect
them.
"""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import functions as F
from .errors import CaptureError, DTypeError
from .functions.base import FUNCTIONS, array, operand
from .functions.indexing import getitem
from .functions.reductions import reduced
from .functions.scans import accumulate
from .interpreter import apply
from .ops import UFUNCS, reductions
from .ops import elementwise as ew
from .ops.library import MATMUL
from .ops.op import Op
from .ops.views import RESHAPE, TRANSPOSE
from .spec import as_shape
from .symbolic_int import SymbolicInt

_REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: F.sum, np.multiply: F.prod, np.maximum: F.max, np.minimum: F.min,
    np.logical_and: F.all, np.logical_or: F.any,
}  # fmt: skip


_AS_THEY_ARE = (np.ndarray, float, int)  # operands, the frequent ones


def _operator(op: Op) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if type(other) is type(self) or type(other) in _AS_THEY_ARE:
            return apply(op, (self, other), {})
        return op(self, operand(other)) if _is_operand(other) else NotImplemented

    return method


def _reflected(op: Op) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if type(other) in _AS_THEY_ARE:
            return apply(op, (other, self), {})
        return op(operand(other), self) if _is_operand(other) else NotImplemented

    return method


def _is_operand(other: Any) -> bool:
    return other is not None and not isinstance(other, (str, bytes, dict, set))


_TORCH_NAMES = (("dim", "axis"), ("keepdim", "keepdims"))


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as a method; PyTorch's `dim` and `keepdim` are NumPy's `axis` and `keepdims`."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        for torch_name, name in _TORCH_NAMES if kwargs else ():
            if torch_name in kwargs:
                kwargs[name] = kwargs.pop(torch_name)
        return self._call(function, (self, *args), kwargs)

    method.__name__ = function.__name__
    method.__doc__ = function.__doc__
    return method


def _transpose(x: Any, *axes: Any) -> Any:
    """Axes permuted (NumPy's meaning); reversed where none are given."""
    as_one = len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list)))
    return F.transpose(x, axes[0] if as_one else axes or None)


def _reduction(op: Op, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a reduction, which is carried out at once where only axes are given."""

    def method(
        self: Any, axis: Any = None, *args: Any, keepdims: Any = None, dim: Any = None,
        keepdim: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        axis = axis if dim is None else dim
        kept = keepdims if keepdim is None else keepdim
        if not args and not kwargs:
            return reduced(op, self, axis, kept)
        if kept is not None:
            kwargs["keepdims"] = kept
        return function(self, axis, *args, **kwargs)

    method.__name__, method.__doc__ = function.__name__, function.__doc__
    return method


_SCIPYS = {"erf": ew.ERF, "erfc": ew.ERFC, "expit": ew.SIGMOID}


def special_function(ufunc: np.ufunc) -> Op | None:
    """The operation that a function of `scipy.special` is."""
    op = _SCIPYS.get(ufunc.__name__)
    special = None if op is None else sys.modules.get("scipy.special")
    return op if getattr(special, ufunc.__name__, None) is ufunc else None


def _augmented(operation: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return self._became(operation(self, other), name)

    return method


class InPlace:
    """Mixin for values that augmented assignments may change."""

    __slots__ = ()

    def _became(self, result: Any, name: str) -> Any:
        """What a name is bound to after an operation's result is assigned to this value."""
        raise NotImplementedError

    __iadd__ = _augmented(operator.add, "add")
    __isub__ = _augmented(operator.sub, "subtract")
    __imul__ = _augmented(operator.mul, "multiply")
    __itruediv__ = _augmented(operator.truediv, "divide")
    __ifloordiv__ = _augmented(operator.floordiv, "floor_divide")
    __imod__ = _augmented(operator.mod, "remainder")
    __ipow__ = _augmented(operator.pow, "power")
    __iand__ = _augmented(operator.and_, "bitwise_and")
    __ior__ = _augmented(operator.or_, "bitwise_or")
    __ixor__ = _augmented(operator.xor, "bitwise_xor")
    __ilshift__ = _augmented(operator.lshift, "left_shift")
    __irshift__ = _augmented(operator.rshift, "right_shift")
    __imatmul__ = _augmented(operator.matmul, "matmul")


class ArrayMethods:
    """Mixin for values with `shape` and `dtype` on which operations of the table work."""

    __slots__ = ()
    __array_priority__ = 1000
    __hash__ = object.__hash__

    def _call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """`function(*args, **kwargs)`, for one of `functions`."""
        return function(*args, **kwargs)

    @property
    def shape(self) -> Any:
        """Sizes of the axes."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        """NumPy dtype of the elements."""
        raise NotImplementedError

    __add__, __radd__ = _operator(ew.ADD), _reflected(ew.ADD)
    __sub__, __rsub__ = _operator(ew.SUBTRACT), _reflected(ew.SUBTRACT)
    __mul__, __rmul__ = _operator(ew.MULTIPLY), _reflected(ew.MULTIPLY)
    __truediv__, __rtruediv__ = _operator(ew.DIVIDE), _reflected(ew.DIVIDE)
    __floordiv__, __rfloordiv__ = _operator(ew.FLOOR_DIVIDE), _reflected(ew.FLOOR_DIVIDE)
    __mod__, __rmod__ = _operator(ew.REMAINDER), _reflected(ew.REMAINDER)
    __rpow__ = _reflected(ew.POWER)
    __and__, __rand__ = _operator(ew.BITWISE_AND), _reflected(ew.BITWISE_AND)
    __or__, __ror__ = _operator(ew.BITWISE_OR), _reflected(ew.BITWISE_OR)
    __xor__, __rxor__ = _operator(ew.BITWISE_XOR), _reflected(ew.BITWISE_XOR)
    __lshift__, __rlshift__ = _operator(ew.LEFT_SHIFT), _reflected(ew.LEFT_SHIFT)
    __rshift__, __rrshift__ = _operator(ew.RIGHT_SHIFT), _reflected(ew.RIGHT_SHIFT)
    __eq__ = _operator(ew.EQUAL)
    __ne__ = _operator(ew.NOT_EQUAL)
    __lt__, __le__ = _operator(ew.LESS), _operator(ew.LESS_EQUAL)
    __gt__, __ge__ = _operator(ew.GREATER), _operator(ew.GREATER_EQUAL)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __neg__(self) -> Any:
        return apply(ew.NEGATIVE, (self,), {})

    def __pos__(self) -> Any:
        return ew.POSITIVE(self)

    def __abs__(self) -> Any:
        return apply(ew.ABSOLUTE, (self,), {})

    def __invert__(self) -> Any:
        return ew.INVERT(self)

    def __pow__(self, exponent: Any) -> Any:
        """As NumPy's operator does it: a square, a root and a reciprocal have their own
        operations.
        """
        if type(exponent) is int and exponent > 1:
            if exponent == 2:
                return apply(ew.SQUARE, (self,), {})
            return apply(ew.POWER, (self, exponent), {})
        if isinstance(exponent, SymbolicInt):
            exponent = int(exponent)  # what a power costs depends on its value
        if type(exponent) in (int, float):
            kind = np.dtype(self.dtype).kind
            special: dict[float, Op] = {2: ew.SQUARE}
            if kind != "b":
                special[1] = ew.POSITIVE
            if kind in "fc":
                special |= {0.5: ew.SQRT, -1: ew.RECIPROCAL}
            if exponent in special and not (kind in "biu" and isinstance(exponent, float)):
                return special[exponent](self)
        return ew.POWER(self, operand(exponent)) if _is_operand(exponent) else NotImplemented

    def __matmul__(self, other: Any) -> Any:
        if type(other) is type(self) or type(other) is np.ndarray:
            return apply(MATMUL, (self, other), {})
        return F.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return F.matmul(other, self)

    def __getitem__(self, key: Any) -> Any:
        return getitem(self, key)

    def __iter__(self) -> Any:
        if self.ndim == 0:
            raise DTypeError("iteration over a 0-d array")
        return (self[k] for k in range(self.shape[0]))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise CaptureError(
                f"np.{ufunc.__name__}(..., out=) writes in place; use the result instead"
            )
        if method == "reduce" and ufunc in _REDUCTIONS:
            kwargs.setdefault("axis", 0)
            return _REDUCTIONS[ufunc](*inputs, **kwargs)
        if method == "accumulate":
            return accumulate(ufunc, *inputs, **kwargs)
        if method == "outer" and ufunc in UFUNCS and len(inputs) == 2 and not kwargs:
            a, b = map(array, inputs)
            return UFUNCS[ufunc](F.expand_dims(a, tuple(range(a.ndim, a.ndim + b.ndim))), b)
        if ufunc is np.matmul and method == "__call__" and not kwargs:
            return F.matmul(*inputs)
        op = UFUNCS.get(ufunc)
        if op is None and (op := special_function(ufunc)) is not None and len(inputs) == 1:
            dtype, _ = ufunc.resolve_dtypes((np.dtype(inputs[0].dtype), None))
            inputs = (F.astype(inputs[0], dtype, copy=False),)
        if op is None or method != "__call__":
            called = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
            raise CaptureError(f"np.{called} is not one of jitgraph's operations")
        dtype = kwargs.pop("dtype", None)
        if kwargs:
            raise CaptureError(
                f"np.{ufunc.__name__}: the argument {next(iter(kwargs))}= is not supported"
            )
        result = op(*map(operand, inputs))
        return result if dtype is None else F.astype(result, dtype)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        ours = FUNCTIONS.get(func)
        if ours is None:
            name = f"{func.__module__}.{func.__name__}".replace("numpy", "np", 1)
            raise CaptureError(f"{name} is not one of jitgraph's operations")
        return ours(*args, **kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The array API standard's namespace."""
        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
            raise ValueError(f"version {api_version!r} of the array API standard is not known")
        return importlib.import_module("jitgraph.numpy")  # made of what is made of this

    @property
    def real(self) -> Any:
        """Real parts."""
        return ew.REAL(self)

    @property
    def imag(self) -> Any:
        """Imaginary parts."""
        return ew.IMAG(self)

    def conj(self) -> Any:
        """Complex conjugates; real numbers are their own."""
        return ew.CONJUGATE(self) if np.dtype(self.dtype).kind == "c" else self

    conjugate = conj

    @property
    def T(self) -> Any:
        """Axes in reverse order."""
        return apply(TRANSPOSE, (self,), {"axes": tuple(range(self.ndim - 1, -1, -1))})

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return F.swapaxes(self, -1, -2)

    @property
    def size(self) -> Any:
        """Number of elements."""
        total: Any = 1
        for d in self.shape:
            total = total * d
        return total

    def __len__(self) -> int:
        if self.ndim == 0:
            raise DTypeError("len() of a 0-d array")
        return int(self.shape[0])

    sum, prod = _reduction(reductions.SUM, F.sum), _reduction(reductions.PROD, F.prod)
    max, min = _reduction(reductions.MAX, F.max), _reduction(reductions.MIN, F.min)
    any, all = _reduction(reductions.ANY, F.any), _reduction(reductions.ALL, F.all)
    mean, var, std = _method(F.mean), _method(F.var), _method(F.std)
    argmax, argmin = _method(F.argmax), _method(F.argmin)
    cumsum, cumprod = _method(F.cumsum), _method(F.cumprod)
    softmax, log_softmax = _method(F.softmax), _method(F.log_softmax)
    logsumexp = _method(F.logsumexp)

    exp, log, log1p, expm1 = F.exp, F.log, F.log1p, F.expm1
    sqrt, square, abs, sign = F.sqrt, F.square, F.absolute, F.sign
    sin, cos, tan, tanh = F.sin, F.cos, F.tan, F.tanh
    sinh, cosh = F.sinh, F.cosh
    floor, ceil, trunc = F.floor, F.ceil, F.trunc
    sigmoid, relu = F.sigmoid, F.relu
    clip = clamp = _method(F.clip)
    round, dot, take, matmul = _method(F.round), _method(F.dot), _method(F.take), F.matmul
    maximum, minimum = F.maximum, F.minimum
    add, sub, mul, div, pow = F.add, F.subtract, F.multiply, F.divide, __pow__

    squeeze, ravel, repeat = _method(F.squeeze), _method(F.ravel), _method(F.repeat)
    swapaxes, flip, diagonal = _method(F.swapaxes), _method(F.flip), _method(F.diagonal)

    def copy(self, order: str = "C") -> Any:
        """The same elements in memory of their own."""
        return ew.CAST(self, dtype=np.dtype(self.dtype))

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Elements converted to `dtype`; copy=False: only where that is needed."""
        return F.astype(self, dtype, copy=copy)

    def reshape(self, *shape: Any) -> Any:
        """The same elements in C order under another shape; one size may be -1."""
        wanted = as_shape(shape[0] if len(shape) == 1 else shape)
        return apply(RESHAPE, (self,), {"shape": wanted})

    view = reshape

    def flatten(self) -> Any:
        """A copy of the elements in C order as one axis."""
        return F.astype(F.ravel(self), self.dtype)

    transpose = permute = _method(_transpose)

    def unsqueeze(self, dim: int) -> Any:
        """A new axis of size one."""
        return F.expand_dims(self, dim)

    def expand(self, *shape: Any) -> Any:
        """Broadcast to a shape; -1 keeps an axis as it is."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        lead = len(wanted) - self.ndim
        kept = [self.shape[k - lead] if d == -1 else d for k, d in enumerate(wanted)]
        return F.broadcast_to(self, kept)
