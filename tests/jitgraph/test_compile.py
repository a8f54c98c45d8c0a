"""`@jitgraph.compile`: what is cached, captured again, falls back, and what errors say."""

import copy
import os
import pickle
import re
import subprocess
import sys
import textwrap
from collections import namedtuple

import numpy as np
import pytest

import jitgraph
from support import assert_same


def gelu(x, b):
    h = x + b
    return 0.5 * h * (1 + np.tanh(0.79788456 * (h + 0.044715 * h**3)))


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((6, 5)).astype("f4"), rng.standard_normal(5).astype("f4")


def test_second_call_neither_captures_nor_compiles(pair) -> None:
    f = jitgraph.compile(gelu)
    first = f(*pair)
    before = f.cache_info()
    assert_same(f(*pair), first)
    after = f.cache_info()
    assert (after.captures, after.compiled, after.loaded) == (
        before.captures,
        before.compiled,
        before.loaded,
    )
    assert after.hits == before.hits + 1


def test_new_sizes_compile_nothing(pair) -> None:
    f = jitgraph.compile(gelu)
    f(*pair)
    before = f.cache_info()
    for n, m in ((6, 7), (2, 5), (31, 64), (5, 5)):
        x, b = np.ones((n, m), "f4"), np.ones(m, "f4")
        assert_same(f(x, b), gelu(x, b), atol=1e-6)
    assert f.cache_info().captures == before.captures
    assert f.cache_info().compiled == before.compiled


def test_axes_of_one_and_other_dtypes_are_other_signatures(pair) -> None:
    x, b = pair
    f = jitgraph.compile(gelu)
    for args in ((x, b), (x, b[:1]), (x[:1], b), (x.astype("f8"), b), (x.T.copy().T, b)):
        assert_same(f(*args), gelu(*args), atol=1e-6)  # 1 + tanh cancels
    assert f.cache_info().programs == 5


def test_sizes_are_guarded_where_the_function_asks() -> None:
    @jitgraph.compile(strict=True)
    def halves(x):
        return x * 2 if x.shape[0] > 10 else x * 3

    assert halves(np.ones(11))[0] == 2
    assert halves(np.ones(4))[0] == 3
    assert halves(np.ones(50))[0] == 2
    assert halves.cache_info().captures == 2


def test_numbers_are_arguments_where_only_arithmetic_needs_them(pair) -> None:
    f = jitgraph.compile(lambda x, rate, power: x * rate**power)
    x = pair[0]
    for rate in (0.5, 0.25, 3.0):
        assert_same(f(x, rate, 2), x * rate**2)
    assert f.cache_info().captures == 1
    f(x, 0.5, 3)
    assert f.cache_info().captures == 1
    power = jitgraph.compile(lambda x, n: x**n, strict=True)
    for n in (2, 3, 3):
        assert_same(power(x, n), x**n)
    assert power.cache_info().captures == 2  # it is compiled for its exponent
    g = jitgraph.compile(lambda x, n: (x * n + np.arange(n)[-1], n + 1), strict=True)
    for n in (7, 3, 1000):
        for got, want in zip(g(x, n), g._function(x, n), strict=True):
            assert_same(got, want)
    assert g.cache_info().captures == 1 and type(g(x, 5)[1]) is int
    for n in (1, 0, -3):
        assert_same(jitgraph.compile(lambda x, n: x * n, strict=True)(x, n), x * n)
    with pytest.raises(OverflowError):
        jitgraph.compile(lambda x, n: x + n)(np.ones(3, "u1"), 300)


def test_a_value_that_keeps_changing_is_named() -> None:
    @jitgraph.compile
    def repeated(x, count):
        for one in [1] * count:
            x = x + one
        return x

    x = np.zeros(3)
    for count in range(2, 10):
        assert repeated(x, count)[0] == count
    assert repeated.cache_info().captures == 8
    with pytest.warns(jitgraph.RecompileWarning, match="the values of count"):
        assert repeated(x, 10)[0] == 10
    assert repeated(x, 5)[0] == 5 and repeated.cache_info().captures == 8


def test_events_are_logged(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setenv("JITGRAPH_CACHE_DIR", str(tmp_path))  # what is loaded is not fused anew
    monkeypatch.setenv("JITGRAPH_LOG", "fusion,cache,source,recompiles")
    f = jitgraph.compile(lambda x: (x / x.sum(), x.shape[0] > 3))
    f(np.ones(3))
    f(np.ones(4))
    text = capsys.readouterr().err
    for expected in ("fusion: sum", "of 3 kernels", "def program(", "recompiles: <lambda>"):
        assert expected in text


def test_static_argnames(pair) -> None:
    f = jitgraph.compile(
        lambda x, mode, scale: x * scale if mode == "up" else x, static_argnames="scale"
    )
    assert_same(f(pair[0], "up", 2.0), pair[0] * 2.0)
    assert f(pair[0], mode="down", scale=2.0) is pair[0]
    with pytest.raises(ValueError, match="no parameter 'nothing'"):
        jitgraph.compile(lambda x: x, static_argnames=["nothing"])


Point = namedtuple("Point", "x y")


def test_containers_go_in_and_out(rng: np.random.Generator) -> None:
    @jitgraph.compile(strict=True)
    def move(point, parts, *, options=None):
        return {"p": Point(point.x + parts[0], point.y * parts[1]["a"]), "none": options, "n": 3}

    a, b, c, d = rng.standard_normal((4, 3))
    result = move(Point(a, b), [c, {"a": d}])
    assert isinstance(result["p"], Point) and result["none"] is None and result["n"] == 3
    assert_same(result["p"].x, a + c)
    assert_same(result["p"].y, b * d)


def test_scalars_come_back_as_numpys(pair) -> None:
    total = jitgraph.compile(lambda x: x.sum())(pair[0])
    assert isinstance(total, np.float32)


def test_arrays_of_the_surroundings_are_read_at_every_call() -> None:
    weights = np.ones(3)
    f = jitgraph.compile(lambda x: x * weights)
    assert f(np.ones(3)).sum() == 3
    weights[:] = 2
    assert f(np.ones(3)).sum() == 6


def test_tensors_give_tensors_and_one_node_on_the_tape(pair) -> None:
    f = jitgraph.compile(gelu, strict=True)
    x, b = (jitgraph.tensor(a, requires_grad=True) for a in pair)
    out = f(x, b)
    assert isinstance(out, jitgraph.Tensor) and out.grad_fn == "gelu"
    out.sum().backward()
    eager_x, eager_b = (jitgraph.tensor(a, requires_grad=True) for a in pair)
    gelu(eager_x, eager_b).sum().backward()
    np.testing.assert_allclose(x.grad.data, eager_x.grad.data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(b.grad.data, eager_b.grad.data, rtol=1e-5, atol=1e-6)


def test_gradients_of_several_outputs_and_lifted_parameters(rng: np.random.Generator) -> None:
    w = jitgraph.tensor(rng.standard_normal((4, 3)), dtype="f8", requires_grad=True)

    def function(x):
        h = jitgraph.tanh(x @ w)
        return h.sum(axis=0), (h * h).mean(), x.argmax()

    x = jitgraph.tensor(rng.standard_normal((5, 4)), dtype="f8", requires_grad=True)

    def gradients(f):
        w.grad = x.grad = None
        a, b, _ = f(x)
        (a.sum() * 2 + b).backward()
        return w.grad.data, x.grad.data

    for compiled, eager in zip(
        gradients(jitgraph.compile(function, strict=True)), gradients(function), strict=True
    ):
        np.testing.assert_allclose(compiled, eager, rtol=1e-12)


def layer(x, w):
    return (np.tanh(x @ w) ** 2).sum(axis=1)


def until_large(x, w):
    while x.sum() < 40:
        x = x + np.tanh(x @ w)
    return (x**2).sum(axis=1)


@pytest.mark.parametrize("function", [layer, until_large])
def test_gradients_of_gradients_to_the_third_order(function, rng: np.random.Generator) -> None:
    values, start = (rng.random((3, 4)), rng.random((4, 4))), jitgraph.tensor([1.0, 2.0, 3.0])

    def orders(f):
        x, w = tensors = [jitgraph.Tensor(v, requires_grad=True) for v in values]
        found, loss = [], f(x, w) @ start.double()
        for _ in range(3):
            x.grad = w.grad = None
            loss.backward(create_graph=True)
            found += [t.grad.data for t in tensors]
            loss = (x.grad**2).sum() + (w.grad @ x.sum(axis=0)).sum()
        return found

    compiled = jitgraph.compile(function, strict=True)
    for found, expected in zip(orders(compiled), orders(function), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert compiled.cache_info().captures == 1


def test_second_derivatives_see_the_random_numbers_that_were_drawn() -> None:
    f = jitgraph.compile(lambda x: jitgraph.nn.functional.dropout(x, 0.5) ** 3, strict=True)
    x = jitgraph.ones(100, requires_grad=True)
    for _ in range(3):
        x.grad, y = None, f(x)
        y.sum().backward(create_graph=True)
        np.testing.assert_allclose(x.grad.data, 3 * y.data)
        slope, x.grad = x.grad, None
        slope.sum().backward()
        np.testing.assert_allclose(x.grad.data, 6 * y.data)


def test_what_is_computed_from_lifted_tensors_alone_is_captured_too() -> None:
    w = jitgraph.tensor([1.0, 3.0], requires_grad=True)
    f = jitgraph.compile(lambda x: (x * (w / w.sum())).sum(), strict=True)
    x = jitgraph.tensor([1.0, 2.0])
    assert f(x).item() == pytest.approx(1.75)
    w.data[:] = [3.0, 1.0]
    f(x).backward()
    compiled, w.grad = w.grad, None
    (x * (w / w.sum())).sum().backward()
    assert f(x).item() == pytest.approx(1.25)
    np.testing.assert_allclose(compiled.data, w.grad.data, rtol=1e-6)


def test_no_grad_inside_is_kept() -> None:
    def function(x):
        with jitgraph.no_grad():
            y = x * 2
        return (x * y).sum()

    x = jitgraph.ones(3, requires_grad=True)
    f = jitgraph.compile(function)
    f(x).backward()
    assert x.grad.tolist() == [2, 2, 2] and f.cache_info().captures == 1


def test_modes_and_options_are_checked() -> None:
    with pytest.raises(ValueError, match="mode='fast'"):
        jitgraph.compile(mode="fast")
    with pytest.raises(TypeError, match="expects a function"):
        jitgraph.compile(3)
    f = jitgraph.compile(mode="dynamic")(lambda x: x + 1)
    assert f(1) == 2 and f.cache_info().captures == 0


def branch(x):
    return x[1:] if x.sum() > 0 else x


def count_up(x):
    while x.sum() < 10:
        x, _ = np.unique(x + 1, return_index=True)
    return x


FALLBACKS = {
    "branch": (branch, "branch"),
    "loop": (count_up, "branch"),
    "number": (lambda x: x * [1.0, 2.0][int(x[0]) - 1], r"int\(\)"),
    "size": (lambda x: np.zeros(int(x[0])) + 1, r"int\(\)"),
    "generator": (lambda x: x + np.random.default_rng(0).random(3), "random generator"),
}


@pytest.mark.parametrize("name", FALLBACKS)
def test_what_cannot_be_captured_runs_dynamically_and_says_so(name: str) -> None:
    function, reason = FALLBACKS[name]
    x = np.array([1.0, -2.0, 3.0])
    f = jitgraph.compile(function)
    assert_same(f(x), function(x))
    assert_same(f(x), function(x))
    assert f.cache_info().fallbacks == 2 and f.cache_info().captures == 0
    assert "dynamic mode" in f.explain(x) and "test_compile.py" in f.explain(x)
    assert re.search(reason, f.explain(x))
    with pytest.raises(jitgraph.CaptureError, match=r"test_compile\.py"):
        jitgraph.compile(function, strict=True)(x)


def test_fallbacks_can_be_seen_as_they_happen(monkeypatch, capsys) -> None:
    monkeypatch.setenv("JITGRAPH_LOG", "fallbacks")
    jitgraph.compile(branch)(np.ones(3))
    assert "branch runs in dynamic mode" in capsys.readouterr().err


ERRORS = {
    "broadcast": (
        lambda x, y: x + y,
        (np.ones((3, 4)), np.ones(5)),
        ValueError,
        r"add: .*\(3, 4\).*\(5,\)",
    ),
    "matmul": (lambda x, y: x @ y, (np.ones((3, 4)), np.ones((3, 4))), ValueError, "matmul"),
    "reshape": (lambda x: x.reshape(4, 2), (np.ones(9),), ValueError, "reshape"),
    "axis": (lambda x: x.sum(axis=2), (np.ones((3, 4)),), ValueError, "axis 2"),
    "index": (lambda x: x[7] * 2, (np.ones(3),), IndexError, "index 7"),
    "dtype": (lambda x: ~x, (np.ones(3),), TypeError, "invert"),
    "overflow": (lambda x: x + 300, (np.ones(3, "u1"),), OverflowError, "300"),
    "objects": (lambda x: x + 1, (np.array([1, "a"], dtype=object),), TypeError, "object"),
    "strings": (lambda x: x + 1, (np.array(["a", "b"]),), TypeError, "<U1"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_raises_numpys_class_and_leaves_nothing_behind(name: str) -> None:
    function, args, kind, message = ERRORS[name]
    f = jitgraph.compile(function)
    with pytest.raises(kind, match=message):
        f(*args)
    assert f.cache_info().programs == 0
    good = [np.ones((4, 4), "i4")] * len(args)
    if name not in ("index", "axis", "reshape", "overflow"):
        assert_same(f(*good), function(*good))


def test_errors_name_the_users_line() -> None:
    with pytest.raises(jitgraph.ShapeError, match=r"test_compile\.py:\d+"):
        jitgraph.compile(lambda x, y: x * y)(np.ones(3), np.ones(4))
    with pytest.raises(jitgraph.DTypeError, match=r"gelu\(\): .* datetime64.*test_compile\.py:\d+"):
        jitgraph.compile(gelu)(np.ones(3, "M8[s]"), np.ones(3))


def test_wrong_argument_counts() -> None:
    f = jitgraph.compile(gelu)
    with pytest.raises(TypeError, match=r"gelu\(\): missing a required argument: 'b'"):
        f(np.ones(3))
    with pytest.raises(TypeError, match="too many"):
        f(1, 2, 3)


def test_methods_can_be_compiled() -> None:
    class Scale:
        factor = 3.0

        @jitgraph.compile
        def __call__(self, x):
            return x * self.factor

    assert Scale()(np.ones(2))[0] == 3


@jitgraph.compile
def doubled(x):
    return x * 2


def test_compiled_functions_are_pickled_and_copied_as_functions_are() -> None:
    for _ in range(4):  # before and after the stub
        assert pickle.loads(pickle.dumps(doubled)) is doubled
        assert copy.deepcopy({"f": doubled})["f"] is doubled
        doubled(np.ones(3))
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(jitgraph.compile(lambda x: x))


def test_outputs_share_memory_where_numpys_do() -> None:
    x = np.ones(3)
    a, b = jitgraph.compile(lambda x: (x + 1, (x + 1)[:1]))(x)
    assert not np.shares_memory(a, b)
    a, b = jitgraph.compile(lambda x: (lambda y: (y, y[:1]))(x + 1))(x)
    assert np.shares_memory(a, b)
    a, b = jitgraph.compile(lambda x: (lambda y: (y, y))(x + 1))(x)
    assert a is b


def test_python_numbers_stay_pythons() -> None:
    """They widen no array, come back as Python's own, and divide by zero as Python does."""
    x = np.ones(3, "f4")
    f = jitgraph.compile(
        lambda x, s: (x * (s / 3), s * 2 + 1, s**2, -s // 2, abs(s % 3), s > 1), strict=True
    )
    for s in (2.5, -0.25):
        expected = f._function(x, s)
        for got, want in zip(f(x, s), expected, strict=True):
            assert type(got) is type(want)
            np.testing.assert_equal(got, want)
    assert f.cache_info().captures == 1
    inverse = jitgraph.compile(lambda x, s: x * (1 / s), strict=True)
    with pytest.raises(ZeroDivisionError):
        inverse(x, 0.0)
    assert_same(inverse(x, 2.0), x * 0.5)
    by_numpy = jitgraph.compile(lambda x, s: x * np.divide(1, s), strict=True)
    assert by_numpy(x, 2.0).dtype == np.float64


def test_sizes_in_arithmetic_compile_nothing_new() -> None:
    f = jitgraph.compile(lambda x: x * (2.0 / (x.shape[0] - 1)), strict=True)
    for n in (5, 9, 33):
        assert_same(f(np.ones(n)), np.full(n, 2.0 / (n - 1)))
    assert f.cache_info().captures == 1


def test_traced_values_look_like_what_they_stand_for() -> None:
    @jitgraph.compile(strict=True)
    def kinds(x, s):
        assert isinstance(x, np.ndarray) and isinstance(s, float)
        return x * s, f"{x.shape[0]} of {x.shape}"

    assert kinds(np.ones((3, 4)), 2.0)[1] == "3 of (3, 4)"
    assert kinds(np.ones((5, 4)), 2.0)[1] == "5 of (5, 4)"


def test_precise_sums_in_float64() -> None:
    x = np.full(1 << 20, 0.1, "f4")
    exact = float(x[0]) * len(x)
    assert abs(jitgraph.compile(lambda x: x.sum(), precise=True)(x) - exact) <= 0.5 * np.spacing(
        np.float32(exact)
    )


def test_complex_numbers_by_integers() -> None:
    def turned(x, n):
        return x * (2j / n) + (0.5 + n / 2j) * 1j**n

    compiled = jitgraph.compile(turned, strict=True)
    for n in (2, 3, 7):
        np.testing.assert_allclose(compiled(np.ones(4), n), turned(np.ones(4), n), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precise_functions(dtype: str, rng) -> None:
    """Of float32 rounded from float64; of float64 within the C library's error."""
    x = rng.uniform(0.01, 3, 20000).astype(dtype)
    for function in (np.exp, np.log, np.tanh, np.sin, np.arctan, np.cbrt, lambda x: x**1.7):
        got = jitgraph.compile(lambda x, f=function: f(x), precise=True, strict=True)(x)
        exact = function(x.astype(np.longdouble))
        errors = np.abs(got - exact) / np.spacing(np.abs(got))
        assert got.dtype == dtype and errors.max() < (0.501 if dtype == "float32" else 1)
    angles = (1e5 * rng.standard_normal(1000)).astype(dtype)
    got = jitgraph.compile(lambda x: np.sin(x) + np.cos(x), precise=True, strict=True)(angles)
    np.testing.assert_allclose(got, np.sin(angles) + np.cos(angles), atol=4 * np.finfo(dtype).eps)


def test_threads_give_the_same_result(rng: np.random.Generator) -> None:
    x = rng.standard_normal((700, 500))
    softmax = jitgraph.functions.softmax
    assert_same(jitgraph.compile(softmax)(x), jitgraph.compile(softmax, parallel=False)(x), ulps=0)


SCRIPT = """
    import numpy as np, sys, jitgraph
    assert "numba" not in sys.modules and "llvmlite" not in sys.modules

    @jitgraph.compile
    def f(x, b):
        return np.tanh(x + b).sum(axis=1)

    x = np.arange(12.0).reshape(3, 4) / 10
    np.testing.assert_allclose(f(x, x[0]), np.tanh(x + x[0]).sum(axis=1), rtol=1e-14)
    info = f.cache_info()
    print(info.compiled, info.loaded, "numba" in sys.modules)
"""


def test_a_second_process_starts_from_machine_code_on_disk(tmp_path) -> None:
    environment = {**os.environ, "JITGRAPH_CACHE_DIR": str(tmp_path / "cache")}
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))

    def run() -> str:
        return subprocess.run(
            [sys.executable, script], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert run().split() == ["1", "0", "True"]
    assert run().split() == ["0", "1", "False"]
    for path in (tmp_path / "cache").glob("*.kernel"):  # a torn file is compiled anew
        path.write_bytes(path.read_bytes()[:-100])
    assert run().split() == ["1", "0", "True"]
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
