"""The static graph: operations in order, each result assigned once.

    graph ::= inputs, guards, nodes, outputs
    node  ::= op(inputs, **attrs) : spec          where: the user's line

Its text form is the bytecode: `str(graph)` prints it and `parse` reads it back.

    graph mean_square(x: float32[s0, s1])
      %0: float32[s0, s1] = square(x)  # model.py:7
      %1: float32[s0] = sum(%0, axis=(1,), keepdims=False)  # model.py:7
      return %1
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .errors import GraphError, JitgraphError
from .ops import TABLE, Kind, Op
from .ops.host import HOST_RESULT
from .ops.op import register
from .spec import Spec, dims
from .symbolic import (
    Dim,
    Guard,
    ShapeEnv,
    Size,
    mul,
    parse_dim,
    sub,
    substitute,
    surely_nonnegative,
    symbols,
)


def _no_eval(**attrs: Any) -> Any:
    raise GraphError("a source has no evaluation of its own")


def _source_spec(**attrs: Any) -> Spec:
    spec: Spec = attrs["spec"]
    return spec


INPUT = register(Op("input", Kind.SOURCE, _no_eval, _source_spec))  # name
CONSTANT = register(Op("constant", Kind.SOURCE, _no_eval, _source_spec))  # value, a scalar
SIZE = register(Op("size", Kind.SOURCE, _no_eval, _source_spec))  # dim, a size as a weak integer


@dataclass(frozen=True, eq=False)
class Node:
    """One application of an operation; nodes are compared by identity."""

    op: Op
    inputs: tuple[Node, ...]
    attrs: Mapping[str, Any]
    spec: Spec
    where: str = "?"

    @property
    def kind(self) -> Kind:
        return self.op.kind

    def __repr__(self) -> str:
        return f"<{self.op.name}: {self.spec}>"


def bodies(node: Node) -> list[Graph]:
    """The graphs inside a node: those of a loop."""
    return [value for value in node.attrs.values() if isinstance(value, Graph)]


def everywhere(nodes: Iterable[Node]) -> Iterator[Node]:
    """Nodes and those of the graphs inside them."""
    for node in nodes:
        yield node
        for inner in bodies(node):
            yield from everywhere(inner.nodes)


def with_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """The graph with the graphs inside its nodes changed."""
    if not any(map(bodies, graph.nodes)):
        return graph
    made: dict[Node, Node] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(made.get(i, i) for i in node.inputs)
        attrs = {k: change(v) if isinstance(v, Graph) else v for k, v in node.attrs.items()}
        made[node] = Node(node.op, inputs, attrs, node.spec, node.where)
        nodes.append(made[node])
    return graph.with_nodes(nodes, made)


def constant(value: Any, spec: Spec, where: str = "?") -> Node:
    return Node(CONSTANT, (), {"value": value}, spec, where)


@dataclass(frozen=True)
class Graph:
    name: str
    inputs: tuple[Node, ...]
    nodes: tuple[Node, ...]  # all but the inputs, producers first
    outputs: tuple[Node, ...]
    guards: tuple[Guard, ...] = field(default=())

    writes: tuple[tuple[Node, Node], ...] = field(default=())  # inputs and their new values
    effects: tuple[Node, ...] = field(default=())  # host calls that are made for what they do

    @property
    def needed(self) -> tuple[Node, ...]:
        """All that a program of this graph must compute."""
        return (*self.outputs, *(value for _, value in self.writes), *self.effects)

    def with_nodes(self, nodes: Iterable[Node], instead: Mapping[Node, Node]) -> Graph:
        """A graph of other nodes, in which some values stand for those of this one."""
        return replace(
            self, nodes=tuple(nodes), outputs=tuple(instead.get(o, o) for o in self.outputs),
            writes=tuple((i, instead.get(v, v)) for i, v in self.writes),
            effects=tuple(instead.get(e, e) for e in self.effects),
        )  # fmt: skip

    def verify(self, assumed: Sequence[Guard] = ()) -> None:
        """Check that every node uses earlier ones and has the spec its operation gives it.

        assumed: guards of the graphs around this one.  Raises `GraphError` with the first line that
        does not hold.
        """
        guards = (*assumed, *self.guards)
        env = sizes_assumed(guards)
        seen = set(self.inputs)
        dims.push(env)
        try:
            for node in self.nodes:
                if missing := [i for i in node.inputs if i not in seen]:
                    raise GraphError(
                        f"{self.name}: {node!r} uses {missing[0]!r} before it is defined"
                    )
                seen.add(node)
                if node.kind is not Kind.SOURCE:
                    self._verify_spec(node)
                for inner in bodies(node):
                    inner.verify(guards)
        finally:
            dims.pop()
        if missing := [o for o in self.needed if o not in seen]:
            raise GraphError(f"{self.name}: output {missing[0]!r} is not defined")

    def _verify_spec(self, node: Node) -> None:
        try:
            spec = node.op.spec(*[i.spec for i in node.inputs], **node.attrs)
        except JitgraphError as error:
            raise GraphError(f"{self.name}: {node!r} ({node.where}): {error}") from None
        same_shape = spec.ndim == node.spec.ndim and all(
            map(dims.same, spec.shape, node.spec.shape)
        )
        if spec.dtype != node.spec.dtype or spec.weak != node.spec.weak or not same_shape:
            raise GraphError(f"{self.name}: {node!r} ({node.where}) should be {spec}")

    def __str__(self) -> str:
        return to_text(self)

    def to_dot(self) -> str:
        """The graph in Graphviz's language."""
        from .drawing import to_dot

        return to_dot(self)

    def _repr_html_(self) -> str:
        """A drawing, for notebooks."""
        from .drawing import to_html

        return to_html(self)

    def users(self) -> dict[Node, list[Node]]:
        found: dict[Node, list[Node]] = {}
        for node in self.nodes:
            for i in node.inputs:
                found.setdefault(i, []).append(node)
        return found


class _AssumedSizes(ShapeEnv):
    """Answers from a graph's guards alone: what they do not imply is false."""

    def __init__(self, guards: Iterable[Guard]) -> None:
        super().__init__()
        given = list(guards)
        for _ in range(2):  # what one equality says may settle another
            for guard in given:
                dim = self.canonical(guard.dim)
                if guard.relation == "==" and isinstance(dim, Size):
                    self._solve(dim)
        self.guards = [*given, *[Guard(g.relation, self.canonical(g.dim)) for g in given]]

    def hint(self, dim: Dim) -> int:
        raise GraphError(f"the graph depends on the value of {dim}")

    def shown(self, dim: Dim) -> Dim:
        return dim

    def same(self, a: Dim, b: Dim) -> bool:
        difference = self.canonical(sub(a, b))
        known = (Guard("==", difference), Guard("==", mul(-1, difference)))
        return difference == 0 or any(guard in self.guards for guard in known)

    def at_least(self, a: Dim, b: Dim) -> bool:
        difference = self.canonical(sub(a, b))
        known = (g.dim for g in self.guards if g.relation == ">=")
        return surely_nonnegative(difference) or any(
            surely_nonnegative(sub(difference, d)) for d in known
        )


def sizes_assumed(guards: Iterable[Guard]) -> ShapeEnv:
    """Answers about sizes that guards imply; asking for more raises `GraphError`."""
    return _AssumedSizes(guards)


class SizeSources:
    """Which host results bring the sizes that only the running program knows."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._node: dict[str, Node] = {}
        for node in nodes:
            if node.op is HOST_RESULT and node.attrs["brings"]:
                self._node |= {name: node for d in node.attrs["shape"] for name in symbols(d)}

    def of(self, node: Node) -> list[Node]:
        """The host results whose sizes a node mentions."""
        if not self._node or (node.op is HOST_RESULT and node.attrs["brings"]):
            return []
        names = {
            name
            for inner in everywhere([node])
            for value in (inner.spec.shape, *inner.attrs.values())
            for name in _named(value)
        }
        return self.bringing(names)

    def bringing(self, names: Iterable[str]) -> list[Node]:
        return [self._node[name] for name in names if name in self._node]


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, tuple):
        for item in value:
            yield from _named(item)
    elif isinstance(value, Size):
        yield from value.symbols


def reachable(outputs: Iterable[Node], sizes: SizeSources | None = None) -> set[Node]:
    """The outputs and all they are computed from."""
    found: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(node.inputs)
            if sizes is not None:
                stack.extend(sizes.of(node))
    return found


def pruned(graph: Graph) -> Graph:
    """The graph without nodes that no output needs; inputs stay, they are the signature."""
    sizes = SizeSources(graph.nodes)
    guarded = {name for guard in graph.guards for name in symbols(guard.dim)}
    alive = reachable([*graph.needed, *sizes.bringing(guarded)], sizes)
    nodes = tuple(n for n in graph.nodes if n in alive)
    return replace(graph, nodes=nodes)


def with_sizes(value: Any, sizes: Mapping[str, Dim]) -> Any:
    """An attribute, a shape or a graph where other expressions stand for some symbols."""
    if isinstance(value, Size):
        return substitute(value, sizes)
    if isinstance(value, tuple):
        return tuple(with_sizes(v, sizes) for v in value)
    if isinstance(value, Graph) and sizes:
        return _graph_with_sizes(value, sizes)
    return value


def node_with_sizes(node: Node, inputs: tuple[Node, ...], sizes: Mapping[str, Dim]) -> Node:
    attrs = {key: with_sizes(value, sizes) for key, value in node.attrs.items()}
    spec = Spec(with_sizes(node.spec.shape, sizes), node.spec.dtype, node.spec.weak)
    return Node(node.op, inputs, attrs, spec, node.where)


def _graph_with_sizes(graph: Graph, sizes: Mapping[str, Dim]) -> Graph:
    made: dict[Node, Node] = {}
    for node in (*graph.inputs, *graph.nodes):
        made[node] = node_with_sizes(node, tuple(made[i] for i in node.inputs), sizes)
    return Graph(
        graph.name, tuple(made[i] for i in graph.inputs), tuple(made[n] for n in graph.nodes),
        tuple(made[o] for o in graph.outputs),
        tuple(Guard(g.relation, substitute(g.dim, sizes)) for g in graph.guards),
        tuple((made[i], made[v]) for i, v in graph.writes),
        tuple(made[e] for e in graph.effects),
    )  # fmt: skip


# text form


def to_text(graph: Graph) -> str:
    """One line a node; the graphs inside a loop follow it, further to the right."""
    names = names_of(graph)
    header = ", ".join(f"{names[i]}: {i.spec}" for i in graph.inputs)
    lines = [f"graph {graph.name}({header})"]
    lines += [f"  guard {guard}" for guard in graph.guards]
    for node in graph.nodes:
        arguments = [names[i] for i in node.inputs]
        attrs = [(k, v) for k, v in node.attrs.items() if not isinstance(v, Graph)]
        arguments += [f"{key}={_attr_text(value)}" for key, value in attrs]
        where = "" if node.where == "?" else f"  # {node.where}"
        lines.append(
            f"  {names[node]}: {node.spec} = {node.op.name}({', '.join(arguments)}){where}"
        )
        for key, inner in node.attrs.items():
            if isinstance(inner, Graph):
                first, *rest = to_text(inner).splitlines()
                lines += [f"    {key} {first}", *(f"    {line}" for line in rest)]
    lines += [f"  write {names[i]} = {names[value]}" for i, value in graph.writes]
    lines += [f"  effect {names[node]}" for node in graph.effects]
    lines.append(f"  return {', '.join(names[o] for o in graph.outputs)}")
    return "\n".join(lines) + "\n"


def names_of(graph: Graph) -> dict[Node, str]:
    """What the text form calls each node."""
    names = {node: str(node.attrs["name"]) for node in graph.inputs}
    names.update({node: f"%{k}" for k, node in enumerate(graph.nodes)})
    return names


def _attr_text(value: Any) -> str:
    if isinstance(value, tuple):
        inner = ", ".join(map(_attr_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, np.generic):
        return repr(value.item())
    return str(value) if isinstance(value, Size) else repr(value)


_LINE = re.compile(r"%(?P<name>\d+): (?P<spec>.+?) = (?P<call>.+?)(?:  # (?P<where>.*))?$")
_HEADER = re.compile(r"graph (?P<name>\w+)\((?P<inputs>.*)\)$")
_INPUT = re.compile(r"(?P<name>\w+): (?P<spec>~?\w+(?:\[[^\]]*\])?)")
_WRITE = re.compile(r"write (?P<input>\w+) = (?P<value>\S+)$")
_GUARD = re.compile(r"guard (?P<dim>.+) (?P<relation>==|!=|>=) 0$")


def parse(text: str) -> Graph:
    """The graph that `str(graph)` printed; raises `GraphError` with the line that can't be read."""
    graph = _parse(text.strip().splitlines())
    graph.verify()
    return graph


def _parse(lines: list[str]) -> Graph:
    lines, inner = _unnested([line for line in lines if line.strip()])
    header = _HEADER.match(lines[0]) if lines else None
    if header is None or not lines[-1].startswith("return"):
        raise GraphError("a graph starts with 'graph name(inputs)' and ends with 'return ...'")
    values: dict[str, Node] = {}
    for match in _INPUT.finditer(header["inputs"]):
        name = match["name"]
        values[name] = Node(INPUT, (), {"name": name}, _parse_spec(match["spec"]))
    inputs = tuple(values.values())
    nodes: list[Node] = []
    guards: list[Guard] = []
    writes: list[tuple[Node, Node]] = []
    effects: list[Node] = []
    for line in lines[1:-1]:
        try:
            if write := _WRITE.match(line):
                writes.append((values[write["input"]], values[write["value"]]))
                continue
            if line.startswith("effect "):
                effects.append(values[line.removeprefix("effect ")])
                continue
            if guard := _GUARD.match(line):
                guards.append(Guard(guard["relation"], parse_dim(guard["dim"])))
                continue
            name, node = _parse_node(line, values, inner)
        except (KeyError, ValueError, SyntaxError, TypeError) as error:
            raise GraphError(f"can't read the line {line!r}: {error}") from error
        values[name] = node
        nodes.append(node)
    names = [name.strip() for name in lines[-1].removeprefix("return").split(",")]
    outputs = tuple(values[name] for name in names if name)
    return Graph(
        header["name"], inputs, tuple(nodes), outputs, tuple(guards), tuple(writes), tuple(effects)
    )


def _unnested(lines: list[str]) -> tuple[list[str], dict[str, dict[str, Graph]]]:
    """The lines of a graph itself, and for each of them the graphs that follow it."""
    own: list[str] = []
    inner: dict[str, dict[str, Graph]] = {}
    start = _indent(lines[0]) if lines else 0
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if _indent(line) - start <= 2:
            own.append(line.strip())
            continue
        block = [line]
        while position < len(lines) and _indent(lines[position]) > _indent(line):
            block.append(lines[position])
            position += 1
        key, _, header = line.strip().partition(" ")
        block[0] = " " * _indent(line) + header
        inner.setdefault(own[-1], {})[key] = _parse(block)
    return own, inner


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _parse_node(
    line: str, values: Mapping[str, Node], inner: Mapping[str, Mapping[str, Graph]]
) -> tuple[str, Node]:
    match = _LINE.match(line)
    if match is None:
        raise ValueError("expected '%n: spec = op(...)'")
    call = ast.parse(match["call"].replace("%", "_v"), mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("expected an operation")
    inputs = [values[_name_of(arg).replace("_v", "%")] for arg in call.args]
    attrs = {str(keyword.arg): _attr_value(keyword.value) for keyword in call.keywords}
    attrs |= inner.get(line, {})
    node = Node(
        TABLE[call.func.id],
        tuple(inputs),
        attrs,
        _parse_spec(match["spec"]),
        match["where"] or "?",
    )
    return f"%{match['name']}", node


def _name_of(tree: ast.expr) -> str:
    if not isinstance(tree, ast.Name):
        raise ValueError(f"expected a value, not {ast.unparse(tree)}")
    return tree.id


def _attr_value(tree: ast.expr) -> Any:
    match tree:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=items):
            return tuple(_attr_value(item) for item in items)
        case ast.Name(id="inf" | "nan" as name):
            return float(name)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float(value))):
            return -value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf")):
            return -float("inf")
        case (
            ast.BinOp(right=ast.Constant(value=complex()))
            | ast.UnaryOp(operand=ast.Constant(value=complex()))
        ):
            return complex(ast.unparse(tree).replace(" ", ""))
        case ast.Name(id=name) if not re.fullmatch(r"[su]\d+", name):
            return np.dtype(name)
    return parse_dim(ast.unparse(tree))


def _parse_spec(text: str) -> Spec:
    weak = text.startswith("~")
    name, _, shape = text.removeprefix("~").removesuffix("]").partition("[")
    return Spec(tuple(parse_dim(d) for d in shape.split(",") if d), np.dtype(name), weak)


def map_nodes(graph: Graph, replace: Mapping[Node, Node], nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes with inputs replaced; used by passes that rebuild a graph."""
    for node in nodes:
        yield Node(
            node.op,
            tuple(replace.get(i, i) for i in node.inputs),
            node.attrs,
            node.spec,
            node.where,
        )
