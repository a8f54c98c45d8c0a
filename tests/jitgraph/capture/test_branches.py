"""Branches on traced values: both sides are captured, the program runs one of them."""

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import everywhere, parse
from jitgraph.tree import flatten


def either(x):
    if x.sum() > 0:
        y = x * 2
    else:
        y = x - 1
    return y + 1


def one_of_three(x):
    if x.sum() > 1:
        return np.exp(-x)
    if x.max() < -3:
        halves = x * 0.5
        return halves + 1
    return x - 1


def in_place(x):
    if x.sum() > 0:
        x[1:] += 3
    else:
        x[0] = 7
    return x * 2


def on_one_side(x):
    if x[0] > 0:
        x = x * 0.5
    return x + 1


def as_expressions(x):
    return (x * 2 if x[0] > 0 else x * 3) + (1.0 if x[1] > 0 else 2.0)


def of_structures(x):
    if x.sum() > 0:
        found = (x + 1, [x[::-1], 3])
    else:
        found = (x + 5, [x * 2, 3])
    return found


def with_conditions(x):
    if x[0] > 0 and not x[1] > 2:
        y = x + 1
    elif 0 < x[2] < 10 or x[0] < -5:
        y = x + 2
    else:
        y = x + 3
    return y


def inside_each_other(x):
    if x[0] > 0:
        if x[1] > 1:
            y = x + 1
        else:
            y = x - 1
        z = y * 2
    else:
        y, z = x * 5, x
    return y, z


def with_a_temporary(x):
    t = x.sum()
    if t > 0:
        t = t * 2
        y = x * t
    else:
        y = x + t
    return y


def of_a_helper(x):
    def sign(v):
        if v.mean() > 0:
            return v
        return -v

    return sign(x) + sign(x - 2)


def of_loops(x):
    if x.sum() > 0:
        for _ in range(20):
            x = x * 0.9
    else:
        while x.min() < -1:
            x = x * 0.5
    return x


def that_finally_reads(x):
    up = 0
    try:
        if x.sum() > 3.5:
            up = 1
        return x * 2
    finally:
        if up == 1:
            x += 100


CAPTURED = [
    either, one_of_three, in_place, on_one_side, as_expressions, of_structures, with_conditions,
    inside_each_other, with_a_temporary, of_a_helper, of_loops, that_finally_reads,
]  # fmt: skip
ARGUMENTS = [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [-10.0, -20.0, -30.0], [0.5, 2.5, -0.2]]


def check(compiled, function, x) -> None:
    mine, numpys = x.copy(), x.copy()
    (got, kind), (want, expected) = flatten(compiled(mine)), flatten(function(numpys))
    assert kind == expected
    for g, w in zip(got, want, strict=True):
        assert type(g) is type(w)
        if isinstance(w, int):  # of any size
            assert g == w
        else:
            np.testing.assert_allclose(g, w, rtol=1e-15)
    np.testing.assert_array_equal(mine, numpys)


@pytest.mark.parametrize("function", CAPTURED, ids=lambda f: f.__name__)
def test_one_program_takes_the_side_that_values_say(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for values in ARGUMENTS * 2:
        check(compiled, function, np.array(values))
    assert compiled.cache_info().captures == 1
    graph = compiled.graph(np.ones(3))
    assert any(node.op.name == "cond" for node in everywhere(graph.nodes))
    assert str(parse(str(graph))) == str(graph)
    calls = compiled.explain(np.ones(3)).details["calls"]
    assert calls.startswith("in machine code") and "Python" not in calls


def test_a_branch_is_a_branch_in_the_generated_python() -> None:
    source = jitgraph.compile(either).source(np.ones(3))
    assert "    if t" in source and "    else:\n" in source


def test_explain_shows_both_sides() -> None:
    details = jitgraph.compile(either).explain(np.ones(3)).details
    sides = [s for s in details["steps"] if s["kind"] == "branch"]
    assert [s["name"] for s in sides] == ["if", "else"] and all(s["steps"] for s in sides)


def of_other_shapes(x):
    return x[1:] if x.sum() > 0 else x


def of_other_kinds(x):
    s = 0.0
    if x[0] > 0:
        s = x[0] + 1
    return s


def that_adds_to_a_dict(x):
    found = {"x": x}
    if x.sum() > 0:
        found["y"] = x * 2
    return found


def with_a_shared_array(x):
    y = x if x.sum() > 0 else x * 2
    y[0] = 100.0
    return x, y


def with_a_name_on_one_side(x):
    if x.sum() > 0:
        y = x * 2
    return y


def with_a_walrus(x):
    s = 0.0
    if x.sum() > 0 and (s := x.max()) > 1:
        x = x * 2
    return x, s


def with_a_write_in_a_condition(x):
    def grown(v):
        v += 1
        return v.sum()

    if x.sum() > 10 and grown(x) > 0:
        return x * 1
    return x * 2


def with_a_division_in_a_condition(x):
    a = float(x[0] - 1)
    if a != 0 and 1.0 / a > 2:
        return x * 2
    return x + 1


def while_inside(x):
    i = 0
    total = np.zeros_like(x)
    while i < x.size and x[i] > 0:
        total += x
        i += 1
    return total, i


def of_integers_without_end(x):
    k = 2**40 if x.sum() > 0 else 3
    return k * k


def of_small_integers(x):
    y = np.abs(x).astype(np.uint8)
    k = -3 if x.sum() > 100 else 3
    y[0] = k
    return y


def of_bytes(x):
    found = bytearray(b"a")
    if x.sum() > 3.5:
        found += b"bc"
    return x * len(found)


LEFT_TO_PYTHON = [
    with_a_walrus, with_a_write_in_a_condition, with_a_division_in_a_condition, while_inside,
    of_integers_without_end, of_small_integers, of_bytes,
    of_other_shapes, of_other_kinds, that_adds_to_a_dict, with_a_shared_array,
]  # fmt: skip


@pytest.mark.parametrize("function", LEFT_TO_PYTHON, ids=lambda f: f.__name__)
def test_what_no_graph_can_hold_runs_as_it_is(function) -> None:
    compiled = jitgraph.compile(function)
    for values in [[1.0, 2.0], [3.0, 4.0]] * 2:
        check(compiled, function, np.array(values))
    check(compiled, function, -np.ones(2))
    with pytest.raises(jitgraph.CaptureError):
        jitgraph.compile(function, strict=True)(np.ones(2))


def test_a_name_that_one_side_leaves_unbound() -> None:
    compiled = jitgraph.compile(with_a_name_on_one_side)
    check(compiled, with_a_name_on_one_side, np.ones(3))
    with pytest.raises(UnboundLocalError):
        compiled(-np.ones(3))


def test_conditions_that_python_knows_are_no_branches() -> None:
    @jitgraph.compile
    def f(x, upper):
        if x.ndim == 2 and upper:
            return np.triu(x)
        return x

    assert not any(node.op.name == "cond" for node in f.graph(np.ones((3, 3)), True).nodes)


def test_an_error_on_the_side_that_is_not_taken_does_not_count() -> None:
    @jitgraph.compile
    def f(x, n):
        if x[0] > 0:
            y = x * (1.0 / float(x[1]))
        else:
            y = x
        return y

    f(np.array([1.0, 2.0]), 1)
    assert_same = np.testing.assert_array_equal
    assert_same(f(np.array([-1.0, 0.0]), 1), np.array([-1.0, 0.0]))
    with pytest.raises(ZeroDivisionError):
        f(np.array([1.0, 0.0]), 1)


def test_gradients_follow_the_side_that_was_taken() -> None:
    @jitgraph.compile
    def f(x):
        if x.sum() > 0:
            return (x * x).sum()
        return x.sum()

    for sign, slope in ((1.0, 2.0), (-1.0, 1.0)):
        x = jitgraph.tensor(sign * np.ones(3), requires_grad=True)
        f(x).backward()
        np.testing.assert_allclose(x.grad.numpy(), np.full(3, slope))
