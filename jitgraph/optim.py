"""Optimisers: parameters changed in place by their gradients, with PyTorch's update rules and
defaults.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .tensor import Tensor


class Optimizer:
    """Base: keeps the parameters; subclasses change one parameter in `update`."""

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("the optimiser got no parameters; pass model.parameters()")
        if not all(isinstance(p, Tensor) for p in self.parameters):
            raise TypeError("an optimiser takes Tensors; pass model.parameters()")
        if lr < 0:
            raise ValueError(f"the learning rate {lr} is negative")
        self.lr = lr
        self.state: list[dict[str, Any]] = [{} for _ in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for parameter, state in zip(self.parameters, self.state, strict=True):
            if parameter.grad is not None:
                self.update(parameter.data, parameter.grad.data, state)

    def update(
        self, data: np.ndarray[Any, Any], grad: np.ndarray[Any, Any], state: dict[str, Any]
    ) -> None:
        """Change `data` in place."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and weight decay (Sutskever et al. 2013, PyTorch's
    form).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        if nesterov and momentum <= 0:
            raise ValueError("Nesterov's momentum needs momentum > 0")
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov

    def update(
        self, data: np.ndarray[Any, Any], grad: np.ndarray[Any, Any], state: dict[str, Any]
    ) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        if self.momentum:
            velocity = state.get("velocity")
            velocity = grad.copy() if velocity is None else self.momentum * velocity + grad
            state["velocity"] = velocity
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        data -= self.lr * grad


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1), weight decay in the gradient, as in PyTorch."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        if not all(0 <= b < 1 for b in betas):
            raise ValueError(f"betas {betas} must lie in [0, 1)")
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def update(
        self, data: np.ndarray[Any, Any], grad: np.ndarray[Any, Any], state: dict[str, Any]
    ) -> None:
        if self.weight_decay:
            grad = grad + self.weight_decay * data
        if not state:
            state |= {"step": 0, "mean": np.zeros_like(data), "square": np.zeros_like(data)}
        state["step"] += 1
        first, second = self.betas
        mean, square = state["mean"], state["square"]
        mean += (1 - first) * (grad - mean)
        square *= second
        square += (1 - second) * grad * grad
        correction = 1 - second ** state["step"]
        rate = self.lr / (1 - first ** state["step"])
        data -= rate * mean / (np.sqrt(square) / correction**0.5 + self.eps)
