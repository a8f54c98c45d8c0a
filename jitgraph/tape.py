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

from .ops import Op
from .ops.elementwise import WHERE
from .spec import is_inexact
from .vjp import Selections, cotangents, hands_on, is_nonlinear, matched, selections

sequence = itertools.count()


class _Mode(threading.local):
    """What a thread does with operations; `no_grad` in one says nothing to the others."""

    recording = True


mode = _Mode()


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

    def _cotangents(
        self, g: Any, wanted: Sequence[bool], create_graph: bool, selected: Any
    ) -> Sequence[Any]:
        """Of the wanted inputs from the Tensor's own.

        create_graph: whether to record this too.  selected: how much of the Tensor is selected.
        """
        how = self._maker
        if type(how) is not Op:
            return how.function(g, self, create_graph)  # type: ignore[union-attr]
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
    selects = any(t._maker is WHERE for t in walked)
    sensitive, known = _sensitive(walked) if selects else frozenset[Any](), Selections()
    for result in cotangents if sensitive else ():
        known.note(result, None)  # all of it may be read
    with recording(create_graph), np.errstate(all="ignore"):
        for tensor in walked:
            g = pending.pop(tensor, None)
            if g is None:
                continue
            if tensor._maker is None or (ends and tensor in ends):
                if not ends or tensor in ends:
                    found[tensor] = g
                continue
            inputs = tensor._inputs
            further = (
                [isinstance(s, OnTape) and s in sensitive for s in inputs] if sensitive else []
            )
            selected = known.take(tensor) if tensor in sensitive or any(further) else None
            plain = not create_graph and selected is None and not any(further)
            if plain and _by_plain_rules(tensor, g, pending):
                continue
            wanted = [isinstance(source, OnTape) and source.requires_grad for source in inputs]
            parts = tensor._cotangents(g, wanted, create_graph, selected)
            for source, part, want in zip(inputs, parts, wanted, strict=True):
                if want and part is not None:
                    before = pending.get(source)
                    pending[source] = part if before is None else before + part
            if any(further):
                shares = tensor._selections(selected)
                for source, share, goes_on in zip(inputs, shares, further, strict=False):
                    if goes_on:
                        known.note(source, share)
    return found


def _sensitive(walked: Sequence[Any]) -> AbstractSet[Any]:
    """The Tensors for which it matters how much of them a `where` selects: what is not selected of
    a result must not come back as the infinite slope of an operation it was computed by.
    """
    found: set[Any] = set()
    for tensor in reversed(walked):
        op = tensor._maker
        if type(op) is Op and (
            is_nonlinear(op) or (hands_on(op) and any(s in found for s in _tensors(tensor)))
        ):
            found.add(tensor)
    return found


def _tensors(tensor: OnTape) -> list[OnTape]:
    return [s for s in tensor._inputs if isinstance(s, OnTape)]


def _by_plain_rules(tensor: Any, g: Any, pending: dict[Any, Any]) -> bool:
    """What `vjp.cotangents` does for most operations, with the fewest calls; False for the rest."""
    op = tensor._maker
    if type(op) is not Op or op.vjp_all is not None or tensor.data.dtype.kind != "f":
        return False
    out, operands, attrs = tensor.data, tensor._operands, tensor._attrs
    for source, rule, x in zip(tensor._inputs, op.vjp, operands, strict=False):
        if rule is None or not isinstance(source, OnTape) or not source.requires_grad:
            continue
        part = rule(g, out, *operands, **attrs)
        if part is None:
            continue
        if part.dtype is not x.dtype or part.shape != x.shape:
            part = matched(part, x)
        before = pending.get(source)
        pending[source] = part if before is None else before + part
    return True


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


def is_recording() -> bool:
    return mode.recording


@contextlib.contextmanager
def recording(enabled: bool) -> Iterator[None]:
    before, mode.recording = mode.recording, enabled
    try:
        yield
    finally:
        mode.recording = before


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: results require no gradients.  Also a decorator."""
    with recording(False):
        yield
