"""Calls that machine code takes from Python to result, and those it hands to Python."""

import dataclasses
import gc
import sys
import typing
import weakref

import numpy as np
import pytest

import jitgraph
from support import assert_same


def duplicate(a):
    """A copy with the strides of the original."""
    if not isinstance(a, np.ndarray) or a.flags.c_contiguous:
        return a.copy() if isinstance(a, np.ndarray) else a
    whole = np.zeros([2 * d for d in a.shape], a.dtype)[tuple(slice(0, None, 2) for _ in a.shape)]
    whole[...] = a
    return whole


def native(function, *args, strict=True):
    """The compiled function after enough calls for a stub, each compared with NumPy's."""
    compiled = jitgraph.compile(function, strict=strict)
    for _ in range(4):
        mine, numpys = ([duplicate(a) for a in args] for _ in "ab")
        same(compiled(*mine), function(*numpys))
        for a, b in zip(mine, numpys, strict=True):
            same(a, b)
    return compiled


def same(got, expected) -> None:
    if isinstance(expected, tuple):
        for g, e in zip(got, expected, strict=True):
            same(g, e)
    elif expected is not None:
        assert type(got) is type(expected)
        assert_same(got, expected)
    else:
        assert got is None


def taken(compiled) -> int:
    """Calls that a stub has taken."""
    return compiled._entry.hits if compiled._entry is not None else 0


SCALE = 3.0
TABLE = np.arange(4.0)


def update(x, y):
    x[1:] += y[:-1]
    y *= 2


CASES = {
    "elementwise": (lambda x, y: x * y + 1, (np.ones(16), np.arange(16.0))),
    "matrix": (lambda x, y: np.tanh(x) + y, (np.ones((3, 4), "f4"), np.ones(4, "f4"))),
    "layouts": (lambda x: x.T * 2 + x, (np.asfortranarray(np.arange(9.0).reshape(3, 3)),)),
    "strided": (lambda x: x + 1, (np.arange(10)[::2],)),
    "floats": (lambda x, a, n: x * a + n, (np.arange(3.0), 0.5, 7)),
    "numpy_scalars": (lambda x, a: x * a, (np.ones(3, "f4"), np.float32(2.5))),
    "static": (lambda x, flag, name, k: x + (k if flag else 0), (np.ones(3), True, "a", 1)),
    "scalar_result": (lambda x: x.sum(), (np.arange(5.0),)),
    "several": (lambda x: (x + 1, x.max(), x * 2), (np.arange(5),)),
    "no_axes": (lambda x: np.where(x > 0, x, 1.0), (np.array(2.0),)),
    "zeros": (lambda x: np.zeros(x.shape[0]) + x, (np.ones(3),)),
    "sizes": (lambda x: x[: x.shape[0] // 2] * np.arange(x.shape[0] // 2), (np.ones(9),)),
    "writes": (update, (np.arange(5.0), np.ones(5))),
    "surroundings": (lambda x: x * TABLE + SCALE, (np.ones(4),)),
    "bool": (lambda x: x > 1, (np.arange(3.0),)),
    "complex": (lambda z: z * z, (np.ones(3, complex) * 1j,)),
}


@pytest.mark.parametrize("name", CASES)
def test_calls_in_machine_code(name: str) -> None:
    function, args = CASES[name]
    compiled = native(function, *args)
    assert taken(compiled) >= 1, compiled.explain(*map(duplicate, args))
    assert "are made in machine code" in compiled.explain(*map(duplicate, args))


def test_other_signatures_are_other_stubs() -> None:
    f = native(lambda x: x * 2, np.ones(3))
    for x in (np.ones(3, "f4"), np.ones((2, 3)), np.ones(1), np.ones(6)[::2], np.zeros(0)):
        for _ in range(4):
            assert_same(f(x), x * 2)
    before = taken(f)
    for x in (np.ones(9), np.ones(9, "f4"), np.ones((4, 5))):
        assert_same(f(x), x * 2)
    assert taken(f) == before + 3 and f.cache_info().captures == 6


def test_what_a_stub_does_not_take_goes_to_python() -> None:
    f = native(lambda x, y: x + y, np.ones(3), np.ones(3))
    before = taken(f)
    assert_same(f(np.ones(3), y=np.ones(3)), np.full(3, 2.0))
    assert isinstance(f(jitgraph.ones(3), jitgraph.ones(3)), jitgraph.Tensor)
    with pytest.raises(ValueError, match="do not broadcast"):
        f(np.ones(3), np.ones(4))
    with pytest.raises(TypeError, match="missing a required argument: 'y'"):
        f(np.ones(3))
    with pytest.raises(TypeError, match="object"):
        f(np.ones(3), np.array([None] * 3))
    assert taken(f) == before
    for _ in range(3):
        f(np.ones(3), np.ones(3))
    assert taken(f) == before + 3


def test_guards_are_kept() -> None:
    f = native(lambda x: x * 2 if x.shape[0] > 10 else x * 3, np.ones(20))
    assert f(np.ones(4))[0] == 3 and f(np.ones(11))[0] == 2 and f(np.ones(10))[0] == 3


def test_values_that_a_step_in_python_is_not_for_go_to_python() -> None:
    f = jitgraph.compile(lambda x, p: x * p**0.5)
    for p in (4.0, 4.0, 4.0, 4.0, -4.0, 9.0):
        assert_same(f(np.ones(2), p), np.ones(2) * p**0.5)
    assert taken(f)

    def doubled(x):
        return np.array([v * 2 for v in x.tolist()]) if x[0] > 0 else x

    @jitgraph.compile
    def g(x):
        y = doubled(x)
        y[1] = 7.0
        return y

    for _ in range(4):
        g(np.ones(2))
    x = -np.ones(2)
    assert g(x) is x
    assert x[1] == 7.0


def test_changed_surroundings_are_seen(monkeypatch) -> None:
    f = native(lambda x: x * TABLE + SCALE, np.ones(4))
    here = test_changed_surroundings_are_seen.__globals__
    monkeypatch.setitem(here, "SCALE", 5.0)
    assert f(np.ones(4))[1] == 6
    monkeypatch.setitem(here, "TABLE", np.full(4, 10.0))
    assert f(np.ones(4))[1] == 15
    factor = 2.0
    g = native(lambda x: x * factor, np.ones(3))
    factor = 4.0
    assert g(np.ones(3))[0] == 4


def test_attributes_of_objects() -> None:
    class Model:
        def __init__(self):
            self.weight, self.bias = np.arange(3.0), 2.0

        def __call__(self, x):
            return x * self.weight + self.bias

    model = Model()
    f = native(model, np.ones(3), strict=False)
    before = taken(f)
    assert_same(f(np.ones(3)), model(np.ones(3)))
    assert taken(f) == before + 1
    model.weight = np.full(3, 7.0)
    assert_same(f(np.ones(3)), model(np.ones(3)))
    model.bias = 5.0
    assert_same(f(np.ones(3)), model(np.ones(3)))
    del model.bias
    with pytest.raises(AttributeError):
        f(np.ones(3))


def test_arguments_that_share_memory_and_read_only_ones() -> None:
    f = native(update, np.arange(5.0), np.ones(5), strict=False)
    x = np.arange(6.0)
    expected = x.copy()
    f(x[:-1], x[1:])
    update(expected[:-1], expected[1:])
    assert_same(x, expected)
    y = np.ones(5)
    y.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        f(np.ones(5), y)


def test_nothing_is_leaked() -> None:
    f = native(lambda x, y: (x + y, x.sum()), np.ones(8), np.ones(8))
    x, dtype = np.ones(8), np.dtype(np.float64)
    before = sys.getrefcount(x), sys.getrefcount(dtype), sys.getrefcount(f)
    for _ in range(1000):
        f(x, x)
    after = sys.getrefcount(x), sys.getrefcount(dtype), sys.getrefcount(f)
    assert before == after
    result = weakref.ref(f(x, x)[0])
    assert result() is None


def test_a_dropped_function_takes_its_stubs_along() -> None:
    f = native(lambda x: x + 1, np.ones(3))
    call, gone = type(f).__call__, weakref.ref(f)
    assert_same(call(np.ones(3)), np.full(3, 2.0))
    del f, call
    gc.collect()
    assert gone() is None


def test_a_cleared_cache_ends_it() -> None:
    f = native(lambda x: x + 1, np.ones(3))
    f.cache_clear()
    assert f.cache_info().hits == 0 and taken(f) == 0
    assert_same(f(np.ones(3)), np.full(3, 2.0))
    assert f.cache_info().captures == 1


def drawn(x, s):
    y = x[x > s]
    return {"all": np.sort(y) * 2, "count": len(y)}, s * 2


def test_programs_with_steps_of_numpy_are_checked_in_machine_code_too() -> None:
    f = native(lambda x, w: np.sort(x @ w).sum(axis=1) * SCALE, np.ones((3, 4)), np.ones((4, 2)))
    assert taken(f) >= 1
    told = f.explain(np.ones((3, 4)), np.ones((4, 2)))
    assert "in machine code, which calls Python for 1 step\n" in told
    g = jitgraph.compile(drawn)
    for seed in range(6):
        x = np.random.default_rng(seed).standard_normal(9)
        (got, twice), (want, expected) = g(x, 0.1), drawn(x, 0.1)
        assert_same(got["all"], want["all"])
        assert got["count"] == want["count"] and twice == expected and type(twice) is float
    assert taken(g) >= 1
    before = g.cache_info().fallbacks
    assert g(-np.ones(9), 0.1)[0]["count"] == 0  # not what was compiled: Python runs it
    assert g.cache_info().fallbacks == before + 1
    h = native(lambda x: np.put(x, [0], [5.0]), np.arange(3.0))
    assert taken(h) >= 1


def test_an_empty_array_is_divided_by_as_python_divides() -> None:
    compiled = native(lambda x, y: np.zeros(len(x) // len(y)), np.ones(6), np.ones(3))
    assert compiled(np.ones(7), np.ones(2)).shape == (3,)
    with pytest.raises(ZeroDivisionError):
        compiled(np.ones(6), np.ones(0))


def test_integers_beyond_the_arithmetic_of_a_program() -> None:
    compiled = native(lambda x, n: x + n * n, np.ones(3), 4, strict=False)
    for n in (5, 1 << 14, 1 << 20, 1 << 35, 1 << 70):
        same(compiled(np.ones(3), n), np.ones(3) + n * n)


def test_the_same_array_twice() -> None:
    def function(x, y):
        x += 1
        return x * y

    compiled = jitgraph.compile(function, strict=True)
    for _ in range(4):
        for same_twice in (True, False):
            x, y = np.ones(3), np.ones(3)
            same(compiled(x, x if same_twice else y), np.full(3, 4.0 if same_twice else 2.0))


def test_objects_are_told_apart_by_identity() -> None:
    class Model:
        def __init__(self, scale):
            self.scale = scale

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 0

    models = Model(2.0), Model(3.0)
    compiled = jitgraph.compile(lambda x, model: x * model.scale, strict=True)
    for _ in range(4):
        for model in models:
            same(compiled(np.ones(2), model), np.full(2, model.scale))


def test_arrays_in_between_are_let_go_after_their_last_use(rng) -> None:
    """By the driver that Python runs, and by the stub; their memory serves the next ones."""

    @jitgraph.compile(strict=True)
    def of_products(x):
        y = x @ x
        return np.exp(y.sum(axis=0)) @ x

    @jitgraph.compile(strict=True)
    def of_kernels(x):
        total = (2 * x).sum(axis=0)
        return (x - total).sum(axis=1)

    x = rng.standard_normal((300, 300)) / 100
    for compiled in (of_products, of_kernels):
        assert "del t0" in compiled.source(x)
        for _ in range(5):
            np.testing.assert_allclose(compiled(x), compiled._function(x), rtol=1e-10)
        assert "in machine code" in compiled.explain(x)


# programs with steps that Python carries out


def joined(x, y):
    return np.concatenate([x.T, y[:, ::2]], axis=1) * 2


def sorted_parts(x):
    y = np.sort(x * 2, axis=0)
    return y[1:], y.reshape(-1), y


def gathered(x, index):
    y = x + 1
    z = y[index]
    y[index] = 0.0
    return y, z * 2


def shifted(x):
    y = x * 2
    y[1:] = x[:-1]
    z = y + 1
    y[0] = 5.0
    return y, z


def number_of(x):
    return float(np.sort(x)[-1]), {"all": (x, np.cumsum(x[::-1]))}, x.shape[0]


STEPS = {
    "joined": (joined, (np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4))),
    "sorted": (sorted_parts, (np.arange(6.0).reshape(2, 3)[::-1].copy(),)),
    "gathered": (gathered, (np.arange(5.0), np.array([3, -1, 0]))),
    "shifted": (shifted, (np.arange(5.0),)),
    "numbers": (lambda x, a: np.concatenate([x, np.sort(x)]) * a, (np.arange(3.0)[::-1], 0.5)),
    "scalars": (lambda x, a: np.append(x, a) + a, (np.arange(3.0), np.float64(2.0))),
    "views": (lambda x: (x.T, x[::2], x.reshape(-1)[1:]), (np.arange(6.0).reshape(2, 3),)),
    "surroundings": (lambda x: np.concatenate([TABLE, x]) + TABLE[0], (np.ones(3),)),
    "the same": (lambda x: (x, x + 1, x), (np.ones(3),)),
}


def borders(x, y):
    z = np.zeros_like(x)
    z[1:-1, 1:-1] = y[2:, 2:] * 2
    z[:, 0], z[:, -1] = x[:, 1], y[:, -2]
    z[0], z[-1, 1:] = y[1], x[2, :-1]
    z[::2, 1] = x[1::2, 2]
    z[2, ::-1] = y[3]
    z[3, :2] = 7
    z[:, 3] = z[:, 1]
    x[1:] = x[:-1]
    y[:2, :2] = x.T[:2, :2]
    return z


def through_another_shape(x):
    flat = x.reshape(-1)
    x[1:] = flat[: x.size - x.shape[1]].reshape(x.shape[0] - 1, x.shape[1])
    x[:, ::-1] = flat.reshape(x.shape)
    return flat * 2


def copied_parts(x):
    y = np.empty((2, *x.shape), x.dtype)
    y[0], y[1] = x, x[::-1]
    return y


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "int8", "bool"])
def test_copies_of_parts(dtype: str, rng) -> None:
    x, y = (rng.integers(0, 9, (6, 6)).astype(dtype) for _ in "xy")
    assert taken(native(borders, x, y)) >= 1
    for shape in ((7,), (3, 4), (2, 3, 4), (2, 1, 3, 2)):
        compiled = native(copied_parts, rng.integers(0, 9, shape).astype(dtype))
        assert taken(compiled) >= 1
    assert taken(native(through_another_shape, x)) >= 1
    told = jitgraph.compile(copied_parts)
    for _ in range(4):
        told(x)
    assert "calls Python" not in told.explain(x)


@pytest.mark.parametrize("name", STEPS)
def test_steps_of_python(name: str) -> None:
    function, args = STEPS[name]
    compiled = native(function, *args)
    assert taken(compiled) >= 1


def test_results_that_are_no_tuple_of_arrays() -> None:
    compiled = jitgraph.compile(number_of, strict=True)
    for seed in range(6):
        x = np.random.default_rng(seed).standard_normal(4 + seed)
        (top, rest, size), (want, parts, count) = compiled(x), number_of(x)
        assert (top, size) == (want, count) and type(top) is float and type(size) is int
        assert rest["all"][0] is x
        assert_same(rest["all"][1], parts["all"][1])
    assert taken(compiled) >= 1


def test_an_error_in_a_step_leaves_nothing_behind() -> None:
    @jitgraph.compile(strict=True)
    def pick(x, index):
        large = x * 2
        return np.sort(large[index]) + large.sum()

    x = np.ones(1 << 18)
    for _ in range(4):
        pick(x, np.array([1, 2, 3]))
    before = sys.getrefcount(x)
    for _ in range(50):
        with pytest.raises(IndexError, match="out of bounds"):
            pick(x, np.array([1, 2, 1 << 20]))
    gc.collect()
    assert sys.getrefcount(x) == before and taken(pick) >= 50
    assert_same(pick(x, np.array([1, 2, 3])), np.full(3, 2.0 + 2 * x.size))


def test_arrays_of_the_surroundings_are_held_and_let_go() -> None:
    scope = {"np": np, "table": np.arange(1000.0)}
    exec("def f(x):\n    y = np.sort(x)\n    return y + table", scope)
    compiled = jitgraph.compile(scope["f"])
    counts = set()
    for _ in range(30):
        assert_same(compiled(np.ones(1000)), 1 + scope["table"])
        counts.add(sys.getrefcount(scope["table"]))
    assert len(counts) <= 2 and taken(compiled) >= 20


# calls in other forms, and arguments in containers


@dataclasses.dataclass
class State:
    position: np.ndarray
    speed: float


class Pair(typing.NamedTuple):
    first: np.ndarray
    second: np.ndarray


def scaled(x, factor=2.0, *, shift=1):
    return x * factor + shift


def added(first, *others, **named):
    total = first
    for other in (*others, *named.values()):
        total = total + other
    return total


def of_dict(params, x):
    return x @ params["weight"] + params["bias"][0] if params["name"] == "linear" else x


def of_list(arrays, skip=None):
    return [2 * a for a in arrays], skip is None


def of_state(state, pair):
    return State(state.position + state.speed * pair.first, state.speed), pair.second * 2


ONE, TWO = np.ones(4), np.arange(4.0)
FORMS = {
    "defaults": (scaled, (ONE,), {}),
    "by name": (scaled, (ONE,), {"factor": 3.0}),
    "all by name": (scaled, (), {"shift": 5, "x": TWO, "factor": 0.5}),
    "others": (added, (ONE, TWO, ONE), {}),
    "others by name": (added, (ONE, TWO), {"a": TWO, "b": ONE}),
    "dict": (of_dict, ({"weight": np.eye(4), "bias": [ONE], "name": "linear"}, TWO), {}),
    "list": (of_list, ([ONE, TWO],), {}),
    "list by name": (of_list, (), {"arrays": [ONE, TWO, ONE], "skip": None}),
    "objects": (of_state, (State(ONE, 0.5), Pair(TWO, ONE)), {}),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_calls(name: str) -> None:
    function, args, kwargs = FORMS[name]
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(7):
        got, want = compiled(*args, **kwargs), function(*args, **kwargs)
        for g, w in zip(leaves_of(got), leaves_of(want), strict=True):
            assert type(g) is type(w)
            np.testing.assert_allclose(g, w)
    assert taken(compiled) >= 3


def leaves_of(value):
    return jitgraph.tree.flatten(value)[0]


def test_other_structures_and_orders_are_other_programs() -> None:
    compiled = jitgraph.compile(lambda d: [v * (k + 1) for k, v in enumerate(d.values())])
    a, b = np.ones(2), np.full(2, 5.0)
    for d in [{"a": a, "b": b}] * 4 + [{"b": b, "a": a}] * 4 + [{"a": a}, {"a": a, "b": b}]:
        for got, want in zip(compiled(d), compiled._function(d), strict=True):
            np.testing.assert_array_equal(got, want)
    assert taken(compiled) >= 3


def test_values_in_containers_are_checked() -> None:
    compiled = jitgraph.compile(lambda d, x: x * 2 if d["double"] else x + d["shift"])
    x = np.ones(2)
    for double in (True, True, True, True, False, True):
        for shift in (1.0, 2.5):
            d = {"double": double, "shift": shift}
            np.testing.assert_array_equal(compiled(d, x), compiled._function(d, x))
    with pytest.raises(KeyError):
        compiled({"shift": 1.0}, x)
    with pytest.raises(TypeError):
        compiled({"double": True, "shift": 1.0})


def test_containers_are_let_go() -> None:
    compiled = jitgraph.compile(lambda d: d["x"] + 1)
    d = {"x": np.ones(3)}
    for _ in range(4):
        compiled(d)
        compiled({"x": d["x"], "y": 0.5})
    counts = set()
    for k in range(40):
        compiled(d if k % 2 else {"x": d["x"], "y": 0.5})
        counts.add((sys.getrefcount(d), sys.getrefcount(d["x"])))
    assert len(counts) == 1


SETTINGS = {"scale": 2.0, "names": ["a", "b"]}


def test_containers_of_the_surroundings_are_looked_at() -> None:
    compiled = jitgraph.compile(lambda x: x * SETTINGS["scale"] + len(SETTINGS["names"]))
    x = np.ones(3)
    for _ in range(5):
        assert_same(compiled(x), x * 2 + 2)
    assert taken(compiled) >= 2
    SETTINGS["scale"] = 3.0
    SETTINGS["names"].append("c")
    try:
        assert_same(compiled(x), x * 3 + 3)
    finally:
        SETTINGS["scale"] = 2.0
        SETTINGS["names"].pop()
    assert_same(compiled(x), x * 2 + 2)


def test_properties_of_the_surroundings_are_read() -> None:
    class Model:
        values = np.ones(3)

        @property
        def weight(self):
            return self.values

    model = Model()
    compiled = jitgraph.compile(lambda x: x * model.weight)
    for k in range(6):
        Model.values = np.full(3, float(k))
        assert_same(compiled(np.ones(3)), np.full(3, float(k)))
    assert taken(compiled) >= 2


def test_division_by_a_size_that_a_step_brings_raises_where_it_is_zero():
    def shares(x):
        positive = x[x > 0]
        return np.zeros(x.shape[0] // (positive.shape[0] - 3)) + positive.sum()

    x = np.ones(12)
    x[5:] = -1
    compiled = native(shares, x)
    x[3:] = -1
    before = taken(compiled)
    for call in (shares, compiled):
        with pytest.raises(ZeroDivisionError):
            call(x)
    assert taken(compiled) == before + 1


def test_memory_that_two_of_many_arrays_share_is_seen() -> None:
    def update(arrays, added):
        for a in arrays:
            a *= 2
        for a in arrays:
            a += added[0]

    compiled = jitgraph.compile(update)
    for first, second in [*[(10, 20)] * 5, (10, 11), (11, 10), (90, 30), (30, 91), (10, 20)]:
        mine, numpys = np.arange(100.0), np.arange(100.0)
        for run, memory in ((compiled, mine), (update, numpys)):
            views = [memory[first : first + 4], memory[second : second + 4]]
            run([np.ones(4), *views, *[np.ones(4) for _ in range(6)]], memory[90:94])
        np.testing.assert_array_equal(mine, numpys)
    assert taken(compiled) >= 2
