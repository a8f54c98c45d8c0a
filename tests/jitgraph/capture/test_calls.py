"""What a captured function calls and finds around it: creation, helpers, libraries, globals."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import pytest

import jitgraph
from jitgraph import nn
from support import assert_same


def agree(function, *args, captures: int = 1, ulps: float = 4.0):
    """NumPy and the compiled function, twice; the compiled function is returned."""
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(2):
        expected, got = function(*args), compiled(*args)
        many = isinstance(expected, (tuple, list))
        for want, have in zip(
            expected if many else [expected], got if many else [got], strict=True
        ):
            assert type(have) is type(want)
            assert_same(have, want, ulps=ulps)
    assert compiled.cache_info().captures == captures
    return compiled


CREATION = {
    "zeros": lambda x: (np.zeros(3) + x[:3], np.ones((2, 3), "i4") * 2, np.empty((2, 0))),
    "full": lambda x: (np.full(3, 7), np.full((2, 2), 1.5, "f4") + 1, np.full(2, x[0])),
    "sizes": lambda x: (np.zeros(x.shape), np.ones(len(x)) * x, np.full(x.size, 2), np.zeros(())),
    "like": lambda x: (np.zeros_like(x), np.ones_like(x, dtype=int), np.full_like(x, 3) + x),
    "arange": lambda x: (np.arange(5), np.arange(x.shape[0]), np.arange(1, len(x), 2),
                         np.arange(10, 0, -3), np.arange(0, 1, 0.25), np.arange(3.0), np.arange(0)),
    "linspace": lambda x: (np.linspace(0, 1, 5), np.linspace(-1, 2, len(x)),
                           np.linspace(0, 1, 4, endpoint=False), np.linspace(0, 9, 4, dtype=int)),
    "eye": lambda x: (np.eye(3), np.eye(2, 4, 1), np.identity(len(x)), np.tri(3), np.eye(3, k=-1)),
    "triangles": lambda x: (np.tril(np.outer(x, x)), np.triu(x[:, None] + x, 1), np.tril(x)),
    "grids": lambda x: (*np.meshgrid(x, np.arange(3)), *np.meshgrid(x, x, indexing="ij"),
                        np.indices((2, 3)), *np.meshgrid(x, x[:2], sparse=True)),
    "array": lambda x: (np.array([1.0, 2.0]) * x[:2], np.array([x[0], 2.0]), np.array([x, x * 2]),
                        np.asarray(x), np.array(x), np.array([[x[0], 1], [2, x[1]]]),
                        np.array([len(x), 1.5]), np.array(x, ndmin=2)),
    "mgrid": lambda x: np.mgrid[0:3, 0:2] * x[0],
    "constants": lambda x: (x * np.pi, x + np.hanning(6), np.fft.fftfreq(6) * x),
}  # fmt: skip


@pytest.mark.parametrize("name", CREATION)
def test_arrays_are_made_inside(name: str) -> None:
    agree(CREATION[name], np.linspace(-1, 2, 6))


def test_new_sizes_of_arrays_made_inside_compile_nothing() -> None:
    @jitgraph.compile(strict=True)
    def ramp(x):
        n = x.shape[0]
        y = np.zeros((n, 2))
        y[:, 0] = np.arange(n) / (n - 1)
        y[:, 1] = np.linspace(0, 1, n) * x
        return y

    for n in (4, 7, 50):
        x = np.random.default_rng(n).standard_normal(n)
        assert_same(ramp(x), ramp._function(x))
    assert ramp.cache_info().captures == 1


def test_arrays_made_inside_are_new_at_every_call() -> None:
    @jitgraph.compile(strict=True)
    def make(x):
        y = np.zeros(3)
        z = np.array([1.0, 2.0, 3.0])
        z[0] = x[0]
        return y, z

    first, z = make(np.array([5.0, 6.0]))
    first[:] = 1
    second, _ = make(np.array([5.0, 6.0]))
    assert second.tolist() == [0, 0, 0] and z.tolist() == [5, 2, 3]


def scaled(x, factor=2.0):
    y = np.empty_like(x)
    y[:] = x * factor
    return y


def bumped(x):
    x += 1


@dataclass
class Wave:
    speed: float
    field: np.ndarray

    def step(self, dt):
        self.field[1:-1] += dt * self.speed * (self.field[2:] - self.field[:-2])
        return self.field.sum()


def test_helpers_are_captured_through() -> None:
    offset = 3.0
    twice = lambda v: scaled(v, factor=2) + offset  # noqa: E731

    def function(x):
        y = scaled(x) + twice(x) + functools.partial(scaled, factor=0.5)(x)
        bumped(y)
        return y, sum([x[0], x[1]]), max(len(x), 2), [scaled(v) for v in (x, y)][1]

    agree(function, np.arange(4.0))


def test_compiled_functions_called_inside_are_captured_through() -> None:
    inner = jitgraph.compile(lambda v: v * 2 + 1)
    f = agree(lambda x: inner(x) - 1, np.arange(4.0))
    assert len(f.graph(np.arange(4.0)).nodes) == 5


def test_methods_and_callable_objects() -> None:
    mine, numpys = Wave(0.5, np.arange(6.0) ** 2), Wave(0.5, np.arange(6.0) ** 2)
    step = jitgraph.compile(lambda wave, dt: wave.step(dt), strict=True)
    for _ in range(3):
        assert step(mine, 0.1) == pytest.approx(numpys.step(0.1))
    assert_same(mine.field, numpys.field)


SCALE = 2.0
TABLE = np.arange(3.0)


def test_changed_surroundings_are_seen(monkeypatch) -> None:
    here = test_changed_surroundings_are_seen.__globals__
    rate, shift = 1.0, np.zeros(3)

    @jitgraph.compile(strict=True)
    def function(x):
        return (x + TABLE * 2) * SCALE * rate + shift

    x = np.ones(3)
    assert_same(function(x), function._function(x))
    monkeypatch.setitem(here, "SCALE", 3.0)
    assert_same(function(x), function._function(x))
    monkeypatch.setitem(here, "TABLE", np.array([5.0, 6.0, 7.0]))
    assert_same(function(x), function._function(x))
    rate = 10.0
    assert_same(function(x), function._function(x))
    shift = np.ones(3)
    assert_same(function(x), function._function(x))
    TABLE[0] = 9
    assert_same(function(x), function._function(x))
    assert function.cache_info().captures == 3  # SCALE and rate are compiled in


def test_attributes_of_objects_are_seen() -> None:
    class Model:
        def __init__(self):
            self.weight, self.bias, self.active = np.ones(3), 1.0, True

        def __call__(self, x):
            return x * self.weight + self.bias if self.active else x

    model = Model()
    f = jitgraph.compile(model, strict=True)
    x = np.arange(3.0)
    assert_same(f(x), model(x))
    model.weight = np.full(3, 5.0)
    assert_same(f(x), model(x))
    model.bias = 2.0
    assert_same(f(x), model(x))
    model.active = False
    assert_same(f(x), model(x))


def test_parameters_that_are_rebound_are_seen() -> None:
    jitgraph.manual_seed(0)
    layer = nn.Linear(3, 2)
    f = jitgraph.compile(lambda x: layer(x), strict=True)
    x = jitgraph.ones(4, 3)
    np.testing.assert_allclose(f(x).detach().data, layer(x).detach().data, rtol=1e-6)
    layer.weight = nn.Parameter(np.zeros((2, 3), "f4"))
    np.testing.assert_allclose(f(x).detach().data, layer(x).detach().data, rtol=1e-6)


HOSTED = {
    "sort": lambda x: np.sort(x * 2) + 1,
    "argsort": lambda x: x[np.argsort(x)] - x.argsort(),
    "mask": lambda x: (x[x > 0] * 2).sum(),
    "nonzero": lambda x: np.nonzero(x > 0)[0] * 2,
    "unique": lambda x: np.unique(np.round(x)),
    "cumsum": lambda x: np.cumsum(x * 2) / 2,
    "median": lambda x: x - np.median(x),
    "linalg": lambda x: np.linalg.solve(np.eye(6) + np.outer(x, x), x) @ x,
    "svd": lambda x: np.linalg.svd(np.outer(x, x) + np.eye(6), compute_uv=False) * 2,
    "fft": lambda x: np.abs(x) + np.fft.irfft(np.ones(4), 6),
    "histogram": lambda x: np.histogram(x, bins=3)[0] * 2,
    "searchsorted": lambda x: np.searchsorted(np.sort(x), x) + 1,
    "interp": lambda x: np.interp(x, np.arange(3.0), np.array([1.0, 4.0, 2.0])) * 2,
    "divmod": lambda x: np.divmod(x, 0.5)[0] + np.modf(x)[1],
    "accumulate": lambda x: np.maximum.accumulate(x) - x,
    "math": lambda x: x * math.sqrt(float(np.abs(x).sum())),
}


NUMPY = {
    "rearranging": lambda x: (np.roll(x, 2), np.pad(x, 1), np.pad(x, (1, 2), mode="edge"),
                              np.repeat(x, 2), np.tile(x, 3), np.flipud(x), np.rot90(x[None])),
    "put": lambda x: (np.put(x, [0, 2], [5.0, 6.0]), x * 2)[1],
    "take": lambda x: (np.take(x, [1, 2]), np.take_along_axis(x, np.argsort(x), axis=0)),
    "positions": lambda x: (np.flatnonzero(x > 0), np.argwhere(x > 0), np.argpartition(x, 2)[2]),
    "sets": lambda x: (np.unique(np.sign(x), return_counts=True)[1], np.isin(x, x[:2])),
    "counts": lambda x: (np.bincount(np.arange(6) % 3), np.digitize(x, np.array([0.0, 1.0]))),
    "scans": lambda x: (np.cumsum(x), np.cumprod(x), np.add.accumulate(x), np.diff(x, n=2)),
    "outer": lambda x: (np.outer(x, x), np.kron(x[:2], x), np.multiply.outer(x, x[:2])),
    "matrix": lambda x: (np.trace(np.outer(x, x)), np.diagonal(np.outer(x, x)), np.diag(x),
                         np.cross(x[:3], x[3:] + 1), np.inner(x, x), np.vdot(x, x)),
    "signal": lambda x: (np.convolve(x, np.array([1.0, 0.5])), np.correlate(x, x), np.gradient(x)),
    "statistics": lambda x: (np.percentile(x, 30), np.quantile(x, [0.2, 0.8]), np.median(x),
                             np.average(x, weights=np.abs(x)), np.ptp(x), np.cov(x, x * 2),
                             np.corrcoef(x, x**2)),
    "nan": lambda x: (np.nansum(x), np.nanmean(x), np.nanmax(x), np.nanargmin(x), np.nanstd(x)),
    "bits": lambda x: (np.arange(6) << 2, np.arange(6) ^ 3, ~np.arange(6), np.arange(6) & 5),
    "integers": lambda x: (np.arange(-3, 3) // np.arange(6), np.arange(-3, 3) % 4,
                           7 // np.arange(6)),
    "linalg": lambda x: (np.linalg.norm(x), np.linalg.det(np.outer(x, x) + np.eye(6)),
                         np.linalg.qr(np.outer(x, x) + np.eye(6))[1], np.linalg.matrix_power(
                             np.outer(x, x), 2)),
    "fft": lambda x: (np.fft.fft(x), np.fft.rfft(x) * 2, np.fft.ifft(np.fft.fft(x)).real),
    "joining": lambda x: (np.column_stack([x, x]), np.dstack([x, x]), np.append(x, x[:1]),
                          np.split(x, 2)[1] * 2, np.atleast_2d(x), np.block([x, x])),
    "select": lambda x: (np.select([x > 1, x > 0], [x, x * 2], 9.0), np.choose(
        np.array([0, 1]), [x[:2], x[2:4]]), np.piecewise(x, [x > 0], [1.0, -1.0])),
    "close": lambda x: (np.isclose(x, x + 1e-12), np.allclose(x, x), np.array_equal(x, x)),
    "apply": lambda x: (np.apply_along_axis(np.sum, 0, x), np.vectorize(lambda v: v * 2)(x)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", NUMPY)
def test_the_rest_of_numpy(name: str) -> None:
    x = np.array([0.3, -1.2, 2.0, 0.1, -0.4, 1.7])
    agree(NUMPY[name], x, ulps=4096)


@pytest.mark.parametrize("name", HOSTED)
def test_libraries_are_called_in_the_middle(name: str) -> None:
    agree(HOSTED[name], np.array([0.3, -1.2, 2.0, 0.1, -0.4, 1.7]), ulps=256)


def test_sizes_that_only_the_running_program_knows() -> None:
    @jitgraph.compile(strict=True)
    def chosen(x):
        y = x[x > 0]
        z = np.zeros(len(y) + 1)
        z[1:] = y * 2
        return z, y.shape[0], y[:-1] + y[1:]

    for seed in range(4):
        x = np.random.default_rng(seed).standard_normal(20)
        for got, want in zip(chosen(x), chosen._function(x), strict=True):
            assert type(got) is type(want)
            assert_same(got, want)
    assert chosen.cache_info().captures == 1 and chosen.cache_info().fallbacks == 0
    nothing = -np.ones(20)  # no size is 0 or 1 in the program that was captured
    with pytest.raises(jitgraph.CaptureError, match="another size"):
        chosen(nothing)
    assert_same(jitgraph.compile(chosen._function)(nothing)[0], np.zeros(1))


def test_random_numbers_are_drawn_at_every_call() -> None:
    rng = np.random.default_rng(5)

    def noisy(x):
        return x + rng.standard_normal(x.shape) + np.random.rand()

    f = jitgraph.compile(noisy, strict=True)
    x = np.zeros(4)
    f(x)
    draws = [f(x) for _ in range(2)]
    assert not np.array_equal(*draws) and f.cache_info().captures == 1


def test_effects_happen_at_every_call(capsys) -> None:
    f = jitgraph.compile(lambda x: (print("total", x.sum()), x * 2)[1], strict=True)
    f(np.ones(2))
    capsys.readouterr()
    f(np.ones(2))
    f(np.full(2, 4.0))
    assert capsys.readouterr().out == "total 2.0\ntotal 8.0\n"


def decide(x):
    return x if int(x.sum()) > 0 else -x


def test_a_helper_that_no_graph_can_hold_is_called_in_the_middle() -> None:
    f = agree(lambda x: decide(x * 2) + 1, np.array([-1.0, -2.0]))
    assert_same(f(np.array([5.0, 1.0])), np.array([11.0, 3.0]))
    assert "decide" in f.explain(np.array([5.0, 1.0]))


def test_what_cannot_be_compiled_in_is_refused() -> None:
    class Counter:
        calls = 0

    counter = Counter()

    def counting(x):
        counter.calls += 1
        return x * 2

    def generator(x):
        return x + np.random.default_rng(0).random(3)

    for function in (counting, generator):
        with pytest.raises(jitgraph.CaptureError, match=r"test_calls\.py"):
            jitgraph.compile(function, strict=True)(np.ones(3))
    f = jitgraph.compile(counting)
    counter.calls = 0
    f(np.ones(3))
    f(np.ones(3))
    assert counter.calls == 2


def test_functions_without_source_are_traced() -> None:
    namespace = {"np": np}
    exec("def f(x):\n    return np.tanh(x) * 2 + TABLE\nTABLE = np.ones(3)", namespace)
    assert_same(
        jitgraph.compile(namespace["f"], strict=True)(np.ones(3)), namespace["f"](np.ones(3))
    )


# in loops and branches


def smoothed(u, n):
    for _ in range(n):
        u = np.convolve(u, [0.25, 0.5, 0.25], "same") + 0.01 * u
    return u


def until_it_is_smooth(u, n):
    change = 1.0
    while change > 1e-3:
        new = np.convolve(u, [0.25, 0.5, 0.25], "same")
        change = np.abs(new - u).max()
        u = new
    return u * n


def on_one_side(u, n):
    for k in range(n):
        if u.sum() > k:
            u = np.convolve(u, [0.25, 0.5, 0.25], "same")
        else:
            u = u + 0.3
    return u


def of_a_method(u, n):
    for _ in range(n):
        u = u.repeat(1) * 0.5 + np.interp(u, [0.0, 1.0], [0.5, 0.25])
    return u


def tried_in_a_loop(u, n):
    a = np.outer(u, u)
    for k in range(n):
        try:
            b = np.linalg.cholesky(a)
        except np.linalg.LinAlgError:
            b = a * 0.5
        a = b @ b.T * 0.1 + np.eye(u.shape[0]) * (k - 5) * 0.1
    return a


IN_LOOPS = [smoothed, until_it_is_smooth, on_one_side, of_a_method, tried_in_a_loop]


@pytest.mark.parametrize("function", IN_LOOPS, ids=lambda f: f.__name__)
def test_library_functions_are_called_at_each_step_of_a_loop(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    rng = np.random.default_rng(0)
    for size, n in ((6, 12), (6, 12), (9, 12), (6, 30)):
        u = rng.random(size)
        np.testing.assert_allclose(compiled(u, n), function(u, n), rtol=1e-12)
    assert "loop" in [node.op.name for node in compiled.graph(u, n).nodes]
    assert compiled.cache_info().captures == 1


def of_sizes_that_values_decide(u, n):
    for _ in range(n):
        u = u - u[u > 0.5].sum() * 0.01 + np.unique(np.round(u)).size
    return u


def that_change_a_list(u, n):
    notes = []
    for k in range(n):
        try:
            notes.append(float(np.linalg.det(np.outer(u, u) + k)))
        except np.linalg.LinAlgError:
            notes.append(0.0)
        u = u * 0.9
    return u, len(notes)


def that_draw_numbers(u, n):
    rng = np.random.default_rng(7)
    for _ in range(n):
        u = u + rng.standard_normal(u.shape[0])
    return u


@pytest.mark.parametrize(
    "function", [of_sizes_that_values_decide, that_change_a_list, that_draw_numbers]
)
def test_other_calls_are_made_step_by_step(function) -> None:
    compiled = jitgraph.compile(function)
    u = np.linspace(0, 1, 7)
    for _ in range(3):
        got, want = compiled(u, 12), function(u, 12)
        for g, w in zip(*((v if isinstance(v, tuple) else (v,)) for v in (got, want)), strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-12)


def test_a_result_of_another_size_later_is_taken_as_python_does() -> None:
    def function(u, n):
        for k in range(n):
            u = np.delete(u, k if k == 10 else []) * 0.5
        return u

    u = np.arange(15.0)
    compiled = jitgraph.compile(function)
    for _ in range(3):
        np.testing.assert_allclose(compiled(u, 12), function(u, 12))


# what ends a run in the middle


def written_before_a_selection(x):
    x += 1
    return x[x > 2].sum()


def shown_before_a_selection(x):
    print("sum", x.sum())
    x -= 1
    return x[x > 0]


def written_in_a_loop(x):
    b = 0
    for i in range(10):
        try:
            b = int(x[i % 4])
        except ValueError:
            b = -1
        x[i % 4] += 1
    return x, b


def of_an_other_kind(x):
    t = ()
    for i in range(10):
        try:
            t = x[i]
        except IndexError:
            t = 0.0
    return t


def seeded(x):
    np.random.seed(3)
    a = np.random.permutation(x)
    np.random.seed(3)
    return a, np.random.rand(2)


def with_a_generator_of_its_own(x):
    return x + np.random.RandomState(0).rand()


def by_the_kind_of_a_number(x):
    return x * 2 if isinstance(x[0], float) else type(x[0])(3) * x


def left_inside_a_try(x):
    n = 0
    for _ in range(10):
        try:
            for j in range(10):
                if x[j] > 1:
                    break
        except IndexError:
            n += 1
    return n


def unbound_by_a_handler(x):
    e = 1.0
    try:  # noqa: SIM105 - what is tested
        x[50]
    except IndexError as e:  # noqa: F841 - which unbinds it
        pass
    return e


def written_until_it_fails(x):
    a = np.diag(x)
    for _ in range(10):
        x -= 0.75
        a = np.linalg.cholesky(a @ a.T) - np.eye(x.shape[0]) * 0.3
    return a


def without_a_copy(x):
    np.nan_to_num(x, copy=False)
    return x


ENDING = [
    written_before_a_selection, shown_before_a_selection, written_in_a_loop, of_an_other_kind,
    seeded, with_a_generator_of_its_own, by_the_kind_of_a_number, left_inside_a_try,
    unbound_by_a_handler, written_until_it_fails, without_a_copy,
]  # fmt: skip


@pytest.mark.parametrize("function", ENDING, ids=lambda f: f.__name__)
def test_a_run_that_ends_early_leaves_nothing_behind(function, capsys) -> None:
    """Arguments, what is shown and what is returned are Python's, whatever came first."""
    compiled = jitgraph.compile(function)

    def outcome(call, values):
        x = np.array(values)
        try:
            found = call(x)
        except (UnboundLocalError, ValueError, np.linalg.LinAlgError) as error:
            found = type(error)
        return repr(found), x.tolist(), capsys.readouterr().out

    nothing = [np.nan, 1.0, 2.0, 3.0, 4.0]
    for values in ([1.0, -2, 3, 0.5, 4], [0.0] * 5, [*range(12)], [-5.0, -1, -3, -2.5, 9], nothing):
        for _ in range(3):
            assert str(outcome(compiled, np.array(values, float))) == str(
                outcome(function, np.array(values, float))
            )
