"""The pool of threads: every part is computed once, whoever calls, and however often."""

import os
import threading

import numpy as np
import pytest

import jitgraph
from jitgraph_codegen import threads

pytestmark = pytest.mark.skipif(not threads.is_supported(), reason="the pool needs Linux")


@pytest.fixture(autouse=True)
def several_threads():
    before = jitgraph.get_num_threads()
    jitgraph.set_num_threads(4)
    yield
    jitgraph.set_num_threads(before)


@jitgraph.compile(strict=True)
def advance(x):
    return np.exp(-x) + x * x


@jitgraph.compile(strict=True)
def step(x):
    x += 1
    return x.sum(axis=1)


def expected(x):
    return np.exp(-x) + x * x


@pytest.mark.parametrize("size", [2, 1000, 30_000, 65_537, 1_000_003])
def test_every_element_is_computed(size: int) -> None:
    x = np.linspace(0, 5, size)
    for _ in range(5):
        np.testing.assert_allclose(advance(x), expected(x), rtol=1e-14)


def test_every_element_is_computed_once() -> None:
    for rows in (1, 2, 3, 17, 1000):
        x = np.zeros((rows, 4000))
        for count in range(1, 6):
            sums = step(x)
            assert (x == count).all() and (sums == 4000 * count).all()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_threads(count: int) -> None:
    jitgraph.set_num_threads(count)
    assert jitgraph.get_num_threads() == count
    x = np.linspace(0, 5, 400_000)
    np.testing.assert_allclose(advance(x), expected(x), rtol=1e-14)


def test_at_least_one_thread_is_asked_for() -> None:
    with pytest.raises(ValueError, match="at least one"):
        jitgraph.set_num_threads(0)


def test_several_python_threads_call_at_once() -> None:
    """One of them has the pool, the others work alone; none waits for another."""
    inputs = [np.linspace(k, k + 3, 150_000) for k in range(6)]
    wanted = [expected(x) for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(30):
            if not np.allclose(advance(inputs[k]), wanted[k], rtol=1e-13):
                wrong.append(k)

    callers = [threading.Thread(target=work, args=(k,)) for k in range(len(inputs))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_forked_child_has_threads_of_its_own() -> None:
    x = np.linspace(0, 5, 400_000)
    advance(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.allclose(advance(x), expected(x)) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    np.testing.assert_allclose(advance(x), expected(x), rtol=1e-14)
