"""What a function finds outside and does there: the compiled one must behave as the plain one does,
in every call, whether it was captured or not.
"""

import copy
import datetime
import functools
import os
from types import SimpleNamespace

import numpy as np
import pytest

import jitgraph

RATES = [0.5, 2.0]
SETTINGS = {"scale": 3.0, "nested": [1.0]}
LOG: list = []
BIAS = np.array([10.0])


class Config:
    rate = 0.1


def same(got, want) -> None:
    np.testing.assert_equal(got, want)
    assert type(got) is type(want)


# the surroundings change between calls


def test_contents_of_lists_and_dicts_are_seen(monkeypatch) -> None:
    monkeypatch.setattr(__import__(__name__), "RATES", [0.5, 2.0], raising=False)

    def function(x):
        return x * RATES[0] + SETTINGS["scale"] * SETTINGS["nested"][0]

    compiled = jitgraph.compile(function, strict=True)
    x = np.ones(3)
    same(compiled(x), function(x))
    same(compiled(x), function(x))
    assert compiled.cache_info().captures == 1
    RATES[0], SETTINGS["nested"][0] = 7.0, -2.0
    same(compiled(x), function(x))
    SETTINGS["scale"] = 11.0
    same(compiled(x), function(x))
    assert compiled.cache_info().captures == 3


def test_class_attributes_are_seen(monkeypatch) -> None:
    compiled = jitgraph.compile(lambda x: x * Config.rate, strict=True)
    for rate in (0.1, 0.2, 0.2):
        monkeypatch.setattr(Config, "rate", rate)
        same(compiled(np.ones(2)), np.ones(2) * rate)
    assert compiled.cache_info().captures == 2


def test_attributes_read_by_getattr_are_seen() -> None:
    model = SimpleNamespace(w=np.ones(2))
    compiled = jitgraph.compile(lambda x: x * getattr(model, "w"), strict=True)  # noqa: B009
    same(compiled(np.ones(2)), np.ones(2))
    model.w = np.full(2, 3.0)
    same(compiled(np.ones(2)), np.full(2, 3.0))


def test_names_read_by_functions_without_source_are_seen() -> None:
    names = {"factor": 2.0}
    exec("def function(x):\n    return x * factor", names)
    compiled = jitgraph.compile(names["function"], strict=True)
    same(compiled(np.ones(2)), np.full(2, 2.0))
    names["factor"] = 5.0
    same(compiled(np.ones(2)), np.full(2, 5.0))


def test_names_that_an_inner_function_binds_are_the_outer_ones_here() -> None:
    def function(x):
        inner = [BIAS * 2 for BIAS in (1.0, 2.0)]
        add = lambda BIAS: BIAS + 1  # noqa: E731
        return add(x) + BIAS + inner[1]

    compiled = jitgraph.compile(function, strict=True)
    same(compiled(np.ones(1)), function(np.ones(1)))
    BIAS[0] = -4.0
    same(compiled(np.ones(1)), function(np.ones(1)))
    assert compiled.cache_info().captures == 1


def test_calls_made_by_builtins_are_seen() -> None:
    def scaled(x):
        return x * SETTINGS["scale"]

    def function(x):
        by_map = sum(map(scaled, [x, x + 1]))
        return functools.reduce(lambda a, b: a + scaled(b), [by_map, x])

    def pieces(x):
        yield x * SETTINGS["scale"]
        yield x + BIAS

    def generated(x):
        return sum(pieces(x))

    for plain in (function, generated):
        compiled = jitgraph.compile(plain, strict=True)
        for scale in (1.5, 2.5):
            SETTINGS["scale"] = scale
            same(compiled(np.ones(1)), plain(np.ones(1)))


# the function changes its surroundings


def appends(x):
    LOG.append(x.sum())
    return x + 1


def updates(x):
    SETTINGS["last"] = x * 2
    return x + 1


def updates_argument(x, state):
    state["seen"] = state["seen"] + 1
    return x + state["seen"]


@pytest.mark.parametrize("function", [appends, updates])
def test_containers_outside_are_changed_once_per_call(function) -> None:
    SETTINGS.pop("last", None)
    compiled = jitgraph.compile(function)
    for k in range(3):
        LOG.clear()
        same(compiled(np.full(2, float(k))), np.full(2, k + 1.0))
        assert [type(v) for v in LOG] == [np.float64] * len(LOG)
        assert len(LOG) == (function is appends)
        if function is updates:
            same(SETTINGS["last"], np.full(2, k * 2.0))
    assert "which it finds outside" in compiled.explain(np.ones(2))
    SETTINGS.pop("last", None)


def test_a_container_among_the_arguments_is_changed() -> None:
    compiled, state = jitgraph.compile(updates_argument), {"seen": 0}
    for k in range(3):
        same(compiled(np.zeros(1), state), np.array([k + 1.0]))
        assert state == {"seen": k + 1}


@pytest.mark.parametrize(
    "text",
    [
        "state.a, y = x, x + 1",
        "state.a: object = x * 2",
        "state.inner.count += 1",
        "setattr(state, 'a', x)",
        "state.__dict__['a'] = x",
        "state.inner.a = state.b = x",
        "delattr(state, 'b')",
        "del state.b",
        "for state.a in (1, 2): pass",
    ],
)
def test_attributes_of_objects_outside_are_assigned(text, tmp_path, monkeypatch) -> None:
    module = tmp_path / "assigns.py"
    module.write_text(f"def function(x, state=None):\n    {text}\n    return x + 1\n")
    names: dict = {}
    exec(compile(module.read_text(), str(module), "exec"), names)
    mine, numpys = (SimpleNamespace(b=1, inner=SimpleNamespace(count=0)) for _ in "ab")
    plain = names["function"]
    compiled = jitgraph.compile(functools.partial(plain, state=mine))
    for _ in range(2):
        x = np.ones(2)
        mine.b = numpys.b = 1
        same(compiled(x), plain(x, numpys))
        assert repr(mine) == repr(numpys)


def test_objects_made_inside_have_their_attributes_set() -> None:
    class Pair:
        def __init__(self, x):
            self.a, self.b = x, x * 2
            self.c: object = self.a + self.b
            self.c += 1

    def function(x):
        pair = Pair(x)
        return pair.a + pair.b * pair.c

    same(jitgraph.compile(function, strict=True)(np.ones(3)), function(np.ones(3)))


# the world outside


def test_effects_happen_once_per_call(capsys, tmp_path) -> None:
    file = tmp_path / "log"

    def function(x):
        print("at", x[0])
        with_file(str(file))
        return x * 2

    def with_file(path):
        os.makedirs(path + str(len(os.listdir(os.path.dirname(path)))))

    compiled = jitgraph.compile(function)
    for k in range(3):
        compiled(np.array([float(k)]))
        assert capsys.readouterr().out == f"at {k}.0\n"
        assert len(os.listdir(tmp_path)) == k + 1


def test_looking_at_a_program_draws_no_random_numbers() -> None:
    mine, numpys = np.random.default_rng(1), np.random.default_rng(1)
    compiled = jitgraph.compile(lambda x: x + mine.normal(size=2), strict=True)
    compiled.explain(np.ones(2))
    for _ in range(3):
        same(compiled(np.ones(2)), np.ones(2) + numpys.normal(size=2))


def test_clocks_and_files_are_read_at_every_call(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.ones(2))

    def function(x):
        assert datetime.datetime.now().year > 2000
        return x + np.load(tmp_path / "a.npy")

    compiled = jitgraph.compile(function)
    same(compiled(np.ones(2)), np.full(2, 2.0))
    np.save(tmp_path / "a.npy", np.full(2, 5.0))
    same(compiled(np.ones(2)), np.full(2, 6.0))


# exceptions


def test_a_call_that_raises_leaves_what_numpy_leaves() -> None:
    def function(x):
        x[0] = 7
        return x + np.ones(4)

    compiled, x = jitgraph.compile(function), np.zeros(3)
    with pytest.raises(ValueError, match=r"test_surroundings\.py:\d+"):
        compiled(x)
    assert x[0] == 7


def test_what_the_function_raises_is_raised() -> None:
    class WrongError(Exception):
        pass

    def function(x):
        if x.shape[0] > 2:
            raise WrongError(f"{x.shape[0]} is too many")
        return x + 1

    for strict in (False, True):
        compiled = jitgraph.compile(function, strict=strict)
        with pytest.raises(WrongError, match="3 is too many"):
            compiled(np.ones(3))
        same(compiled(np.ones(2)), np.full(2, 2.0))


def test_a_refusal_that_the_function_catches_is_a_refusal() -> None:
    class Quiet:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return True

    def function(x):
        sign = 0.0
        with Quiet():
            sign = 1.0 if x.sum() > 0 else -1.0
        return x * sign

    compiled = jitgraph.compile(function)
    for x in (np.ones(2), -np.ones(2)):
        same(compiled(x), function(x))


def test_strings_of_traced_values_are_refused() -> None:
    compiled = jitgraph.compile(lambda x: x * len(f"{x.sum():.1f}"))
    for value in (1.0, 100.0):
        x = np.full(2, value)
        same(compiled(x), x * len(f"{x.sum():.1f}"))


def test_deep_copies_of_arguments_are_compared_afterwards() -> None:
    def function(state):
        state["a"].append(state["a"][0] * 2)
        return state["a"][-1]

    compiled, mine, numpys = jitgraph.compile(function), {"a": [np.ones(2)]}, {"a": [np.ones(2)]}
    same(compiled(mine), function(numpys))
    same(mine, numpys)
    assert copy.deepcopy(mine)["a"][1] is not mine["a"][1]
