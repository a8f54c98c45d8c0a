"""Vectors of a few components, written out: coordinates, colours, features.

A reduction over a short last axis of something large,

    d = x[None] - y[:, None]          (n, m, 3)
    (d * d).sum(axis=2)               (n, m)

is the sum of three values of shape (n, m), each of which a loop computes in registers; as an array
with an axis of three it would be a loop of three steps in the innermost place.  What else is made
of the same values, as their sum over another axis, is written out with them and joined at the end.

Such axes are of a size that the graph is specialised on, see `short_axes`.
"""

from __future__ import annotations

from .graph import Graph, Node, constant, pruned
from .ops import Kind, Op, reductions, views
from .ops import elementwise as ew
from .spec import Spec
from .symbolic import Dim, ShapeEnv, is_known_before, product

MOST_COMPONENTS = 8
LEAST_ELEMENTS = 4096  # of the array whose last axis is short, for the trouble to be worth it

_COMBINED = {
    reductions.SUM: ew.ADD,
    reductions.PROD: ew.MULTIPLY,
    reductions.MAX: ew.MAXIMUM,
    reductions.MIN: ew.MINIMUM,
}


def short_axes(nodes: list[Node], env: ShapeEnv) -> list[Dim]:
    """Sizes of few components, for what is being captured, that had better be compiled in.

    Those that only the running program knows stay open: it could not choose another program.
    """
    return [
        source.spec.shape[-1]
        for node in nodes
        if _combines_components(node)
        for source in node.inputs
        if is_known_before(source.spec.shape[-1])
        and 2 <= env.hint(source.spec.shape[-1]) <= MOST_COMPONENTS
        and env.hint(product(source.spec.shape)) >= LEAST_ELEMENTS
    ]


def _combines_components(node: Node) -> bool:
    """Whether a node reduces the last of three axes or more, of something that is computed."""
    if node.op not in _COMBINED or node.spec.dtype.kind not in "f":
        return False
    source = node.inputs[0]
    computed = source.kind is Kind.ELEMENTWISE and source.spec.ndim >= 3
    return computed and node.attrs["axis"] == (source.spec.ndim - 1,)


def write_out_components(graph: Graph) -> Graph:
    """The graph with its short last axes gone, where they are reduced."""
    writer = _Writer(graph)
    return graph if not writer.sizes else writer.run()


def _few(dim: Dim) -> bool:
    return isinstance(dim, int) and 2 <= dim <= MOST_COMPONENTS


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sizes = {
            n.inputs[0].spec.shape[-1]
            for n in graph.nodes
            if _combines_components(n) and _few(n.inputs[0].spec.shape[-1])
        }
        self.nodes: list[Node] = []
        self.replace: dict[Node, Node] = {}
        self.parts: dict[tuple[Node, int], Node] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            self.replace[node] = self._rewritten(node)
        changed = self.replace
        return pruned(
            Graph(
                self.graph.name, self.graph.inputs, tuple(self.nodes),
                tuple(changed.get(o, o) for o in self.graph.outputs), self.graph.guards,
                tuple((i, changed.get(v, v)) for i, v in self.graph.writes),
                tuple(changed.get(e, e) for e in self.graph.effects),
            )
        )  # fmt: skip

    def _made(self, op: Op, inputs: tuple[Node, ...], where: str, **attrs: object) -> Node:
        spec = op.spec(*[i.spec for i in inputs], **attrs)
        return self._kept(Node(op, inputs, attrs, spec, where))

    def _kept(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def _rewritten(self, node: Node) -> Node:
        source = node.inputs[0] if node.inputs else node
        if _combines_components(node) and source.spec.shape[-1] in self.sizes:
            return self._combined(node, source)
        if self._sums_vectors(node, source):
            return self._joined(node)
        inputs = tuple(self.replace.get(i, i) for i in node.inputs)
        return self._kept(Node(node.op, inputs, node.attrs, node.spec, node.where))

    def _combined(self, node: Node, source: Node) -> Node:
        size = source.spec.shape[-1]
        assert isinstance(size, int)
        total = self.part(source, 0)
        for k in range(1, size):
            total = self._made(_COMBINED[node.op], (total, self.part(source, k)), node.where)
        if node.attrs["keepdims"]:
            axes = (source.spec.ndim - 1,)
            total = self._made(views.EXPAND_DIMS, (total,), node.where, axes=axes)
        return total

    def _sums_vectors(self, node: Node, source: Node) -> bool:
        """Whether a node reduces another axis of vectors that are computed, and leaves vectors."""
        if node.op not in _COMBINED or source.kind is not Kind.ELEMENTWISE:
            return False
        last = source.spec.ndim - 1
        many = source.spec.ndim >= 3 and source.spec.shape[-1] in self.sizes
        return many and last not in node.attrs["axis"] and node.spec.ndim >= 2

    def _joined(self, node: Node) -> Node:
        size = node.spec.shape[-1]
        assert isinstance(size, int)
        zero = self._kept(constant(node.spec.dtype.type(0), Spec((), node.spec.dtype), node.where))
        whole = self._made(views.FULL, (zero,), node.where, shape=node.spec.shape)
        for k in range(size):
            part = self._made(
                views.EXPAND_DIMS, (self.part(node, k),), node.where, axes=(node.spec.ndim - 1,)
            )
            slices = (*views.whole_slices(node.spec.shape[:-1]), (k, 1, 1))
            whole = self._made(views.UPDATE, (whole, part), node.where, slices=slices)
        return whole

    def part(self, node: Node, k: int) -> Node:
        """The k-th component of a node whose last axis is short."""
        if (node, k) not in self.parts:
            self.parts[node, k] = self._part(node, k)
        return self.parts[node, k]

    def _part(self, node: Node, k: int) -> Node:
        last, where, attrs = node.spec.ndim - 1, node.where, node.attrs
        if node.kind is Kind.ELEMENTWISE and node.inputs:
            inputs = tuple(self._operand(i, k) for i in node.inputs)
            return self._made(node.op, inputs, where, **attrs)
        if node.op in _COMBINED and node.inputs[0].spec.ndim - 1 not in attrs["axis"]:
            return self._made(node.op, (self.part(node.inputs[0], k),), where, **attrs)
        if node.op is views.EXPAND_DIMS and last not in attrs["axes"]:
            return self._made(node.op, (self.part(node.inputs[0], k),), where, **attrs)
        if node.op is views.BROADCAST_TO and node.inputs[0].spec.ndim:
            inner = self._operand(node.inputs[0], k)
            return self._made(node.op, (inner,), where, shape=node.spec.shape[:-1])
        if node.op is views.TRANSPOSE and attrs["axes"][-1] == last:
            return self._made(
                node.op, (self.part(node.inputs[0], k),), where, axes=attrs["axes"][:-1]
            )
        source = self.replace.get(node, node)
        slices = (*views.whole_slices(node.spec.shape[:-1]), (k, 1, 1))
        element = self._made(views.SLICE, (source,), where, slices=slices)
        return self._made(views.SQUEEZE, (element,), where, axes=(last,))

    def _operand(self, node: Node, k: int) -> Node:
        """The k-th component of an operand, which may be the same for all of them."""
        if node.spec.ndim == 0:
            return self.replace.get(node, node)
        size = node.spec.shape[-1]
        if isinstance(size, int) and size == 1:
            source = self.replace.get(node, node)
            return self._made(views.SQUEEZE, (source,), node.where, axes=(node.spec.ndim - 1,))
        return self.part(node, k)
