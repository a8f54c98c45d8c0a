"""Short last axes of something large are written out: no array of all differences exists."""

import numpy as np
import pytest

import jitgraph
from jitgraph.components import write_out_components
from jitgraph.rewrite import simplify


def distances(x, y):
    return np.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=-1))


def forces(x, m):
    towards = x[None] - x[:, None]
    square = (towards * towards).sum(axis=2) + 1e-2
    return (towards * (m[None, :] / square**1.5)[:, :, None]).sum(axis=1)


def nearest(x, y):
    return ((x[:, None] - y) ** 2).sum(axis=2).argmin(axis=1)


def chebyshev(x, y):
    return np.abs(x[:, None] - y[None]).max(axis=2, keepdims=True)[..., 0]


def weighted(x, y):
    apart = np.where(x[:, None] > y[None], x[:, None], y[None] * np.array([1.0, 2.0, 3.0]))
    return apart.sum(axis=2), apart.mean(axis=(0, 1)), apart[:, 0]


def outer_product(x, y):
    return np.exp(-(x[:, None, :] * y[None]).prod(axis=-1)).sum(axis=1)


@pytest.mark.parametrize(
    "function", [distances, nearest, chebyshev, weighted, outer_product], ids=lambda f: f.__name__
)
def test_against_numpy(function, rng) -> None:
    compiled = jitgraph.compile(function, strict=True)
    for n, m in ((60, 50), (45, 80), (3, 4)):
        x, y = rng.standard_normal((n, 3)), rng.standard_normal((m, 3))
        got, want = compiled(x, y), function(x, y)
        for g, w in zip(*[r if isinstance(r, tuple) else (r,) for r in (got, want)], strict=True):
            assert g.dtype == w.dtype
            np.testing.assert_allclose(g, w, rtol=1e-12)


def test_forces_are_one_kernel_over_pairs(rng) -> None:
    compiled = jitgraph.compile(forces, strict=True)
    for n in (50, 70):
        x, m = rng.standard_normal((n, 3)), rng.uniform(1, 2, n)
        np.testing.assert_allclose(compiled(x, m), forces(x, m), rtol=1e-10)
    assert compiled.cache_info().captures == 1
    report = compiled.explain(x, m)
    assert report.count("kernel ") == 1 and "over [s0, s0], reduces axes [1]" in report


def test_another_number_of_components_is_captured_anew(rng) -> None:
    compiled = jitgraph.compile(distances, strict=True)
    for k in (3, 2, 20, 3, 30):
        x, y = rng.standard_normal((60, k)), rng.standard_normal((50, k))
        np.testing.assert_allclose(compiled(x, y), distances(x, y), rtol=1e-12)
    assert compiled.cache_info().captures == 3  # of 3, of 2, and of many


def test_a_number_of_components_that_only_the_running_program_knows(rng) -> None:
    @jitgraph.compile(strict=True)
    def spread(x, labels):
        apart = x[:, None, None] - x[None, :, None] * np.unique(labels)
        return (apart * apart).sum(axis=2)

    x = rng.standard_normal(60)
    for count in (3, 4, 3):
        labels = np.arange(60) % count
        np.testing.assert_allclose(spread(x, labels), spread._function(x, labels), rtol=1e-12)
    assert spread.cache_info().captures == 1


def test_small_arrays_are_left_as_they_are(rng) -> None:
    compiled = jitgraph.compile(distances, strict=True)
    for k in (3, 4):
        compiled(rng.standard_normal((5, k)), rng.standard_normal((6, k)))
    assert compiled.cache_info().captures == 1


def test_a_graph_without_short_axes_is_the_same_graph(rng) -> None:
    graph = simplify(jitgraph.compile(lambda x: (x * 2).sum(axis=1)).graph(np.ones((4, 5))))
    assert write_out_components(graph) is graph
