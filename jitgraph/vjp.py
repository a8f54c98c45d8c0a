"""The one place that applies gradient rules: for the tape on arrays, for graphs on traced values.

A rule gives the cotangent as if its input had the result's shape and dtype; summing over broadcast
axes and casting back are done here, for all operations alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import GradientError
from .ops import Op
from .ops.elementwise import CAST
from .ops.reductions import SUM
from .ops.views import SQUEEZE
from .spec import as_shape, dims


def cotangents(
    op: Op, g: Any, out: Any, inputs: Sequence[Any], attrs: dict[str, Any], wanted: Sequence[bool]
) -> list[Any]:
    """The cotangent of each wanted input, None for the others and where there is no gradient.

    g, out: cotangent and result of the operation; all array-likes of one kind (arrays, Tensors or
    tracers).
    """
    if op.vjp_all is not None:
        parts = op.vjp_all(g, out, *inputs, **attrs)
        return [p if w else None for p, w in zip(parts, wanted, strict=True)]
    found: list[Any] = []
    for k, want in enumerate(wanted):
        rule = op.vjp[k] if want and k < len(op.vjp) else None
        part = None if rule is None else rule(g, out, *inputs, **attrs)
        found.append(None if part is None else matched(part, inputs[k]))
    if any(wanted) and not op.differentiable:
        raise GradientError(f"{op.name} has no gradient")
    return found


def matched(g: Any, x: Any) -> Any:
    """`g` summed over the axes along which `x` was broadcast, in the dtype of `x`."""
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
    return g if g.dtype == x.dtype else CAST(g, dtype=np.dtype(x.dtype))
