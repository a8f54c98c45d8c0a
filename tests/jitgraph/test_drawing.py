"""Graphs as text for Graphviz and as pictures."""

import re
import xml.etree.ElementTree as ET

import numpy as np

import jitgraph
from jitgraph import drawing


def settling(x):
    u = np.zeros_like(x)
    for _ in range(50):
        u = 0.5 * u + x
        if u.sum() > 20.0:
            u = u * 0.25
    return u, x.max()


GRAPH = jitgraph.compile(settling).graph(np.ones(5))


def test_dot_has_a_box_for_each_value_and_a_cluster_for_each_inner_graph() -> None:
    text = GRAPH.to_dot()
    assert text.startswith("digraph settling {") and text.count("{") == text.count("}")
    assert text.count("subgraph cluster_") == 3  # the loop's body, and two sides
    defined = set(re.findall(r"^ *(n\w+) \[label", text, re.MULTILINE))
    used = {name for pair in re.findall(r"(n\w+) -> (n\w+)", text) for name in pair}
    assert used <= defined and "multiply 0.25" in text


def test_the_picture_shows_every_operation() -> None:
    picture = GRAPH._repr_html_()
    root = ET.fromstring(picture[picture.index("<svg") :])
    width, height = float(root.get("width")), float(root.get("height"))
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    shown = " ".join(t.text for t in texts)
    for word in ("loop", "cond", "body", "taken", "otherwise", "multiply 0.25", "float64[s0]"):
        assert word in shown
    assert all(0 <= float(t.get("x")) <= width and 0 <= float(t.get("y")) <= height for t in texts)


def test_a_large_graph_is_shown_as_text(monkeypatch) -> None:
    monkeypatch.setattr(drawing, "MOST_DRAWN", 10)
    assert GRAPH._repr_html_().startswith("<pre>graph settling(")
