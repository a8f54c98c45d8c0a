"""`try` statements: a step of the program that Python runs, between the kernels."""

import contextlib
import math
import traceback

import numpy as np
import pytest

import jitgraph
from support import assert_same

NUMBERS = np.array([4.0, 9.0, 16.0])


def roots(x):
    """Of a list; as a library does it."""
    return np.array([math.sqrt(v) for v in x.tolist()])


def or_zeros(x):
    try:
        y = roots(x)
    except ValueError:
        y = np.zeros_like(x)
    return y * 2 + x


def returning(x):
    scaled = x * 4
    try:
        return roots(scaled)
    except ValueError as error:
        if "domain" in str(error):
            return -scaled
        raise


def in_a_branch_of_sizes(x):
    if x.shape[0] > 2:
        try:
            return roots(x) * 3
        except ValueError:
            return x * 0
    return x


def with_else_and_finally(x):
    count = 0
    try:
        y = roots(x)
    except ValueError:
        y = x - 1
    else:
        count = 1
    finally:
        z = x * 10
    return y + z, count


def name_bound_before(x):
    y, failed = x * 2, False
    try:
        z = roots(x)
        y = z + 1
    except ValueError:
        failed = True
    return y * 3, failed


def argument_written(x):
    x = x + 0
    try:
        x[0] = 25.0
        x[1] = roots(x)[1]
    except ValueError:
        x[2] = -1
    return x * 2


def in_a_helper(x):
    return or_zeros(x * 1.5) + returning(x)


def in_a_loop(x):
    total = np.zeros_like(x)
    for shift in range(3):
        try:
            total = total + roots(x - 5 * shift)
        except ValueError:
            break_at = shift
            total = total - break_at
    return total


def in_an_inner_function(x):
    y = x * 2

    def inner(z):
        try:
            return roots(z) + y
        except ValueError:
            return y

    return inner(x) * 2


def nested(x):
    try:
        try:
            y = roots(x)
        except TypeError:
            y = x
    except ValueError:
        y = x * 7
    return y


def group(x):
    try:
        y = roots(x)
    except* ValueError:
        y = x * 7
    return y


def with_loops_and_lambdas(x, n):
    try:
        total = 0.0
        for k in range(n):
            if k == 2:
                continue
            total += (lambda v: v[k])(roots(x))
    except (ValueError, IndexError):
        total = -1.0
    return x * total


FUNCTIONS = (
    or_zeros, returning, in_a_branch_of_sizes, with_else_and_finally, name_bound_before,
    argument_written, in_a_helper, in_a_loop, in_an_inner_function, nested, group,
)  # fmt: skip


ONLY_A_STEP = (in_a_branch_of_sizes, nested, group)


def same_results(mine, numpys):
    for m, n in zip(*[v if isinstance(v, tuple) else (v,) for v in (mine, numpys)], strict=True):
        assert_same(m, n)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("first", ["fails", "works"])
def test_the_function_does_what_it_says(function, first):
    compiled = jitgraph.compile(function)
    xs = [NUMBERS, -NUMBERS, NUMBERS + 1, -NUMBERS - 1, NUMBERS]
    for x in xs if first == "works" else xs[::-1][1:]:
        for _ in range(2):
            same_results(compiled(x.copy()), function(x.copy()))


@pytest.mark.parametrize(
    "function",
    [f for f in FUNCTIONS if f not in (in_a_loop, in_a_helper)],
    ids=lambda f: f.__name__,
)
def test_it_is_a_step_of_the_program(function):
    explained = jitgraph.compile(function, strict=True).explain(NUMBERS)
    assert "Python   try" in explained
    assert ("kernel" in explained) != (function in ONLY_A_STEP)


def test_python_numbers_go_in_and_come_out():
    compiled = jitgraph.compile(with_loops_and_lambdas)
    for n in (2, 3, 7, 0):
        assert_same(compiled(NUMBERS, n), with_loops_and_lambdas(NUMBERS, n))


def test_what_nobody_catches_is_raised_with_the_users_line():
    def function(x):
        try:
            y = roots(x)
        except TypeError:
            y = x
        return y * 2

    compiled = jitgraph.compile(function)
    assert_same(compiled(NUMBERS), function(NUMBERS))
    for _ in range(2):
        with pytest.raises(ValueError, match="math domain error") as raised:
            compiled(-NUMBERS)
        assert any("y = roots(x)" in entry.line for entry in traceback.extract_tb(raised.tb))


def test_a_name_that_is_not_bound_is_the_functions_affair():
    def function(x):
        try:
            y = roots(x)
        except ValueError:
            failed.append(x)
        return y * 2

    failed = []

    for first in (NUMBERS, -NUMBERS):
        compiled = jitgraph.compile(function)
        for x in (first, NUMBERS, -NUMBERS, NUMBERS):
            if x[0] > 0:
                assert_same(compiled(x), function(x))
                continue
            with pytest.raises(UnboundLocalError):
                compiled(x)


def test_effects_happen_once_a_call():
    seen = []

    def function(x):
        try:
            seen.append(x.shape[0])
            y = roots(x)
        except ValueError:
            seen.append("failed")
            y = x - 1
        return y * 2

    compiled = jitgraph.compile(function)
    for x in (NUMBERS, -NUMBERS, NUMBERS):
        compiled(x)
    assert seen == [3, 3, "failed", 3]


def test_what_is_handed_through_is_the_same_array():
    def function(x):
        try:
            y = roots(x)
        except ValueError:
            y = x
        y[0] = 100.0
        return y

    compiled = jitgraph.compile(function)
    for x in (NUMBERS, -NUMBERS, NUMBERS):
        mine, numpys = x.copy(), x.copy()
        result = compiled(mine)
        assert_same(result, function(numpys))
        assert_same(mine, numpys)
        assert (result is mine) == bool(x[0] < 0)


def partly_returning(x):
    try:
        y = roots(x)
    except ValueError:
        return x
    return y * 2


def importing(x):
    try:
        import nothing_of_this_name as library
    except ImportError:
        library = None
    return x * 2 if library is None else x


def suppressing(x):
    y = x
    with contextlib.suppress(ValueError):
        y = roots(x)
    return y * 2


@pytest.mark.parametrize(
    "function", [partly_returning, importing, suppressing], ids=lambda f: f.__name__
)
def test_others_run_as_they_are(function):
    compiled = jitgraph.compile(function)
    for x in (NUMBERS, -NUMBERS, NUMBERS):
        assert_same(compiled(x), function(x))
    assert "catches exceptions" in compiled.explain(NUMBERS)


def a_view(x):
    try:
        y = x[1:]
    except IndexError:
        y = x
    y += 1
    return x.sum()


def two_names(x):
    try:
        a = x * 2
        b = a
    except ValueError:
        a = b = x
    a += 1
    return b


def parts_that_overlap(x):
    first, second = x[1:], x[:-1]
    try:
        first[0] = x[2] * 3
        total = second.sum()
    except ZeroDivisionError:
        total = 0.0
    return total + x.sum()


@pytest.mark.parametrize("function", [a_view, two_names, parts_that_overlap])
def test_memory_that_names_share_stays_shared(function):
    compiled = jitgraph.compile(function)
    for _ in range(3):
        mine, pythons = NUMBERS.copy(), NUMBERS.copy()
        assert_same(compiled(mine), function(pythons))
        assert_same(mine, pythons)


def test_a_write_that_changed_nothing_at_first():
    def function(x, y):
        try:
            x += y
        except (ValueError, TypeError):
            y = x
        return x * 1

    compiled = jitgraph.compile(function)
    for added in (0.0, 5.0, 0.0, 1.0):
        mine, pythons = NUMBERS.copy(), NUMBERS.copy()
        y = np.full(3, added)
        assert_same(compiled(mine, y), function(pythons, y))
        assert_same(mine, pythons)
