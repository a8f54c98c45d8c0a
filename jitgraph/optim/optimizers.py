"""Optimisers: update rules and defaults are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from .optimizer import Array, Optimizer

Arrays = list[Array]


def _sgd(
    data: Arrays, gradients: Arrays, velocities: Arrays, lr: float, momentum: float,
    share: float, weight_decay: float, nesterov: bool, moving: bool,
) -> None:  # fmt: skip
    """share: of the gradient in the velocity, from which dampening takes in later steps."""
    for p, g, v in zip(data, gradients, velocities, strict=True):
        g = g + weight_decay * p
        if moving:
            v[...] = momentum * v + share * g
            g = g + momentum * v if nesterov else v
        p -= lr * g


class SGD(Optimizer):
    """Stochastic gradient descent with momentum and weight decay (Sutskever et al. 2013, PyTorch's
    form).
    """

    states = ("velocity",)
    rule = staticmethod(_sgd)
    static = ("nesterov", "moving")

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0,
        dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(parameters, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov,
        })  # fmt: skip

    def check(self, options: Mapping[str, Any]) -> None:
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"]):
            raise ValueError("Nesterov's momentum needs momentum > 0 and no dampening")

    def needs(self, name: str, group: Mapping[str, Any]) -> bool:
        return bool(group["momentum"])

    def options(self, group: Mapping[str, Any], number: int) -> dict[str, Any]:
        found = super().options(group, number)
        dampening = found.pop("dampening")
        share = 1.0 if number == 1 else 1.0 - dampening
        return found | {"share": share, "moving": bool(group["momentum"])}


def _adam(
    data: Arrays, gradients: Arrays, means: Arrays, squares: Arrays, largest: Arrays, lr: float,
    first: float, second: float, eps: float, weight_decay: float, rate: float, root: float,
    decoupled: bool, amsgrad: bool,
) -> None:  # fmt: skip
    """rate: lr over the mean's bias; root: that of the square's bias, its square root."""
    for p, g, m, s, top in zip(data, gradients, means, squares, largest, strict=True):
        if decoupled:
            p *= 1 - lr * weight_decay
        else:
            g = g + weight_decay * p
        m += (1 - first) * (g - m)
        s[...] = second * s + (1 - second) * g * g
        seen = s
        if amsgrad:
            top[...] = np.maximum(top, s)
            seen = top
        p -= rate * m / (np.sqrt(seen) / root + eps)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1), weight decay in the gradient, as in PyTorch; with
    `amsgrad` the variant of Reddi et al. (2018).
    """

    states = ("mean", "square", "largest")
    rule = staticmethod(_adam)
    static = ("decoupled", "amsgrad")
    decoupled: ClassVar[bool] = False

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(parameters, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
        })  # fmt: skip

    def check(self, options: Mapping[str, Any]) -> None:
        _check_betas(options["betas"])

    def needs(self, name: str, group: Mapping[str, Any]) -> bool:
        return name != "largest" or bool(group["amsgrad"])

    def options(self, group: Mapping[str, Any], number: int) -> dict[str, Any]:
        found = super().options(group, number)
        first, second = found.pop("betas")
        return found | {
            "first": first, "second": second, "rate": found["lr"] / (1 - first**number),
            "root": math.sqrt(1 - second**number), "decoupled": self.decoupled,
        }  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019)."""

    decoupled = True

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad)


def _check_betas(betas: tuple[float, float]) -> None:
    if not all(0 <= b < 1 for b in betas):
        raise ValueError(f"betas {betas} must lie in [0, 1)")


def _rmsprop(
    data: Arrays, gradients: Arrays, squares: Arrays, velocities: Arrays, means: Arrays, lr: float,
    alpha: float, eps: float, weight_decay: float, momentum: float, centered: bool, moving: bool,
) -> None:  # fmt: skip
    for p, g, s, v, m in zip(data, gradients, squares, velocities, means, strict=True):
        g = g + weight_decay * p
        s[...] = alpha * s + (1 - alpha) * g * g
        variance = s
        if centered:
            m += (1 - alpha) * (g - m)
            variance = s - m * m
        step = g / (np.sqrt(variance) + eps)
        if moving:
            v[...] = momentum * v + step
            step = v
        p -= lr * step


class RMSprop(Optimizer):
    """RMSprop (Hinton 2012), with momentum and the centred variant of Graves (2013)."""

    states = ("square", "velocity", "mean")
    rule = staticmethod(_rmsprop)
    static = ("centered", "moving")

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(parameters, {
            "lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
            "momentum": momentum, "centered": centered,
        })  # fmt: skip

    def needs(self, name: str, group: Mapping[str, Any]) -> bool:
        unused = {"velocity": not group["momentum"], "mean": not group["centered"]}
        return not unused.get(name, False)

    def options(self, group: Mapping[str, Any], number: int) -> dict[str, Any]:
        return super().options(group, number) | {"moving": group["momentum"] > 0}


def _adagrad(
    data: Arrays, gradients: Arrays, sums: Arrays, rate: float, weight_decay: float, eps: float
) -> None:
    for p, g, s in zip(data, gradients, sums, strict=True):
        g = g + weight_decay * p
        s += g * g
        p -= rate * g / (np.sqrt(s) + eps)


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011)."""

    states = ("sum",)
    rule = staticmethod(_adagrad)

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-2, lr_decay: float = 0.0,
        weight_decay: float = 0.0, initial_accumulator_value: float = 0.0, eps: float = 1e-10,
    ) -> None:  # fmt: skip
        super().__init__(parameters, {
            "lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "eps": eps,
        })  # fmt: skip

    def start(self, name: str, data: Array, group: Mapping[str, Any]) -> Array:
        return np.full_like(data, group["initial_accumulator_value"])

    def options(self, group: Mapping[str, Any], number: int) -> dict[str, Any]:
        rate = group["lr"] / (1 + (number - 1) * group["lr_decay"])
        return {"rate": rate, "weight_decay": group["weight_decay"], "eps": group["eps"]}


def _lion(
    data: Arrays, gradients: Arrays, means: Arrays, lr: float, first: float, second: float,
    weight_decay: float,
) -> None:  # fmt: skip
    for p, g, m in zip(data, gradients, means, strict=True):
        direction = np.sign(first * m + (1 - first) * g)
        p -= lr * (direction + weight_decay * p)
        m[...] = second * m + (1 - second) * g


class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): steps by the sign of a mean of gradients."""

    states = ("mean",)
    rule = staticmethod(_lion)

    def __init__(
        self, parameters: Iterable[Any], lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def check(self, options: Mapping[str, Any]) -> None:
        _check_betas(options["betas"])

    def options(self, group: Mapping[str, Any], number: int) -> dict[str, Any]:
        found = super().options(group, number)
        first, second = found.pop("betas")
        return found | {"first": first, "second": second}
