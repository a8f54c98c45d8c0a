"""From a user's function to a static graph."""

from .capturing import Argument, Captured, capture
from .host import HostCall
from .loops import ControlPolicy
from .refusal import OfNumbersError, RefusedError
from .runtime import captured_through
from .superseding import with_superseded
from .trace import Trace
from .tracer import TRACERS, ScalarTracer, Tracer

__all__ = [
    "TRACERS",
    "Argument",
    "Captured",
    "ControlPolicy",
    "HostCall",
    "OfNumbersError", "RefusedError",
    "ScalarTracer",
    "Trace",
    "Tracer",
    "capture",
    "captured_through",
    "with_superseded",
]  # fmt: skip
