"""The one place that applies gradient rules: for the tape on arrays, for graphs on traced values.

A rule gives the cotangent as if its input had the result's shape and dtype; summing over broadcast
axes and casting back are done here, for all operations alike.

The cotangent of a complex number x + iy of which a real number L depends is dL/dx + i dL/dy, as in
PyTorch.  For a function with a complex derivative that is the conjugate of what the rule makes of
the conjugate: so rules are written as for real numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from .errors import GradientError
from .ops import Kind, Op
from .ops import elementwise as ew
from .ops.reductions import SUM
from .ops.views import BROADCAST_TO, SQUEEZE
from .spec import as_shape, dims

_LINEAR = (ew.ADD, ew.SUBTRACT, ew.NEGATIVE, ew.POSITIVE, ew.CAST, ew.WHERE, ew.AGAIN)


def cotangents(
    op: Op, g: Any, out: Any, inputs: Sequence[Any], attrs: dict[str, Any],
    wanted: Iterable[bool], selected: Any = None, conjugated: bool = False,
) -> list[Any]:  # fmt: skip
    """The cotangent of each wanted input, None for the others and where there is no gradient.
    Raises GradientError for an operation that has none.

    g, out: cotangent and result of the operation; all array-likes of one kind (arrays, Tensors or
    tracers).  selected: how much of the result `where` selects, see `selections`; what is not
    selected has no gradient, though the derivative may be infinite or NaN.  conjugated: whether the
    conjugates of cotangents are given and wanted, as rules take them.
    """
    if out.dtype.kind == "c" and not conjugated and not op.adjoint:
        parts = cotangents(op, ew.CONJUGATE(g), out, inputs, attrs, wanted, selected, True)
        return [ew.CONJUGATE(part) if _is_complex(part) else part for part in parts]
    if not op.differentiable and any(wanted):
        raise GradientError(f"{op.name} has no gradient")
    if op.vjp_all is not None:
        parts = op.vjp_all(g, out, *inputs, **attrs)
        each = zip(parts, wanted, inputs, strict=True)
        return [matched(p, x) if w and p is not None else None for p, w, x in each]
    found: list[Any] = []
    rules = op.vjp
    for k, want in enumerate(wanted):
        rule = rules[k] if want and k < len(rules) else None
        if rule is None:
            found.append(None)
            continue
        part = rule(g, out, *inputs, **attrs)
        if part is not None and selected is not None and is_nonlinear(op):
            part = ew.WHERE(ew.GREATER(selected, 0), part, np.dtype(g.dtype).type(0))
        found.append(None if part is None else matched(part, inputs[k]))
    return found


@cache
def is_nonlinear(op: Op) -> bool:
    """Whether the slope of an elementwise operation depends on operands, and may be infinite."""
    return op.kind is Kind.ELEMENTWISE and op not in _LINEAR


@cache
def hands_on(op: Op) -> bool:
    """Whether what is selected of a result tells what is selected of its operands."""
    return op.kind in (Kind.ELEMENTWISE, Kind.VIEW) or op is SUM


def selections(
    op: Op, selected: Any, out: Any, inputs: Sequence[Any], attrs: dict[str, Any]
) -> list[Any]:
    """How much of each input is selected by a `where` that it goes into, directly or by others.

    selected: the same of the result, numbers of its shape; 0 for what nothing depends on.  None
    stands for all of it.
    """
    if _is_complex(out):
        return [None] * len(inputs)
    if op is ew.WHERE:
        condition, *sides = inputs
        one = np.dtype(out.dtype).type(1) if selected is None else selected
        zero = np.dtype(out.dtype).type(0)
        halves = ew.WHERE(condition, one, zero), ew.WHERE(condition, zero, one)
        whole = [_spread(half, out) for half in halves]
        return [None, *(_matched_or_none(w, x) for w, x in zip(whole, sides, strict=True))]
    if selected is None:
        return [None] * len(inputs)
    if op.kind is Kind.ELEMENTWISE:
        return [_matched_or_none(selected, x) for x in inputs]
    if op.kind is Kind.VIEW or op is SUM:
        parts = [rule and rule(selected, out, *inputs, **attrs) for rule in op.vjp]
        return [p if p is None else matched(p, x) for p, x in zip(parts, inputs, strict=False)]
    return [None] * len(inputs)


def _spread(part: Any, out: Any) -> Any:
    if type(part) is np.ndarray and part.shape == out.shape:
        return part
    return BROADCAST_TO(part, shape=as_shape(out.shape))


def _matched_or_none(part: Any, x: Any) -> Any:
    return matched(part, x) if hasattr(x, "shape") and np.dtype(x.dtype).kind == "f" else None


class Selections:
    """What is known of selections while a graph is walked backwards."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def take(self, value: Any) -> Any:
        return self._known.pop(value, None)

    def note(self, source: Any, part: Any) -> None:
        """One of those who read a value selects this much of it."""
        if source not in self._known:
            self._known[source] = part
        elif part is None or self._known[source] is None:
            self._known[source] = None  # all of it
        else:
            self._known[source] = self._known[source] + part


def passes_gradients(op: Op, kind: str) -> bool:
    """Whether a result of this kind of dtype depends on the inputs by more than jumps, so that it
    has a gradient, or ought to have one.
    """
    return kind in "fc" and op.has_slope


def matched(g: Any, x: Any) -> Any:
    """`g` summed over the axes along which `x` was broadcast, in the dtype of `x`."""
    if type(g) is np.ndarray and g.shape == x.shape and g.dtype == x.dtype:
        return g
    shape = as_shape(x.shape)
    extra = g.ndim - len(shape)
    stretched = [
        k + extra
        for k, d in enumerate(shape)
        if isinstance(d, int) and d == 1 and not dims.same(as_shape(g.shape)[k + extra], 1)
    ]
    axes = (*range(extra), *stretched)
    if axes:
        g = SUM(g, axis=axes, keepdims=True)
        if extra:
            g = SQUEEZE(g, axes=tuple(range(extra)))
    if _is_complex(g) and not _is_complex(x):
        g = ew.REAL(g)
    return g if g.dtype == x.dtype else ew.CAST(g, dtype=np.dtype(x.dtype))


def _is_complex(x: Any) -> bool:
    return x is not None and np.dtype(x.dtype).kind == "c"
