"""Initial values of parameters, in place, as PyTorch names them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..creation import generator
from ..tensor import Tensor


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor.data[...] = values
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b)."""
    return _fill(tensor, generator().uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal."""
    return _fill(tensor, generator().normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal, drawn again where it is outside of [a, b]."""
    values = generator().normal(mean, std, tensor.shape)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = generator().normal(mean, std, int(outside.sum()))
    return _fill(tensor, values)


def constant_(tensor: Tensor, value: float) -> Tensor:
    """One value."""
    return _fill(tensor, value)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return _fill(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return _fill(tensor, 1)


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output of a weight has, and how many outputs an input."""
    if tensor.ndim < 2:
        raise ValueError(f"a weight of shape {tensor.shape} has no inputs and outputs")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What a non-linearity makes of a standard deviation, at least about."""
    gains = {"relu": math.sqrt(2), "tanh": 5 / 3, "selu": 0.75}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    return gains.get(nonlinearity, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform, of the variance of Glorot and Bengio (2010)."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal, of the variance of Glorot and Bengio (2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))))


def _deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = fans(tensor)[{"fan_in": 0, "fan_out": 1}[mode]]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Uniform, of the variance of He et al. (2015)."""
    bound = math.sqrt(3) * _deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    """Normal, of the variance of He et al. (2015)."""
    return normal_(tensor, 0.0, _deviation(tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Orthonormal rows or columns (Saxe et al. 2014)."""
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    drawn = generator().standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diagonal(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))
