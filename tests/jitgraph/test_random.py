"""The generator whose numbers compiled functions draw in their own kernels."""

import pickle

import numpy as np
import pytest

import jitgraph
from jitgraph import nn
from jitgraph.nn import functional as F
from jitgraph.random import default_rng, philox

DRAWS = {
    "random": (lambda rng, size: rng.random(size), 0.5, 1 / 12),
    "uniform": (lambda rng, size: rng.uniform(-1, 3, size), 1.0, 16 / 12),
    "standard_normal": (lambda rng, size: rng.standard_normal(size), 0.0, 1.0),
    "normal": (lambda rng, size: rng.normal(5.0, 2.0, size), 5.0, 4.0),
    "exponential": (lambda rng, size: rng.exponential(3.0, size), 3.0, 9.0),
    "integers": (lambda rng, size: rng.integers(10, size=size), 4.5, 99 / 12),
    "integers from": (lambda rng, size: rng.integers(-3, 4, size), 0.0, 4.0),
}


@pytest.mark.parametrize("name", DRAWS)
def test_distributions(name: str) -> None:
    draw, mean, variance = DRAWS[name]
    x = draw(jitgraph.random.default_rng(1), (400, 500))
    assert x.shape == (400, 500) and x.dtype == ("i8" if "integers" in name else "f8")
    assert abs(x.mean() - mean) < 4 * np.sqrt(variance / x.size)
    assert abs(x.var() - variance) < 0.02 * variance
    neighbours = np.corrcoef(x.ravel()[:-1], x.ravel()[1:])[0, 1]
    assert abs(neighbours) < 4 / np.sqrt(x.size)


@pytest.mark.parametrize("name", DRAWS)
def test_compiled_functions_draw_the_same_numbers_in_their_own_kernels(name: str) -> None:
    draw, *_ = DRAWS[name]
    ours, plain = jitgraph.random.default_rng(7), jitgraph.random.default_rng(7)
    compiled = jitgraph.compile(lambda x: x + draw(ours, x.shape), strict=True)
    for shape in ((3, 4), (3, 4), (5, 6), (3, 4)):
        x = np.ones(shape)
        np.testing.assert_allclose(compiled(x), x + draw(plain, shape), rtol=1e-14, atol=1e-14)
    assert compiled.cache_info().captures == 1
    assert "called" not in compiled.explain(np.ones((3, 4)))


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0x00000000, 0x00000000), 0x00000000, (0xFF1DAE59, 0x6CD10DF2)),
        ((0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF, (0x2C3F628B, 0xAB4FD7AD)),
        ((0x243F6A88, 0x85A308D3), 0x13198A2E, (0xDD7CE038, 0xF62A4C12)),
    ],
)
def test_known_answers_of_philox_2x32_10(counter, key, words) -> None:
    """Those that come with Random123."""
    low, high = counter
    found = philox(*(np.array([v], np.uint64) for v in (low | high << 32, key, 0)))
    assert tuple(int(word[0]) for word in found) == words


@pytest.mark.parametrize("draw", [
    lambda rng, size: rng.random(size, np.float32),
    lambda rng, size: rng.standard_normal(size, np.float32),
])  # fmt: skip
def test_single_precision(draw) -> None:
    ours, plain = jitgraph.random.default_rng(7), jitgraph.random.default_rng(7)
    compiled = jitgraph.compile(lambda x: x + draw(ours, x.shape), strict=True)
    x = np.ones((300, 40), "f4")
    got, want = compiled(x), x + draw(plain, x.shape)
    assert got.dtype == want.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert ours.get_state() == plain.get_state() and ours.counter == x.size


def test_many_numbers_are_drawn_by_a_kernel_and_are_the_same(monkeypatch) -> None:
    expected = jitgraph.random.default_rng(5).random(10_000)
    monkeypatch.setattr(jitgraph.random._filling, "done", 1 << 40)
    rng = jitgraph.random.default_rng(5)
    np.testing.assert_array_equal(rng.random(10_000), expected)
    assert rng.counter == 10_000


def test_states_are_saved_and_restored() -> None:
    rng = jitgraph.random.default_rng(3)
    rng.random(5)
    state, copied = rng.get_state(), pickle.loads(pickle.dumps(rng))
    expected = rng.random(4)
    np.testing.assert_array_equal(copied.random(4), expected)
    rng.set_state(state)
    np.testing.assert_array_equal(rng.random(4), expected)
    np.testing.assert_array_equal(rng.manual_seed(3).random(5), default_rng(3).random(5))


def test_the_generator_of_all_functions_goes_on_in_compiled_ones() -> None:
    dropout = jitgraph.compile(lambda x: F.dropout(x, 0.4), strict=True)
    x, masks = jitgraph.ones(20, 30), []
    for function in (lambda x: F.dropout(x, 0.4), dropout):
        jitgraph.manual_seed(11)
        state = jitgraph.get_rng_state()
        first, second = function(x).data, function(x).data
        jitgraph.set_rng_state(state)
        np.testing.assert_array_equal(function(x).data, first)
        assert (first != second).any() and set(np.unique(first)) == {0, np.float32(1 / 0.6)}
        masks.append(second)
    np.testing.assert_array_equal(*masks)


def test_permutations_and_choices() -> None:
    rng = jitgraph.random.default_rng(2)
    assert sorted(rng.permutation(50)) == list(range(50))
    drawn = rng.choice(3, 30_000, p=[0.2, 0.0, 0.8])
    assert abs((drawn == 2).mean() - 0.8) < 0.01 and 1 not in drawn
    few = rng.choice(4, 3, replace=False, p=[0.5, 0.25, 0.25, 0.0])
    assert sorted(few) == [0, 1, 2]
    with pytest.raises(ValueError, match="4 of 3"):
        rng.choice(4, 4, replace=False, p=[0.5, 0.25, 0.25, 0.0])


def test_single_numbers_and_streams() -> None:
    rng = jitgraph.random.default_rng(3)
    first, second = rng.random(), rng.random()
    assert first != second and np.isscalar(first)
    assert jitgraph.random.default_rng(3).random() == first
    assert jitgraph.random.default_rng(4).random() != first
    assert jitgraph.random.default_rng().random() != jitgraph.random.default_rng().random()


def test_dropout_of_tensors_in_a_compiled_function() -> None:
    rng = jitgraph.random.default_rng(0)

    @jitgraph.compile(strict=True)
    def dropout(x):
        return np.where(rng.random(x.shape) < 0.5, 0.0, 2.0) * x

    masks = []
    for _ in range(2):  # gradients are those of the numbers that were drawn
        x = jitgraph.randn(40, 50, requires_grad=True)
        out = dropout(x)
        out.sum().backward()
        kept = out.data != 0
        assert 0.4 < kept.mean() < 0.6
        np.testing.assert_array_equal(x.grad.data, np.where(kept, 2.0, 0.0))
        masks.append(kept)
    assert (masks[0] != masks[1]).any() and rng.counter == 4000


@pytest.mark.parametrize("draw", [
    lambda x: x + jitgraph.rand(3), lambda x: x * jitgraph.randn(2, 3),
    lambda x: x + jitgraph.randint(-5, 5, (3,)),
])  # fmt: skip
def test_tensors_of_random_numbers_are_new_at_every_call(draw) -> None:
    compiled, found = jitgraph.compile(draw, strict=True), []
    for function in (draw, compiled):
        jitgraph.manual_seed(8)
        found.append([function(np.ones(3, "f4")) for _ in range(5)])
    for want, got in zip(*found, strict=True):
        assert type(got) is jitgraph.Tensor and got.dtype == want.dtype
        np.testing.assert_allclose(got.data, want.data, rtol=1e-6)
    assert compiled.cache_info().captures == 1


def test_layers_made_in_a_function_are_made_by_python() -> None:
    def function(x):
        return nn.Linear(3, 2)(x)

    compiled, found = jitgraph.compile(function), []
    for f in (function, compiled):
        jitgraph.manual_seed(8)
        found.append([f(np.ones((1, 3), "f4")).tolist() for _ in range(3)])
    assert found[0] == found[1]
