"""Convolutions and pooling over images of shape (n, channels, height, width), or signals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from .. import functions as F
from ..errors import ShapeError
from .layers import uniform_parameter
from .module import Module

Sizes = int | Sequence[int]


def _sizes(value: Sizes, count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)


def _padded(x: Any, padding: Sequence[int], value: float) -> Any:
    if not any(padding):
        return x
    widths = [(0, 0), (0, 0), *((p, p) for p in padding)]
    return F.pad(x, widths, mode="constant", constant_values=value)


def _windows(
    x: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[Any]:
    """For each place of a kernel the elements that it meets."""
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = x.shape[2:]
    if any(int(n) < s for n, s in zip(sizes, spans, strict=True)):
        raise ShapeError(f"a kernel of {tuple(spans)} is larger than {tuple(sizes)}")
    found = []
    for place in product(*map(range, kernel)):
        key: list[Any] = [slice(None), slice(None)]
        for k, d, n, span, step in zip(place, dilation, sizes, spans, stride, strict=True):
            start = k * d
            key.append(slice(start, n - span + start + 1, step))
        found.append(x[tuple(key)])
    return found


def convolution(
    x: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Sizes = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Sums of products with a kernel at each place.

    x: (n, in_channels, *sizes); weight: (out_channels, in_channels / groups, *kernel).

    Each place of the kernel is a product of matrices over the channels.
    """
    count = x.ndim - 2
    kernel = tuple(int(k) for k in weight.shape[2:])
    stride, padding, dilation = (_sizes(v, count) for v in (stride, padding, dilation))
    if x.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"a convolution of {weight.shape[1] * groups} channels is given {x.shape[1]}"
        )
    windows = _windows(_padded(x, padding, 0.0), kernel, stride, dilation)
    batch, sizes = windows[0].shape[0], windows[0].shape[2:]
    width = weight.shape[1]
    weights = F.reshape(weight, (groups, -1, width, math.prod(kernel)))
    total: Any = None
    for k, window in enumerate(windows):
        columns = F.reshape(window, (batch, groups, width, -1))
        part = F.matmul(weights[..., k], columns)
        total = part if total is None else total + part
    made = F.reshape(total, (batch, weight.shape[0], *sizes))
    return made if bias is None else made + F.reshape(bias, (1, -1, *[1] * count))


class _Convolution(Module):
    """weight: (out_channels, in_channels / groups, *kernel), bias: (out_channels,), both uniform in
    +-1/sqrt(in_channels / groups * size of the kernel) at first, as in PyTorch.
    """

    count = 0

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1,
        padding: Sizes = 0, dilation: Sizes = 1, groups: int = 1, bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} and {out_channels} channels are no {groups} groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = _sizes(kernel_size, self.count)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = uniform_parameter(bound, shape, dtype)
        self.bias = uniform_parameter(bound, (out_channels,), dtype) if bias else None

    def forward(self, x: Any) -> Any:
        return convolution(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"


class Conv1d(_Convolution):
    __doc__ = f"Convolution of signals (n, in_channels, length).\n\n    {_Convolution.__doc__}"
    count = 1


class Conv2d(_Convolution):
    __doc__ = f"Convolution of images (n, in_channels, h, w).\n\n    {_Convolution.__doc__}"
    count = 2


def _pooled(
    x: Any, kernel: Sizes, stride: Sizes | None, padding: Sizes, outside: float,
    combine: Callable[[Any, Any], Any],
) -> Any:  # fmt: skip
    count = x.ndim - 2
    kernel = _sizes(kernel, count)
    stride = kernel if stride is None else _sizes(stride, count)
    padded = _padded(x, _sizes(padding, count), outside)
    windows = _windows(padded, kernel, stride, (1,) * count)
    total = windows[0]
    for window in windows[1:]:
        total = combine(total, window)
    return total


def max_pool(x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Any:
    """The largest element of each window."""
    return _pooled(x, kernel_size, stride, padding, -np.inf, F.maximum)


def avg_pool(x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Any:
    """The mean of each window, padding included."""
    total = _pooled(x, kernel_size, stride, padding, 0.0, F.add)
    return total * (1 / math.prod(_sizes(kernel_size, x.ndim - 2)))


def adaptive_avg_pool(x: Any, output_size: Sizes) -> Any:
    """Means of about equal windows, so many along each axis."""
    wanted = _sizes(output_size, x.ndim - 2)
    for axis, parts in zip(range(2, x.ndim), wanted, strict=True):
        size = int(x.shape[axis])
        ends = [(k * size // parts, -(-(k + 1) * size // parts)) for k in range(parts)]
        key = (slice(None),) * axis
        means = [F.mean(x[(*key, slice(a, b))], axis=axis, keepdims=True) for a, b in ends]
        x = F.concatenate(means, axis=axis)
    return x


class _Pool(Module):
    function: Callable[..., Any]

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Any) -> Any:
        return type(self).function(x, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(_Pool):
    """The largest element of each window."""

    function = staticmethod(max_pool)


class MaxPool2d(MaxPool1d):
    """The largest element of each window."""


class AvgPool1d(_Pool):
    """The mean of each window, padding included."""

    function = staticmethod(avg_pool)


class AvgPool2d(AvgPool1d):
    """The mean of each window, padding included."""


class AdaptiveAvgPool1d(Module):
    """Means of about equal windows, so many along each axis."""

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        return adaptive_avg_pool(x, self.output_size)


class AdaptiveAvgPool2d(AdaptiveAvgPool1d):
    """Means of about equal windows, so many along each axis."""
