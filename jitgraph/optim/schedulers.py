"""Learning rates that change from step to step, by PyTorch's formulas.

A scheduler sets the rate of each group of an optimiser when it is made, and anew at each `step`.
"""

from __future__ import annotations

import math
from typing import Any

from ..interpreter import only_outside
from .optimizer import Optimizer


class Scheduler:
    """Base: a subclass gives the rate by the number of the step, from 0 on."""

    def __init__(self, optimizer: Optimizer) -> None:
        only_outside("a scheduler is made")
        self.optimizer = optimizer
        self.start = [float(group["lr"]) for group in optimizer.param_groups]
        self.number = 0
        self._set()

    def rate(self, start: float, number: int) -> float:
        """Of a group that started with a rate, after so many steps."""
        raise NotImplementedError

    def step(self) -> None:
        """Go on to the next rate; call it after the optimiser's step."""
        only_outside("a scheduler takes a step")
        self.number += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The rate of each group."""
        only_outside("a learning rate is read")
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _set(self) -> None:
        for group, start in zip(self.optimizer.param_groups, self.start, strict=True):
            group["lr"] = self.rate(start, self.number)

    def state_dict(self) -> dict[str, Any]:
        """All but the optimiser."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, found: dict[str, Any]) -> None:
        """Go on where another scheduler was, from its `state_dict`."""
        vars(self).update(found)


class StepLR(Scheduler):
    """Times gamma every so many steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, start: float, number: int) -> float:
        return start * self.gamma ** (number // self.step_size)


class CosineAnnealingLR(Scheduler):
    """Down along half a cosine in T_max steps, and up again (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.steps, self.least = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, start: float, number: int) -> float:
        share = (1 + math.cos(math.pi * number / self.steps)) / 2
        return self.least + (start - self.least) * share


class LinearLR(Scheduler):
    """From a share of the rate to another one in so many steps: a linear warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1:
            raise ValueError(f"start_factor {start_factor} must lie in (0, 1]")
        self.first, self.last, self.steps = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def rate(self, start: float, number: int) -> float:
        done = min(number, self.steps) / self.steps
        return start * (self.first + (self.last - self.first) * done)


class OneCycleLR(Scheduler):
    """Up to the largest rate and down far below the first one, in two phases of a cosine (Smith and
    Topin 2018), or of straight lines with anneal_strategy="linear"; momentum, or the first of the
    betas, goes the other way, from max_momentum to base_momentum and back, with cycle_momentum.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float, total_steps: int, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float = 0.85,
        max_momentum: float = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
    ) -> None:  # fmt: skip
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy {anneal_strategy!r} is neither 'cos' nor 'linear'")
        if cycle_momentum and not all(
            "momentum" in group or "betas" in group for group in optimizer.param_groups
        ):
            raise ValueError(
                f"{type(optimizer).__name__} has no momentum; pass cycle_momentum=False"
            )
        self.momenta = (max_momentum, base_momentum) if cycle_momentum else None
        self.total, self.largest = total_steps, max_lr
        self.top = pct_start * total_steps - 1
        self.first = max_lr / div_factor
        self.last = self.first / final_div_factor
        self.straight = anneal_strategy == "linear"
        super().__init__(optimizer)

    def rate(self, start: float, number: int) -> float:
        return self._on_the_way(self.first, self.largest, self.last, number)

    def _set(self) -> None:
        if self.number > self.total:
            raise ValueError(f"step {self.number} of a cycle of {self.total} steps")
        super()._set()
        if self.momenta is None:
            return
        most, least = self.momenta
        momentum = self._on_the_way(most, least, most, self.number)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _on_the_way(self, first: float, top: float, last: float, number: int) -> float:
        if number <= self.top:
            return self._between(first, top, number / self.top)
        return self._between(top, last, (number - self.top) / (self.total - 1 - self.top))

    def _between(self, a: float, b: float, done: float) -> float:
        if self.straight:
            return a + (b - a) * done
        return b + (a - b) / 2 * (1 + math.cos(math.pi * done))


class ReduceLROnPlateau:
    """Times a factor when a measure has not become better for more than `patience` steps."""

    def __init__(
        self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
        threshold: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode!r} is neither 'min' nor 'max'")
        if factor >= 1:
            raise ValueError(f"the factor {factor} must be below 1")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.threshold = mode, factor, patience, threshold
        self.cooldown, self.least = cooldown, min_lr
        self.best = math.inf if mode == "min" else -math.inf
        self.bad = self.resting = 0

    def step(self, measure: float) -> None:
        """Take in a measure, of a validation for instance."""
        only_outside("a scheduler takes a step")
        measure = float(measure)
        if self._is_better(measure):
            self.best, self.bad = measure, 0
        else:
            self.bad += 1
        if self.resting:
            self.resting, self.bad = self.resting - 1, 0
        if self.bad > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.least)
                if group["lr"] - lower > 1e-8:
                    group["lr"] = lower
            self.resting, self.bad = self.cooldown, 0

    def _is_better(self, measure: float) -> bool:
        if self.mode == "min":
            return measure < self.best * (1 - self.threshold)
        return measure > self.best * (1 + self.threshold)
