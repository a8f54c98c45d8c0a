"""What no graph can hold: under Numba as it is written, or as plain Python; never silently."""

import sys

import numpy as np
import pytest

import jitgraph
from jitgraph.capture import ladder
from support import assert_same


def relax(x, tolerance):
    steps = 0
    while np.abs(x[1:-1] - 0.5 * (x[:-2] + x[2:])).max() > tolerance:
        for i in range(1, x.shape[0] - 1):
            x[i] = 0.5 * (x[i - 1] + x[i + 1])
        steps += 1
    return steps


def clipped(v):
    return v if v < 1.0 else 1.0


def running(x):
    total = 0.0
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        total = clipped(total + x[i]) if x[i] > 0 else 0.0
        out[i] = total
    return out, total


def running_maximum(x):
    best, where = x[0], 0
    for i in range(x.shape[0]):
        if x[i] > best:
            best, where = x[i], i
    return best, where


def joined(x):
    text = ""
    for value in x:
        if value > 0:
            text += "+"
    return text


FACTOR = 2.0


def scaled(x):
    total = 0.0
    for value in x:
        if value > 0:
            total += value * FACTOR
    return total


def agree(function, *args) -> jitgraph.CompiledFunction:
    compiled = jitgraph.compile(function)
    for _ in range(3):
        mine, numpys = ([a.copy() if isinstance(a, np.ndarray) else a for a in args] for _ in "ab")
        got, want = compiled(*mine), function(*numpys)
        many = isinstance(want, tuple)
        for g, w in zip(got if many else [got], want if many else [want], strict=True):
            assert type(g) is type(w)
            np.testing.assert_allclose(g, w, rtol=1e-12)
        for a, b in zip(mine, numpys, strict=True):
            assert_same(a, b)
    return compiled


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (relax, (np.linspace(0, 1, 40) ** 2, 1e-3)),
        (running, (np.array([0.4, 0.9, -1.0, 0.2]),)),
        (running_maximum, (np.sin(np.arange(500.0)),)),
        (running_maximum, (np.sin(np.arange(500, dtype="f4")),)),  # whose number has 32 bits
    ],
)
def test_loops_run_under_numba(function, args) -> None:
    text = agree(function, *args).explain(*args)
    assert "Numba as it is written" in text and "test_ladder.py" in text


def test_a_rung_is_kept_beside_graphs_for_other_sizes(monkeypatch) -> None:
    asked = []
    attempt = ladder.attempt
    monkeypatch.setattr(ladder, "attempt", lambda *given: asked.append(1) or attempt(*given))
    compiled = jitgraph.compile(running_maximum)
    few, many = np.array([0.4, 0.9, -1.0]), np.sin(np.arange(500.0))
    for _ in range(3):
        assert compiled(few) == (0.9, 1)
        assert compiled(many) == running_maximum(many)
    assert len(asked) == 1 and compiled.cache_info().captures == 1
    assert "static graph" in str(compiled.explain(few))
    assert "Numba as it is written" in str(compiled.explain(many))


def test_a_helper_with_loops_runs_under_numba_in_the_middle_of_a_graph() -> None:
    def function(x):
        out, total = running(np.abs(x) * 0.3)
        return out * 2 + total

    text = agree(function, np.array([0.4, 0.9, -1.0, 0.2])).explain(np.ones(4))
    assert "static graph" in text and "running" in text and "Numba compiles it" in text


def test_numba_is_not_used_for_what_it_cannot_do() -> None:
    f = jitgraph.compile(joined)
    x = np.array([1.0, -1.0, 2.0])
    assert f(x) == f(x) == "++"
    assert f.explain(x).startswith("joined: ")


def test_numbers_it_depends_on_are_watched(monkeypatch) -> None:
    f = agree(scaled, np.array([1.0, -2.0, 3.0]))
    monkeypatch.setitem(scaled.__globals__, "FACTOR", 10.0)
    assert f(np.array([1.0, -2.0, 3.0])) == 40.0


@pytest.mark.parametrize(("numbas", "rung"), [(0.5, "by Numba"), (2.0, "dynamic mode")])
def test_numba_is_dropped_where_numpy_is_faster(numbas: float, rung: str, monkeypatch) -> None:
    """Python's call takes a second of this clock, each of Numba's as long as is said."""
    times = iter([0.0, 1.0, *(t for k in range(1, 99) for t in (10.0 * k, 10.0 * k + numbas))])
    monkeypatch.setattr("jitgraph.capture.ladder.perf_counter", lambda: next(times))
    compiled = jitgraph.compile(running)
    x = np.array([0.4, 0.9, -1.0, 0.2])
    for size in (4, 4, 2, 2, 2, 2, 4, 4, 4, 4):  # other sizes tell nothing
        np.testing.assert_allclose(compiled(x[:size])[0], running(x[:size])[0])
        assert "by Numba" in compiled.explain(x)
    compiled(x)
    assert rung in compiled.explain(x)


def products(a, b, out):
    """Of parts of rows and columns, of matrices, and into an array."""
    n = a.shape[0]
    for i in range(n):
        for j in range(i + 1):
            out[i, j] = np.dot(a[i, :j], b[:j, i]) + np.dot(a[:, i], b[j])
    total = np.dot(a, b) + np.dot(a, b[0]) + np.dot(a.ravel(), b.ravel())
    for _ in range(2):
        np.dot(a, b, out)
    return total


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", [20, 40])
def test_products_of_vectors_are_numpys(dtype, n) -> None:
    a, b = np.random.default_rng(0).uniform(0.5, 1, (2, n, n)).astype(dtype)
    compiled, tolerance = jitgraph.compile(products), 1e-12 if dtype == "f8" else 1e-4
    for _ in range(3):
        mine, numpys = np.zeros((2, n, n), dtype)
        got, want = compiled(a, b, mine), products(a, b, numpys)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
        assert got.dtype == dtype
        np.testing.assert_allclose(mine, numpys, rtol=tolerance, atol=tolerance)
    assert "by Numba" in compiled.explain(a, b, np.zeros((n, n), dtype))


def test_products_of_vectors_that_do_not_fit_are_refused() -> None:
    def function(a, b):
        total = 0.0
        for k in range(a.shape[0]):
            if a[k, 0] > 0:
                total += np.dot(a[k], b)
        return total

    compiled = jitgraph.compile(function)
    for _ in range(3):
        assert compiled(np.ones((4, 3)), np.ones(3)) == 12.0
    with pytest.raises(ValueError, match=r"different lengths|not aligned"):
        compiled(np.ones((4, 3)), np.ones(5))


def test_indices_are_checked() -> None:
    def last(x, n):
        for i in range(n):
            if x[i] < 0:
                return x[i]
        return x[n]

    f = jitgraph.compile(last)
    x = np.array([1.0, 2.0, -3.0, 4.0])
    assert f(x, 4) == -3
    with pytest.raises(IndexError):
        f(np.ones(4), 4)


def test_rungs_can_be_seen_as_they_happen(monkeypatch, capsys) -> None:
    monkeypatch.setenv("JITGRAPH_LOG", "fallbacks")
    jitgraph.compile(running)(np.ones(3))
    assert "running runs in Numba as it is written" in capsys.readouterr().err


def test_errors_of_floating_point_are_raised_where_they_are_asked_for() -> None:
    def inverse(x):
        with np.errstate(divide="raise"):
            return 1 / x

    compiled = jitgraph.compile(inverse)
    with pytest.raises(FloatingPointError):
        compiled(np.zeros(3))
    assert "errstate(divide='raise')" in compiled.explain(np.zeros(3))


def sweeps(x, count):
    for k in range(count):
        x[1:] = 0.5 * (x[1:] + x[:-1])
        x[k % 3] = 0.0
        x[:-1] = 0.9 * (x[1:] + x[:-1])
    return x.sum()


def sorted_sweeps(x, count):
    for _ in range(count):
        x[1:] = 0.5 * (np.sort(x[:-1], kind="stable") + x[1:])
        x[:-1] += np.sort(-x[1:], kind="stable")
    return x.sum()


@pytest.mark.parametrize(
    ("function", "rung"), [(sweeps, "by Numba"), (sorted_sweeps, "static graph")]
)
def test_loops_of_many_kernels_are_numbas_if_it_takes_them(
    function, rung: str, monkeypatch, tmp_path, rng
) -> None:
    monkeypatch.setattr(sys.modules["jitgraph.compile"], "MOST_KERNELS", 3)
    monkeypatch.setenv("JITGRAPH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("jitgraph_codegen.kernels._loaded", {})
    compiled = jitgraph.compile(function)
    for _ in range(4):
        mine = rng.standard_normal(30)
        numpys = mine.copy()
        np.testing.assert_allclose(compiled(mine, 5), function(numpys, 5), rtol=1e-12)
        np.testing.assert_allclose(mine, numpys, rtol=1e-12)
    assert rung in compiled.explain(rng.standard_normal(30), 5)
    strict = jitgraph.compile(function, strict=True)
    assert strict(np.ones(30), 5) == pytest.approx(function(np.ones(30), 5), rel=1e-12)
    assert "static graph" in strict.explain(np.ones(30), 5)
    fixed = np.ones(30)
    fixed.flags.writeable = False
    with pytest.raises(jitgraph.CaptureError, match="read-only"):
        jitgraph.compile(function, strict=True)(fixed, 5)
    assert (fixed == 1).all()
