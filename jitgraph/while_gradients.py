"""Gradients of loops of unknown length: a `while`, or a `for` that may be left.

How many steps there are is known when they are done.  So the loop is written down once more as one
that keeps some of the states as it goes, those at multiples of a stride; when there is no room for
more, every other one is given up, and the stride doubles.  On the way back the steps of one stride
are done again, and their states are kept; the gradient then passes through them one by one.

    while test(x):                            steps, stride, kept = 0, 1, [...]
        x = f(x, w)              =>           while test(x):
                                                  kept[place(steps)] = x
                                                  at most `stride` steps of the loop
                                                  if steps is ROOM * stride: stride = 2 * stride

    until = steps
    while until > 0:                                the states since the last one that was kept
        since = (until - 1) // stride * stride
        x = kept[place(since)];  again = states from there to `until`
        for step in reversed(range(since, until)):
            gx, part = pullback of f(again[step - since], w);  gw = gw + part
        until = since

Keeping a fixed number of states of a computation of unknown length is the online checkpointing of
P. Stumm and A. Walther, "New algorithms for optimal online checkpointing" (2010), with doubling
strides as their distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import interpreter
from .capture import Tracer
from .errors import GradientError
from .graph import SIZE, Graph, Node, bodies
from .ops import elementwise as ew
from .ops import scalars, views
from .ops.indexing import INDEX, INDEX_PUT
from .replaying import LoopGradient, Step, replayed
from .spec import Spec, is_inexact
from .symbolic import SMALLEST, Dim, Size, slope, substitute, symbols

ROOM = 64  # states that are kept, and those of a stride that are kept when its steps are done again

_LARGEST_ROUNDS = 4  # so many times the stride can reach ROOM: loops of ROOM ** 6 steps


@dataclass
class _Kept:
    """What the loop has left for the way back.

    stacks: of each state, the kept ones.  steps: how many there were.
    """

    stacks: Sequence[Tracer]
    steps: Tracer
    stride: Tracer


class WhileGradient(LoopGradient):
    def cotangents(self) -> list[Tracer | None]:
        return self._backward(self._forward())

    # forward

    def _forward(self) -> _Kept:
        """The loop again, which keeps states."""
        node, trace = self.node, self.trace
        writes, carried = len(self.body.writes), self.carried
        start = [trace.tracer(i) for i in node.inputs[:carried]]
        stacks = self._room(start)
        none, one = self._count(0), self._count(1)
        written = [*start[:writes], *stacks]
        first = len(written)

        def parts(values: Sequence[Tracer]) -> tuple[list[Tracer], Sequence[Tracer], Any, Any]:
            *anew, steps, stride = values[first:]
            return [*values[:writes], *anew], values[writes:first], steps, stride

        def test(values: Sequence[Tracer]) -> Tracer:
            states, _, steps, _ = parts(values)
            return self._goes_on(states, steps)

        def step(values: Sequence[Tracer]) -> Step:
            states, stacks, steps, stride = parts(values)
            kept = [_put(k, s, _place(steps)) for k, s in zip(stacks, states, strict=True)]
            done = self._some_steps(states, steps, stride)
            *new, now = done.states
            new[:writes] = map(self.overwritten, states[:writes], new[:writes])
            longer = ew.WHERE(now >= stride * ROOM, stride * 2, stride)
            return Step([*new[:writes], *kept, *new[writes:], now, longer], done.last, done.effects)

        done = self.while_loop(
            f"{self.body.name}_kept", written, [*start[writes:], none, one], test, step
        )
        states, stacks, steps, stride = parts(done.states)  # type: ignore[assignment]
        trace.superseded_checks[node] = tuple(done.effects)
        for position, value in enumerate([*states, *done.last]):
            trace.superseded[node, position] = value.node
        return _Kept(stacks, steps, stride)

    def _some_steps(self, states: Sequence[Tracer], steps: Any, limit: Any) -> Step:
        """At most so many steps of the loop; the last of the states is the number of all steps."""
        writes, end = len(self.body.writes), steps + limit

        def test(values: Sequence[Tracer]) -> Tracer:
            *states, now = values
            going = self._goes_on(states, now)
            both: Tracer = ew.LOGICAL_AND(going, now < end)
            return both

        return self.while_loop(
            f"{self.body.name}_steps", states[:writes], [*states[writes:], steps], test,
            lambda values: self._step(values, checking=True),
        )  # fmt: skip

    def _step(self, values: Sequence[Tracer], checking: bool) -> Step:
        """One step of the loop, from its states and the number of steps before."""
        *states, now = values
        body = self.body
        made = self._replayed(body, states, now, checking)
        ends = [*(v for _, v in body.writes), *body.outputs]
        new = [self.trace.tracer(made[v]) for v in ends]
        carried = self.carried
        effects = [made[e] for e in body.effects] if checking else []
        return Step([*new[:carried], now + 1], new[carried:], effects)

    def _replayed(
        self, graph: Graph, states: Sequence[Tracer], now: Tracer, checking: bool = False
    ) -> dict[Node, Node]:
        fixed = self.node.inputs[self.carried :]
        given = [*(s.node for s in states), *fixed]
        known = dict(zip(graph.inputs, given, strict=True))
        by_number = None if not self.node.attrs["index"] else _ByNumber(self, now)
        return replayed(self.trace, graph.nodes, known, {}, checking, by_number)

    def _goes_on(self, states: Sequence[Tracer], now: Tracer) -> Tracer:
        test: Graph = self.node.attrs["test"]
        made = self._replayed(test, states, now)
        going = self.trace.tracer(made[test.outputs[0]])
        if not self.node.attrs["index"]:
            return going
        below: Tracer = ew.LOGICAL_AND(going, now < self.size(self.node.attrs["count"]))
        return below

    # back

    def _backward(self, kept: _Kept) -> list[Tracer | None]:
        body, trace = self.body, self.trace
        carried, fixed = body.inputs[: self.carried], body.inputs[self.carried :]
        floats = [k for k, i in enumerate(carried) if self.reached[k] and is_inexact(i.spec.dtype)]
        wanted = [k for k, i in enumerate(fixed)
                  if self.active[self.carried + k] and is_inexact(i.spec.dtype)]  # fmt: skip
        zeros = [self.zeros(carried[k].spec) for k in floats]
        start = [self.given.get(k, z) for k, z in zip(floats, zeros, strict=True)]
        start += [self.zeros(fixed[k].spec) for k in wanted]
        room = self._room([trace.tracer(i) for i in self.node.inputs[: self.carried]])

        def stride(values: Sequence[Tracer]) -> Step:
            again, until, g = values[: len(room)], values[len(room)], values[len(room) + 1 :]
            since: Any = (until - 1) // kept.stride * kept.stride
            apart: Any = ew.MAXIMUM(kept.stride // ROOM, 1)
            states = self._taken(kept.stacks, _place(since))
            again = self._again(again, states, since, until, apart)

            def back(values: Sequence[Tracer]) -> Step:
                now, g = values[0] - 1, values[1:]
                there: Any = (now - since) // apart
                states = self._taken(again, there)
                *states, _ = self._steps_to(states, since + there * apart, now).states
                return Step([now, *self._pulled(states, now, g, floats, wanted, kept.steps)])

            walked = self.while_loop(
                f"{body.name}_back", [], [until, *g], lambda values: values[0] > since, back
            )
            return Step([*again, since, *walked.states[1:]])

        done = self.while_loop(
            f"{body.name}_strides", room, [kept.steps, *start],
            lambda values: values[len(room)] > 0, stride,
        )  # fmt: skip
        found: list[Tracer | None] = [None] * len(self.node.inputs)
        places = [*floats, *(self.carried + k for k in wanted)]
        for k, g in zip(places, done.states[len(room) + 1 :], strict=True):
            found[k] = g
        return found

    def _again(
        self, room: Sequence[Tracer], states: Sequence[Tracer], since: Any, until: Any, apart: Any
    ) -> Sequence[Tracer]:
        """The states from a kept one on, every so manieth of them, put into the room for them."""
        count, writes = len(room), len(self.body.writes)

        def step(values: Sequence[Tracer]) -> Step:
            *held, now = values
            stacks, states = held[:count], [*held[count:]]
            there: Any = (now - since) // apart
            put = [_put(k, s, there) for k, s in zip(stacks, states, strict=True)]
            end: Any = ew.MINIMUM(now + apart, until)
            *new, now = self._steps_to(states, now, end).states
            new[:writes] = map(self.overwritten, states[:writes], new[:writes])
            return Step([*put, *new, now])

        done = self.while_loop(
            f"{self.body.name}_again", [*room, *states[:writes]], [*states[writes:], since],
            lambda values: values[-1] < until, step,
        )  # fmt: skip
        return done.states[:count]

    def _steps_to(self, states: Sequence[Tracer], now: Any, end: Any) -> Step:
        """The steps up to a number of them, which are known to be done."""
        writes = len(self.body.writes)
        return self.while_loop(
            f"{self.body.name}_to", states[:writes], [*states[writes:], now],
            lambda values: values[-1] < end, lambda values: self._step(values, checking=False),
        )  # fmt: skip

    def _pulled(
        self, states: Sequence[Tracer], now: Tracer, g: Sequence[Tracer], floats: Sequence[int],
        wanted: Sequence[int], steps: Tracer,
    ) -> list[Tracer]:  # fmt: skip
        """Cotangents of what a step starts from, and the sums of those of what stays as it is."""
        body, trace = self.body, self.trace
        before = len(trace.nodes)
        made = self._replayed(body, states, now)
        between = list(trace.nodes[before:])
        ends = [*(made[v] for _, v in body.writes), *(made[o] for o in body.outputs)]
        pairs = [(ends[k], part) for k, part in zip(floats, g, strict=False)]
        for position, cotangent in self.given.items():
            if position >= self.carried:  # bound in the last step, where the way back begins
                zero = cotangent.dtype.type(0)
                seed = ew.WHERE(ew.EQUAL(now, steps - 1), cotangent, zero)
                pairs.append((ends[position], seed))
        fixed = [made[body.inputs[self.carried + k]] for k in wanted]
        targets = [*(states[k].node for k in floats), *fixed]
        parts = self.pulled(between, pairs, targets, trace.tracer)
        found = [
            self.zeros(body.inputs[k].spec) if part is None else part
            for k, part in zip(floats, parts, strict=False)
        ]
        for total, part in zip(g[len(floats) :], parts[len(floats) :], strict=True):
            found.append(total if part is None else total + part)
        return found

    # numbers, and states one upon the other

    def _count(self, value: int) -> Tracer:
        return self.trace.tracer(self.trace.node_of(np.int64(value), self.node.where))

    def size(self, dim: Dim) -> Tracer:
        spec = Spec((), np.dtype(np.int64), weak=True)
        return self.trace.tracer(self.trace.add(Node(SIZE, (), {"dim": dim}, spec)))

    def _room(self, states: Sequence[Tracer]) -> list[Tracer]:
        specs = [s.node.spec for s in states]
        return [self.uninitialised(Spec((ROOM, *s.shape), s.dtype)) for s in specs]

    def _taken(self, stacks: Sequence[Tracer], place: Any) -> list[Tracer]:
        """The states that are kept at a place."""
        found = []
        for stack, state in zip(stacks, self.body.inputs, strict=False):
            value = INDEX(stack, place, axes=(0,), front=False)
            found.append(scalars.ITEM(value) if state.spec.weak else value)
        return found


def _put(stack: Tracer, state: Tracer, place: Any) -> Tracer:
    """`stack[place] = state`"""
    if state.node.spec.weak:
        state = ew.CAST(state, dtype=state.node.spec.dtype)
    made: Tracer = INDEX_PUT(stack, state, place, axes=(0,), front=False)
    return made


def _place(step: Any) -> Any:
    """Where the state before a step is kept: that of multiples of a stride, where those of the
    stride before that are no multiples were.

    For steps below ROOM it is the step.  From there on those at ROOM, 2 * ROOM, ... come behind the
    first one, those at so many strides more behind that one.  When the stride is ROOM, all begins
    anew with the number of strides.
    """
    for _ in range(_LARGEST_ROUNDS):
        step = ew.WHERE(step >= ROOM * ROOM, step // ROOM, step)
    return step % ROOM + step // ROOM


class _ByNumber:
    """Nodes that speak of the index of a `for`, for a number of the program's in its place."""

    def __init__(self, gradient: WhileGradient, now: Tracer) -> None:
        self.gradient, self.now = gradient, now
        self.index = str(gradient.node.attrs["index"])

    def __call__(self, node: Node, made: Mapping[Node, Node]) -> Node | None:
        if not _speaks_of(node, self.index):
            return None
        if node.op is SIZE:
            number = self._number(node.attrs["dim"])
            if number is not None:
                return number.node
        if node.op in (views.SLICE, views.UPDATE):
            other = self._at(node, made)
            if other is not None:
                return other.node
        raise GradientError(
            f"a loop that may be left uses the number of the step in a way ({node.where}) that a "
            "gradient does not follow; count the steps in a variable of its own"
        )

    def _number(self, dim: Dim) -> Tracer | None:
        """A size that grows by as much at each step, as Python's number."""
        number = self._counted(dim)
        return None if number is None else scalars.ITEM(number)

    def _counted(self, dim: Dim) -> Tracer | None:
        grows = slope(dim, self.index)
        if grows is None:
            return None
        first = self.gradient.size(substitute(dim, {self.index: SMALLEST}))
        number: Tracer = self.now * grows + first
        return number

    def _at(self, node: Node, made: Mapping[Node, Node]) -> Tracer | None:
        """What is read or written at places of an axis that the step decides, by an integer array
        of these.
        """
        slices: Sequence[views.Slice] = node.attrs["slices"]
        x, *value = [self.gradient.trace.tracer(made[i]) for i in node.inputs]
        whole = views.whole_slices(x.shape)
        axis = next(k for k, part in enumerate(slices) if _speaks_of(part, self.index))
        others = (*slices[:axis], whole[axis], *slices[axis + 1 :])
        start, step, size = slices[axis]
        first = self._counted(start)
        if first is None or any(_speaks_of(v, self.index) for v in (others, size)):
            return None
        count = interpreter.made(ew.IOTA, size=size, dtype=np.dtype(np.int64))
        places = views.EXPAND_DIMS(first, axes=(0,)) + count * step
        where = {"axes": (axis,), "front": False}
        result: Tracer
        if not value:
            part = x if others == whole else views.SLICE(x, slices=others)
            result = INDEX(part, places, **where)
            return result
        (new,) = value
        if others != whole:
            rows = INDEX(x, places, **where)
            within = (*others[:axis], (0, 1, size), *others[axis + 1 :])
            new = views.UPDATE(rows, new, slices=within)
        result = INDEX_PUT(x, new, places, **where)
        return result


def _speaks_of(value: Any, index: str) -> bool:
    """Whether a symbol is in a node, or in what one has."""
    if isinstance(value, Node):
        inside = [node for graph in bodies(value) for node in graph.nodes]
        return any(_speaks_of(v, index) for v in [*value.attrs.values(), value.spec.shape, *inside])
    if isinstance(value, tuple):
        return any(_speaks_of(v, index) for v in value)
    return index in symbols(value) if isinstance(value, Size) else False
