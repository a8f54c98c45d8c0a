"""Derivatives of every operation by random directions: first and second order, backward and
forward, on the tape and in a compiled function.
"""

import numpy as np
import pytest

import jitgraph
from jitgraph import grad, hvp, jvp, vjp
from jitgraph.ops import UFUNCS
from support import DOMAINS

DIFFERENTIABLE = [u for u, op in UFUNCS.items() if op.differentiable]
POSITIONS = np.array([2, 0, 2])


def written(x, y):
    z = np.zeros((3, 4))
    z[1:] = x[:-1] * y
    z[:, 0] += x[:, 1] ** 2
    z[0, ::2] = y[:2]
    return z * x


def put(x, y):
    z = x * 2
    z[POSITIONS[:2]] = y**2
    return z * x


def added(x, y):
    z = x * 2
    np.add.at(z, POSITIONS, y**2)
    return z * x


FUNCTIONS = {
    "where": (lambda x, y: np.where(x > 0.3, x * y, y * y), ((3, 4), (4,))),
    "clip": (lambda x: np.clip(x, -0.5, 0.7) ** 2, ((5,),)),
    "cast": (lambda x: x.astype(np.float64) ** 2, ((5,),)),
    "sum": (lambda x: x.sum(axis=0) * x[0], ((3, 4),)),
    "mean": (lambda x: x.mean(axis=(0, 2)) ** 2, ((3, 4, 2),)),
    "prod": (lambda x: x.prod(axis=1), ((3, 4),)),
    "max": (lambda x: x.max(axis=-1, keepdims=True) * x, ((3, 4),)),
    "min": (lambda x: x.min(axis=0) ** 2, ((3, 4),)),
    "var": (lambda x: x.var(axis=1, ddof=1), ((3, 4),)),
    "cumsum": (lambda x: np.cumsum(x, axis=0) ** 2, ((3, 4),)),
    "softmax": (jitgraph.softmax, ((3, 5),)),
    "logsumexp": (lambda x: jitgraph.logsumexp(x, axis=1), ((3, 5),)),
    "sigmoid": (jitgraph.sigmoid, ((7,),)),
    "softplus": (jitgraph.softplus, ((7,),)),
    "erf": (jitgraph.erf, ((7,),)),
    "erfc": (jitgraph.erfc, ((7,),)),
    "transpose": (lambda x: x.T * x.T[:1], ((3, 4),)),
    "reshape": (lambda x: x.reshape(2, 6) ** 2, ((3, 4),)),
    "roll": (lambda x: np.roll(x, 1, axis=0) * x, ((3, 4),)),
    "slice": (lambda x: x[1:, ::-2] * x[:-1, ::2], ((4, 4),)),
    "squeeze": (lambda x: np.squeeze(x[:1]) * np.expand_dims(x[0], 0), ((3, 4),)),
    "broadcast": (lambda x: np.broadcast_to(x, (5, 4)) ** 2, ((4,),)),
    "concatenate": (lambda x, y: np.concatenate([x, y * x[:1]], axis=0) ** 2, ((3, 4), (2, 4))),
    "matmul": (lambda x, y: x @ y, ((3, 4), (4, 2))),
    "matmul_vector": (lambda x, y: x @ y, ((3, 4), (4,))),
    "vector_matmul": (lambda x, y: x @ y, ((4,), (5, 4, 2))),
    "matmul_batch": (lambda x, y: x @ y, ((2, 1, 3, 4), (5, 4, 2))),
    "einsum": (lambda x, y: np.einsum("bij,bkj->bik", x, y), ((2, 3, 4), (2, 5, 4))),
    "take": (lambda x: x[POSITIONS] ** 2, ((3, 4),)),
}  # fmt: skip
CAPTURED = {
    "update": (written, ((3, 4), (4,))),
    "index_put": (put, ((3, 4), (2, 4))),
    "index_add": (added, ((3, 4), (3, 4))),
}


def inner(a, b) -> float:
    return sum(float((np.asarray(x) * np.asarray(y)).sum()) for x, y in zip(a, b, strict=True))


def check(function, args, rng, of_tensors: bool) -> None:
    """Pushed forward, pulled back, and twice, against differences along a random direction."""
    directions = tuple(rng.standard_normal(a.shape) for a in args)
    weight = rng.standard_normal(np.shape(function(*args)))

    def moved(f, step):
        return f(*[a + step * d for a, d in zip(args, directions, strict=True)])

    def kind(arrays):
        return tuple(map(jitgraph.Tensor, arrays)) if of_tensors else tuple(arrays)

    def plain(values):
        return [v.data if isinstance(v, jitgraph.Tensor) else v for v in values]

    def number(*xs):
        return (function(*xs) * weight).sum()

    step = 1e-6
    expected = float((moved(number, step) - moved(number, -step)) / (2 * step))
    push = lambda a, t: jvp(function, a, t)  # noqa: E731
    value, tangent = (push if of_tensors else jitgraph.compile(push, strict=True))(
        kind(args), kind(directions)
    )
    np.testing.assert_allclose(*plain([value]), function(*args), rtol=1e-12, atol=1e-12)
    assert inner(plain([tangent]), [weight]) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    every = tuple(range(len(args)))
    gradient = grad(number, every)
    assert inner(plain(gradient(*kind(args))), directions) == pytest.approx(
        expected, rel=1e-6, abs=1e-6
    )

    def slope(*xs):
        return plain(gradient(*kind(xs)))

    ahead, behind = moved(slope, step), moved(slope, -step)
    expected = inner(ahead, directions) - inner(behind, directions)
    bend = lambda a, t: hvp(number, a, t)  # noqa: E731
    bend = bend if of_tensors else jitgraph.compile(bend, strict=True)
    second = inner(plain(bend(kind(args), kind(directions))), directions)
    assert second == pytest.approx(expected / (2 * step), rel=1e-5, abs=1e-5)

    def along(*xs):
        return sum((g * d).sum() for g, d in zip(gradient(*xs), directions, strict=True))

    twice = inner(plain(grad(along, every)(*kind(args))), directions)
    assert twice == pytest.approx(expected / (2 * step), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("of_tensors", [True, False], ids=["tape", "compiled"])
@pytest.mark.parametrize("ufunc", DIFFERENTIABLE, ids=lambda u: u.__name__)
def test_elementwise(ufunc, of_tensors, rng) -> None:
    low, high = DOMAINS.get(ufunc.__name__, (-2, 2))
    args = tuple(rng.uniform(low, high, shape) for shape in ((3, 4), (4,))[: ufunc.nin])
    if ufunc in (np.remainder, np.fmod):
        args = (args[0] + 5, np.full(4, 1.7))
    check(lambda *a: ufunc(*a), args, rng, of_tensors)


@pytest.mark.parametrize("of_tensors", [True, False], ids=["tape", "compiled"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_operations(name, of_tensors, rng) -> None:
    function, shapes = FUNCTIONS[name]
    check(function, tuple(rng.standard_normal(s) for s in shapes), rng, of_tensors)


@pytest.mark.parametrize("name", CAPTURED)
def test_writes(name, rng) -> None:
    function, shapes = CAPTURED[name]
    check(function, tuple(rng.standard_normal(s) for s in shapes), rng, of_tensors=False)


def test_a_pullback_can_be_called_again_and_again() -> None:
    value, pullback = vjp(lambda x, y: x * y, np.arange(3.0), 2.0)
    np.testing.assert_array_equal(value, [0.0, 2.0, 4.0])
    for g in (np.ones(3), np.array([0.0, 1.0, 0.0])):
        by_x, by_y = pullback(g)
        np.testing.assert_array_equal(by_x, 2 * g)
        assert by_y == (g * np.arange(3.0)).sum()
