"""What optimisers have in common: groups of parameters, and a step that is one program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..compile import CompiledFunction, compile
from ..tensor import Tensor

Array = np.ndarray[Any, Any]


class Optimizer:
    """Base: parameters in groups, each with options of its own.

    parameters: Tensors, or dicts with Tensors under "params" and options that differ from the
    others' ("lr" and so on).

    A subclass says by `states` which arrays it keeps for a parameter, and by `rule`, a function of
    lists of arrays, how all parameters of a group are changed in place; the rule is compiled, so
    that a step is one program.
    """

    states: ClassVar[tuple[str, ...]] = ()
    rule: ClassVar[Callable[..., None]]
    static: ClassVar[tuple[str, ...]] = ()  # options that are compiled in
    _programs: ClassVar[dict[Callable[..., None], CompiledFunction]] = {}

    def __init__(
        self, parameters: Iterable[Tensor | Mapping[str, Any]], options: dict[str, Any]
    ) -> None:
        self.defaults = options
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        given = list(parameters)
        if not given:
            raise ValueError("the optimiser got no parameters; pass model.parameters()")
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)  # type: ignore[arg-type]

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """More parameters, under "params", with options that differ from the others'."""
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        made = {**self.defaults, **group, "params": params}
        if unknown := made.keys() - self.defaults.keys() - {"params"}:
            raise ValueError(f"{type(self).__name__} has no option {sorted(unknown)[0]!r}")
        if not all(isinstance(p, Tensor) for p in made["params"]):
            raise TypeError("an optimiser takes Tensors; pass model.parameters()")
        known = {p for other in self.param_groups for p in other["params"]}
        if any(p in known for p in made["params"]):
            raise ValueError("a parameter is in two groups")
        if made["lr"] < 0:
            raise ValueError(f"the learning rate {made['lr']} is negative")
        self.check(made)
        self.param_groups.append(made)

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that make no sense, by ValueError."""

    @property
    def lr(self) -> float:
        """The learning rate of the first group."""
        return float(self.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            by_step: dict[int, list[Tensor]] = {}  # those that have been changed equally often
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state.setdefault(parameter, {})
                    state["step"] = state.get("step", 0) + 1
                    by_step.setdefault(state["step"], []).append(parameter)
            for number, parameters in by_step.items():
                self._change(group, parameters, number)

    def _change(self, group: dict[str, Any], parameters: Sequence[Tensor], number: int) -> None:
        kept = []
        for name in self.states:
            for parameter in parameters:
                self.state[parameter].setdefault(name, self.start(name, parameter.data, group))
            kept.append([self.state[p][name] for p in parameters])
        data = [p.data for p in parameters]
        gradients = [p.grad.data for p in parameters if p.grad is not None]
        self._program()(data, gradients, *kept, **self.options(group, number))

    def start(self, name: str, data: Array, group: Mapping[str, Any]) -> Array:
        """What a kept array is at first; empty, if the options have no use for it."""
        return np.zeros_like(data) if self.needs(name, group) else np.zeros(0, data.dtype)

    def needs(self, name: str, group: Mapping[str, Any]) -> bool:
        """Whether the rule uses a kept array."""
        return True

    def options(self, group: Mapping[str, Any], number: int) -> dict[str, Any]:
        """What the rule is told, in the step of this number, from 1 on."""
        return {name: value for name, value in group.items() if name != "params"}

    @classmethod
    def _program(cls) -> CompiledFunction:
        rule = cls.rule
        if rule not in cls._programs:
            cls._programs[rule] = compile(static_argnames=cls.static)(rule)
        return cls._programs[rule]

    def state_dict(self) -> dict[str, Any]:
        """The options and what is kept for each parameter, by its number."""
        numbers = self._numbers()
        groups = [
            {**group, "params": [numbers[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {
            numbers[p]: {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in kept.items()}
            for p, kept in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Go on where another optimiser of the same parameters was, from its `state_dict`."""
        sizes = [[len(g["params"]) for g in groups]
                 for groups in (self.param_groups, found["param_groups"])]  # fmt: skip
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"the state is of groups of {sizes[1]} parameters, this optimiser's have {sizes[0]}"
            )
        for group, other in zip(self.param_groups, found["param_groups"], strict=True):
            group |= {k: v for k, v in other.items() if k != "params"}
        self.state = {
            parameter: {
                k: np.array(v) if isinstance(v, np.ndarray) else v
                for k, v in found["state"][number].items()
            }
            for parameter, number in self._numbers().items()
            if number in found["state"]
        }

    def _numbers(self) -> dict[Tensor, int]:
        every = [p for group in self.param_groups for p in group["params"]]
        return {p: k for k, p in enumerate(every)}
