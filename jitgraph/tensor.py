"""Dynamic mode: Tensors that compute at once on NumPy, and record what they did on the tape."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from . import functions as F
from . import interpreter
from .errors import (
    AxisError,
    CaptureError,
    DTypeError,
    GradientError,
    JitgraphError,
    ShapeError,
    user_line,
)
from .functions.base import operand, ours_for
from .functions.indexing import getitem, is_basic_key
from .interpreter import is_recording
from .methods import ArrayMethods, InPlace
from .ops import UFUNCS, Op
from .ops.indexing import AT, INDEX
from .ops.library import MATMUL
from .prepared import PreparedCalls
from .spec import SUPPORTED, check_dtype, is_inexact
from .tape import OnTape, is_differentiated, needs_grad, running, sequence, walk_back
from .tree import flatten, map_leaves


class Tensor(OnTape, InPlace, PreparedCalls, ArrayMethods):
    """An n-dimensional array that can be differentiated.

    data: array of bool, integers, float32 or float64; Python numbers and lists are converted,
    floats to float32.
    requires_grad: collect the gradient of later results with respect to this tensor in `.grad`.
    """

    __slots__ = ("_grad",)

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        array = data.data if isinstance(data, Tensor) else _as_array(data, dtype)
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        check_dtype(array.dtype, "a tensor's data")
        if requires_grad and not is_inexact(array.dtype):
            raise GradientError(
                f"only floating-point and complex tensors have gradients, this one is {array.dtype}"
            )
        self.data = array
        self.requires_grad = requires_grad
        self._grad: Tensor | None = None
        self._maker = None

    @property
    def grad(self) -> Any:
        """The gradient collected so far, a Tensor, or None; what stands for it in a function that
        is being captured and trains.
        """
        trace = interpreter.current_trace()
        return self._grad if trace is None or not trace.trains else trace.training.of(self)

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if interpreter.current_trace() is None:
            self._grad = gradient
        else:
            interpreter.current_trace().training.set(self, gradient)

    # read without a call of Python
    shape = property(operator.attrgetter("data.shape"), doc="Sizes of the axes.")
    ndim = property(operator.attrgetter("data.ndim"), doc="Number of axes.")
    dtype = property(operator.attrgetter("data.dtype"), doc="NumPy dtype of the elements.")
    nbytes = property(operator.attrgetter("data.nbytes"), doc="Bytes of all elements.")
    itemsize = property(operator.attrgetter("data.itemsize"), doc="Bytes of an element.")

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user, not by an operation on tensors that need gradients."""
        return self._maker is None

    @property
    def grad_fn(self) -> str | None:
        """Name of the recorded operation this tensor came from."""
        return None if self._maker is None else self._maker.name

    def numpy(self) -> np.ndarray[Any, Any]:
        """The data as a NumPy array, without a copy."""
        if self.requires_grad:
            raise GradientError(
                "numpy() of a tensor that requires grad loses its history; call .detach().numpy()"
            )
        array: np.ndarray[Any, Any] = self.data
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The single element as a Python number."""
        return self.data.item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self.data.tolist()

    def __float__(self) -> float:
        if is_differentiated(self):
            raise GradientError(
                f"a number computed from an array has no gradient ({user_line()}); go on with the "
                "array, or take x.item() where no gradient is to go through it"
            )
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __index__(self) -> int:
        return operator.index(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def detach(self) -> Tensor:
        """The same data with no history."""
        return Tensor(self.data)

    def clone(self) -> Tensor:
        """A copy that gradients flow through."""
        result: Tensor = F.positive(self) if self.dtype != bool else Tensor(self.data.copy())
        return result

    def to(self, dtype: Any) -> Tensor:
        """Converted to `dtype`."""
        result: Tensor = F.astype(self, dtype, copy=False)
        return result

    def float(self) -> Tensor:
        """Converted to float32."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """Converted to float64."""
        return self.to(np.float64)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch gradient collection on or off, in place."""
        if self._maker is not None and not requires_grad:
            raise GradientError("only a leaf can stop requiring grad; use detach()")
        if requires_grad and not is_inexact(self.dtype):
            raise GradientError(
                f"only floating-point and complex tensors have gradients, this one is {self.dtype}"
            )
        self.requires_grad = requires_grad
        return self

    trace = F.trace

    def zero_grad(self) -> None:
        """Forget the collected gradient."""
        self.grad = None

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.requires_grad and is_recording():
            raise GradientError(
                "a tensor that requires grad can't be written in place; build the new value with "
                "where(), or write inside no_grad()"
            )
        if needs_grad(value) and is_recording():
            raise GradientError(
                f"a tensor that requires grad is written into another ({user_line()}), where no "
                "gradient would find it; build the new value with where(), stack() or "
                "concatenate(), or write inside no_grad()"
            )
        self.data[_plain(key)] = _plain(value)

    def _became(self, result: Any, name: str) -> Any:
        """The result, for a name of its own; where Tensors stand for arrays, others may see them
        change.
        """
        if not running.for_arrays or not self.ndim:
            return result
        if result.requires_grad:
            raise GradientError(
                f"an array that gradients are asked for is changed in place ({user_line()}); write "
                "x = x + y, which makes a new array"
            )
        self.data[...] = result.data
        return self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        op = MATMUL if ufunc is np.matmul else UFUNCS.get(ufunc)
        if op is not None and method == "__call__" and not kwargs:
            if interpreter.current_trace() is None and _are_plain(inputs):
                return _apply(op, inputs, {})
            return interpreter.apply(op, tuple(map(operand, inputs)), {})
        try:
            return super().__array_ufunc__(ufunc, method, *inputs, **kwargs)
        except CaptureError:
            return _by_numpy(getattr(ufunc, method), inputs, kwargs)

    def _carry_out(self, function: Any, args: Any, kwargs: Any) -> Any:
        ours = ours_for(function)
        if ours is None:
            return _by_numpy(function, args, kwargs)
        try:
            return _of_tensors(ours(*args, **kwargs))
        except CaptureError:  # of an argument that only NumPy knows
            if ours is function:
                raise
            return _by_numpy(function, args, kwargs)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self.ndim else format(str(self), spec)

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    @property
    def device(self) -> str:
        """Where the data is: always "cpu"."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
        """This tensor, if `device` is "cpu"."""
        if device != "cpu":
            raise ValueError(f"device {device!r} is not known; Tensors are on the cpu")
        return self

    def __getitem__(self, key: Any) -> Any:
        if interpreter.current_trace() is None:
            plain = np.asarray(_plain(key)) if type(key) in (list, Tensor) else key
            if is_basic_key(plain):
                try:
                    return interpreter.apply(AT, (self,), {"key": plain})
                except IndexError:
                    return getitem(self, key)  # raises, and says more
            if type(plain) is np.ndarray and plain.dtype == np.intp and self.ndim:
                return interpreter.apply(INDEX, (self, plain), {"axes": (0,), "front": False})
            if type(plain) is not tuple and not (type(key) is list and not key):
                return interpreter.apply(AT, (self,), {"key": plain})
        if _is_general_index(key):
            return _general_index(self, key)
        return getitem(self, key)

    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="tensor(")
        dtype = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        grad = f", grad_fn=<{self.grad_fn}>" if self._maker else ", requires_grad=True"
        return f"tensor({body}{dtype}{grad if self.requires_grad else ''})"

    def backward(self, gradient: Any = None, *, create_graph: bool = False) -> None:
        """Add d(self)/d(leaf), times `gradient`, to the `.grad` of every leaf that requires it.

        gradient: of this tensor's shape; may be left out for a single element.
        create_graph: record the backward pass too, for derivatives of derivatives.
        """
        if not self.requires_grad:
            raise GradientError(
                "backward() found nothing to differentiate: no input of this tensor requires grad. "
                "Create the inputs with requires_grad=True, as in randn(3, 3, requires_grad=True), "
                f"and do not detach them on the way ({user_line()})"
            )
        if gradient is None:
            if self.data.size != 1:
                raise GradientError(
                    f"backward() starts from a single number, this tensor has shape {self.shape}. "
                    "Reduce it first, as in z.sum().backward(), or pass each element's gradient: "
                    f"z.backward(jitgraph.ones({', '.join(map(str, self.shape))})) ({user_line()})"
                )
            if self.dtype.kind == "c":
                raise GradientError(
                    "backward() starts from a real number, this tensor is complex. Take its real "
                    f"part or its magnitude first, or pass its gradient ({user_line()})"
                )
            gradient = np.ones(self.shape, self.dtype)
        start = np.asarray(_plain(gradient), dtype=self.dtype)
        if start.shape != self.shape:
            raise ShapeError(
                f"backward: gradient of shape {start.shape} for a tensor of shape {self.shape}"
            )
        pass_back(self, Tensor(start) if create_graph else start, create_graph)


def pass_back(root: Tensor, gradient: Any, create_graph: bool = False) -> None:
    """Walk the tape from `root`; the sums end in the leaves' `.grad`."""
    for leaf, g in walk_back({root: gradient}, create_graph).items():
        _collect(leaf, g)


def _collect(leaf: Tensor, g: Any) -> None:
    if isinstance(g, Tensor):
        leaf.grad = g if leaf.grad is None else leaf.grad + g
    elif leaf.grad is None:
        leaf.grad = Tensor(np.array(g, leaf.dtype).reshape(leaf.shape))
    else:
        leaf.grad = Tensor(leaf.grad.data + g)


def _of_tensors(result: Any) -> Any:
    """A result with Tensors for arrays."""
    if isinstance(result, (tuple, list)):
        return map_leaves(_of_tensors, result)
    return wrapped(result) if type(result) is np.ndarray else result


_new: Any = object.__new__  # all attributes are given here


def wrapped(array: np.ndarray[Any, Any]) -> Tensor:
    """A Tensor of an array as it is."""
    made: Tensor = _new(Tensor)
    made.data, made.requires_grad, made._grad, made._maker = array, False, None, None
    return made


def made_by(
    op: Op, array: np.ndarray[Any, Any], inputs: tuple[Any, ...], operands: list[Any],
    attrs: dict[str, Any],
) -> Tensor:  # fmt: skip
    """A Tensor on the tape, see `OnTape`."""
    made: Tensor = _new(Tensor)
    made.data, made.requires_grad, made._grad, made._maker = array, True, None, op
    made._inputs, made._operands, made._attrs = inputs, operands, attrs
    made._number = next(sequence)
    return made


def _apply(op: Op, args: tuple[Any, ...], attrs: dict[str, Any]) -> Tensor:
    data: list[Any] = []
    recorded = False
    for a in args:
        if isinstance(a, Tensor):
            data.append(a.data)
            if a.requires_grad:
                recorded = True
        else:
            data.append(a)
    try:
        result = op.eval(*data, **attrs)
    except JitgraphError:
        raise
    except (ValueError, TypeError) as error:
        raise _named(error, op, args) from error
    if type(result) is not np.ndarray:
        result = np.asarray(result)
    if not (recorded and op.has_slope and is_recording() and result.dtype.kind in "fc"):
        return wrapped(result)
    if not op.differentiable:
        raise GradientError(
            f"{op.name} has no gradient rule ({user_line()}); detach its arguments, or call it "
            "inside no_grad()"
        )
    return made_by(op, result, args, data, attrs)


_PLAIN = {Tensor, np.ndarray, float, int}


def _are_plain(operands: tuple[Any, ...]) -> bool:
    """Whether they are operands as they are, and none belongs to a batch."""
    for given in operands:  # noqa: SIM110 - the quickest way
        if type(given) not in _PLAIN:
            return False
    return True


# what has no gradient: they give numbers of elements, positions, flags and texts
_CONSTANT = frozenset(
    (
        np.allclose, np.argpartition, np.argsort, np.argwhere, np.array2string, np.array_equal,
        np.array_equiv, np.array_repr, np.array_str, np.can_cast, np.digitize,
        np.flatnonzero, np.isclose, np.iscomplex, np.iscomplexobj, np.isin, np.isneginf,
        np.isposinf, np.isreal, np.isrealobj, np.lexsort, np.linalg.matrix_rank,
        np.may_share_memory, np.nanargmax, np.nanargmin, np.ndim, np.nonzero, np.result_type,
        np.searchsorted, np.shape, np.shares_memory, np.size,
    )
)  # fmt: skip


def _by_numpy(function: Any, args: Any, kwargs: Any) -> Any:
    """A function without a gradient rule, carried out by NumPy on the data."""
    leaves, _ = flatten((args, kwargs))
    name = getattr(function, "__name__", str(function))
    if function not in _CONSTANT and is_recording() and any(map(needs_grad, leaves)):
        raise GradientError(
            f"np.{name} has no gradient rule ({user_line()}); detach its arguments, or call it "
            "inside no_grad()"
        )
    out = kwargs.get("out")
    args, kwargs = map_leaves(_plain, (args, dict(kwargs)))
    result = function(*args, **kwargs)
    if isinstance(out, Tensor) or (isinstance(out, tuple) and len(out) == 1):
        return out[0] if isinstance(out, tuple) else out
    return map_leaves(lambda leaf: Tensor(leaf) if _is_number(leaf) else leaf, result)


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.char in SUPPORTED


def _named(error: Exception, op: Op, args: tuple[Any, ...]) -> Exception:
    shapes = " and ".join(
        f"{np.dtype(a.dtype)}{list(a.shape)}" for a in args if hasattr(a, "shape")
    )
    kind: type[Exception] = ShapeError if isinstance(error, ValueError) else DTypeError
    if isinstance(error, np.exceptions.AxisError):
        kind = AxisError
    elif isinstance(error, np.linalg.LinAlgError):
        kind = np.linalg.LinAlgError
    return kind(f"{op.name} of {shapes}: {error} ({user_line()})")


interpreter.register(Tensor, interpreter.TENSOR, _apply)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.data if isinstance(value, Tensor) else value


def _is_general_index(key: Any) -> bool:
    """Masks, and arrays beyond one in the first place: indexing that only NumPy itself does."""
    items = key if isinstance(key, tuple) else (key,)
    arrays = [
        i for i in items if isinstance(i, (list, np.ndarray, Tensor)) and np.ndim(_plain(i)) > 0
    ]
    masks = [i for i in arrays if np.asarray(_plain(i)).dtype == bool]
    return bool(masks) or (bool(arrays) and len(items) > 1)


def _general_index(x: Tensor, key: Any) -> Any:
    """Indexing by masks and several arrays, as flat positions into the elements."""
    positions = np.arange(x.data.size).reshape(x.shape)[_plain(key)]
    return F.take(F.ravel(x), positions, axis=0)


def _as_array(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    if isinstance(data, (list, tuple)) and any(isinstance(d, Tensor) for d in data):
        data = [_plain(d) for d in data]
    array = np.asarray(data)
    if (
        dtype is None
        and not isinstance(data, (np.ndarray, np.generic))
        and array.dtype == np.float64
    ):
        array = array.astype(np.float32)
    return array
