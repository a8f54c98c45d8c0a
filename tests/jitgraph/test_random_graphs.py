"""Random functions, run by NumPy, compiled, and on Tensors: the results are the same.

A program is a list of instructions on a growing list of values; `run` interprets it with NumPy's
own functions, so one text serves as the oracle and as the function to compile.
"""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jitgraph
from jitgraph.capture import Argument, capture
from jitgraph.graph import parse
from jitgraph.rewrite import simplify
from jitgraph.spec import Spec
from jitgraph.symbolic import ShapeEnv
from support import assert_same

UNARY = {
    "negative": np.negative, "tanh": np.tanh, "square": np.square, "abs": np.absolute,
    "exp": lambda x: np.exp(np.minimum(x, 2)), "half": lambda x: x * 0.5, "plus": lambda x: 1 + x,
    "floor": np.floor, "select": lambda x: np.where(x > 0, x, 0.1 * x),
}  # fmt: skip
BINARY = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "maximum": np.maximum,
    "divide": lambda x, y: x / (1 + y * y), "where": lambda x, y: np.where(x > y, x, y - x),
}  # fmt: skip
REDUCE = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "var": np.var}
VIEW = {
    "transpose": lambda x: x.T,
    "reverse": lambda x: x[::-1] if x.ndim else x,
    "inner": lambda x: x[1:] - x[:-1] if x.ndim and x.shape[0] > 1 else x,
    "column": lambda x: x[..., :1] if x.ndim else x,
    "unit": lambda x: x[None],
    "flat": lambda x: x.reshape(-1),
    "twice": lambda x: np.concatenate([x, x]) if x.ndim else x,
}
LARGEST = 2000


@st.composite
def programs(draw: st.DrawFn) -> list[tuple]:
    steps = []
    count = draw(st.integers(2, 14))
    for k in range(count):
        kind = draw(
            st.sampled_from(["unary", "unary", "binary", "binary", "binary", "reduce", "view"])
        )
        a, b = draw(st.integers(0, k + 2)), draw(st.integers(0, k + 2))
        if kind == "unary":
            steps.append((kind, draw(st.sampled_from(sorted(UNARY))), a))
        elif kind == "binary":
            steps.append((kind, draw(st.sampled_from(sorted(BINARY))), a, b))
        elif kind == "reduce":
            axis = draw(st.sampled_from([None, 0, -1]))
            steps.append(
                (kind, draw(st.sampled_from(sorted(REDUCE))), a, axis, draw(st.booleans()))
            )
        else:
            steps.append((kind, draw(st.sampled_from(sorted(VIEW))), a))
    return steps


def run(steps: list[tuple], inputs: list[Any], keep: set[int]) -> tuple:
    """Values of the kept steps."""
    values = list(inputs)
    for step in steps:
        values.append(_apply(step, values))
    return tuple(v for k, v in enumerate(values) if k in keep)


def _apply(step: tuple, values: list[Any]) -> Any:
    kind, name, a, *rest = step
    x = values[a]
    if kind == "unary":
        return UNARY[name](x)
    if kind == "binary":
        return BINARY[name](x, values[rest[0]])
    if kind == "reduce":
        axis, keepdims = rest
        return REDUCE[name](x, axis=axis, keepdims=keepdims)
    return VIEW[name](x) if kind == "view" else x


def applicable(steps: list[tuple], inputs: list[np.ndarray]) -> list[tuple]:
    """The program with steps that do not fit their operands' shapes replaced by handing on the
    operand.
    """
    values, kept = list(inputs), []
    for step in steps:
        kind, _, a, *rest = step
        x = values[a]
        fits = {
            "unary": True,
            "binary": kind == "binary" and _broadcast(x, values[rest[0]]),
            "reduce": x.ndim > 0,
            "view": x.ndim < 4,
        }[kind]
        kept.append(step if fits else ("same", "", a))
        values.append(_apply(kept[-1], values))
    return kept


def _broadcast(x: np.ndarray, y: np.ndarray) -> bool:
    try:
        shape = np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return len(shape) < 4 and np.prod(shape) < LARGEST


@settings(
    max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(programs(), st.data())
def test_random_programs_agree(steps: list[tuple], data: st.DataObject) -> None:
    rng = np.random.default_rng(0)
    n, m = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    inputs = [rng.standard_normal((n, m)), rng.standard_normal(m), rng.standard_normal((n, 1))]
    last = len(steps) + len(inputs) - 1
    steps = applicable(steps, inputs)
    keep = {last, *data.draw(st.sets(st.integers(len(inputs), last), max_size=3))}

    def function(*arrays):
        return run(steps, list(arrays), keep)

    expected = function(*inputs)
    scale = max([1.0, *[float(np.max(np.abs(e))) for e in expected if np.size(e)]])
    compiled = jitgraph.compile(function, strict=True)(*inputs)
    dynamic = function(*[jitgraph.Tensor(a) for a in inputs])
    for want, got, eager in zip(expected, compiled, dynamic, strict=True):
        assert_same(got, want, "compiled", ulps=1e4, atol=1e-12 * scale)
        assert_same(eager.data, want, "dynamic", ulps=1e4, atol=1e-12 * scale)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(programs())
def test_random_graphs_verify_and_their_text_parses_back(steps: list[tuple]) -> None:
    env = ShapeEnv()
    shapes = [(4, 3), (3,), (4, 1)]
    specs = [Spec(env.shape(s), np.dtype("f8")) for s in shapes]
    last = len(steps) + len(shapes) - 1
    steps = applicable(steps, [np.ones(s) for s in shapes])
    arguments = [Argument(n, s, None) for n, s in zip("xyz", specs, strict=True)]
    captured = capture(lambda t: run(steps, list(t), {last}), arguments, env, "random").graph
    for graph in (captured, simplify(captured)):
        graph.verify()
        assert str(parse(str(graph))) == str(graph)
