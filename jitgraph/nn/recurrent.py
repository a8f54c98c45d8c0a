"""Layers that go along a sequence, with PyTorch's parameters: `weight_ih_l0` and its like."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .. import functions as F
from .functional import linear
from .layers import uniform_parameter
from .module import Module


class _Recurrent(Module):
    """x of shape (length, n, input_size), or (n, length, input_size) with batch_first=True.

    Gives the states of the last layer at each step, and those of all layers at the end, of shape
    (layers times directions, n, hidden_size).

    Weights are uniform in +-1/sqrt(hidden_size) at first.
    """

    gates: ClassVar[int] = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, bidirectional: bool = False, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.bidirectional, self.bias = batch_first, bidirectional, bias
        bound = 1 / math.sqrt(hidden_size)
        rows = self.gates * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(self._ends())
            for end in self._ends():
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, width),
                    "weight_hh": (rows, hidden_size),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    setattr(self, f"{name}_l{layer}{end}", uniform_parameter(bound, shape, dtype))

    def _ends(self) -> tuple[str, ...]:
        """Of parameters' names, for each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def _parameters_of(self, layer: int, end: str) -> tuple[Any, ...]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return tuple(getattr(self, f"{name}_l{layer}{end}", None) for name in names)

    def start(self, x: Any) -> Any:
        """A layer's state before the first step."""
        return F.broadcast_to(x[0, :, :1] * 0, (x.shape[1], self.hidden_size))

    def cell(self, x: Any, state: Any, parameters: tuple[Any, ...]) -> tuple[Any, Any]:
        """What a step gives, and its state; x is the input's product with its weights."""
        raise NotImplementedError

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        if self.batch_first:
            x = F.swapaxes(x, 0, 1)
        last: list[Any] = []
        for layer in range(self.num_layers):
            sides = []
            for end in self._ends():
                number = len(last)
                first = self._given(state, number) if state is not None else self._first(x)
                results, final = self._along(x, first, self._parameters_of(layer, end), bool(end))
                sides.append(results)
                last.append(final)
            x = sides[0] if len(sides) == 1 else F.concatenate(sides, axis=-1)
        return (F.swapaxes(x, 0, 1) if self.batch_first else x), self._joined(last)

    def _along(
        self, x: Any, state: Any, parameters: tuple[Any, ...], backwards: bool
    ) -> tuple[Any, Any]:
        weight, _, bias, _ = parameters
        given = linear(x, weight, bias)
        length = int(x.shape[0])
        found: list[Any] = [None] * length
        for k in reversed(range(length)) if backwards else range(length):
            found[k], state = self.cell(given[k], state, parameters)
        return F.stack(found, axis=0), state

    def _first(self, x: Any) -> Any:
        return self.start(x)

    def _given(self, state: Any, number: int) -> Any:
        return state[number]

    def _joined(self, states: list[Any]) -> Any:
        return F.stack(states, axis=0)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"


class RNN(_Recurrent):
    __doc__ = f"tanh(W x + U h) at each step (Elman 1990).\n\n    {_Recurrent.__doc__}"

    def cell(self, x: Any, state: Any, parameters: tuple[Any, ...]) -> tuple[Any, Any]:
        _, weight, _, bias = parameters
        state = F.tanh(x + linear(state, weight, bias))
        return state, state


class GRU(_Recurrent):
    __doc__ = f"Gated recurrent units (Cho et al. 2014).\n\n    {_Recurrent.__doc__}"
    gates = 3

    def cell(self, x: Any, state: Any, parameters: tuple[Any, ...]) -> tuple[Any, Any]:
        _, weight, _, bias = parameters
        n = self.hidden_size
        own = linear(state, weight, bias)
        reset = F.sigmoid(x[:, :n] + own[:, :n])
        kept = F.sigmoid(x[:, n : 2 * n] + own[:, n : 2 * n])
        new = F.tanh(x[:, 2 * n :] + reset * own[:, 2 * n :])
        state = new + kept * (state - new)
        return state, state


class LSTM(_Recurrent):
    __doc__ = (
        "Long short-term memory (Hochreiter and Schmidhuber 1997); states are pairs, of what is "
        f"given and of the cells.\n\n    {_Recurrent.__doc__}"
    )
    gates = 4

    def cell(self, x: Any, state: Any, parameters: tuple[Any, ...]) -> tuple[Any, Any]:
        _, weight, _, bias = parameters
        n = self.hidden_size
        before, cells = state
        gates = x + linear(before, weight, bias)
        enter, forget, leave = (F.sigmoid(gates[:, a : a + n]) for a in (0, n, 3 * n))
        cells = forget * cells + enter * F.tanh(gates[:, 2 * n : 3 * n])
        result = leave * F.tanh(cells)
        return result, (result, cells)

    def _first(self, x: Any) -> Any:
        return self.start(x), self.start(x)

    def _given(self, state: Any, number: int) -> Any:
        return state[0][number], state[1][number]

    def _joined(self, states: list[Any]) -> Any:
        return tuple(F.stack([s[k] for s in states], axis=0) for k in range(2))
