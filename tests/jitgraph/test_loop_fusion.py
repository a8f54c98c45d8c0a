"""Neighbouring loops of as many steps run as one where that is legal and they share an array."""

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import everywhere
from jitgraph.ops.control import LOOP
from support import assert_same

N, M = 20, 12


def sums_of_sums(a, b, c):
    for i in range(1, N):
        b[i] = b[i - 1] + a[i]
    for i in range(1, N):
        c[i] = c[i - 1] + b[i] * b[i - 1]


def twice_written(a, b, c):
    for i in range(1, N):
        b[i] = a[i] * 2
        b[i - 1] += a[i]
    for i in range(1, N):
        c[i] = b[i - 1] + 1


def in_columns(a, b, c):
    for j in range(M):
        b[:, j] = a[:, j] - a[:, 0]
    for j in range(M):
        c[:, j] = np.tanh(b[:, j])


def totals(a, b, c):
    largest, total = a[0], 0.0
    for i in range(N):
        largest = np.maximum(largest, a[i])
    for i in range(N):
        total = total + a[i].sum()
    return largest, total


def three(a, b, c):
    for i in range(N):
        b[i] = np.exp(a[i])
    for i in range(N):
        c[i] = 1 + b[i]
    total = np.zeros(M)
    for i in range(N):
        total += c[i]
    return total


def with_work_between(a, b, c):
    for i in range(N):
        b[i] = a[i] + 1
    last = b[-1] * 2
    scale = np.tanh(a[0])
    for i in range(N):
        c[i] = b[i] * scale
    return last, scale


def within_a_loop(a, b, c):
    for _ in range(30):
        for i in range(1, N):
            b[i] = 0.5 * b[i - 1] + a[i]
        for i in range(1, N):
            c[i] = 0.5 * c[i] + b[i]


JOINED = [
    sums_of_sums, twice_written, in_columns, totals, three, with_work_between, within_a_loop,
]  # fmt: skip


def reading_ahead(a, b, c):
    for i in range(1, N):
        b[i - 1] = a[i] + 1
    for i in range(1, N - 1 + 1):
        c[i] = b[i] + b[i - 1]


def reading_it_all(a, b, c):
    for i in range(N):
        b[i] = a[i] + 1
    for i in range(N):
        c[i] = b.sum(axis=0) * a[i]


def starting_from_it(a, b, c):
    total = np.zeros(M)
    for i in range(N):
        total = total + a[i]
    for i in range(N):
        total = total * a[i]
    return total


def writing_over_what_was_read(a, b, c):
    for i in range(1, N):
        b[i] = a[i - 1] + b[0]
    for i in range(1, N):
        a[i] = b[i] + 1


def other_lengths(a, b, c):
    for i in range(N):
        b[i] = a[i] + 1
    for i in range(N - 1):
        c[i] = b[i] + 1


def nothing_in_common(a, b, c):
    for i in range(1, N):
        b[i] = b[i - 1] + 1
    for i in range(1, N):
        c[i] = c[i - 1] * 2


def through_what_comes_between(a, b, c):
    for i in range(N):
        b[i] = a[i] + 1
    scale = b.max()
    for i in range(N):
        c[i] = a[i] * scale


def that_may_raise(a, b, c):
    for i in range(N):
        b[i] = a[i] + 1
    for i in range(N):
        c[i] = np.linalg.solve(np.eye(M) * 2, b[i])


APART = [
    reading_ahead, reading_it_all, starting_from_it, writing_over_what_was_read, other_lengths,
    nothing_in_common, through_what_comes_between, that_may_raise,
]  # fmt: skip


def arrays():
    rng = np.random.default_rng(3)
    return [rng.uniform(0.5, 1.0, (N, M)) for _ in range(3)]


def loops(graph):
    return [n for n in everywhere(graph.nodes) if n.op is LOOP]


@pytest.mark.parametrize("function", JOINED + APART, ids=lambda f: f.__name__)
def test_loops_are_joined_where_it_changes_nothing(function):
    compiled, mine, numpys = jitgraph.compile(function, strict=True), arrays(), arrays()
    for _ in range(3):
        results, expected = compiled(*mine), function(*numpys)
        for got, want in zip(mine, numpys, strict=True):
            assert_same(got, want)
        if expected is not None:
            many = isinstance(expected, tuple)
            for got, want in zip(*((results, expected) if many else ([results], [expected])),
                                 strict=True):  # fmt: skip
                assert_same(got, want)
    graph = compiled.graph(*arrays())
    graph.verify()
    around = 1 if function is within_a_loop else 0
    assert len(loops(graph)) - around == (1 if function in JOINED else 2)


def test_joined_loops_are_shown_with_both_lines():
    first = sums_of_sums.__code__.co_firstlineno + 1
    (loop,) = loops(jitgraph.compile(sums_of_sums).graph(*arrays()))
    assert loop.where.endswith(f"test_loop_fusion.py:{first}, {first + 2}")


def test_rows_are_stored_in_place_where_others_are_read():
    text = jitgraph.compile(sums_of_sums).explain(*arrays())
    (loop,) = [step for step in text.details["steps"] if step["kind"] == "loop"]
    assert [step["kind"] for step in loop["steps"]] == ["kernel", "kernel"]


def test_the_gradient_of_joined_loops():
    def energy(a):
        b, c = np.zeros((N, M)), np.zeros((N, M))
        for i in range(1, N):
            b[i] = b[i - 1] + a[i] ** 2
        for i in range(1, N):
            c[i] = c[i - 1] + b[i] * a[i - 1]
        return (c * c).sum()

    (a, direction, _), step = arrays(), 1e-6
    gradient = jitgraph.compile(jitgraph.grad(energy), strict=True)(a)
    expected = (energy(a + step * direction) - energy(a - step * direction)) / (2 * step)
    np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-7)
