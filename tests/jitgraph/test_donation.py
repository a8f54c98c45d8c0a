"""Results in the memory of arguments that the caller gives away."""

import numpy as np
import pytest

import jitgraph


def step(state, force, dt):
    return state + dt * force


def softmax(state):
    e = np.exp(state - state.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def both(state, velocity):
    new = velocity - 0.1 * state
    return state + 0.1 * new, new


def and_totals(state):
    return state * 2, state.sum(axis=0)


def read_later(state):
    doubled = state * 2
    return doubled, np.sort(state, axis=1) + 1


def shifted(state):
    return state + np.roll(state, 1, axis=0)


def another_shape(state):
    return state.sum(axis=1) * np.ones(state.shape[0])


def itself(state):
    return state, state + 1


IN_PLACE = [
    (step, (1, 1, 0.5)),
    (softmax, (1,)),
    (both, (1, 1)),
    (read_later, (1,)),
    (and_totals, (1,)),
]
APART = [(shifted, (1,)), (another_shape, (1,)), (itself, (1,))]


def made(given, rng):
    return [rng.standard_normal((30, 20)) if isinstance(g, int) else g for g in given]


def addresses(values):
    return {v.ctypes.data for v in values if isinstance(v, np.ndarray)}


@pytest.mark.parametrize(("function", "given"), IN_PLACE + APART)
def test_results_are_numpys(function, given, rng) -> None:
    names = ["state", "velocity"] if function is both else "state"
    compiled = jitgraph.compile(strict=True, donate_argnames=names)(function)
    for _ in range(5):
        args = made(given, rng)
        expected = function(*[np.copy(a) if isinstance(a, np.ndarray) else a for a in args])
        got = compiled(*args)
        results = got if isinstance(got, tuple) else (got,)
        wanted = expected if isinstance(expected, tuple) else (expected,)
        for result, want in zip(results, wanted, strict=True):
            np.testing.assert_allclose(result, want, rtol=1e-12)
        given_away = addresses(args) & addresses(results)
        assert bool(given_away) == (function is itself or (function, given) in IN_PLACE)
        assert function is not both or len(given_away) == 2


def layer(x, w, b):
    return np.maximum(x @ w + b, 0)


def sorted_twice(x, w, b):
    product = x @ w
    return np.sort(product, axis=1) + product, product + b


def kept(x, w, b):
    product = x @ w
    return product, product + b


def accumulated(x, w, b):
    product = x @ w
    before = product + b
    product[1:-1] += before[:-2]
    return before * 2, product


@pytest.mark.parametrize(
    ("function", "rows"), [(layer, 30), (sorted_twice, 90), (kept, 60), (accumulated, 88)]
)
def test_results_take_the_memory_of_what_they_alone_are_made_of(function, rows, rng) -> None:
    args = rng.standard_normal((30, 20)), rng.standard_normal((20, 40)), rng.standard_normal(40)
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(3):
        for got, wanted in zip(compiled(*args), function(*args), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12)
    assert compiled.explain(*args).details["peak_bytes"] == rows * 40 * 8


def test_less_memory_is_taken(rng) -> None:
    args = made((1, 1, 0.5), rng)
    plain = jitgraph.compile(step).explain(*args).details["peak_bytes"]
    donating = jitgraph.compile(donate_argnames=["state"])(step)
    assert plain == args[0].nbytes and donating.explain(*args).details["peak_bytes"] == 0
    np.testing.assert_allclose(args[0], made((1, 1, 0.5), np.random.default_rng(0))[0])


def test_containers(rng) -> None:
    @jitgraph.compile(strict=True, donate_argnames="parameters")
    def descend(parameters, gradients):
        return {k: v - 0.1 * gradients[k] for k, v in parameters.items()}

    for _ in range(4):
        parameters, gradients = ({k: rng.random(9) for k in "ab"} for _ in "xy")
        expected = {k: v - 0.1 * gradients[k] for k, v in parameters.items()}
        got = descend(parameters, gradients)
        for k in "ab":
            np.testing.assert_allclose(got[k], expected[k])
            assert got[k].ctypes.data == parameters[k].ctypes.data


@pytest.mark.parametrize("calls", [1, 5])
def test_memory_that_others_have_is_left_alone(calls: int, rng) -> None:
    compiled = jitgraph.compile(donate_argnames="state")(step)
    for _ in range(calls):
        compiled(*made((1, 1, 0.5), rng))
    fixed, force = made((1, 1), rng)
    fixed.flags.writeable = False
    np.testing.assert_allclose(compiled(fixed, force, 0.5), fixed + 0.5 * force)
    before = force.copy()
    np.testing.assert_allclose(compiled(force, force[:], 0.5), before + 0.5 * before)
    np.testing.assert_array_equal(force, before)


def test_names_of_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="donate_argnames: step has no parameter 'speed'"):
        jitgraph.compile(donate_argnames=["speed"])(step)
