"""Gradients made smaller where they are too large."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Any:
    """Scale the gradients of parameters so that the norm of all together is at most `max_norm`; the
    norm that they had, float64.
    """
    pairs = _gradients(parameters)
    if not pairs:
        return np.float64(0.0)
    if norm_type == math.inf:
        total = functools.reduce(np.maximum, [np.abs(g).max() for _, g in pairs])
        total = total.astype(np.float64)
    else:
        powers = [(np.abs(g).astype(np.float64) ** norm_type).sum() for _, g in pairs]
        total = sum(powers[1:], powers[0]) ** (1 / norm_type)
    factor = np.minimum(max_norm / (total + 1e-6), 1.0)
    for parameter, g in pairs:
        _change(parameter, g * factor.astype(g.dtype))
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of the gradients to [-clip_value, clip_value]."""
    for parameter, g in _gradients(parameters):
        _change(parameter, np.clip(g, -clip_value, clip_value))


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Any]]:
    """Parameters that have gradients, with the arrays in these."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [(p, p.grad.data) for p in given if p.grad is not None]


def _change(parameter: Tensor, gradient: Any) -> None:
    if type(gradient) is np.ndarray:
        parameter.grad.data[...] = gradient
    else:  # of a function that is being captured
        parameter.grad = gradient
