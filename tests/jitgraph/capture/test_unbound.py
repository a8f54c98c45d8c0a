"""Functions that tell by themselves where a name is unbound, for what does not tell."""

import numpy as np
import pytest

import jitgraph
from jitgraph.capture.unbound import UnclearError, telling


def after_a_loop(values):
    for v in values:
        last = v * 2
    return last


def of_the_loop_itself(values):
    for v in values:  # noqa: B007 - read after it
        pass
    return v


def of_one_side(values):
    if len(values) > 1:
        first, second = values[0], values[1]
    return first + second


def read_when_it_is_bound(values):
    found = False
    for v in values:
        if v > 1:
            best = v
            found = True
    if found:
        return best
    return 0


def added_to(values):
    for v in values:
        if v > 1:
            total += v  # noqa: F821 - what is tested
        else:
            total = v
    return total


def while_something(values):
    k = 0
    while k < len(values):
        previous = values[k]
        k += 1
    return previous + k


def left_by_a_break(values):
    k = 0
    while True:
        if k >= len(values) or values[k] > 2:
            end = k
            break
        k += 1
    return end


def bound_on_both_sides(values):
    if len(values) > 2:
        a = 1
    elif len(values) > 1:
        a = 2
    else:
        return -1
    return a


def asked_for_in_a_loop(values):
    for k in range(len(values)):
        if k > 0 and values[k] < values[k - 1]:
            drop = k
    for k in range(len(values)):
        values[k] = values[k] - drop
    return sum(values)


FUNCTIONS = [
    after_a_loop, of_the_loop_itself, of_one_side, read_when_it_is_bound, added_to,
    while_something, left_by_a_break, bound_on_both_sides, asked_for_in_a_loop,
]  # fmt: skip
VALUES = [[], [1.0], [0.5, 3.0], [2.0, 1.0], [3.0, 2.5, 1.5, 4.0]]


def outcome(function, values):
    try:
        return function(values)
    except UnboundLocalError as error:
        return str(error)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_they_do_what_python_does(function) -> None:
    changed = telling(function)
    for values in VALUES:
        assert outcome(changed, list(values)) == outcome(function, list(values))


@pytest.mark.parametrize("function", [left_by_a_break, bound_on_both_sides])
def test_functions_whose_names_are_bound_stay_as_they_are(function) -> None:
    assert telling(function) is function


def test_what_is_read_in_some_cases_of_an_expression_is_not_told() -> None:
    def function(values):
        for v in values:
            last = v
        return len(values) > 0 and last

    with pytest.raises(UnclearError):
        telling(function)


def test_under_numba_an_unbound_name_raises() -> None:
    def until_it_is_small(x, tolerance):
        k = 0
        while x[k] > tolerance:
            for i in range(x.shape[0]):
                x[i] = x[i] * 0.5 if x[i] > 1e-300 else 0.0
            steps = k + 1
        return steps

    compiled = jitgraph.compile(until_it_is_small)
    assert [compiled(np.ones(50), 1e-3) for _ in range(2)] == [1, 1]
    assert "Numba as it is written" in str(compiled.explain(np.ones(50), 1e-3))
    with pytest.raises(UnboundLocalError, match="'steps'"):
        compiled(np.ones(50), 2.0)
