"""Gradients of loops and branches.

The gradient of a branch is a branch: each side computes again what it needs, and goes back.

That of a loop of known length is a loop that goes back.  It wants to know what each step started
from, so the loop is written down once more, as one that puts that into arrays as it goes; this one
then takes the other's place.

    for i in range(n):        for i in range(n):            for i in reversed(range(n)):
        x = f(x, w)      =>       kept[i] = x         and       gx, part = pullback of f(kept[i], w)
                                  x = f(x, w)                   gw = gw + part
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .batching import Batched, NotInBatchesError
from .capture import RefusedError, Trace, Tracer
from .checking import calls
from .errors import GradientError, GraphError
from .graph import INPUT, SIZE, Graph, Node, node_with_sizes
from .ops import elementwise as ew
from .ops import scalars, views
from .ops.control import COND, CONTROL_RESULT, EXPECT, LOOP
from .spec import Spec, is_inexact
from .symbolic import SMALLEST, Dim, add, mul, sub, symbol

KEPT = 64  # steps of a loop whose states are all kept

# (nodes, cotangents of results, values wanted, the tracer of a node) -> their cotangents
Pull = Callable[..., list[Tracer | None]]


def results_of_side(branch: Node, side: Graph) -> list[Node]:
    """What a side of a branch leaves: arrays that either side writes to, and its outputs."""
    written = dict(side.writes)
    return [*(written.get(i, i) for i in side.inputs[: branch.attrs["written"]]), *side.outputs]


class Inner:
    """A graph inside the trace's, while it is written down."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.inputs: list[Node] = []
        self.value: dict[Node, Tracer] = {}

    def __enter__(self) -> Inner:
        self.around, self.trace.nodes = self.trace.nodes, []
        return self

    def __exit__(self, *error: object) -> None:
        self.trace.nodes = self.around

    def input(self, spec: Spec) -> Node:
        node = Node(INPUT, (), {"name": f"x{len(self.inputs)}"}, spec)
        self.inputs.append(node)
        return node

    def tracer(self, node: Node) -> Tracer:
        if node not in self.value:
            self.value[node] = self.trace.tracer(node)
        return self.value[node]

    def replay(
        self, nodes: Sequence[Node], known: Mapping[Node, Node], sizes: Mapping[str, Dim],
        checking: bool = False,
    ) -> dict[Node, Node]:  # fmt: skip
        """Nodes written down again, for other inputs; sizes: what symbols stand for in them;
        checking: whether they make sure of what is asserted, which was done before where they go
        back.
        """
        made = dict(known)
        for node in nodes:
            if node.op is EXPECT and not checking:
                continue
            rule = self.trace.rules.get(node)
            if rule is not None and rule.needed:
                raise GradientError(
                    f"{rule.name} has a rule of its own, which is not followed in a loop or a "
                    f"branch of a graph ({node.where})"
                )
            new = node_with_sizes(node, tuple(made[i] for i in node.inputs), sizes)
            made[node] = self.trace.add(new)
        return made

    def graph(
        self, name: str, outputs: Sequence[Node], writes: Any = (), effects: Sequence[Node] = ()
    ) -> Graph:
        inputs, nodes = tuple(self.inputs), tuple(self.trace.nodes)
        return Graph(name, inputs, nodes, tuple(outputs), (), tuple(writes), tuple(effects))


@dataclass
class ControlGradient:
    """What a loop or a branch does to cotangents.

    given: cotangents of its results by position.  active: which of its inputs want one; reached:
    which of its results depend on these.
    """

    trace: Trace
    node: Node
    given: Mapping[int, Tracer]
    active: Sequence[bool]
    reached: Sequence[bool]
    pull: Pull

    def cotangents(self) -> list[Tracer | None]:
        """Of the inputs."""
        if any(isinstance(g, Batched) for g in self.given.values()):
            raise NotInBatchesError(
                f"a batch of cotangents does not go through a loop or a branch ({self.node.where})"
            )
        if calls(self.node):
            key = self.trace.keys.get(self.node, "")
            raise RefusedError(key, "it calls a function, and its gradient is taken")
        return self._of_branch() if self.node.op is COND else self._of_loop()

    # a branch

    def _of_branch(self) -> list[Tracer | None]:
        condition, *values = self.node.inputs
        wanted = [k for k, a in enumerate(self.active[1:]) if a]
        positions = list(self.given)
        sides = [self._side(key, wanted, positions) for key in ("taken", "otherwise")]
        given = (condition, *values, *(self.given[p].node for p in positions))
        attrs = {"written": 0, "taken": sides[0], "otherwise": sides[1]}
        token = self._added(COND, given, attrs)
        found: list[Tracer | None] = [None] * len(self.node.inputs)
        for position, k in enumerate(wanted):
            found[1 + k] = self._result(token, position, _strong(values[k].spec))
        return found

    def _side(self, key: str, wanted: Sequence[int], positions: Sequence[int]) -> Graph:
        side: Graph = self.node.attrs[key]
        results = results_of_side(self.node, side)
        with Inner(self.trace) as inner:
            inputs = [inner.input(i.spec) for i in side.inputs]
            seeds = [inner.input(_strong(results[p].spec)) for p in positions]
            made = inner.replay(side.nodes, dict(zip(side.inputs, inputs, strict=True)), {})
            pairs = [
                (made[results[p]], inner.tracer(s)) for p, s in zip(positions, seeds, strict=True)
            ]
            between = list(self.trace.nodes)
            targets = [inputs[k] for k in wanted]
            parts = self.pull(between, pairs, targets, inner.tracer, self.trace)
            outputs = [
                self._zeros(t.spec).node if part is None else part.node
                for t, part in zip(targets, parts, strict=True)
            ]
            return inner.graph(f"{side.name}_back{self._number()}", outputs)

    # a loop

    def _of_loop(self) -> list[Tracer | None]:
        node = self.node
        if not node.attrs["index"] or "test" in node.attrs:
            raise GradientError(
                f"the number of steps of a loop is known when it has run ({node.where}), and a "
                "gradient would have to know it before; it goes through Tensors, and through loops "
                "over range without break"
            )
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
        node, body, trace = self.node, self._body, self.trace
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
                (i, self._overwritten(inner.tracer(i), inner.tracer(d)))
                for i, d in zip(inputs, done[:writes], strict=False)
            ]
            name = f"{body.name}_segments{self._number()}"
            new = inner.graph(name, done[writes:], whole, checks)
        attrs = dict(node.attrs) | {"index": str(index), "count": segments, "body": new}
        token = self._added(LOOP, node.inputs, attrs)
        done, checks = self._results(token), [token]
        if rest:
            index = trace.env.index(rest)
            given = [*done[: self._carried], *node.inputs[self._carried :]]
            done, others = self._repeated(given, index, rest, add(index, segments * length))
            checks += others
        trace.superseded_checks[node] = tuple(checks)
        trace.superseded |= {(node, k): d for k, d in enumerate(done)}
        between = trace.nodes[first:]
        pairs = [(done[k], g) for k, g in self.given.items()]
        wanted = [i for i, a in zip(node.inputs, self.active, strict=True) if a]
        wanted = list(dict.fromkeys(wanted))
        found = self.pull(between, pairs, wanted, trace.tracer, trace)
        parts = dict(zip(wanted, found, strict=True))
        return [parts.pop(i, None) for i in node.inputs]

    def _repeated(
        self, given: Sequence[Node], index: Dim, count: int, step: Dim
    ) -> tuple[list[Node], list[Node]]:
        """Results of a loop of the same steps, and what makes sure of what they assert; step: what
        stands for the index of this one.
        """
        body, own = self._body, self.node.attrs["index"]
        with Inner(self.trace) as inner:
            old = {i: inner.input(i.spec) for i in body.inputs}
            made = inner.replay(body.nodes, old, {own: step}, checking=True)
            writes = [(old[i], made[value]) for i, value in body.writes]
            name = f"{body.name}_steps{self._number()}"
            effects = [made[e] for e in body.effects]
            new = inner.graph(name, [made[o] for o in body.outputs], writes, effects)
        attrs = dict(self.node.attrs) | {"index": str(index), "count": count, "body": new}
        token = self._added(LOOP, tuple(given), attrs)
        return self._results(token), [token] if effects else []

    def _results(self, token: Node) -> list[Node]:
        body = self._body
        specs = [i.spec for i in body.inputs[: self._carried]]
        specs += [o.spec for o in body.outputs[self._outputs :]]
        return [self._result(token, k, spec).node for k, spec in enumerate(specs)]

    def _overwritten(self, old: Tracer, new: Tracer) -> Node:
        slices = views.whole_slices(old.shape)
        made: Node = views.UPDATE(old, new, slices=slices).node
        return made

    @property
    def _body(self) -> Graph:
        body: Graph = self.node.attrs["body"]
        return body

    @property
    def _carried(self) -> int:
        """How many of the inputs the steps change."""
        return len(self._body.writes) + len(self._body.outputs) - int(self.node.attrs["last"])

    def _kept_states(self) -> list[Tracer]:
        """The loop again, with arrays of what each step starts from; gives these."""
        node, body, trace = self.node, self._body, self.trace
        count, writes = node.attrs["count"], len(body.writes)
        start = sub(symbol(node.attrs["index"]), SMALLEST)
        states = body.inputs[: self._carried]
        specs = [Spec((count, *s.spec.shape), s.spec.dtype) for s in states]
        with Inner(trace) as inner:
            old = {i: inner.input(i.spec) for i in body.inputs[:writes]}
            stacks = [inner.input(spec) for spec in specs]
            old |= {i: inner.input(i.spec) for i in body.inputs[writes:]}
            kept = [
                self._put(inner, stack, old[state], start)
                for stack, state in zip(stacks, states, strict=True)
            ]
            made = inner.replay(body.nodes, old, {}, checking=True)
            outputs = [made[o] for o in body.outputs]
            changed = [(old[i], made[value]) for i, value in body.writes]
            new = inner.graph(
                f"{body.name}_kept{self._number()}", outputs,
                [*changed, *zip(stacks, kept, strict=True)], [made[e] for e in body.effects],
            )  # fmt: skip
        memory = [
            trace.add(Node(views.UNINITIALISED, (), {"shape": s.shape, "dtype": s.dtype}, s))
            for s in specs
        ]
        given = (*node.inputs[:writes], *memory, *node.inputs[writes:])
        token = self._added(LOOP, given, dict(node.attrs) | {"body": new})
        trace.superseded_checks[node] = (token,)
        results = [*(i.spec for i in states), *(o.spec for o in body.outputs[self._outputs :])]
        for position, spec in enumerate(results):
            moved = position if position < writes else position + len(stacks)
            trace.superseded[node, position] = self._result(token, moved, spec).node
        return [self._result(token, writes + k, spec) for k, spec in enumerate(specs)]

    @property
    def _outputs(self) -> int:
        return len(self._body.outputs) - int(self.node.attrs["last"])

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
        node, body, trace = self.node, self._body, self.trace
        count: Dim = node.attrs["count"]
        carried, fixed = body.inputs[: self._carried], body.inputs[self._carried :]
        floats = [k for k, i in enumerate(carried) if self.reached[k] and _is_float(i.spec)]
        wanted = [k for k, i in enumerate(fixed)
                  if self.active[self._carried + k] and _is_float(i.spec)]  # fmt: skip
        last = [p for p in self.given if p >= self._carried]
        index = trace.env.index(count)
        step = sub(add(count, SMALLEST - 1), index)  # the number of the step, from count - 1 to 0
        with Inner(trace) as inner:
            g_states = [inner.input(_strong(carried[k].spec)) for k in floats]
            g_fixed = [inner.input(_strong(fixed[k].spec)) for k in wanted]
            stacks = [inner.input(s.node.spec) for s in kept]
            own = [inner.input(i.spec) for i in fixed]
            g_last = [inner.input(self.given[p].node.spec) for p in last]
            start = [
                self._taken(inner, stack, i.spec, step)
                for stack, i in zip(stacks, carried, strict=True)
            ]
            before = len(trace.nodes)
            known = dict(zip((*carried, *fixed), (*start, *own), strict=True))
            made = inner.replay(body.nodes, known, {node.attrs["index"]: add(step, SMALLEST)})
            between = list(trace.nodes[before:])
            ends = [*(made[value] for _, value in body.writes), *(made[o] for o in body.outputs)]
            pairs = [(ends[k], inner.tracer(g)) for k, g in zip(floats, g_states, strict=True)]
            pairs += [
                (ends[p], self._at_last(inner, g, index)) for p, g in zip(last, g_last, strict=True)
            ]
            targets = [*(start[k] for k in floats), *(own[k] for k in wanted)]
            parts = self.pull(between, pairs, targets, inner.tracer, trace)
            outputs = [
                (self._zeros(carried[k].spec) if part is None else part).node
                for k, part in zip(floats, parts, strict=False)
            ]
            for total, part in zip(g_fixed, parts[len(floats) :], strict=True):
                sums = inner.tracer(total)
                outputs.append((sums if part is None else sums + part).node)
            new = inner.graph(f"{body.name}_back{self._number()}", outputs)
        zeros = [self._zeros(carried[k].spec) for k in floats]
        begin = [self.given.get(k, z).node for k, z in zip(floats, zeros, strict=True)]
        begin += [self._zeros(fixed[k].spec).node for k in wanted]
        given = (
            *begin, *(s.node for s in kept), *node.inputs[self._carried :],
            *(self.given[p].node for p in last),
        )  # fmt: skip
        attrs = {"index": str(index), "count": count, "last": 0, "body": new}
        token = self._added(LOOP, given, attrs)
        found: list[Tracer | None] = [None] * len(node.inputs)
        places = [*floats, *(self._carried + k for k in wanted)]
        for position, k in enumerate(places):
            found[k] = self._result(token, position, _strong(node.inputs[k].spec))
        return found

    def _at_last(self, inner: Inner, g: Node, index: Dim) -> Tracer:
        """A cotangent of what the last step has bound, which is the first one that goes back."""
        spec = Spec((), np.dtype(np.int64), weak=True)
        number = inner.tracer(self.trace.add(Node(SIZE, (), {"dim": index}, spec)))
        value = inner.tracer(g)
        made: Tracer = ew.WHERE(ew.EQUAL(number, SMALLEST), value, g.spec.dtype.type(0))
        return made

    # nodes

    def _zeros(self, spec: Spec) -> Tracer:
        """In the graph that is being written down."""
        zero = spec.dtype.type(0)
        if not spec.ndim:
            return self.trace.tracer(self.trace.node_of(zero, self.node.where))
        made: Tracer = self.trace.apply(views.FULL, (zero,), {"shape": spec.shape})
        return made

    def _added(self, op: Any, inputs: tuple[Node, ...], attrs: dict[str, Any]) -> Node:
        spec = Spec((), np.dtype(bool))
        return self.trace.add(Node(op, inputs, attrs, spec, self.node.where))

    def _result(self, token: Node, position: int, spec: Spec) -> Tracer:
        attrs = {"position": position, "shape": spec.shape, "dtype": spec.dtype, "weak": spec.weak}
        node = Node(CONTROL_RESULT, (token,), attrs, spec, self.node.where)
        return self.trace.tracer(self.trace.add(node))

    def _number(self) -> int:
        """For a name of a graph's own."""
        self.trace.next_nested += 1
        return self.trace.next_nested


def _is_float(spec: Spec) -> bool:
    return is_inexact(spec.dtype)


def _strong(spec: Spec) -> Spec:
    return Spec(spec.shape, spec.dtype)
