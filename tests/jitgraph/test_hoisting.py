"""Invariants of loops are computed before them, and no sooner than Python would."""

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import everywhere, parse
from jitgraph.hoisting import hoist_invariants
from jitgraph.ops.control import COND, LOOP
from support import assert_same

X = np.linspace(0.1, 1.0, 9)


def decay(x, rate):
    for _ in range(20):
        x = x * np.exp(-rate * 0.1) + rate.sum()
    return x


def product(x, rate):
    for _ in range(12):
        x = x + np.outer(rate, rate) @ rate
    return x


def nested(x, rate):
    for _ in range(10):
        for _ in range(12):
            x = x + rate.max() * 1e-3
        x = x * 1.01
    return x


def in_the_test(x, rate):
    while x.sum() < rate.sum() * 3:
        x = x + 0.1
    return x


def written_to(x, rate):
    for _ in range(10):
        y = np.exp(rate)
        y[0] = x[0]
        x = x + y * 1e-2
    return x


def little(x, rate):
    for _ in range(12):
        x = x + rate * 2.0
    return x


def index(x, rate):
    for k in range(12):
        x = x + np.exp(rate * k)
    return x


def operations(graph, inside: bool) -> set[str]:
    """Names of what is computed in the loops of a graph, or outside of them."""
    loops = [n for n in everywhere(graph.nodes) if n.op is LOOP]
    inner = {n for loop in loops for key in ("body", "test") if key in loop.attrs
             for n in everywhere(loop.attrs[key].nodes)}  # fmt: skip
    return {n.op.name for n in everywhere(graph.nodes) if (n in inner) == inside}


@pytest.mark.parametrize(
    ("function", "before", "within"),
    [
        (decay, {"exp", "sum"}, {"multiply", "add"}),
        (product, {"matmul"}, {"add"}),
        (nested, {"max"}, {"add", "multiply"}),
        (in_the_test, {"sum", "scalar_multiply"} - {"scalar_multiply"}, {"sum", "less"}),
        (written_to, {"exp"}, {"update"}),
        (little, set(), {"multiply", "add"}),
        (index, set(), {"exp"}),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_is_computed_where(function, before, within):
    compiled = jitgraph.compile(function, strict=True)
    assert_same(compiled(X, X * 2), function(X, X * 2))
    graph = compiled.graph(X, X * 2)
    assert before <= operations(graph, inside=False)
    assert not (before - {"sum"}) & operations(graph, inside=True)
    assert within <= operations(graph, inside=True)
    graph.verify()


def halving(x, k, tolerance):
    steps = 0
    while x.sum() > tolerance:
        x = x * (1.5 / k**-2.0)
        steps += 1
    return x, steps


def test_what_may_raise_waits_for_the_first_step():
    compiled = jitgraph.compile(halving)
    for tolerance in (1.0, 100.0):
        for k in (0.5, 0.25):
            mine, numpys = compiled(X, k, tolerance), halving(X, k, tolerance)
            assert_same(mine[0], numpys[0])
            assert mine[1] == numpys[1]
    for _ in range(3):
        assert compiled(X, 0.0, 100.0)[1] == 0  # no step: 0.0 ** -2.0 is not computed
        with pytest.raises(ZeroDivisionError):
            compiled(X, 0.0, 1.0)
    graph = jitgraph.compile(halving, strict=True).graph(X, 0.5, 1.0)
    assert any(n.op is COND for n in graph.nodes)
    assert "scalar_power" not in operations(graph, inside=True)


def test_a_parsed_graph_is_hoisted_as_well():
    text = """\
graph f(x: float64[s0], rate: float64[s0])
  %0: bool = loop(x, rate, index='u2', count=20, last=0)
    body graph body0(x0: float64[s0], x1: float64[s0])
      %0: float64[s0] = exp(x1)
      %1: float64[s0] = multiply(x0, %0)
      return %1
  %1: float64[s0] = control_result(%0, position=0, shape=(s0,), dtype=float64, weak=False)
  return %1
"""
    graph = hoist_invariants(parse(text))
    graph.verify()
    assert operations(graph, inside=True) == {"multiply"}
    assert parse(str(graph)) is not None
