"""What is done often on arrays of the same shapes and dtypes, prepared: functions on Tensors, and
the gradient rules of operations.

In dynamic mode a function looks at its arguments and carries out operations one by one, and a rule
does the same with a cotangent.  On small arrays the looking takes longer than the operations, and
for the same signature it comes to the same each time.  So a signature that is met often is traced
once and becomes straight Python, see `preparing`; this module keeps what was made.

    np.var(x, axis=0)  ->  (np.var, True, "axis", 1, float32, (3, 3), True, int, "0")  ->  function
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from . import config
from .interpreter import current_trace, is_recording
from .ops import Op
from .ops.indexing import AT, PLACED, in_zeros

Function = Callable[..., Any]

OFTEN = 64  # calls that take as much longer together as preparing takes, about
MOST = 4096  # signatures that are kept

_ARRAY, _NO_VALUE = np.ndarray, np._NoValue
_NUMBERS = np.number, np.bool_
_UNKNOWN: Any = object()
_prepared: dict[Any, Function | None] = {}  # None for what can't be
_met: dict[Any, int] = {}  # how often so far
_makers: dict[str, Callable[..., Function | None]] = {}


def register(calls: Callable[..., Function | None], rules: Callable[..., Function | None]) -> None:
    """Have these prepare what is met often, or give None.

    calls: `calls(function, args, kwargs)` makes what takes the values of the arguments by position.
    rules: `rules(op, g, out, inputs, operands, attrs)` makes what takes the cotangent and the
    result of an operation, and its operands, and gives the cotangents of the inputs: None for those
    that want none.
    """
    _makers.update(calls=calls, rules=rules)


class PreparedCalls:
    """Mixin for Tensors, on which functions are prepared."""

    __slots__ = ()

    def _carry_out(self, function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """`function(*args, **kwargs)`, of NumPy or of `functions`, operation by operation."""
        raise NotImplementedError

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if current_trace() is None:
            signature: list[Any] = [function, is_recording()]
            values = args
            if kwargs:
                signature += (*kwargs, len(args))
                values = (*args, *kwargs.values())
            if _tell(type(self), values, signature):
                key = tuple(signature)
                run = _prepared.get(key, _UNKNOWN)
                if run is _UNKNOWN:
                    run = _meet(key, "calls", function, args, kwargs)
                if run is not None:
                    try:
                        return run(*values)
                    except Exception as error:  # which is raised again in the user's terms
                        config.log("fallbacks", f"{function.__name__} goes op by op: {error}")
                        return self._carry_out(function, args, kwargs)
        return self._carry_out(function, args, kwargs)

    def _call(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.__array_function__(function, (), args, kwargs)


def on_tensors(function: Function) -> Function:
    """Decorator for a function made of operations and nothing else, to be prepared on Tensors."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            if isinstance(value, PreparedCalls):
                return value._call(function, args, kwargs)
        return function(*args, **kwargs)

    return call


def gradients(
    op: Op, g: Any, out: Any, inputs: tuple[Any, ...], operands: list[Any], attrs: dict[str, Any]
) -> Sequence[Any] | None:
    """The cotangents of an operation's inputs by its prepared rule, None where there is none.

    inputs: what it was given, Tensors or not; operands: the same as arrays and numbers.
    """
    if type(g) is not _ARRAY:
        if not isinstance(g, _NUMBERS):
            return None  # a batch's
        g = np.asarray(g)
    if op is AT:  # whose key has no hash, and whose rule is one operation as it is
        return (in_zeros(g, key=attrs["key"], shape=operands[0].shape),)
    if op is PLACED:
        return (g[attrs["key"]],)
    signature: list[Any] = [op, g.dtype]
    for source, x in zip(inputs, operands):  # noqa: B905 - the quickest way
        kind = type(x)
        if kind is _ARRAY:
            signature += x.dtype, x.shape, source is not x and source.requires_grad
        elif kind is int or kind is float or kind is bool:
            signature += kind, x or repr(x)
        elif isinstance(x, _NUMBERS):  # of a Tensor as well
            signature += kind, x.tobytes(), source is not x and source.requires_grad
        else:
            return None
    signature += attrs.values()
    key = tuple(signature)
    run = _prepared.get(key, _UNKNOWN)
    if run is _UNKNOWN:
        run = _meet(key, "rules", op, g, out, inputs, operands, attrs)
    if run is None:
        return None
    try:
        parts: Sequence[Any] = run(g, out, *operands)
    except Exception as error:  # which is raised again in the user's terms
        config.log("fallbacks", f"the gradient of {op.name} goes by its own rule: {error}")
        return None
    return parts


def _tell(tensor: type, values: Iterable[Any], signature: list[Any]) -> bool:
    """Add to a signature what tells values from others; whether that could be told."""
    for value in values:
        kind = type(value)
        if kind is tensor:
            data = value.data
            signature += data.dtype, data.shape, value.requires_grad
        elif kind is _ARRAY:
            signature += value.dtype, value.shape
        elif kind is int or kind is float or kind is bool:
            signature += kind, value or repr(value)  # 0.0 is not -0.0
        elif value is None or value is _NO_VALUE or kind is str:
            signature.append(value)
        elif kind is list or kind is tuple:
            signature += kind, len(value)
            if not _tell(tensor, value, signature):
                return False
        elif isinstance(value, _NUMBERS):
            signature += kind, value.tobytes()
        elif kind is type or isinstance(value, np.dtype):
            signature += kind, value
        else:
            return False
    return True


def _meet(key: Any, maker: str, *what: Any) -> Function | None:
    """What is to run for a signature that is not known, None for what always runs."""
    times = _met.get(key, 0) + 1
    if times < OFTEN:
        if len(_met) >= MOST:
            _met.clear()
        _met[key] = times
        return None
    if len(_prepared) >= MOST:
        _prepared.clear()
    _met.pop(key, None)
    made = _prepared[key] = _makers[maker](*what) if maker in _makers else None
    return made
