"""Graphs: verification, text, simplification."""

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import Graph, Node, parse
from jitgraph.ops.elementwise import ADD
from jitgraph.spec import Spec

TEXT = """\
graph example(x: float32[s0, s1], b: float32[s1])
  guard s0 - 4 >= 0
  %0: float32[s0, s1] = add(x, b)  # model.py:3
  %1: ~float64 = constant(value=-0.5)
  %2: float32[s0, s1] = multiply(%0, %1)
  %3: float32[s0] = sum(%2, axis=(1,), keepdims=False)
  %4: float64[s0] = cast(%3, dtype=float64)
  %5: float64[s0 - 2] = slice(%4, slices=((1, 1, s0 - 2),))
  %6: float64[s0*s1] = reshape(%0, shape=(s0*s1,))
  return %5, x
"""


def test_text_prints_back() -> None:
    with pytest.raises(jitgraph.GraphError, match=r"reshape.*should be float32"):
        parse(TEXT)
    good = TEXT.replace("%6: float64", "%6: float32")
    assert str(parse(good)) == good


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%0: float32[s0, s1] = add(x, y)", "can't read the line"),
        ("%0: float32[s0, s1] = nothing(x, b)", "nothing"),
        ("%0: float64[s0, s1] = add(x, b)", "should be float32"),
        ("%0: float32[s0, s1] = add(x)", "can't read|add"),
    ],
)
def test_bad_text_is_refused_with_its_line(line: str, message: str) -> None:
    text = f"graph f(x: float32[s0, s1], b: float32[s1])\n  {line}\n  return %0\n"
    with pytest.raises((jitgraph.GraphError, TypeError), match=message):
        parse(text)


def test_a_node_must_be_defined_before_it_is_used() -> None:
    x = parse("graph f(x: float32[s0])\n  return x\n").inputs[0]
    first = Node(ADD, (x, x), {}, Spec(x.spec.shape, x.spec.dtype))
    second = Node(ADD, (first, x), {}, first.spec)
    with pytest.raises(jitgraph.GraphError, match="before it is defined"):
        Graph("f", (x,), (second, first), (second,)).verify()


def operations(function, *args) -> list[str]:
    return [n.op.name for n in jitgraph.compile(function, strict=True).graph(*args).nodes]


def test_simplification() -> None:
    x = np.ones((3, 4))
    assert operations(lambda x: (x + 1) * (x + 1), x) == ["constant", "add", "multiply"]
    assert operations(lambda x: (x * 1 - 0).T.T + np.exp(x) * 0, x).count("transpose") == 0
    assert operations(lambda x: np.negative(-(x + 2)), x) == ["constant", "add"]
    assert operations(lambda x: x.reshape(-1).reshape(x.shape) + 1, x) == [
        "constant",
        "add",
    ]
    unit = operations(lambda x: x.reshape(x.shape[0], 1, x.shape[1]) + 1, x)
    assert unit == ["expand_dims", "constant", "add"]
    assert "sum" not in operations(lambda x: (x.sum(), x + 1)[1], x)


def test_simplification_keeps_signed_zeros() -> None:
    x = np.array([-0.0])
    assert not np.signbit(jitgraph.compile(lambda x: x + 0)(x))[0]
    assert np.signbit(jitgraph.compile(lambda x: x - 0)(x))[0]
    assert np.signbit(jitgraph.compile(lambda x: x * 1)(x))[0]
