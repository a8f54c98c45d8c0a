"""`assert` and `raise` on traced values: the program makes sure, and Python raises."""

import numpy as np
import pytest

import jitgraph
from jitgraph.graph import parse


def asserts(x):
    assert x.min() > 0, f"{x.min()} is not positive"
    return np.log(x)


def raises(x):
    if x.max() > 10:
        raise ValueError("too large")
    return x * 2


def raises_one_of_two(x):
    if x[0] < 0:
        raise ValueError("negative")
    if x[0] > 5:
        raise OverflowError("too large")
    return x + 1


def raises_or_chooses(x):
    if x[0] < 0:
        raise ValueError("negative")
    elif x.max() > 5:  # noqa: RET506 - an `elif` after a `raise` is what is tested
        y = x * 2
    else:
        y = x + 1
    return y


def raises_after_work(x):
    if np.isnan(x).any():
        where = np.flatnonzero(np.isnan(x))
        raise FloatingPointError(f"NaN at {where}")
    return x.sum()


def positive(x):
    assert (x > 0).all()
    return x


def asserts_in_a_helper(x):
    return np.sqrt(positive(x)) + positive(x.max())


def asserts_both(x):
    assert 0 < x.min() < x.max() < 9 and not np.isinf(x).any()
    return x / x.max()


def asserts_in_a_short_loop(x):
    for k in range(3):
        assert x[k] > 0, k
        x = x * 0.5
    return x


def asserts_and_ends(x):
    try:
        assert x.min() > 0
        return x
    finally:
        x = None


def branches_afterwards(x):
    assert x.min() > -3
    if x.sum() > 4:
        return x * 2
    return x - 1


CAPTURED = [
    asserts, raises, raises_one_of_two, raises_or_chooses, raises_after_work, asserts_in_a_helper,
    asserts_both, asserts_in_a_short_loop, asserts_and_ends, branches_afterwards,
]  # fmt: skip
ARGUMENTS = (
    [1.0, 2.0, 3.0], [2.0, 1.0, 4.0], [0.5, -1.0, 2.0], [11.0, 1.0, 12.0], [-4.0, 2.0, 1.0],
    [np.nan, 1.0, np.nan], [1.0, np.inf, 2.0], [6.0, 2.0, 8.0], [1.0, 1.0, 1.0],
)  # fmt: skip


def outcome(function, x):
    try:
        return function(x), None
    except Exception as error:
        return None, error


@pytest.mark.parametrize("function", CAPTURED, ids=lambda f: f.__name__)
def test_the_program_goes_on_or_python_raises(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(4):
        for values in ARGUMENTS:
            x = np.array(values)
            (got, error), (want, wanted) = outcome(compiled, x), outcome(function, x)
            assert type(error) is type(wanted)
            assert str(error).split("\n")[0] == str(wanted).split("\n")[0]
            if wanted is None:
                np.testing.assert_allclose(got, want, rtol=1e-15)
    info = compiled.cache_info()
    assert (info.captures, info.fallbacks) == (1, 0)
    graph = compiled.graph(np.ones(3))
    assert "expect(" in str(graph) and str(parse(str(graph))) == str(graph)
    text = compiled.explain(np.ones(3))
    assert "check    assertion" in text and "in machine code" in text


def test_the_error_comes_from_the_users_line() -> None:
    compiled = jitgraph.compile(asserts)
    compiled(np.ones(2))
    with pytest.raises(AssertionError, match=r"-1.0 is not positive") as caught:
        compiled(-np.ones(2))
    assert caught.traceback[-1].name == "asserts"


def test_what_python_knows_it_decides() -> None:
    def f(x, mode):
        if mode not in ("a", "b"):
            raise ValueError(f"mode {mode!r}")
        assert x.ndim == 1 and x.shape[0] > 1, "a row"
        return x + (mode == "a")

    compiled = jitgraph.compile(f, strict=True)
    np.testing.assert_array_equal(compiled(np.ones(2), "a"), [2, 2])
    assert "expect(" not in str(compiled.graph(np.ones(2), "a"))
    with pytest.raises(ValueError, match="mode 'c'"):
        jitgraph.compile(f)(np.ones(2), "c")
    with pytest.raises(AssertionError, match="a row"):
        jitgraph.compile(f)(np.ones((2, 2)), "a")


def test_gradients_go_past_an_assertion() -> None:
    compiled = jitgraph.compile(lambda x: asserts(x).sum(), strict=True)
    for values in ([1.0, 4.0], [2.0, 8.0]):
        x = jitgraph.tensor(values, requires_grad=True)
        compiled(x).backward()
        np.testing.assert_allclose(x.grad, 1 / np.array(values))
    with pytest.raises(AssertionError):
        compiled(jitgraph.tensor([1.0, -1.0], requires_grad=True))


def asserts_before_what_fails(x, m):
    assert x.sum() > 0, "not positive"
    s = np.linalg.inv(m)
    return (x - s[0, 0]).max(), x.sum() * s[0, 0]


def test_the_assertion_comes_first_whatever_the_order_of_the_steps() -> None:
    compiled = jitgraph.compile(asserts_before_what_fails, strict=True)
    for _ in range(4):
        compiled(np.ones(5000), np.eye(2))
        with pytest.raises(AssertionError, match="not positive"):
            compiled(-np.ones(5000), np.zeros((2, 2)))
        with pytest.raises(np.linalg.LinAlgError):
            compiled(np.ones(5000), np.zeros((2, 2)))


def asserts_that_a_loop_ends(x, tolerance):
    if tolerance <= 0:
        raise ValueError("tolerance")
    while np.abs(x).max() >= tolerance:
        x = x * 0.5
    return x


def test_a_loop_that_would_not_end_is_not_begun() -> None:
    compiled = jitgraph.compile(asserts_that_a_loop_ends, strict=True)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(np.ones(3), 0.3), [0.25] * 3)
        with pytest.raises(ValueError, match="tolerance"):
            compiled(np.ones(3), 0.0)


def changes_its_argument(x):
    assert x[0] > 0
    x += 1
    return x.sum()


def asserts_of_what_it_changed(x):
    x[1:] *= 2
    assert x[1] < 3, x
    x -= 1
    assert x.sum() < 4
    return x[0]


def asserts_at_each_step(x):
    for k in range(1000):
        assert x[0] > 0.5, f"{x[0]} in step {k}"
        x = x * 0.999
        if x.max() > 4:
            raise OverflowError(f"{x.max()}")
    return x


def asserts_at_each_write(x):
    for k in range(20):
        x[k % 2] += 0.25
        assert x[1] < 4, (k, x)


def raises_in_a_loop_that_would_not_end(x):
    total, steps = np.zeros(2), 0
    while total.max() < x.sum():
        if x[0] <= 0 or steps > 100:
            raise ValueError(f"no progress after {steps}")
        total = total + x[0]
        steps += 1
    return total


def asserts_on_one_side(x):
    if x.sum() > 3:
        assert x.max() < 5, "large"
        y = x * 2
    elif x[0] < 0:
        raise ValueError("negative")
    else:
        y = x + 1
    return y


def asserts_in_loops_in_loops(x):
    for i in range(12):
        for j in range(10):
            x = x + positive(x[:1]) * 0.01
            if x[1] > 2.5:
                assert j < 5, (i, j)
                x[1] -= 0.5
    return x


def leaves_before_it_asserts(x):
    for _ in range(100):
        if x[0] > 3:
            break
        assert x[1] < 4
        x = x + 0.1
    return x


LATER = [
    changes_its_argument, asserts_of_what_it_changed, asserts_at_each_step, asserts_at_each_write,
    raises_in_a_loop_that_would_not_end, asserts_on_one_side, asserts_in_loops_in_loops,
    leaves_before_it_asserts,
]  # fmt: skip


@pytest.mark.parametrize("function", LATER, ids=lambda f: f.__name__)
def test_arguments_are_as_python_leaves_them(function) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for _ in range(4):
        for values in ([1.0, 2.0], [3.0, 1.0], [-1.0, 1.0], [0.6, 1.0], [0.75, 3.5], [0.5, 6.0]):
            mine, numpys = np.array(values), np.array(values)
            (got, error), (want, wanted) = outcome(compiled, mine), outcome(function, numpys)
            assert type(error) is type(wanted)
            assert str(error).split("\n")[0] == str(wanted).split("\n")[0]
            if want is not None:
                np.testing.assert_allclose(got, want, rtol=1e-12)
            np.testing.assert_allclose(mine, numpys, rtol=1e-12)
    info = compiled.cache_info()
    assert (info.captures, info.fallbacks) == (1, 0)
    graph = compiled.graph(np.ones(2))
    graph.verify()
    assert "expect(" in str(graph) and str(parse(str(graph))) == str(graph)
    assert "check    assertion" in compiled.explain(np.ones(2))


def energy_that_stays_positive(x):
    total = 0.0
    for _ in range(100):
        x = x * 0.99 + 0.01 * np.sin(x)
        assert x.min() > 0, "left the domain"
        total = total + (x * x).sum()
    return total


def test_gradients_go_through_loops_that_assert() -> None:
    gradient = jitgraph.compile(jitgraph.grad(energy_that_stays_positive), strict=True)
    x, direction = np.array([0.5, 1.5]), np.array([1.0, -2.0])
    ahead, behind = (energy_that_stays_positive(x + h * direction) for h in (1e-6, -1e-6))
    np.testing.assert_allclose(gradient(x) @ direction, (ahead - behind) / 2e-6, rtol=1e-7)
    with pytest.raises(AssertionError, match="left the domain"):
        gradient(np.array([0.5, -1.5]))
    compiled = jitgraph.compile(energy_that_stays_positive, strict=True)
    t = jitgraph.tensor(x, requires_grad=True)
    compiled(t).backward()
    np.testing.assert_allclose(t.grad, gradient(x), rtol=1e-12)
    with pytest.raises(AssertionError, match="left the domain"):
        compiled(jitgraph.tensor([0.5, -1.5], requires_grad=True))


def draws(x):
    assert x[0] > 0
    return x + np.random.random(x.shape)


def asserts_in_a_condition(x):
    while positive(x)[0] > 1:
        x = x * 0.5
    return x


@pytest.mark.parametrize("function", [draws, asserts_in_a_condition])
def test_what_could_not_be_undone_runs_as_it_is(function) -> None:
    compiled = jitgraph.compile(function)
    for values in ([1.0, 2.0], [3.0, 1.0], [-1.0, 1.0]) * 2:
        mine, numpys = np.array(values), np.array(values)
        np.random.seed(0)
        got, error = outcome(compiled, mine)
        np.random.seed(0)
        want, wanted = outcome(function, numpys)
        assert type(error) is type(wanted)
        if wanted is None:
            np.testing.assert_allclose(got, want, rtol=1e-12)
        np.testing.assert_array_equal(mine, numpys)
    with pytest.raises(jitgraph.CaptureError):
        jitgraph.compile(function, strict=True)(np.ones(2))


def test_an_argument_that_is_used_up_is_not_asked_again() -> None:
    compiled = jitgraph.compile(asserts, donate_argnames=["x"], strict=True)
    with pytest.raises(jitgraph.CaptureError, match="uses up an argument"):
        compiled(np.ones(3))
