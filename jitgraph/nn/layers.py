"""Layers without a neighbourhood or a memory: dense, normalising, dropping, tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functions as F
from ..creation import generator
from ..tensor import Tensor
from . import functional, init
from .module import Module, Parameter


def uniform_parameter(bound: float, shape: Sequence[int], dtype: Any) -> Tensor:
    """A parameter that is uniform in [-bound, bound) at first."""
    return Parameter(generator().uniform(-bound, bound, tuple(shape)).astype(dtype))


class Identity(Module):
    """x."""

    def forward(self, x: Any) -> Any:
        return x


class Linear(Module):
    """x @ weight.T + bias, for x of shape (..., in_features).

    weight: (out_features, in_features), bias: (out_features,), both uniform in
    +-1/sqrt(in_features) at first, as in PyTorch (He et al. 2015 with a = sqrt(5)).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, dtype: Any = np.float32
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = uniform_parameter(bound, (out_features, in_features), dtype)
        self.bias = uniform_parameter(bound, (out_features,), dtype) if bias else None

    def forward(self, x: Any) -> Any:
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class Embedding(Module):
    """Rows of a table of `num_embeddings` vectors, normal at first.

    padding_idx: a row that is zeros at first and gets no gradient.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(np.zeros((num_embeddings, embedding_dim), dtype))
        init.normal_(self.weight)
        if padding_idx is not None:
            self.weight.data[padding_idx] = 0

    def forward(self, positions: Any) -> Any:
        weight = self.weight
        if self.padding_idx is not None:
            row = self.padding_idx % self.num_embeddings
            fixed = np.arange(self.num_embeddings)[:, None] == row
            weight = F.where(fixed, weight.detach(), weight)
        return functional.embedding(positions, weight)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(Module):
    """Zeros with probability p while training, and what is left times 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"the probability {p} must lie in [0, 1]")
        self.p = p

    def forward(self, x: Any) -> Any:
        return functional.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """Axes from one to another made one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        first, last = self.start_dim % x.ndim, self.end_dim % x.ndim
        return F.reshape(x, (*x.shape[:first], -1, *x.shape[last + 1 :]))


# activations


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        return F.relu(x)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x: Any) -> Any:
        return F.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Any) -> Any:
        return F.sigmoid(x)


class SiLU(Module):
    """x * sigmoid(x)."""

    def forward(self, x: Any) -> Any:
        return functional.silu(x)


class Softplus(Module):
    """log(1 + exp(x))."""

    def forward(self, x: Any) -> Any:
        return F.softplus(x)


class GELU(Module):
    """x times the normal distribution's share below it; approximate: "none" or "tanh"."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return functional.gelu(x, self.approximate)


class LeakyReLU(Module):
    """x, and a part of it where it is negative."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return functional.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """x, and alpha * (exp(x) - 1) where it is negative."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        return functional.elu(x, self.alpha)


class Softmax(Module):
    """Shares along an axis."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return F.softmax(x, axis=self.dim)


class LogSoftmax(Module):
    """Logarithms of shares along an axis."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        return F.log_softmax(x, axis=self.dim)


# normalisation


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _parameters(shape: Sequence[int], weight: bool, bias: bool, dtype: Any) -> list[Tensor | None]:
    values = ((weight, np.ones), (bias, np.zeros))
    return [Parameter(made(tuple(shape), dtype)) if wanted else None for wanted, made in values]


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then times weight plus bias."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5,
        elementwise_affine: bool = True, bias: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        affine = elementwise_affine
        self.weight, self.bias = _parameters(self.normalized_shape, affine, affine and bias, dtype)

    def forward(self, x: Any) -> Any:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """Mean square 1 over the last axes, then times weight."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None,
        elementwise_affine: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        self.normalized_shape, self.eps = _shape(normalized_shape), eps
        self.weight, _ = _parameters(self.normalized_shape, elementwise_affine, False, dtype)

    def forward(self, x: Any) -> Any:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class GroupNorm(Module):
    """Mean 0 and variance 1 over groups of channels, then by channel times weight plus bias."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        if num_channels % num_groups:
            raise ValueError(f"{num_channels} channels are no {num_groups} equal groups")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight, self.bias = _parameters((num_channels,), affine, affine, dtype)

    def forward(self, x: Any) -> Any:
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class _BatchNorm(Module):
    """Mean 0 and variance 1 of each channel over the batch while training, by the running ones of
    training otherwise, then by channel times weight plus bias (Ioffe and Szegedy 2015).

    momentum: the share of a new batch in the running mean and variance.
    """

    ranks: tuple[int, ...] = ()
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True,
        track_running_stats: bool = True, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight, self.bias = _parameters((num_features,), affine, affine, dtype)
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.register_buffer("running_mean", Tensor(np.zeros(num_features, dtype)))
            self.register_buffer("running_var", Tensor(np.ones(num_features, dtype)))
            self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)))

    def forward(self, x: Any) -> Any:
        if x.ndim not in self.ranks or x.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}({self.num_features}) is given an array of shape "
                f"{tuple(x.shape)}"
            )
        if not self.training and self.track_running_stats:
            mean, variance = self.running_mean, self.running_var
        else:
            mean, variance = self._of_batch(x)
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, self.eps)

    def _of_batch(self, x: Any) -> tuple[Any, Any]:
        axes = (0, *range(2, x.ndim))
        mean, variance = F.mean(x, axis=axes), F.var(x, axis=axes)
        if self.training and self.track_running_stats:
            count = math.prod(x.shape) // self.num_features
            parts = (mean, variance)
            seen, spread = (v.detach().data if isinstance(v, Tensor) else v for v in parts)
            spread = spread * (count / max(count - 1, 1))
            self.running_mean.data += self.momentum * (seen - self.running_mean.data)
            self.running_var.data += self.momentum * (spread - self.running_var.data)
            self.num_batches_tracked.data += 1
        return mean, variance

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    ranks = (4,)
