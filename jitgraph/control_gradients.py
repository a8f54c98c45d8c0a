"""Gradients of loops and branches.

The gradient of a branch is a branch: each side computes again what it needs, and goes back.  That
of a loop is a loop that goes back; see `loop_gradients` and `while_gradients`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .batching import Together
from .capture import RefusedError, Trace, Tracer
from .checking import calls
from .graph import Graph, Node
from .loop_gradients import CountedGradient
from .ops.control import COND
from .replaying import ControlGradient, Inner, Pull, replayed
from .while_gradients import WhileGradient


def control_cotangents(
    trace: Trace, node: Node, given: Mapping[int, Tracer], active: Sequence[bool],
    reached: Sequence[bool], pull: Pull,
) -> list[Tracer | None]:  # fmt: skip
    """Cotangents of the inputs of a loop or a branch; see `ControlGradient`."""
    if calls(node):
        raise RefusedError(
            trace.keys.get(node, ""), "it calls a function, and its gradient is taken"
        )
    kind: type[ControlGradient] = BranchGradient
    if node.op is not COND:
        kind = WhileGradient if "test" in node.attrs else CountedGradient
    batches = Together(given.values())
    whole = {position: batches.whole(g) for position, g in given.items()}
    found = kind(trace, node, whole, active, reached, pull, batches).cotangents()
    return [None if g is None else batches.any(g) for g in found]


def results_of_side(branch: Node, side: Graph) -> list[Node]:
    """What a side of a branch leaves: arrays that either side writes to, and its outputs."""
    written = dict(side.writes)
    return [*(written.get(i, i) for i in side.inputs[: branch.attrs["written"]]), *side.outputs]


class BranchGradient(ControlGradient):
    def cotangents(self) -> list[Tracer | None]:
        condition, *values = self.node.inputs
        wanted = [k for k, a in enumerate(self.active[1:]) if a]
        positions = list(self.given)
        sides = [self._side(key, wanted, positions) for key in ("taken", "otherwise")]
        given = (condition, *values, *(self.given[p].node for p in positions))
        attrs = {"written": 0, "taken": sides[0], "otherwise": sides[1]}
        token = self.added(COND, given, attrs)
        found: list[Tracer | None] = [None] * len(self.node.inputs)
        for position, k in enumerate(wanted):
            found[1 + k] = self.result(token, position, self.spec_of_cotangent(values[k].spec))
        return found

    def _side(self, key: str, wanted: Sequence[int], positions: Sequence[int]) -> Graph:
        side: Graph = self.node.attrs[key]
        results = results_of_side(self.node, side)
        with Inner(self.trace) as inner:
            inputs = [inner.input(i.spec) for i in side.inputs]
            seeds = [inner.input(self.spec_of_cotangent(results[p].spec)) for p in positions]
            made = replayed(self.trace, side.nodes, dict(zip(side.inputs, inputs, strict=True)), {})
            pairs = [
                (made[results[p]], inner.tracer(s)) for p, s in zip(positions, seeds, strict=True)
            ]
            between = list(self.trace.nodes)
            targets = [inputs[k] for k in wanted]
            parts = self.pulled(between, pairs, targets, inner.tracer)
            outputs = [
                self.zeros(t.spec).node if part is None else part.node
                for t, part in zip(targets, parts, strict=True)
            ]
            return inner.graph(f"{side.name}_back{self.number()}", outputs)
