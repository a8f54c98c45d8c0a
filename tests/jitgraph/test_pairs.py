"""All points against all centers: reductions whose loops are interchanged, against NumPy."""

import numpy as np
import pytest

import jitgraph
from support import check


def squares(points, centers):
    return ((points[:, None] - centers[None]) ** 2).sum(axis=2)


PAIRS = {
    "nearest": lambda p, c: squares(p, c).argmin(axis=1),
    "farthest": lambda p, c: squares(p, c).argmax(axis=1),
    "distance": lambda p, c: np.sqrt(squares(p, c).min(axis=1)) + p[:, 0],
    "density": lambda p, c: np.exp(-squares(p, c)).sum(axis=1),
    "count": lambda p, c: (squares(p, c) < 4).sum(axis=1),
    "any": lambda p, c: (squares(p, c) < 1).any(axis=1),
    "all": lambda p, c: (squares(p, c) > 0.01).all(axis=1),
    "product": lambda p, c: (1 + squares(p, c) / 100).prod(axis=1),
    "both": lambda p, c: (squares(p, c).min(axis=1), squares(p, c).argmin(axis=1)),
    "city blocks": lambda p, c: np.abs(p[:, None] - c[None]).sum(axis=2).argmin(axis=1),
}


@pytest.mark.parametrize("components", [2, 5, 8])
@pytest.mark.parametrize("name", PAIRS)
def test_against_numpy(name: str, components: int, rng) -> None:
    for count, dtype in ((130, "f8"), (64, "f4"), (3, "f8"), (70, "i4")):
        points, centers = (4 * rng.standard_normal((n, components)) for n in (count, 37))
        ulps = 1e5 if dtype == "f4" else 1e3
        check(PAIRS[name], points.astype(dtype), centers.astype(dtype), ulps=ulps)


def test_the_inner_loop_runs_over_points(rng) -> None:
    points, centers = rng.standard_normal((1000, 5)), rng.standard_normal((20, 5))
    compiled = jitgraph.compile(PAIRS["nearest"], strict=True)
    assert "rows_float64 = scratch(6, 64, float64)" in compiled.source(points, centers)


@pytest.mark.parametrize("name", ["nearest", "farthest", "both"])
def test_ties_and_nan(name: str) -> None:
    points = np.zeros((70, 3))
    centers = np.ones((9, 3))
    centers[4] = centers[6] = 0.5
    check(PAIRS[name], points, centers)
    points[5] = np.nan
    centers[3, 1] = np.nan
    check(PAIRS[name], points, centers)


def test_columns_computed_apart_go_to_one_array_in_one_kernel(rng) -> None:
    def turned(x, angle):
        y = np.empty_like(x)
        y[:, 0] = x[:, 0] * np.cos(angle) - x[:, 1] * np.sin(angle)
        y[:, 1] = x[:, 0] * np.sin(angle) + x[:, 1] * np.cos(angle)
        y[:, 2] = x[:, 2]
        return y

    x, angle = rng.standard_normal((50, 3)), rng.standard_normal(50)
    compiled = jitgraph.compile(turned, strict=True)
    np.testing.assert_allclose(compiled(x, angle), turned(x, angle), rtol=1e-12, atol=1e-12)
    kinds = [step["kind"] for step in compiled.explain(x, angle).details["steps"]]
    assert kinds.count("kernel") == 1


def test_columns_that_overlap_are_written_in_order(rng) -> None:
    def smeared(x):
        y = np.zeros_like(x)
        y[:, :3] = x[:, :3] + 1
        y[:, 1:] = 2 * x[:, :-1]
        y[::2] = x[::2] - 5
        return y

    check(smeared, rng.standard_normal((6, 4)))
