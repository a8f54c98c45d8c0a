"""From a user's function to a static graph."""

from .host import HostCall
from .runtime import captured_through
from .trace import Argument, Captured, Trace, capture, symbolic_shape
from .tracer import TRACERS, ScalarTracer, Tracer

__all__ = [
    "TRACERS", "Argument", "Captured", "HostCall", "ScalarTracer", "Trace", "Tracer", "capture",
    "captured_through", "symbolic_shape",
]  # fmt: skip
