"""Who carries out an operation: decided by the arguments it meets.

A mode of execution is a class of values with a rule for applying an `Op` to them.  The tape
registers `Tensor`, capture registers `Tracer`; arguments of neither kind go to the op's own NumPy
evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .errors import CaptureError, user_line

if TYPE_CHECKING:
    from .ops.op import Op

Apply = Callable[["Op", tuple[Any, ...], dict[str, Any]], Any]

TENSOR, TRACER, BATCHED = 1, 2, 3  # levels of what carries out operations

_interpreters: dict[type, tuple[int, Apply]] = {}


# The capture that runs in this thread: it takes operations on Tensors too.  Reading a variable of
# the context takes a third of the time of one of a `threading.local`.
_trace: ContextVar[Any] = ContextVar("trace", default=None)
current_trace = _trace.get

# whether operations on Tensors are recorded; `no_grad` in one thread says nothing to the others
_recording: ContextVar[bool] = ContextVar("recording", default=True)
is_recording = _recording.get

# makes an array one of the batches that run, see `vmap`
_batched: ContextVar[Callable[[Any], Any] | None] = ContextVar("batched", default=None)
current_batches = _batched.get


def set_trace(trace: Any) -> Any:
    """Have a capture take the operations, or none; gives the one before."""
    before = _trace.get()
    _trace.set(trace)
    return before


@contextmanager
def recording(enabled: bool) -> Iterator[None]:
    """While operations are recorded, or not."""
    before = is_recording()
    _recording.set(enabled)
    try:
        yield
    finally:
        _recording.set(before)  # a token would not do for generators that end in another thread


@contextmanager
def batches(batched: Callable[[Any], Any] | None) -> Iterator[None]:
    """While new arrays are made ones of batches, or of none."""
    before = current_batches()
    _batched.set(batched)
    try:
        yield
    finally:
        _batched.set(before)


def register(kind: type, level: int, apply: Apply) -> None:
    """Have `apply(op, args, attrs)` carry out operations on values of class `kind`; the highest
    level wins.
    """
    _interpreters[kind] = (level, apply)


def create(op: Op, *args: Any, **attrs: Any) -> Any:
    """Apply an operation that makes an array from numbers: a value of the graph while one is
    captured, and one for each element of a batch while a function runs on one.
    """
    array = made(op, *args, **attrs)
    batched = current_batches()
    return array if batched is None else batched(array)


def made(op: Op, *args: Any, **attrs: Any) -> Any:
    """The same, one array whatever runs."""
    trace = current_trace()
    return op.eval(*args, **attrs) if trace is None else trace.apply(op, args, attrs)


def apply(op: Op, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Apply an operation to NumPy arrays and scalars, Tensors or tracers."""
    level, run = 0, None
    for arg in args:
        found = _interpreters.get(type(arg))
        if found is not None and found[0] > level:
            level, run = found
    if run is None:
        return op.eval(*args, **attrs)
    trace = current_trace()
    if trace is not None and level < BATCHED:  # a batch is taken apart before it is traced
        return trace.apply(op, args, attrs)
    return run(op, args, attrs)


def is_tracing() -> bool:
    """Whether a function is being captured."""
    return current_trace() is not None


def only_outside(what: str) -> None:
    """Refuse what a program would not do at each call: it is done once, while it is captured."""
    if current_trace() is not None:
        raise CaptureError(
            f"{what} in a function that is being captured ({user_line()}); do it outside of it"
        )


def is_concrete(value: Any) -> bool:
    """Whether a value is known while a function is captured."""
    return type(value).__module__ == "numpy"
