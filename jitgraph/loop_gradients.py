"""Gradients of loops of known length: loops that go back.

They want to know what each step started from, so the loop is written down once more, as one that
puts that into arrays as it goes; this one then takes the other's place.

    for i in range(n):        for i in range(n):            for i in reversed(range(n)):
        x = f(x, w)      =>       kept[i] = x         and       gx, part = pullback of f(kept[i], w)
                                  x = f(x, w)                   gw = gw + part
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .capture import Tracer
from .errors import GraphError
from .graph import SIZE, Node
from .ops import elementwise as ew
from .ops import scalars, views
from .ops.control import LOOP
from .replaying import Inner, LoopGradient, replayed
from .spec import Spec, is_inexact
from .symbolic import SMALLEST, Dim, add, mul, sub, symbol

KEPT = 64  # steps of a loop whose states are all kept


class CountedGradient(LoopGradient):
    def cotangents(self) -> list[Tracer | None]:
        count = self._number_of_steps()
        if count is None or count <= KEPT:
            return self._backward(self._kept_states())
        return self._in_segments(count)

    def _number_of_steps(self) -> int | None:
        """If they are many: the graph is then specialised on it, where it is being captured."""
        count, env = self.node.attrs["count"], self.trace.env
        if isinstance(count, int) or env.at_least(KEPT, count):
            return count if isinstance(count, int) else None
        try:
            return env.value(count)
        except GraphError:
            return None

    def _in_segments(self, count: int) -> list[Tracer | None]:
        """As loops in a loop: it keeps what a segment starts from, and computes its steps again."""
        node, body, trace = self.node, self.body, self.trace
        length = math.isqrt(count - 1) + 1
        segments, rest = divmod(count, length)
        index, inner_index = trace.env.index(segments), trace.env.index(length)
        step = add(mul(sub(index, SMALLEST), length), inner_index)
        first = len(trace.nodes)
        with Inner(trace) as inner:
            inputs = [inner.input(i.spec) for i in body.inputs]
            done, checks = self._repeated(inputs, inner_index, length, step)
            writes = len(body.writes)
            whole = [
                (i, self.overwritten(inner.tracer(i), inner.tracer(d)).node)
                for i, d in zip(inputs, done[:writes], strict=False)
            ]
            name = f"{body.name}_segments{self.number()}"
            new = inner.graph(name, done[writes:], whole, checks)
        attrs = dict(node.attrs) | {"index": str(index), "count": segments, "body": new}
        token = self.added(LOOP, node.inputs, attrs)
        done, checks = self._results(token), [token]
        if rest:
            index = trace.env.index(rest)
            given = [*done[: self.carried], *node.inputs[self.carried :]]
            done, others = self._repeated(given, index, rest, add(index, segments * length))
            checks += others
        trace.superseded_checks[node] = tuple(checks)
        trace.superseded |= {(node, k): d for k, d in enumerate(done)}
        between = trace.nodes[first:]
        pairs = [(done[k], g) for k, g in self.given.items()]
        wanted = [i for i, a in zip(node.inputs, self.active, strict=True) if a]
        wanted = list(dict.fromkeys(wanted))
        found = self.pulled(between, pairs, wanted, trace.tracer)
        parts = dict(zip(wanted, found, strict=True))
        return [parts.pop(i, None) for i in node.inputs]

    def _repeated(
        self, given: Sequence[Node], index: Dim, count: int, step: Dim
    ) -> tuple[list[Node], list[Node]]:
        """Results of a loop of the same steps, and what makes sure of what they assert; step: what
        stands for the index of this one.
        """
        body, own = self.body, self.node.attrs["index"]
        with Inner(self.trace) as inner:
            old = {i: inner.input(i.spec) for i in body.inputs}
            made = replayed(self.trace, body.nodes, old, {own: step}, checking=True)
            writes = [(old[i], made[value]) for i, value in body.writes]
            name = f"{body.name}_steps{self.number()}"
            effects = [made[e] for e in body.effects]
            new = inner.graph(name, [made[o] for o in body.outputs], writes, effects)
        attrs = dict(self.node.attrs) | {"index": str(index), "count": count, "body": new}
        token = self.added(LOOP, tuple(given), attrs)
        return self._results(token), [token] if effects else []

    def _results(self, token: Node) -> list[Node]:
        body = self.body
        specs = [i.spec for i in body.inputs[: self.carried]]
        specs += [o.spec for o in body.outputs[self._outputs :]]
        return [self.result(token, k, spec).node for k, spec in enumerate(specs)]

    def _kept_states(self) -> list[Tracer]:
        """The loop again, with arrays of what each step starts from; gives these."""
        node, body, trace = self.node, self.body, self.trace
        count, writes = node.attrs["count"], len(body.writes)
        start = sub(symbol(node.attrs["index"]), SMALLEST)
        states = body.inputs[: self.carried]
        specs = [Spec((count, *s.spec.shape), s.spec.dtype) for s in states]
        with Inner(trace) as inner:
            old = {i: inner.input(i.spec) for i in body.inputs[:writes]}
            stacks = [inner.input(spec) for spec in specs]
            old |= {i: inner.input(i.spec) for i in body.inputs[writes:]}
            kept = [
                self._put(inner, stack, old[state], start)
                for stack, state in zip(stacks, states, strict=True)
            ]
            made = replayed(self.trace, body.nodes, old, {}, checking=True)
            outputs = [made[o] for o in body.outputs]
            changed = [(old[i], made[value]) for i, value in body.writes]
            new = inner.graph(
                f"{body.name}_kept{self.number()}", outputs,
                [*changed, *zip(stacks, kept, strict=True)], [made[e] for e in body.effects],
            )  # fmt: skip
        memory = [self.uninitialised(s).node for s in specs]
        given = (*node.inputs[:writes], *memory, *node.inputs[writes:])
        token = self.added(LOOP, given, dict(node.attrs) | {"body": new})
        trace.superseded_checks[node] = (token,)
        results = [*(i.spec for i in states), *(o.spec for o in body.outputs[self._outputs :])]
        for position, spec in enumerate(results):
            moved = position if position < writes else position + len(stacks)
            trace.superseded[node, position] = self.result(token, moved, spec).node
        return [self.result(token, writes + k, spec) for k, spec in enumerate(specs)]

    @property
    def _outputs(self) -> int:
        return len(self.body.outputs) - int(self.node.attrs["last"])

    def _put(self, inner: Inner, stack: Node, state: Node, start: Dim) -> Node:
        """`stack[i] = state`"""
        value = inner.tracer(state)
        if state.spec.weak:
            value = ew.CAST(value, dtype=state.spec.dtype)
        value = views.EXPAND_DIMS(value, axes=(0,))
        slices = ((start, 1, 1), *views.whole_slices(state.spec.shape))
        made: Node = views.UPDATE(inner.tracer(stack), value, slices=slices).node
        return made

    def _taken(self, inner: Inner, stack: Node, spec: Spec, start: Dim) -> Node:
        """`stack[i]`"""
        slices = ((start, 1, 1), *views.whole_slices(spec.shape))
        value = views.SQUEEZE(views.SLICE(inner.tracer(stack), slices=slices), axes=(0,))
        made: Node = (scalars.ITEM(value) if spec.weak else value).node
        return made

    def _backward(self, kept: Sequence[Tracer]) -> list[Tracer | None]:
        node, body, trace = self.node, self.body, self.trace
        count: Dim = node.attrs["count"]
        carried, fixed = body.inputs[: self.carried], body.inputs[self.carried :]
        floats = [k for k, i in enumerate(carried) if self.reached[k] and is_inexact(i.spec.dtype)]
        wanted = [k for k, i in enumerate(fixed)
                  if self.active[self.carried + k] and is_inexact(i.spec.dtype)]  # fmt: skip
        last = [p for p in self.given if p >= self.carried]
        index = trace.env.index(count)
        step = sub(add(count, SMALLEST - 1), index)  # the number of the step, from count - 1 to 0
        with Inner(trace) as inner:
            g_states = [inner.input(self.spec_of_cotangent(carried[k].spec)) for k in floats]
            g_fixed = [inner.input(self.spec_of_cotangent(fixed[k].spec)) for k in wanted]
            stacks = [inner.input(s.node.spec) for s in kept]
            own = [inner.input(i.spec) for i in fixed]
            g_last = [inner.input(self.given[p].node.spec) for p in last]
            start = [
                self._taken(inner, stack, i.spec, step)
                for stack, i in zip(stacks, carried, strict=True)
            ]
            before = len(trace.nodes)
            known = dict(zip((*carried, *fixed), (*start, *own), strict=True))
            made = replayed(
                self.trace, body.nodes, known, {node.attrs["index"]: add(step, SMALLEST)}
            )
            between = list(trace.nodes[before:])
            ends = [*(made[value] for _, value in body.writes), *(made[o] for o in body.outputs)]
            pairs = [(ends[k], inner.tracer(g)) for k, g in zip(floats, g_states, strict=True)]
            pairs += [
                (ends[p], self._at_last(inner, g, index)) for p, g in zip(last, g_last, strict=True)
            ]
            targets = [*(start[k] for k in floats), *(own[k] for k in wanted)]
            parts = self.pulled(between, pairs, targets, inner.tracer)
            outputs = [
                (self.zeros(carried[k].spec) if part is None else part).node
                for k, part in zip(floats, parts, strict=False)
            ]
            for total, part in zip(g_fixed, parts[len(floats) :], strict=True):
                sums = inner.tracer(total)
                outputs.append((sums if part is None else sums + part).node)
            new = inner.graph(f"{body.name}_back{self.number()}", outputs)
        zeros = [self.zeros(carried[k].spec) for k in floats]
        begin = [self.given.get(k, z).node for k, z in zip(floats, zeros, strict=True)]
        begin += [self.zeros(fixed[k].spec).node for k in wanted]
        given = (
            *begin, *(s.node for s in kept), *node.inputs[self.carried :],
            *(self.given[p].node for p in last),
        )  # fmt: skip
        attrs = {"index": str(index), "count": count, "last": 0, "body": new}
        token = self.added(LOOP, given, attrs)
        found: list[Tracer | None] = [None] * len(node.inputs)
        places = [*floats, *(self.carried + k for k in wanted)]
        for position, k in enumerate(places):
            found[k] = self.result(token, position, self.spec_of_cotangent(node.inputs[k].spec))
        return found

    def _at_last(self, inner: Inner, g: Node, index: Dim) -> Tracer:
        """A cotangent of what the last step has bound, which is the first one that goes back."""
        spec = Spec((), np.dtype(np.int64), weak=True)
        number = inner.tracer(self.trace.add(Node(SIZE, (), {"dim": index}, spec)))
        value = inner.tracer(g)
        made: Tracer = ew.WHERE(ew.EQUAL(number, SMALLEST), value, g.spec.dtype.type(0))
        return made
