"""Loops of a function as loops of its program: one step is captured, however many there are."""

import signal
import threading

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import everywhere, parse


def diffuse(u, n, dt):
    for _ in range(n):
        u = u + dt * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
    return u


def in_turn(u, n):
    v = np.zeros_like(u)
    for _ in range(n):
        v[1:-1] = 0.5 * (u[:-2] + u[2:])
        u[1:-1] = 0.5 * (v[:-2] + v[2:])
    return u.sum()


def newton(x, tolerance):
    steps, error = 0, 1.0
    while error > tolerance and steps < 1000:
        new = 0.5 * (x + 2.0 / x)
        error = np.abs(new - x).max()
        x = new
        steps += 1
    return x, steps


def total_of_rows(x, n):
    total = 0
    for i in range(n - 1, -1, -1):
        total = total + x[:3] * i
    return total


def levels(x, n):
    out = np.zeros((n, x.size))
    for i in range(1, n):
        out[i] = out[i - 1] * 0.5 + x * i
    return out


def last_of_each(x, n):
    for i in range(n):
        y = x + i
        x = x * 0.5
    return x, y


def nested(x, n):
    for i in range(n):
        for _ in range(20):
            x = x * 0.99 + i
        x[0] = 1.0
    return x


def fibonacci_of_arrays(x, n):
    a, b = x, x + 1
    for _ in range(n):
        a, b = b, (a + b) % 100
    return a


def with_a_helper(x, n):
    def step(v):
        return np.tanh(v) + 0.1

    for _ in range(n):
        x = step(x)
    return x


def until_not(x, n):
    k = 0
    while not (x.max() < 0.1 or 0 <= k > n):
        x = x * 0.7
        k += 1
    return x, k


def that_decides(x, n):
    for k in range(n):
        if k % 3 == 0 and k > 4:
            x = x + k
    return x


def with_a_break(x, n):
    steps = 0
    for k in range(n):
        if x.sum() > 500.0:
            break
        x = x * 1.05 + k
        steps += 1
    return x, steps


def with_a_continue(x, n):
    total = np.zeros_like(x)
    for k in range(n):
        x = x * 0.9 + 0.01 * k
        if x[0] > x[1]:
            continue
        total = total + x
    return total


def until_it_holds(x, n):
    while True:
        x = x * 0.9
        if x.max() < 1e-3:
            break
    return x


def read_after_the_break(x, n):
    while True:
        new = 0.5 * (x + 2.0 / x)
        if np.abs(new - x).max() < 1e-9:
            break
        x = new
    return new * x


def with_one_name_for_both(x, n):
    for _ in range(n):
        for _ in range(20):
            x = x * 0.99
        x = x + 1
    return x


def of_a_pair(x, n):
    state = x, {"sum": x.sum()}
    for k in range(n):
        state = state[0] * 0.5, {"sum": state[1]["sum"] + state[0].sum() * k}
    return state[0], state[1]["sum"]


def by_whole_arrays(x, n):
    path = np.add.outer(x, x)
    other = path + 1
    for k in range(n):
        path[:] = np.minimum(path, path[:, k : k + 1] + path[k : k + 1] * 0.5)
        other[:] = path[::-1] + other * 0.5
        path[0] = other[-1]
    return path, other


def along_rows(x, n):
    rows = np.add.outer(x, x[:n])
    total = np.zeros(n)
    for row in rows:
        total = total * 0.5 + row
        row[...] = row * 2
    return total, rows


def with_names_of_its_own(x, tolerance):
    while np.abs(x).max() > tolerance:
        change = x * 0.25
        x = x - change
        size = change.max() * 2
    return x, change, size


LOOPS = {
    diffuse: (0.1,), in_turn: (), newton: None, total_of_rows: (), levels: (), last_of_each: (),
    nested: (), fibonacci_of_arrays: (), with_a_helper: (), until_not: (), that_decides: (),
    with_a_break: (), by_whole_arrays: (), along_rows: (), with_a_continue: (),
    until_it_holds: (), of_a_pair: (), read_after_the_break: (), with_one_name_for_both: (),
}  # fmt: skip


def arguments(function, n: int) -> list:
    u = np.random.default_rng(0).random(50) + 0.5
    return [u, 1e-9] if function is newton else [u, n, *LOOPS[function]]


def loops_of(graph) -> int:
    return sum(node.op.name == "loop" for node in everywhere(graph.nodes))


def check(compiled, function, args) -> None:
    mine, numpys = ([np.copy(a) if isinstance(a, np.ndarray) else a for a in args] for _ in "ab")
    got, want = compiled(*mine), function(*numpys)
    many = isinstance(want, tuple)
    for g, w in zip(got if many else [got], want if many else [want], strict=True):
        assert type(g) is type(w)
        if isinstance(w, int):  # of any size
            assert g == w
        else:
            np.testing.assert_allclose(g, w, rtol=1e-12)
    for a, b in zip(mine, numpys, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def sums_in_single_precision(x):
    total, best, decaying = 0.0, -1e30, 0.1
    for _ in range(20):
        x = x * np.float32(0.9)
        total = total + (x * x).sum()
        best = np.maximum(best, x.max())
        decaying = decaying * x[1] + 0.25
    return total, best, decaying


def test_a_number_of_pythons_is_of_the_arrays_precision_from_the_start() -> None:
    compiled = jitgraph.compile(sums_in_single_precision, strict=True)
    x = np.array([0.5, 1.5], "f4")
    for got, want in zip(compiled(x), sums_in_single_precision(x), strict=True):
        assert got.dtype == want.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-6)
    assert loops_of(compiled.graph(x)) == 1


@pytest.mark.parametrize("function", LOOPS, ids=lambda f: f.__name__)
def test_one_program_for_any_number_of_steps(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for n in (12, 30, 12, 19):
        check(compiled, function, arguments(function, n))
    assert compiled.cache_info().captures == 1
    graph = compiled.graph(*arguments(function, 12))
    assert loops_of(graph) == (2 if function in (nested, with_one_name_for_both) else 1)
    assert str(parse(str(graph))) == str(graph)
    calls = compiled.explain(*arguments(function, 12)).details["calls"]
    assert calls.startswith("in machine code")


def heat(u):
    u, time = u.copy(), 0.0
    while time < 1.0:
        u[1:-1] += 0.01 * (u[2:] - 2 * u[1:-1] + u[:-2])
        time += 0.01
    return u, time


def bisection(x):
    low, high = 0.0, 2.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        if (x * 0 + middle * middle).sum() > 2 * x.size:
            high = middle
        else:
            low = middle
    return x * low


def both_kinds(x):
    time, steps = 0.0, 0
    while time < 1.0:
        x = x * 0.9 + steps
        time, steps = time + 0.03, steps + 1
    return x, steps


def numpys_number(x):
    n = np.float64(0)
    while n < 12:
        x, n = x * 0.9, n + 1
    return x, n


def one_in_another(x):
    time = 0.0
    while time < 1.0:
        within = 0.0
        while within < 0.5:
            x = x + 0.01 * np.sin(x) * within
            within += 0.04
        time += 0.1
    return x


@pytest.mark.parametrize(
    "function", [heat, bisection, both_kinds, numpys_number, one_in_another],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_a_while_on_numbers_of_pythons_is_a_loop_of_the_program(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    x = np.linspace(0.1, 1, 6)
    for _ in range(4):
        found, expected = compiled(x), function(x)
        for f, e in zip(as_tuple(found), as_tuple(expected), strict=True):
            assert type(f) is type(e)
            np.testing.assert_allclose(f, e, rtol=1e-14)
    loops = [n for n in everywhere(compiled.graph(x).nodes) if n.op.name == "loop"]
    assert len(loops) == (2 if function is one_in_another else 1)
    assert compiled.cache_info().captures == 1


def as_tuple(value) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def left_at_a_limit(x):
    total = 0.0
    for _ in range(50):
        if total > 3:
            break
        total = total + (x**2).sum() * 0.1
    return total


def left_at_rest(x):
    error = 1.0
    for _ in range(100):
        if error < 1e-8:
            break
        new = 0.5 * (x + 2 / x)
        error = np.abs(new - x).max()
        x = new
    return x, error


@pytest.mark.parametrize("function", [left_at_a_limit, left_at_rest])
def test_a_number_that_an_array_takes_the_place_of_on_one_side_of_a_branch(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for x in (np.ones(4), np.full(4, 0.1)):
        for found, expected in zip(as_tuple(compiled(x)), as_tuple(function(x)), strict=True):
            assert type(found) is type(expected)
            np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert compiled.cache_info().captures == 1


def test_a_while_that_counts_positions_is_written_out() -> None:
    def function(x):
        out, k = np.zeros(12), 1
        while k < 12:
            out[k] = out[k - 1] * 0.9 + x.sum()
            k += 1
        return out

    compiled = jitgraph.compile(function, strict=True)
    np.testing.assert_allclose(compiled(np.ones(3)), function(np.ones(3)))
    assert all(n.op.name != "loop" for n in compiled.graph(np.ones(3)).nodes)


def test_a_loop_without_a_step_leaves_names_unbound_as_in_python() -> None:
    compiled = jitgraph.compile(with_names_of_its_own, strict=True)
    x = np.array([0.5, -3.0, 1.0])
    for tolerance in (1e-3, 0.1, 2.0):
        check(compiled, with_names_of_its_own, [x, tolerance])
    with pytest.raises(UnboundLocalError, match="change"):
        compiled(x, 4.0)
    assert compiled.cache_info().captures == 1


def test_a_loop_is_a_loop_in_the_generated_python() -> None:
    x = np.ones(40)
    source = jitgraph.compile(diffuse).source(x, 20, 0.1)
    assert "for u" in source and "in range(2, " in source
    assert "while True:" in jitgraph.compile(newton).source(x, 1e-9)


def test_explain_shows_the_steps_of_a_loop() -> None:
    x, compiled = np.ones(40), jitgraph.compile(newton)
    (loop,) = [s for s in compiled.explain(x, 1e-9).details["steps"] if s["kind"] == "loop"]
    assert loop["name"] == "while" and {s["kind"] for s in loop["steps"]} == {"kernel"}
    text = compiled.profile(x, 1e-9)
    (loop,) = [s for s in text.details["steps"] if s["kind"] == "loop"]
    assert loop["steps"][0]["runs"] == newton(x, 1e-9)[1] + 1
    assert "    kernel " in text and "<td>loop</td>" in text._repr_html_()


def few(x):
    for k in range(3):
        x = x * k + 1
    return x


def of_other_sizes(x):
    for k in range(1, 20):
        x = x + x[:k].sum()
    return x


def of_a_list(x):
    found = []
    for k in range(12):
        found.append(x * k)
    return sum(found)


def of_an_attribute(x):
    class State:
        pass

    state = State()
    state.x = x
    for k in range(12):
        state.x = state.x + k
    return state.x


def of_a_name_for_another_array(x):
    y = x * 2
    for _ in range(13):
        x += 1
        x, y = y, x
    return x, y


def that_widens(x):
    x = x.astype(np.float32)
    for _ in range(12):
        x = x * np.float64(0.5)
    return x


def that_adds_to_a_list(x):
    found = []
    for _ in range(12):
        found += [1]
        x = x * len(found)
    return x


def that_counts_by_a_helper(x):
    def count(c):
        c[0] += 1

    calls = [0]
    for _ in range(12):
        count(calls)
        x = x * 1.5
    return x * calls[0]


class Ticking:
    ticks = 0

    @property
    def tick(self):
        self.ticks += 1
        return self.ticks


def that_reads_a_property(x):
    clock = Ticking()
    for _ in range(12):
        x = x * clock.tick
    return x


def that_uses_up_an_iterator(x):
    values = iter(range(100))
    for _ in range(12):
        x = x + sum(v for v, _ in zip(values, range(3), strict=False))
    return x


def that_writes_to_a_name_bound_in_it(x):
    x = x + 1
    while True:
        new = x * 2
        if new.sum() > 500:
            break
        x = new
    new[0] = 7.0
    return new, x


def of_integers_without_end(x):
    a, b = 0, 1
    for _ in range(119):
        a, b = b, a + b
        x = x * 0.5
    return x, a


WRITTEN_OUT = [
    that_adds_to_a_list, that_counts_by_a_helper, that_reads_a_property, that_uses_up_an_iterator,
    of_integers_without_end,
    few, of_other_sizes, of_a_list, of_an_attribute, of_a_name_for_another_array,
    that_widens,
]  # fmt: skip


@pytest.mark.parametrize("function", WRITTEN_OUT, ids=lambda f: f.__name__)
def test_loops_that_no_single_step_stands_for_are_written_out(function) -> None:
    x = np.random.default_rng(0).random(30)
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(2):
        check(compiled, function, [x])
    assert loops_of(compiled.graph(x)) == 0


def test_an_array_that_names_may_share_after_a_loop_is_written() -> None:
    check(
        jitgraph.compile(that_writes_to_a_name_bound_in_it),
        that_writes_to_a_name_bound_in_it,
        [np.linspace(0.0, 1.0, 20)],
    )


def test_an_index_outside_raises_as_in_numpy() -> None:
    def beyond(x, n):
        out = np.zeros(10)
        for i in range(n):
            out = out + x[i]
        return out

    compiled = jitgraph.compile(beyond)
    x = np.ones((12, 10))
    check(compiled, beyond, [x, 12])
    with pytest.raises(IndexError):
        compiled(x, 13)


def test_errors_in_a_step_are_numpys() -> None:
    def misfit(x, y):
        for _ in range(20):
            x = x + y
        return x

    with pytest.raises(ValueError, match="broadcast"):
        jitgraph.compile(misfit)(np.ones(3), np.ones(4))


def test_gradients_go_through_written_out_loops() -> None:
    compiled = jitgraph.compile(diffuse)
    x = jitgraph.tensor(np.linspace(0, 1, 8), requires_grad=True)
    compiled(x, 10, 0.1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.ones(8))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that interrupt")
def test_a_long_loop_can_be_interrupted() -> None:
    def endless(x):
        while x.max() > 0:
            x = x * 0.5 + 1
        return x

    assert threading.current_thread() is threading.main_thread()
    compiled = jitgraph.compile(endless, strict=True)
    compiled(-np.ones(4))
    compiled(-np.ones(4))

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2, 1.0)  # again where what it raised was dropped
        with pytest.raises(KeyboardInterrupt):
            compiled(np.ones(4))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
