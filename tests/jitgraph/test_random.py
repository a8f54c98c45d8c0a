"""The generator whose numbers compiled functions draw in their own kernels."""

import numpy as np
import pytest

import jitgraph

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
