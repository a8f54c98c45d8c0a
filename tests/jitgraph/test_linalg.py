"""Linear algebra and sorting: NumPy's values and errors, and gradients in every way."""

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor, grad, hvp, vmap
from support import assert_same

RNG = np.random.default_rng(0)
SQUARE = RNG.standard_normal((4, 4)) + 3 * np.eye(4)
STACK = RNG.standard_normal((2, 3, 3)) + 2 * np.eye(3)
TALL = RNG.standard_normal((5, 3))


def symmetric(x):
    return x @ np.swapaxes(x, -1, -2) + np.eye(x.shape[-1])


def without_signs(x):
    """What does not depend on the signs of singular vectors."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return np.abs(u) * s[..., None, :], u @ np.sin(vt), np.abs(vt)


def of_eigenvectors(x):
    found = np.linalg.eigh(symmetric(x))
    return np.abs(found.eigenvectors) * found.eigenvalues[..., None, :]


def of_sign(x):
    found = np.linalg.slogdet(x)
    return found.logabsdet * found.sign


OF_SQUARES = {
    "inv": np.linalg.inv,
    "solve": lambda x: np.linalg.solve(x, x[..., :, :2] ** 2),
    "solve a vector": lambda x: np.linalg.solve(x, np.arange(float(x.shape[-1]))),
    "det": np.linalg.det,
    "slogdet": of_sign,
    "cholesky": lambda x: np.linalg.cholesky(symmetric(x)),
    "eigh": of_eigenvectors,
    "eigvalsh": lambda x: np.linalg.eigvalsh(symmetric(x)),
}
OF_ALL = {
    "pinv": np.linalg.pinv,
    "qr": lambda x: (lambda q, r: q @ np.sin(r))(*np.linalg.qr(x)),
    "svd": lambda x: without_signs(x)[0],
    "svd's vectors": lambda x: without_signs(x)[1],
    "singular values": lambda x: np.linalg.svd(x, compute_uv=False),
    "sort": lambda x: np.sort(x, axis=-1) ** 2,
    "sort of another axis": lambda x: np.sort(x, axis=-2) * x,
}
CASES = [
    *((name, f, x) for name, f in OF_SQUARES.items() for x in (SQUARE, STACK)),
    *((name, f, x) for name, f in OF_ALL.items() for x in (SQUARE, STACK, TALL, TALL.T.copy())),
]
EVERY = pytest.mark.parametrize(
    ("function", "x"), [c[1:] for c in CASES], ids=[f"{c[0]} {c[2].shape}" for c in CASES]
)


@EVERY
def test_values(function, x) -> None:
    expected = function(x)
    assert_same(jitgraph.compile(function, strict=True)(x), expected, ulps=64, atol=1e-13)
    assert_same(function(Tensor(x)).data, expected, ulps=64, atol=1e-13)
    single = x.astype(np.float32)
    compiled = jitgraph.compile(function, strict=True)(single)
    assert compiled.dtype == function(single).dtype


@EVERY
def test_gradients(function, x) -> None:
    weight, direction = RNG.standard_normal(np.shape(function(x))), RNG.standard_normal(x.shape)

    def number(y):
        return (function(y) * weight).sum()

    step = 1e-6 * direction
    expected = pytest.approx((number(x + step) - number(x - step)) / 2e-6, rel=1e-5, abs=1e-6)
    compiled = jitgraph.compile(grad(number), strict=True)
    assert (compiled(x) * direction).sum() == expected
    assert (grad(number)(Tensor(x)).data * direction).sum() == expected


@pytest.mark.parametrize("name", ["inv", "solve", "slogdet", "cholesky", "eigvalsh"])
def test_second_derivatives(name) -> None:
    function, direction = OF_SQUARES[name], RNG.standard_normal(SQUARE.shape)

    def number(y):
        return (function(y) ** 2).sum()

    def slope(y):
        return (grad(number)(y) * direction).sum()

    step = 1e-5 * direction
    expected = (slope(SQUARE + step) - slope(SQUARE - step)) / 2e-5
    (found,) = jitgraph.compile(lambda y: hvp(number, (y,), (direction,)), strict=True)(SQUARE)
    assert (found * direction).sum() == pytest.approx(expected, rel=1e-6)


def test_batches() -> None:
    for name in ("inv", "det", "eigvalsh", "solve a vector"):
        function = OF_SQUARES[name]
        expected = np.stack([function(x) for x in STACK])
        np.testing.assert_allclose(vmap(function)(STACK), expected, rtol=1e-12)
    expected = np.stack([np.sort(x, axis=0) for x in STACK])
    np.testing.assert_array_equal(vmap(lambda x: np.sort(x, axis=0))(STACK), expected)


def test_results_have_numpys_names() -> None:
    def function(x):
        return np.linalg.qr(x), np.linalg.svd(x), np.linalg.slogdet(x), np.linalg.eigh(x)

    found, expected = jitgraph.compile(function, strict=True)(SQUARE), function(SQUARE)
    assert [type(f) for f in found] == [type(e) for e in expected]


def test_in_a_loop_of_the_program() -> None:
    def refined(a, b):
        x = np.zeros_like(b)
        for _ in range(12):
            x = x + 0.5 * np.linalg.solve(a, b - a @ x)
        return x

    compiled = jitgraph.compile(refined, strict=True)
    b = RNG.standard_normal(4)
    assert_same(compiled(SQUARE, b), refined(SQUARE, b), ulps=64)
    assert "for 12 times" in compiled.explain(SQUARE, b)
    gradient = jitgraph.compile(grad(lambda a: refined(a, b).sum()), strict=True)(SQUARE)
    step = 1e-6 * SQUARE
    expected = (refined(SQUARE + step, b) - refined(SQUARE - step, b)).sum() / 2e-6
    assert (gradient * SQUARE).sum() == pytest.approx(expected, rel=1e-6)


ERRORS = {
    "no square": (np.linalg.inv, (TALL,)),
    "singular": (np.linalg.inv, (np.zeros((3, 3)),)),
    "not positive": (np.linalg.cholesky, (-np.eye(3),)),
    "sizes": (np.linalg.solve, (SQUARE, TALL)),
    "vectors": (np.linalg.det, (np.ones(3),)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_numpys(name) -> None:
    function, args = ERRORS[name]
    compiled = jitgraph.compile(lambda *a: function(*a) * 2)
    with pytest.raises(Exception) as expected:
        function(*args)
    for _ in range(3):
        with pytest.raises(type(expected.value)):
            compiled(*args)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.linalg.svd(x)[0].shape[0] * x.sum(),
        lambda x: np.linalg.qr(x, mode="complete")[1] * 1.0,
        lambda x: np.sort(x, axis=None) * 2,
        lambda x: np.argsort(x, axis=0) * 2,
        lambda x: np.linalg.inv((x.T @ x).astype(np.complex128)),
        lambda x: np.linalg.inv(np.arange(4).reshape(2, 2) + x[:2, :2].astype(int)),
    ],
    ids=["all vectors", "complete", "flat", "unstable", "complex", "integers"],
)
def test_other_kinds_are_numpys_too(function) -> None:
    x = TALL * 3
    np.testing.assert_allclose(jitgraph.compile(function)(x), function(x), rtol=1e-12)
