"""The tape: what Tensors were computed from, and the walk back from results to leaves.

It is the dynamic graph.  Each Tensor that needs a gradient knows the operation it came from and
its inputs; the walk visits them youngest first.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np

from .interpreter import recording
from .ops import Op
from .ops.elementwise import WHERE
from .prepared import gradients
from .spec import is_inexact
from .vjp import Selections, cotangents, hands_on, is_nonlinear, selections

sequence = itertools.count()


@dataclass(frozen=True)
class Pullback:
    """How cotangents go back where no single operation was carried out.

    function: from the cotangent, the result and whether to record it, to those of the inputs.
    """

    name: str
    function: Callable[[Any, Any, bool], Sequence[Any]]


class OnTape:
    """What a Tensor was computed from.

    _maker: the operation, or what takes its place; None for a leaf, which has nothing of the rest.
    _inputs: as they were given; _operands: the same as arrays; _attrs: the operation's attributes.
    _number: how old it is.
    """

    __slots__ = (
        "__weakref__", "_attrs", "_inputs", "_maker", "_number", "_operands", "data",
        "requires_grad",
    )  # fmt: skip

    data: Any
    requires_grad: bool
    _maker: Op | Pullback | None
    _inputs: tuple[Any, ...]
    _operands: list[Any]
    _attrs: dict[str, Any]
    _number: int

    def _recorded(self, how: Pullback, inputs: tuple[Any, ...]) -> None:
        self.requires_grad, self._maker, self._inputs = True, how, inputs
        self._number = next(sequence)

    def _cotangents(self, g: Any, create_graph: bool, selected: Any) -> Sequence[Any]:
        """Of the inputs that want one, from the Tensor's own; None for the others.

        create_graph: whether to record this too.  selected: how much of the Tensor is selected.
        """
        how, wanted = self._maker, list(map(needs_grad, self._inputs))
        if type(how) is not Op:
            parts = how.function(g, self, create_graph)  # type: ignore[union-attr]
            return [p if w else None for p, w in zip(parts, wanted, strict=True)]
        if create_graph:
            return cotangents(how, g, self, self._inputs, self._attrs, wanted, selected)
        return cotangents(how, g, self.data, self._operands, self._attrs, wanted, selected)

    def _selections(self, selected: Any) -> Sequence[Any]:
        """How much of each input is selected, see `vjp.selections`."""
        if type(self._maker) is not Op:
            return [None] * len(self._inputs)
        return selections(self._maker, selected, self.data, self._operands, self._attrs)


def needs_grad(value: Any) -> bool:
    return isinstance(value, OnTape) and value.requires_grad


def walk_back(
    cotangents: Mapping[Any, Any], create_graph: bool, ends: AbstractSet[Any] = frozenset()
) -> dict[Any, Any]:
    """Cotangents of the leaves, or of these ends where there are any, from those of some results;
    youngest first.
    """
    pending, found = dict(cotangents), dict[Any, Any]()
    walked = history(cotangents, ends)
    selecting = _Selecting(walked, cotangents)
    with recording(create_graph), np.errstate(all="ignore"):
        for tensor in walked:
            g = pending.pop(tensor, None)
            if g is None:
                continue
            op = tensor._maker
            if op is None or (ends and tensor in ends):
                if not ends or tensor in ends:
                    found[tensor] = g
                continue
            selected = selecting.take(tensor) if selecting.sensitive else None
            parts: Any = None
            as_it_is = type(op) is Op and (selected is None or not is_nonlinear(op))
            if as_it_is and not create_graph:
                inputs, operands, attrs = tensor._inputs, tensor._operands, tensor._attrs
                parts = gradients(op, g, tensor.data, inputs, operands, attrs)
            if parts is None:
                parts = tensor._cotangents(g, create_graph, selected)
            for source, part in zip(tensor._inputs, parts):  # noqa: B905 - the quickest way
                if part is not None:
                    before = pending.get(source)
                    pending[source] = part if before is None else before + part
            if selecting.sensitive:
                selecting.hand_on(tensor, selected)
    return found


def _leaves_out(where: OnTape) -> bool:
    """Whether there is something that it does not select, and that needs a gradient."""
    chosen = where._operands[0]
    return needs_grad(where._inputs[2]) or not np.logical_and.reduce(chosen, axis=None)


class _Selecting:
    """How much of each Tensor a `where` selects, on the way back.

    sensitive: the Tensors for which it matters: what is not selected of a result must not come back
    as the infinite slope of an operation it was computed by.
    """

    def __init__(self, walked: Sequence[Any], results: Iterable[Any]) -> None:
        self.sensitive: set[Any] = set()
        wheres = [t for t in walked if t._maker is WHERE]
        if not wheres or not any(type(t._maker) is Op and is_nonlinear(t._maker) for t in walked):
            return
        if not any(map(_leaves_out, wheres)):
            return
        for tensor in reversed(walked):
            op = tensor._maker
            if type(op) is Op and (
                is_nonlinear(op)
                or (self.sensitive and hands_on(op) and self._sensitive_among(tensor._inputs))
            ):
                self.sensitive.add(tensor)
        self._known = Selections()
        for result in results if self.sensitive else ():
            self._known.note(result, None)  # all of it may be read

    def _sensitive_among(self, inputs: Sequence[Any]) -> list[Any]:
        return [s for s in inputs if isinstance(s, OnTape) and s in self.sensitive]

    def take(self, tensor: OnTape) -> Any:
        """How much of it is selected, None for all or where it does not matter."""
        matters = tensor in self.sensitive or self._sensitive_among(tensor._inputs)
        return self._known.take(tensor) if matters else None

    def hand_on(self, tensor: OnTape, selected: Any) -> None:
        """Note how much is selected of what a Tensor was computed from."""
        if not self._sensitive_among(tensor._inputs):
            return
        shares = tensor._selections(selected)
        for source, share in zip(tensor._inputs, shares, strict=False):
            if isinstance(source, OnTape) and source in self.sensitive:
                self._known.note(source, share)


def history(results: Iterable[Any], ends: AbstractSet[Any] = frozenset()) -> list[Any]:
    """The Tensors that results were computed from and that need gradients, youngest first."""
    found: dict[Any, int] = {}  # and how old they are
    stack = list(results)
    while stack:
        tensor = stack.pop()
        if tensor in found:
            continue
        if tensor._maker is None:
            found[tensor] = -1
            continue
        found[tensor] = tensor._number
        if tensor in ends:
            continue
        for source in tensor._inputs:
            if isinstance(source, OnTape) and source.requires_grad:
                stack.append(source)
    return sorted(found, key=found.__getitem__, reverse=True)


class _Running(threading.local):
    """variables: of functions that are being differentiated, one in another.  for_arrays: whether
    Tensors stand for the arrays that such a function was called with.
    """

    def __init__(self) -> None:
        self.variables: set[Any] = set()
        self.for_arrays = False


running = _Running()


@contextlib.contextmanager
def for_arrays() -> Iterator[None]:
    """While a function of arrays runs on Tensors."""
    before, running.for_arrays = running.for_arrays, True
    try:
        yield
    finally:
        running.for_arrays = before


def is_differentiated(tensor: OnTape) -> bool:
    """Whether it depends on a variable of a function that is being differentiated."""
    return bool(running.variables) and any(t in running.variables for t in history([tensor]))


def moment() -> int:
    """What is recorded from now on has larger numbers."""
    return next(sequence)


def closes_over(results: Iterable[Any], since: int, arguments: Iterable[Any]) -> bool:
    """Whether what was computed since a moment has used a Tensor that needs gradients and is none
    of the arguments.
    """
    known = set(arguments)
    stack = [r for r in results if isinstance(r, OnTape)]
    while stack:
        tensor = stack.pop()
        if not needs_grad(tensor) or tensor in known:
            continue
        if tensor._maker is None or tensor._number < since:
            return True
        known.add(tensor)
        stack.extend(tensor._inputs)
    return False


def record(
    name: str, result: OnTape, inputs: tuple[Any, ...],
    pullback: Callable[[Any, Any, bool], Sequence[Any]],
) -> None:  # fmt: skip
    """Put a computed Tensor on the tape; see `Pullback`."""
    result._recorded(Pullback(name, pullback), inputs)


def record_together(
    name: str, results: Sequence[Any], inputs: tuple[Any, ...],
    pullback: Callable[[dict[int, Any], bool], Sequence[Any]],
) -> None:  # fmt: skip
    """Put several Tensors on the tape that were computed at once.

    pullback: from their cotangents by number, and whether to record it, to those of the inputs.
    """
    bundle = OnTape()
    record(name, bundle, inputs, lambda g, _, create_graph: pullback(g.parts, create_graph))
    for k, result in enumerate(results):
        if is_inexact(result.dtype):
            record(name, result, (bundle,), _part(k))


def _part(k: int) -> Callable[[Any, Any, bool], list[Any]]:
    return lambda g, output, create_graph: [Cotangents({k: g})]


@dataclass
class Cotangents:
    """Cotangents of some of the results that were computed at once; adding two joins them."""

    parts: dict[int, Any]

    def __add__(self, other: Cotangents) -> Cotangents:
        return Cotangents(self.parts | other.parts)


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: results require no gradients.  Also a decorator."""
    with recording(False):
        yield
