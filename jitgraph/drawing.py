"""Graphs as drawings: text for Graphviz, and pictures for notebooks.

Both show what is computed from what, from top to bottom; the graphs of loops and branches are drawn
inside the node that runs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from .graph import CONSTANT, INPUT, Graph, Node, everywhere, names_of

_LETTER = 7.0  # pixels of a letter
_LINE = 16.0
_GAP, _BETWEEN_LAYERS, _MARGIN = 14.0, 30.0, 10.0
MOST_DRAWN = 300  # nodes; of larger graphs a picture tells nothing


def to_dot(graph: Graph) -> str:
    """The graph in Graphviz's language: `dot -Tsvg` draws it."""
    lines = [f"digraph {graph.name} {{", "  node [shape=box, fontname=monospace, fontsize=10];"]
    lines += [f"  {line}" for line in _dot_lines(graph, "n")]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_lines(graph: Graph, prefix: str) -> Iterator[str]:
    """prefix: of this graph's names; nested graphs have longer ones."""
    shown = _shown(graph)
    place = {node: f"{prefix}{k}" for k, node in enumerate(shown)}
    labels = _labels(graph)
    for node in shown:
        style = ", style=rounded" if node.op is INPUT else ""
        style += ", peripheries=2" if node in graph.needed else ""
        label = "\\n".join(labels[node]).replace('"', '\\"')
        yield f'{place[node]} [label="{label}"{style}];'
        for number, (key, inner) in enumerate(_inner(node)):
            yield f"subgraph cluster_{place[node]}_{number} {{"
            yield f'  label="{key}"; fontname=monospace; fontsize=10;'
            for line in _dot_lines(inner, f"{place[node]}_{number}_"):
                yield f"  {line}"
            yield "}"
            if _shown(inner):
                yield f"{place[node]} -> {place[node]}_{number}_0 [style=dotted];"
    for node in shown:
        for source in dict.fromkeys(node.inputs):
            if source in place:
                yield f"{place[source]} -> {place[node]};"


def to_html(graph: Graph) -> str:
    """A picture of the graph, or its text where it is too large for one."""
    if sum(1 for _ in everywhere(graph.nodes)) > MOST_DRAWN:
        return f"<pre>{escape(str(graph))}</pre>"
    box = _drawn(graph)
    size = f'width="{box.width:.0f}" height="{box.height:.0f}"'
    style = "font-family:monospace;font-size:11px"
    title = f'<div style="{style}">{escape(graph.name)}</div>'
    parts = "\n".join(box.at(0.0, 0.0))
    return f'{title}<svg {size} xmlns="http://www.w3.org/2000/svg" style="{style}">{parts}</svg>'


@dataclass
class _Box:
    """Something drawn: its size, and what is in it at places relative to its corner."""

    width: float
    height: float
    parts: list[tuple[float, float, _Box]] = field(default_factory=list)
    text: Sequence[str] = ()
    frame: str = ""
    edges: list[tuple[float, float, float, float]] = field(default_factory=list)

    def at(self, x: float, y: float) -> Iterator[str]:
        if self.frame:
            place = f'x="{x:.1f}" y="{y:.1f}" width="{self.width:.1f}" height="{self.height:.1f}"'
            yield f'<rect {place} rx="4" fill="none" {self.frame}/>'
        for k, line in enumerate(self.text):
            middle, base = x + self.width / 2, y + _LINE * (k + 0.9)
            anchor = f'x="{middle:.1f}" y="{base:.1f}" text-anchor="middle"'
            yield f'<text {anchor} fill="currentColor">{escape(line)}</text>'
        for x0, y0, x1, y1 in self.edges:
            bend = (y1 - y0) / 2
            ends = f"M{x + x0:.1f} {y + y0:.1f} C{x + x0:.1f} {y + y0 + bend:.1f}"
            path = f"{ends} {x + x1:.1f} {y + y1 - bend:.1f} {x + x1:.1f} {y + y1:.1f}"
            yield f'<path d="{path}" fill="none" stroke="gray"/>'
        for dx, dy, part in self.parts:
            yield from part.at(x + dx, y + dy)


def _drawn(graph: Graph) -> _Box:
    """Nodes in layers, each below all that it is computed from."""
    shown, labels = _shown(graph), _labels(graph)
    boxes = {n: _node_box(n, labels[n], n in graph.needed) for n in shown}
    layer: dict[Node, int] = {}
    for node in shown:
        layer[node] = max((layer[i] + 1 for i in node.inputs if i in layer), default=0)
    rows = [[n for n in shown if layer[n] == k] for k in range(max(layer.values(), default=-1) + 1)]
    widths = [sum(boxes[n].width + _GAP for n in row) for row in rows]
    whole = _Box(max(widths, default=0.0) + 2 * _MARGIN, _MARGIN)
    place: dict[Node, tuple[float, float]] = {}
    for row, width in zip(rows, widths, strict=True):
        x = (whole.width - width + _GAP) / 2
        for node in row:
            place[node] = x, whole.height
            whole.parts.append((x, whole.height, boxes[node]))
            x += boxes[node].width + _GAP
        whole.height += max(boxes[n].height for n in row) + _BETWEEN_LAYERS
    whole.height += _MARGIN - _BETWEEN_LAYERS * bool(rows)
    whole.edges = [
        (place[i][0] + boxes[i].width / 2, place[i][1] + boxes[i].height,
         place[n][0] + boxes[n].width / 2, place[n][1])
        for n in shown for i in dict.fromkeys(n.inputs) if i in place
    ]  # fmt: skip
    return whole


def _node_box(node: Node, text: Sequence[str], is_result: bool) -> _Box:
    frame = 'stroke="currentColor"' + (' stroke-width="2"' if is_result else "")
    frame += ' stroke-dasharray="3"' if node.op is INPUT else ""
    wide = max(len(line) for line in text) * _LETTER + 12
    box = _Box(wide, _LINE * len(text) + 6, text=text, frame=frame)
    x = _GAP
    for key, inner in _inner(node):
        drawn = _drawn(inner)
        around = _Box(drawn.width, drawn.height + _LINE, [(0.0, _LINE, drawn)], [key])
        around.frame = 'stroke="gray"'
        box.parts.append((x, _LINE * len(text) + 6, around))
        x += around.width + _GAP
        box.height = max(box.height, _LINE * len(text) + 6 + around.height + _GAP)
    box.width = max(box.width, x if box.parts else 0.0)
    return box


def _shown(graph: Graph) -> list[Node]:
    """Constants are part of the labels of what they go into, unless they are results."""
    nodes = [*graph.inputs, *graph.nodes]
    return [n for n in nodes if n.op is not CONSTANT or n in graph.needed]


def _labels(graph: Graph) -> Mapping[Node, list[str]]:
    """An operation with its literal operands, and below it what it gives."""
    names = names_of(graph)
    labels = {}
    for node in (*graph.inputs, *graph.nodes):
        literals = [f"{i.attrs['value']}" for i in node.inputs if i.op is CONSTANT]
        if node.op is CONSTANT:
            literals = [f"{node.attrs['value']}"]
        what = "" if node.op is INPUT else " ".join([f" {node.op.name}", *literals])
        labels[node] = [f"{names[node]}{what}", str(node.spec)]
    return labels


def _inner(node: Node) -> list[tuple[str, Graph]]:
    return [(key, value) for key, value in node.attrs.items() if isinstance(value, Graph)]
