"""Layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functions as F
from ..creation import generator
from ..tensor import Tensor
from . import functional
from .module import Module, Parameter


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
        draw = generator().uniform
        self.weight = Parameter(draw(-bound, bound, (out_features, in_features)).astype(dtype))
        self.bias: Tensor | None = (
            Parameter(draw(-bound, bound, out_features).astype(dtype)) if bias else None
        )

    def forward(self, x: Any) -> Any:
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Any) -> Any:
        return F.relu(x)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x: Any) -> Any:
        return F.tanh(x)


class Sequential(Module):
    """Modules applied one after the other; named "0", "1", ... as in PyTorch."""

    def __init__(self, *modules: Module) -> None:
        for k, module in enumerate(modules):
            setattr(self, str(k), module)

    def forward(self, x: Any) -> Any:
        for _, module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __getitem__(self, k: int) -> Module:
        return [module for _, module in self.children()][k]
