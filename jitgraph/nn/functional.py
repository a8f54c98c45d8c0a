"""Functions of layers and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functions as F
from ..errors import DTypeError
from ..functions.base import operand


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight.T + bias; weight of shape (out_features, in_features)."""
    product = F.matmul(x, F.swapaxes(weight, -1, -2))
    return product if bias is None else product + bias


def cross_entropy(logits: Any, target: Any) -> Any:
    """Mean of -log softmax(logits)[target].

    logits: (n, classes) floats; target: (n,) integer classes.
    """
    target = operand(target)
    if np.dtype(target.dtype).kind not in "iu":
        raise DTypeError(f"cross_entropy: target must hold integer classes, not {target.dtype}")
    chosen = F.expand_dims(target, -1) == np.arange(int(logits.shape[-1]))
    return -F.sum(F.where(chosen, F.log_softmax(logits, axis=-1), 0.0)) / logits.shape[0]


def mse_loss(prediction: Any, target: Any) -> Any:
    """Mean of squared differences."""
    difference = prediction - target
    return F.mean(difference * difference)
