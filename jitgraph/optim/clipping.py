"""Gradients made smaller where they are too large."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> float:
    """Scale the gradients of parameters so that the norm of all together is at most `max_norm`; the
    norm that they had.
    """
    grads = _gradients(parameters)
    if not grads:
        return 0.0
    if norm_type == math.inf:
        total = max(float(np.abs(g).max()) for g in grads)
    else:
        powers = (float((np.abs(g).astype(np.float64) ** norm_type).sum()) for g in grads)
        total = sum(powers) ** (1 / norm_type)
    factor = max_norm / (total + 1e-6)
    if factor < 1:
        for g in grads:
            g *= factor
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of the gradients to [-clip_value, clip_value]."""
    for g in _gradients(parameters):
        np.clip(g, -clip_value, clip_value, out=g)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[np.ndarray]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad.data for p in given if p.grad is not None]
