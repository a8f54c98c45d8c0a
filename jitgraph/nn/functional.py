"""Functions of layers and losses, on Tensors, arrays and traced values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functions as F
from ..creation import generator
from ..errors import DTypeError, ShapeError
from ..functions.base import operand
from ..functions.elementwise import relu, sigmoid, softplus, tanh
from ..functions.reductions import log_softmax, softmax
from ..prepared import on_tensors

# activations


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x, and a part of it where it is negative."""
    return F.where(x > 0, x, negative_slope * x)


@on_tensors
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x, and alpha * (exp(x) - 1) where it is negative (Clevert et al. 2016)."""
    return F.where(x > 0, x, alpha * F.expm1(F.minimum(x, 0)))


@on_tensors
def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


@on_tensors
def gelu(x: Any, approximate: str = "none") -> Any:
    """x times the normal distribution's share below x (Hendrycks and Gimpel 2016).

    approximate: "tanh" for its approximation by that.
    """
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + F.tanh(inner))
    return 0.5 * x * (1 + F.erf(x * math.sqrt(0.5)))


# layers


@on_tensors
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight.T + bias; weight of shape (out_features, in_features)."""
    product = F.matmul(x, F.swapaxes(weight, -1, -2))
    return product if bias is None else product + bias


def embedding(positions: Any, weight: Any) -> Any:
    """Rows of a table; positions: integers of any shape."""
    positions = operand(positions)
    if np.dtype(positions.dtype).kind not in "iu":
        raise DTypeError(f"embedding: positions must be integers, not {positions.dtype}")
    return F.take(weight, positions, axis=0)


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Zeros with probability p, and what is left times 1 / (1 - p) (Srivastava et al. 2014)."""
    if not 0 <= p <= 1:
        raise ValueError(f"the probability {p} must lie in [0, 1]")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0
    kept = generator().random(tuple(x.shape), np.float32) >= np.float32(p)
    return F.where(kept, x * (1 / (1 - p)), np.dtype(x.dtype).type(0))


def _standardised(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    centred = x - F.mean(x, axis=axes, keepdims=True)
    variance = F.mean(centred * centred, axis=axes, keepdims=True)
    return centred / F.sqrt(variance + eps)


def _scaled(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@on_tensors
def layer_norm(
    x: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Mean 0 and variance 1 over the last axes (Ba et al. 2016)."""
    axes = tuple(range(-len(normalized_shape), 0))
    return _scaled(_standardised(x, axes, eps), weight, bias)


@on_tensors
def rms_norm(
    x: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """Mean square 1 over the last axes (Zhang and Sennrich 2019)."""
    axes = tuple(range(-len(normalized_shape), 0))
    eps = float(np.finfo(np.dtype(x.dtype)).eps) if eps is None else eps
    return _scaled(x / F.sqrt(F.mean(x * x, axis=axes, keepdims=True) + eps), weight, None)


def _per_channel(values: Any, ndim: int) -> Any:
    """A vector of channels along the second axis."""
    return values if values is None else F.reshape(values, (1, -1, *[1] * (ndim - 2)))


@on_tensors
def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Mean 0 and variance 1 over groups of channels, the second axis (Wu and He 2018)."""
    count, channels, *rest = x.shape
    if channels % num_groups:
        raise ShapeError(f"group_norm: {channels} channels are no {num_groups} equal groups")
    grouped = F.reshape(x, (count, num_groups, -1))
    whole = F.reshape(_standardised(grouped, (-1,), eps), (count, channels, *rest))
    return _scaled(whole, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))


@on_tensors
def batch_norm(
    x: Any, mean: Any, variance: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Channels, the second axis, by a mean and a variance of each."""
    mean, variance, weight, bias = (_per_channel(v, x.ndim) for v in (mean, variance, weight, bias))
    return _scaled((x - mean) / F.sqrt(variance + eps), weight, bias)


# losses


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "mean":
        return F.mean(losses)
    if reduction == "sum":
        return F.sum(losses)
    if reduction != "none":
        raise ValueError(f"reduction {reduction!r} is none of 'mean', 'sum' and 'none'")
    return losses


def _classes(target: Any, name: str) -> Any:
    target = operand(target)
    if np.dtype(target.dtype).kind not in "iu":
        raise DTypeError(f"{name}: target must hold integer classes, not {target.dtype}")
    return target


@on_tensors
def nll_loss(
    log_shares: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """-log_shares[target], log_shares of shape (n, classes, ...), target (n, ...) of integers.

    weight: of each class; the mean is a weighted one.  ignore_index: a class that does not count.
    """
    return cross_entropy_of(log_shares, _classes(target, "nll_loss"), weight, ignore_index,
                            reduction, 0.0)  # fmt: skip


@on_tensors
def cross_entropy(
    logits: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """-log softmax(logits)[target], logits of shape (n, classes, ...), target (n, ...) of integers.

    weight: of each class; the mean is a weighted one.  ignore_index: a class that does not count.
    label_smoothing: the share of a target that all classes have alike (Szegedy et al. 2016).
    """
    target = _classes(target, "cross_entropy")
    axis = 1 if logits.ndim > 1 else 0
    return cross_entropy_of(F.log_softmax(logits, axis=axis), target, weight, ignore_index,
                            reduction, label_smoothing)  # fmt: skip


def cross_entropy_of(
    log_shares: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """The losses of logarithms of shares."""
    axis = 1 if log_shares.ndim > 1 else 0
    classes = int(log_shares.shape[axis])
    numbers = F.reshape(np.arange(classes), (-1, *[1] * (log_shares.ndim - 1 - axis)))
    counts = target != ignore_index
    chosen = F.expand_dims(target, axis) == numbers
    weights = 1.0 if weight is None else F.reshape(weight, numbers.shape)
    share = F.where(chosen, 1 - smoothing, 0.0) + smoothing / classes
    share = F.astype(share, np.dtype(log_shares.dtype)) * weights
    losses = -F.sum(share * log_shares, axis=axis)
    losses = F.where(counts, losses, 0.0)
    if reduction != "mean":
        return _reduced(losses, reduction)
    of_target = F.sum(F.where(chosen, weights, 0.0), axis=axis)
    return F.sum(losses) / F.sum(F.where(counts, of_target, 0.0))


@on_tensors
def mse_loss(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared differences."""
    difference = prediction - target
    return _reduced(difference * difference, reduction)


@on_tensors
def l1_loss(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Magnitudes of differences."""
    return _reduced(F.absolute(prediction - target), reduction)


@on_tensors
def huber_loss(prediction: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Half the square of differences up to delta, a straight line beyond (Huber 1964)."""
    size = F.absolute(prediction - target)
    return _reduced(
        F.where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta)), reduction
    )


@on_tensors
def smooth_l1_loss(prediction: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Huber's loss over beta."""
    if beta == 0:
        return l1_loss(prediction, target, reduction)
    return huber_loss(prediction, target, reduction, beta) / beta


@on_tensors
def binary_cross_entropy_with_logits(
    logits: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """-(target * log(sigmoid(logits)) + (1 - target) * log(1 - sigmoid(logits))).

    pos_weight: of the first of the two.
    """
    positive = 1.0 if pos_weight is None else pos_weight
    losses = positive * target * softplus(-logits) + (1 - target) * softplus(logits)
    return _reduced(losses if weight is None else losses * weight, reduction)


@on_tensors
def binary_cross_entropy(
    shares: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The same of probabilities; logarithms are at least -100."""
    first, second = (F.maximum(F.log(s), -100.0) for s in (shares, 1 - shares))
    losses = -(target * first + (1 - target) * second)
    return _reduced(losses if weight is None else losses * weight, reduction)


@on_tensors
def kl_div(log_shares: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """target * (log(target) - log_shares); "batchmean" divides the sum by the first size."""
    if log_target:
        losses = F.exp(target) * (target - log_shares)
    else:
        some = F.where(target > 0, target, 1.0)
        losses = F.where(target > 0, target * F.log(some), 0.0) - target * log_shares
    if reduction == "batchmean":
        return F.sum(losses) / log_shares.shape[0]
    return _reduced(losses, reduction)


# attention


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None,
) -> Any:  # fmt: skip
    """softmax(query @ key.T * scale) @ value, over the last two axes (Vaswani et al. 2017).

    attn_mask: True where a query sees a key, or numbers that are added.
    scale: one over the root of the width unless given.
    """
    width = query.shape[-1]
    scale = 1 / math.sqrt(int(width)) if scale is None else scale
    scores = F.matmul(query * scale, F.swapaxes(key, -1, -2))
    if is_causal:
        rows, columns = np.arange(int(scores.shape[-2])), np.arange(int(scores.shape[-1]))
        scores = F.where(rows[:, None] >= columns, scores, -np.inf)
    if attn_mask is not None:
        seen = np.dtype(attn_mask.dtype) == np.bool_
        scores = F.where(attn_mask, scores, -np.inf) if seen else scores + attn_mask
    return F.matmul(dropout(softmax(scores, axis=-1), dropout_p, dropout_p > 0), value)


__all__ = [
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy",
    "dropout", "elu", "embedding", "gelu", "group_norm", "huber_loss", "kl_div", "l1_loss",
    "layer_norm", "leaky_relu", "linear", "log_softmax", "mse_loss", "nll_loss", "relu",
    "rms_norm", "scaled_dot_product_attention", "sigmoid", "silu", "smooth_l1_loss", "softmax",
    "softplus", "tanh",
]  # fmt: skip
