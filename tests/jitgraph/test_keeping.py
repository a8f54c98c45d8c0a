"""What is kept for the backward pass: the values of the fewest bytes that the rest comes from."""

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import parse
from jitgraph.keeping import kept_and_recomputed
from jitgraph.nn import functional as F

N = 1000


def nbytes(node) -> int:
    return N * node.spec.dtype.itemsize


def graph_of(*lines: str, inputs: str = "x: float64[1000]"):
    numbered = [f"  %{k}: {line}" for k, line in enumerate(lines)]
    return parse("\n".join([f"graph f({inputs})", *numbered, f"  return %{len(lines) - 1}"]))


def names(graph, kept) -> list[str]:
    return [n.attrs.get("name", n.op.name) for n in kept]


def test_an_argument_is_there_anyway() -> None:
    graph = graph_of("float64[1000] = exp(x)", "float64[1000] = tanh(%0)")
    kept, again = kept_and_recomputed(graph, graph.nodes, (), nbytes)
    assert names(graph, kept) == ["x"]
    assert {n.op.name for n in again} == {"exp", "tanh"}


def test_a_mask_is_smaller_than_what_it_is_made_of() -> None:
    graph = graph_of("float64[1000] = exp(x)", "bool[1000] = less(x, %0)")
    kept, again = kept_and_recomputed(graph, graph.nodes[1:], (), nbytes)
    assert names(graph, kept) == ["less"] and not again


def test_one_sum_rather_than_the_two_arrays_it_is_made_of() -> None:
    inputs = ", ".join(f"{name}: float64[1000]" for name in "xyz")
    lines = ("float64[1000] = add(x, y)", "float64[1000] = add(%0, z)", "float64[1000] = exp(%1)")
    graph = graph_of(*lines, inputs=inputs)
    kept, again = kept_and_recomputed(graph, graph.nodes[2:], (), nbytes)
    assert names(graph, kept) in (["add"], ["exp"])  # written and read again, for three reads
    kept, again = kept_and_recomputed(graph, graph.nodes[1:], (graph.nodes[1],), nbytes)
    assert kept == (graph.nodes[1],)  # which is handed out
    assert again == {graph.nodes[2]}


def test_a_reduction_is_not_done_again() -> None:
    graph = graph_of(
        "float64 = sum(x, axis=(0,), keepdims=False)", "float64 = exp(%0)",
        "float64[1000] = multiply(x, %1)",
    )  # fmt: skip
    kept, again = kept_and_recomputed(
        graph, graph.nodes[2:], (), lambda n: 8 * (N if n.spec.ndim else 1)
    )
    assert names(graph, kept) == ["x", "sum"]
    assert {n.op.name for n in again} == {"exp", "multiply"}


def test_a_view_is_taken_again() -> None:
    graph = graph_of(
        "float64[500] = slice(x, slices=((0, 2, 500),))", "float64[500] = exp(%0)",
        "float64[500] = multiply(%0, %1)",
    )  # fmt: skip
    kept, again = kept_and_recomputed(graph, graph.nodes[2:], (), lambda n: 8 * n.spec.shape[0])
    assert names(graph, kept) == ["x"]
    assert {n.op.name for n in again} == {"slice", "exp", "multiply"}


def relu_of_a_product(x, w):
    return np.maximum(x @ w, 0).sum()


def with_dropout(x, w):
    return (F.dropout(np.tanh(x @ w), 0.3) ** 2).sum()


@pytest.mark.parametrize(
    ("function", "again"),
    [(relu_of_a_product, set()), (with_dropout, {"tanh", "bitwise_xor", "right_shift"})],
)
def test_gradients_and_what_explain_says_of_them(function, again) -> None:
    compiled = jitgraph.compile(function, strict=True)
    found = []
    for f in (function, compiled):
        jitgraph.manual_seed(4)
        x = jitgraph.tensor(np.linspace(-1, 1, 48).reshape(6, 8), requires_grad=True)
        w = jitgraph.tensor(np.cos(np.arange(40.0)).reshape(8, 5), requires_grad=True)
        f(x, w).backward()
        found.append((x.grad.data, w.grad.data))
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    text = compiled.explain(x, w)
    details = text.details["gradient"]
    assert again <= details["computed_again"].keys()
    assert 0 < details["kept_bytes"] < 2000
    assert f"kept for the gradient: {details['kept_arrays']} arrays" in text
