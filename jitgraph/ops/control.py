"""Loops and branches of a program.

A `loop` node repeats a graph, its body; `control_result` nodes are what it leaves behind.  Its
inputs are the values it starts from and those that stay as they are; the body has inputs of its own
for both, in this order.  First come the values that the body changes in place (its `writes`), then
those it computes anew (its `outputs`).

A `cond` node runs one of two graphs.  Its inputs are the condition, the values that one of the
graphs changes in place, and those they read; the graphs have inputs for all but the condition.
Both compute the same outputs.

An `expect` node ends the call where its input is true: it is then made once more in Python, which
raises what the function says.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import CaptureError
from ..spec import Spec, as_shape
from ..symbolic import Shape
from .op import DType, Kind, Op, register


def _no_eval(*args: Any, **attrs: Any) -> Any:
    raise CaptureError("a loop, a branch or an assertion belongs to the program it was captured in")


def _token(*specs: Spec, **attrs: Any) -> Spec:
    """A token, for the results to come after."""
    return Spec((), np.dtype(bool))


LOOP = register(Op("loop", Kind.CONTROL, _no_eval, _token))
# body: the graph that is repeated; test: a graph whose output is whether to go on, asked before
# each step; index, count: for a loop of known length, a symbol that the body's sizes may mention,
# which runs from 2 to count + 1 (symbols of sizes are never below 2); last: how many of the body's
# outputs, at their end, no step starts from

COND = register(Op("cond", Kind.CONTROL, _no_eval, _token))
# taken, otherwise: the graphs; written: how many inputs after the condition they change

EXPECT = register(Op("expect", Kind.CONTROL, _no_eval, _token))

CONTROL_RESULT = register(
    Op(
        "control_result",
        Kind.CONTROL,
        lambda values, *, position, shape, dtype, weak: np.asarray(values[position]),
        lambda token, *, position, shape, dtype, weak: _result_spec(shape, dtype, weak),
    )
)


def _result_spec(shape: Shape, dtype: DType, weak: bool) -> Spec:
    return Spec(as_shape(shape), np.dtype(dtype), weak)
