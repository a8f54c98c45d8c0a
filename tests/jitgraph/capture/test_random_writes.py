"""Random sequences of views, writes and reads: what NumPy leaves in every array, so do we."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jitgraph
from jitgraph.graph import parse
from support import assert_same

# A program is a list of instructions on a growing list of arrays; the first are the arguments.

SLICES = (
    slice(None), slice(1, None), slice(None, -1), slice(1, -1), slice(None, None, 2),
    slice(None, None, -1), slice(2, 0, -1), slice(-3, None), slice(1, 2), slice(2, 2), 0, -1, 1,
)  # fmt: skip
VIEWS = {
    "transpose": lambda x: x.T,
    "new_axis": lambda x: x[None] if x.ndim < 3 else x,
    "drop_axis": lambda x: np.squeeze(x),
    "flip": lambda x: np.flip(x),
    "flat": lambda x: x.reshape(-1),
    "pairs": lambda x: x.reshape(-1, 2) if x.size % 2 == 0 and x.size else x,
    "same": lambda x: x[...],
}
MAKE = {
    "zeros": lambda x: np.zeros(x.shape),
    "copy": lambda x: x.copy(),
    "double": lambda x: x * 2,
    "add_one": lambda x: 1 + x,
    "tanh": lambda x: np.tanh(x),
    "total": lambda x: np.full((2, 2), x.sum()),
}
CHANGE = {
    "assign": lambda x, y: x.__setitem__(..., y),
    "add": lambda x, y: x.__iadd__(y),
    "multiply": lambda x, y: x.__imul__(y),
    "out": lambda x, y: np.subtract(x, y, out=x),
    "positive": lambda x, y: x.__setitem__(x > 0, 0.5),
    "where": lambda x, y: x.__setitem__(x < 0, (x * 0.5)[x < 0]),
}


@st.composite
def programs(draw: st.DrawFn) -> list[tuple]:
    steps: list[tuple] = []
    for k in range(draw(st.integers(2, 12))):
        a, b = draw(st.integers(0, k + 1)), draw(st.integers(0, k + 1))
        kind = draw(st.sampled_from(["slice", "slice", "view", "make", "change", "change"]))
        if kind == "slice":
            key = draw(st.lists(st.sampled_from(SLICES), min_size=1, max_size=2))
            steps.append((kind, tuple(key), a))
        elif kind == "change":
            steps.append((kind, draw(st.sampled_from(sorted(CHANGE))), a, b))
        else:
            names = sorted(VIEWS if kind == "view" else MAKE)
            steps.append((kind, draw(st.sampled_from(names)), a))
    return steps


def run(steps: list[tuple], arrays: list[Any]) -> tuple[Any, ...]:
    """All arrays in the end, by NumPy's own functions, so that one text is oracle and program."""
    values = list(arrays)
    for kind, name, a, *rest in steps:
        if kind == "slice":
            values.append(values[a][name])
        elif kind == "change":
            CHANGE[name](values[a], values[rest[0]])
            values.append(values[a])
        else:
            values.append((VIEWS if kind == "view" else MAKE)[name](values[a]))
    return tuple(values)


def applicable(steps: list[tuple], arrays: list[np.ndarray]) -> list[tuple]:
    """The program without steps that do not fit their arrays."""
    values, kept = list(arrays), []
    for step in steps:
        kind, name, a, *rest = step
        x = values[a]
        if kind == "slice":
            key = name[: x.ndim]
            fits = x.ndim > 0 and all(
                isinstance(s, slice) or -n <= s < n for s, n in zip(key, x.shape, strict=False)
            )
            step = ("slice", key, a)
        elif kind == "change":
            fits = _broadcasts(values[rest[0]], x)
        else:
            fits = True
        if not fits or not x.ndim:
            step = ("view", "same", a) if x.ndim else ("make", "total", a)
        kept.append(step)
        values = [*values, run([kept[-1]], [v.copy() for v in values])[-1]]
    return kept


def _broadcasts(y: np.ndarray, x: np.ndarray) -> bool:
    try:
        return np.broadcast_shapes(x.shape, y.shape) == x.shape and x.ndim > 0
    except ValueError:
        return False


@settings(
    max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(programs(), st.data())
def test_random_writes_leave_what_numpy_leaves(steps: list[tuple], data: st.DataObject) -> None:
    n, m = data.draw(st.integers(3, 5)), data.draw(st.integers(1, 5))
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((n, m)), rng.standard_normal(m)]
    steps = applicable(steps, inputs)

    def function(x, y):
        return run(steps, [x, y])

    by_numpy, by_us = [a.copy() for a in inputs], [a.copy() for a in inputs]
    expected = function(*by_numpy)
    compiled = jitgraph.compile(function, strict=True)
    graph = compiled.graph(*by_us)
    graph.verify()
    assert str(parse(str(graph))) == str(graph)
    for k, (got, want) in enumerate(zip(compiled(*by_us), expected, strict=True)):
        assert_same(got, want, f"value {k} of {steps}", ulps=64, atol=1e-14)
    for got, want in zip(by_us, by_numpy, strict=True):
        assert_same(got, want, f"argument of {steps}", ulps=64, atol=1e-14)
