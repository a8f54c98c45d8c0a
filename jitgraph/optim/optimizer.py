"""What optimisers have in common: groups of parameters, and a step that is one program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..compile import CompiledFunction, compile
from ..errors import CaptureError
from ..interpreter import current_trace, only_outside
from ..place import Place
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
        only_outside("an optimiser is made")
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
        only_outside("an optimiser is given parameters")
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
        only_outside("a learning rate is read")
        return float(self.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value

    def _captured_zero_grad(self, trace: Any) -> None:
        _Structure.of(self).keep(trace)
        for parameter in self._numbers():
            trace.training.set(parameter, None)

    def zero_grad(self) -> None:
        """Forget the gradients of the last step."""
        if current_trace() is not None:
            self._captured_zero_grad(current_trace())
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def _captured_step(self, trace: Any) -> None:
        """The step as a part of a program: the rule on what is traced."""
        trace.training.begin("the step of an optimiser is a part of it")
        _Structure.of(self).keep(trace)
        training = trace.training
        for group in self.param_groups:
            pairs = [(p, training.of(p)) for p in group["params"]]
            pairs = [(p, g) for p, g in pairs if g is not None]
            if not pairs:
                continue
            parameters, gradients = map(list, zip(*pairs, strict=True))
            taking = _Step(self, group, parameters)
            options = taking.options()
            numbers = {name: trace.lift_number(_Number(taking, name)) for name in options
                       if name not in self.static}  # fmt: skip
            trace.rely_on(_Together(taking, "states"), True)
            training.afterwards.append(taking.done)
            kept = [[trace.lift(self._kept(p, group, name), Place(self.state[p], name))
                     for p in parameters] for name in self.states]  # fmt: skip
            data = [trace.lift(p) for p in parameters]
            with training.on_arrays():
                training.call(type(self).rule, data, gradients, *kept, **(options | numbers))

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        if current_trace() is not None:
            self._captured_step(current_trace())
            return
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
        kept = [[self._kept(p, group, name) for p in parameters] for name in self.states]
        data = [p.data for p in parameters]
        gradients = [p.grad.data for p in parameters if p.grad is not None]
        self._program()(data, gradients, *kept, **self.options(group, number))

    def _kept(self, parameter: Tensor, group: Mapping[str, Any], name: str) -> Array:
        """An array that is kept for a parameter, made where there is none."""
        state = self.state.setdefault(parameter, {})
        if name not in state:
            state[name] = self.start(name, parameter.data, group)
        array: Array = state[name]
        return array

    def _structure(self) -> tuple[Any, ...]:
        """What a program that steps is compiled for: the parameters, and options that are compiled
        in.
        """
        found = []
        for group in self.param_groups:
            options = self.options(group, 2)
            fixed = tuple(options[name] for name in self.static)
            found.append((fixed, tuple(map(id, group["params"]))))
        return tuple(found)

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
        only_outside("an optimiser's state is read")
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
        only_outside("an optimiser's state is loaded")
        sizes = [[len(g["params"]) for g in groups]
                 for groups in (self.param_groups, found["param_groups"])]  # fmt: skip
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"the state is of groups of {sizes[1]} parameters, this optimiser's have {sizes[0]}"
            )
        for group, other in zip(self.param_groups, found["param_groups"], strict=True):
            group |= {k: v for k, v in other.items() if k != "params"}
        for parameter, number in self._numbers().items():
            state = self.state.setdefault(parameter, {})  # the same, which programs know
            state.clear()
            for name, value in found["state"].get(number, {}).items():
                state[name] = np.array(value) if isinstance(value, np.ndarray) else value

    def _numbers(self) -> dict[Tensor, int]:
        every = [p for group in self.param_groups for p in group["params"]]
        return {p: k for k, p in enumerate(every)}


class _Step:
    """What Python does in a step of a program: it counts, and tells the rule the numbers."""

    def __init__(
        self, optimizer: Optimizer, group: dict[str, Any], parameters: Sequence[Tensor]
    ) -> None:
        self.optimizer, self.group, self.parameters = optimizer, group, parameters
        self.states = [optimizer.state.setdefault(p, {}) for p in parameters]
        taken = {state.get("step", 0) for state in self.states}
        if len(taken) > 1:
            raise CaptureError("the optimiser has changed some parameters more often than others")
        self.known: tuple[Any, ...] = ()
        self.found: dict[str, Any] = {}

    def options(self) -> dict[str, Any]:
        """Those of the next step."""
        now = (self.states[0].get("step", 0), *self.group.values())
        if now != self.known:
            self.known, self.found = now, self.optimizer.options(self.group, now[0] + 1)
        return self.found

    def done(self) -> None:
        """The step has been taken."""
        number = self.states[0].get("step", 0) + 1
        for state in self.states:
            state["step"] = number

    @property
    def is_together(self) -> bool:
        """Whether its parameters have been changed equally often, and their states are the same
        dicts as ever.
        """
        number, known = self.states[0].get("step", 0), self.optimizer.state
        return all(
            state.get("step", 0) == number and known.get(parameter) is state
            for parameter, state in zip(self.parameters, self.states, strict=True)
        )


@dataclass(frozen=True)
class _Together(Place):
    """Whether a step may be taken by the program that it was captured for."""

    def read(self) -> bool:
        return bool(self.owner.is_together)


@dataclass(frozen=True)
class _Number(Place):
    """An option that the rule is told as a number; the owner is a step."""

    def read(self) -> float:
        return float(self.owner.options()[self.name])


@dataclass(frozen=True)
class _Structure(Place):
    """What an optimiser's programs are compiled for, the same object as long as it is the same."""

    known: tuple[Any, ...]

    @classmethod
    def of(cls, optimizer: Optimizer) -> _Structure:
        return cls(optimizer, "structure", optimizer._structure())

    def keep(self, trace: Any) -> None:
        """Use the program that is being captured only as long as it is the same."""
        trace.rely_on(self, self.known)

    def read(self) -> Any:
        now = self.owner._structure()
        return self.known if now == self.known else now
