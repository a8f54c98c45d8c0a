"""Gradients through complex numbers: by differences, and PyTorch's for complex arguments."""

import numpy as np
import pytest

import jitgraph


def written(z, y):
    w = np.zeros((3, 4), complex)
    w[:] = z
    w[1:] += 1j * y
    w[0] *= 2j
    return np.abs(w * w + z).sum()


def in_a_loop(z, y):
    for _ in range(12):
        z = z * (0.9 + 0.1j) + np.conj(z) * 0.05 * y
    return np.abs(z).sum()


def in_a_branch(z, y):
    z = z * 2j if y.sum() > 0 else z * z
    return np.abs(z + y).sum()


def hermitian(z):
    return z @ np.conj(z.T) + np.eye(3)


def of_qr(z, y):
    q, r = np.linalg.qr(z)
    return (q * y[:3]).imag.sum() + np.abs(r * y[: r.shape[1]] + r**2).sum()


def of_eigh(z, y):
    w, v = np.linalg.eigh(hermitian(z))
    root = (v * np.sqrt(w)) @ np.conj(v.T)  # of vectors up to a phase
    return (root * y[:3]).imag.sum() + (np.abs(v) * y[:3]).sum() + (w**2).sum()


def of_svd(z, y):
    u, s, vh = np.linalg.svd(z, full_matrices=False)
    phases = u @ vh
    return (phases * y[: vh.shape[1]]).imag.sum() + (np.abs(u) * s).sum() + (np.abs(vh) ** 3).sum()


def of_slogdet(z, y):
    sign, logarithm = np.linalg.slogdet(z[:, :3])
    return (sign * (1 + 2j)).real * y[0] + logarithm * y[1]


def with_where(z, y):
    return np.abs(np.where(z.real > 0, z * y, 1j * z + y)).sum()


FUNCTIONS = {  # of a matrix and a row
    "products": lambda z, y: np.abs(z * y * (z - 2j)).sum(),
    "quotients": lambda z, y: (z / (y + 3j) + 1j / z).real.sum(),
    "exp": lambda z, y: np.abs(np.exp(1j * z) * y + 2).sum(),
    "log": lambda z, y: np.log(z + 2j * y).imag.sum(),
    "sqrt": lambda z, y: np.sqrt(z + 2j * y).imag.sum(),
    "arccosh": lambda z, y: np.abs(np.arccosh(z) * y).sum(),
    "sin": lambda z, y: np.abs(np.sin(z) + np.cos(z * 1j) * y).sum(),
    "tanh": lambda z, y: np.abs(np.tanh(z * 0.3) * y).sum(),
    "angle": lambda z, y: (np.angle(z) * y).sum(),
    "conjugate": lambda z, y: (np.conj(z) * (z + 1j) * y).imag.sum(),
    "powers": lambda z, y: (z**2 + y * z**3 + np.square(z)).imag.sum(),
    "matmul": lambda z, y: np.abs(z @ (z.T * 2j + 1)).sum() + y.sum(),
    "einsum": lambda z, y: np.abs(np.einsum("ij,kj->ik", z, z * 1j + y)).sum(),
    "parts": lambda z, y: (z[1:, ::2] * y[::2]).real.sum() + z.T[0].imag.sum(),
    "means": lambda z, y: (np.abs(z.mean(axis=0)) * y).sum(),
    "variance": lambda z, y: z.var() + (y * z.std(axis=0)).sum(),
    "prod": lambda z, y: np.abs(z.prod(axis=0) * y).sum(),
    "cumsum": lambda z, y: np.abs(np.cumsum(z, axis=0) * y).sum(),
    "concatenate": lambda z, y: np.abs(np.concatenate([z, z * y * 1j])[::2]).sum(),
    "take": lambda z, y: np.abs(z[np.array([0, 2, 0])] ** 2 * y).sum(),
    "norm": lambda z, y: np.linalg.norm(z) + np.linalg.norm(z * y, axis=0).sum(),
    "inv": lambda z, y: np.abs(np.linalg.inv(z[:, :3] + 3 * np.eye(3)) * y[:3]).sum(),
    "solve": lambda z, y: np.abs(np.linalg.solve(z[:, :3] + 3 * np.eye(3), z * 1j + y)).sum(),
    "det": lambda z, y: np.linalg.det(z[:, :3]).imag + np.abs(np.linalg.det(z[:, :3] * y[0])),
    "pinv": lambda z, y: (np.abs(np.linalg.pinv(z)) * y[:, None]).sum(),
    "cholesky": lambda z, y: (np.linalg.cholesky(hermitian(z)) * y[:3]).imag.sum(),
    "eigvalsh": lambda z, y: (np.linalg.eigvalsh(hermitian(z)) * y[:3]).sum(),
    "svdvals": lambda z, y: (np.linalg.svd(z, compute_uv=False) * y[:3]).sum(),
    "slogdet": of_slogdet,
    "eigh": of_eigh,
    "qr of few rows": of_qr,
    "qr of many rows": lambda z, y: of_qr(z.T, y),
    "qr of a square": lambda z, y: of_qr(z[:, :3], y),
    "svd of few rows": of_svd,
    "svd of many rows": lambda z, y: of_svd(z.T, y),
    "svd of a square": lambda z, y: of_svd(z[:, :3], y),
    "where": with_where,
    "a loop": in_a_loop,
    "a branch": in_a_branch,
}
IN_PLACE = {"writes": written}


@pytest.fixture
def values(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4)), rng.standard_normal(4)


def along(gradients, direction) -> float:
    """A change to first order: the real part of conj(gradient) * direction."""
    pairs = zip(gradients, direction, strict=True)
    return float(sum((np.conj(g) * d).sum().real for g, d in pairs))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str, values) -> None:
    compiled = jitgraph.compile(FUNCTIONS[name], strict=True)
    assert compiled(*values) == pytest.approx(FUNCTIONS[name](*values))


@pytest.mark.parametrize("name", [*FUNCTIONS, *IN_PLACE])
def test_gradients_of_complex_and_of_real_arguments(name: str, values, rng) -> None:
    function, step = (FUNCTIONS | IN_PLACE)[name], 1e-6
    z, y = values
    d = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4)), rng.standard_normal(4)
    ahead, behind = (function(z + s * d[0], y + s * d[1]) for s in (step, -step))
    expected = (ahead - behind) / (2 * step)
    found = jitgraph.grad(function, (0, 1))(z, y)
    assert (found[0].dtype, found[1].dtype) == (np.complex128, np.float64)
    assert along(found, d) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    if name in FUNCTIONS:
        tensors = [jitgraph.Tensor(v, requires_grad=True) for v in values]
        function(*tensors).backward()
        by_tape = along([t.grad.data for t in tensors], d)
        assert by_tape == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "products", "exp", "angle", "matmul", "norm", "slogdet", "eigh", "qr of few rows",
        "svd of many rows", "a loop",
    ],
)  # fmt: skip
def test_second_derivatives_and_forward_mode(name: str, values, rng) -> None:
    function, step = FUNCTIONS[name], 1e-5
    z, y = values
    d = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4)), rng.standard_normal(4)
    gradient = jitgraph.grad(function, (0, 1))
    ahead, behind = (gradient(z + s * d[0], y + s * d[1]) for s in (step, -step))
    for found, a, b in zip(jitgraph.hvp(function, (z, y), d), ahead, behind, strict=True):
        np.testing.assert_allclose(found, (a - b) / (2 * step), rtol=1e-5, atol=1e-5)
    _, change = jitgraph.jvp(function, (z, y), d)
    assert change == pytest.approx(along(gradient(z, y), d))


@pytest.mark.parametrize(
    "name",
    ["products", "quotients", "log", "sqrt", "conjugate", "matmul", "inv", "norm", "slogdet"],
)
def test_gradients_are_pytorchs(name: str, values) -> None:
    torch = pytest.importorskip("torch")

    def of_torchs_slogdet(z, y):
        sign, logarithm = torch.linalg.slogdet(z[:, :3])
        return (sign * (1 + 2j)).real * y[0] + logarithm * y[1]

    of_torch = {
        "products": lambda z, y: (z * y * (z - 2j)).abs().sum(),
        "quotients": lambda z, y: (z / (y + 3j) + 1j / z).real.sum(),
        "log": lambda z, y: torch.log(z + 2j * y).imag.sum(),
        "sqrt": lambda z, y: torch.sqrt(z + 2j * y).imag.sum(),
        "conjugate": lambda z, y: (z.conj() * (z + 1j) * y).imag.sum(),
        "matmul": lambda z, y: (z @ (z.T * 2j + 1)).abs().sum() + y.sum(),
        "inv": lambda z, y: (
            torch.linalg.inv(z[:, :3] + 3 * torch.eye(3, dtype=z.dtype)) * y[:3]
        ).abs().sum(),
        "norm": lambda z, y: torch.linalg.norm(z) + torch.linalg.norm(z * y, dim=0).sum(),
        "slogdet": of_torchs_slogdet,
    }  # fmt: skip
    given = [torch.tensor(v, requires_grad=True) for v in values]
    of_torch[name](*given).backward()
    found = jitgraph.grad(FUNCTIONS[name], (0, 1))(*values)
    for f, t in zip(found, given, strict=True):
        np.testing.assert_allclose(f, t.grad.resolve_conj().numpy(), rtol=1e-10, atol=1e-10)


def test_a_function_of_complex_results_has_a_pullback(values) -> None:
    z, _ = values
    value, pullback = jitgraph.vjp(lambda z: z * z * 1j, z)
    np.testing.assert_allclose(value, z * z * 1j)
    (found,) = pullback(np.ones_like(z))
    np.testing.assert_allclose(found, np.conj(2j * z))


def test_the_gradient_is_that_of_a_real_number(values) -> None:
    z, _ = values
    with pytest.raises(jitgraph.GradientError, match="real"):
        jitgraph.grad(lambda z: (z * z).sum())(z)
    with pytest.raises(jitgraph.GradientError, match="real"):
        jitgraph.Tensor(z, requires_grad=True).sum().backward()
