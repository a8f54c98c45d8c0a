"""Fourier transforms: NumPy's values, dtypes and shapes; gradients by differences."""

import itertools

import numpy as np
import pytest

import jitgraph
from support import assert_same, check, directional

OF_REAL = ("rfft", "ihfft", "rfftn", "rfft2")
OF_ONE_AXIS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
OF_MORE = ("fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2")


def spectrum(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    x = rng.standard_normal(shape) * 5
    return (x + 1j * rng.standard_normal(shape) if dtype[0] == "c" else x).astype(dtype)


@pytest.mark.parametrize("name", OF_ONE_AXIS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "c16", "c8", "i4"])
def test_of_one_axis(name: str, dtype: str, rng: np.random.Generator) -> None:
    if name in OF_REAL and dtype[0] == "c":
        pytest.skip("of real numbers")
    function = getattr(np.fft, name)
    for n, norm in itertools.product((None, 4, 9), (None, "ortho", "forward")):
        x = spectrum(rng, (7,), dtype)
        compare(lambda x, n=n, norm=norm: function(x, n, norm=norm), x)
    x = spectrum(rng, (4, 6), dtype)
    compare(lambda x: function(x, axis=0), x)
    compare(lambda x: function(x, 5, 0), x)


@pytest.mark.parametrize("name", OF_MORE)
@pytest.mark.parametrize("dtype", ["f8", "c8"])
def test_of_more_axes(name: str, dtype: str, rng: np.random.Generator) -> None:
    if name in OF_REAL and dtype[0] == "c":
        pytest.skip("of real numbers")
    function = getattr(np.fft, name)
    x = spectrum(rng, (3, 4, 5), dtype)
    compare(lambda x: function(x), x)
    compare(lambda x: function(x, axes=(2, 0), norm="ortho"), x)
    compare(lambda x: function(x, (4, 6), (0, 1)), x)


def compare(function, x: np.ndarray) -> None:
    expected = function(x)
    for got in (jitgraph.compile(function, strict=True)(x), function(jitgraph.Tensor(x)).data):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        scale = np.abs(expected).max()
        digits = np.finfo(expected.dtype).eps
        np.testing.assert_allclose(got, expected, atol=8 * digits * scale, rtol=0)


@pytest.mark.parametrize("shape", [(6,), (7,), (3, 4)])
def test_shifts(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.standard_normal(shape)
    check(lambda x: np.fft.fftshift(x), x)
    check(lambda x: np.fft.ifftshift(x, axes=-1), x)


def test_one_program_for_any_length(rng: np.random.Generator) -> None:
    compiled = jitgraph.compile(lambda x: np.abs(np.fft.rfft(x * 2)) ** 2, strict=True)
    for n in (8, 9, 20):
        x = rng.standard_normal(n)
        np.testing.assert_allclose(compiled(x), np.abs(np.fft.rfft(x * 2)) ** 2, rtol=1e-12)
    assert compiled.cache_info().captures == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda x: np.fft.fft(x, 0), ValueError),
        (lambda x: np.fft.fft(x, axis=3), IndexError),
        (lambda x: np.fft.fft(x, norm="none"), ValueError),
        (lambda x: np.fft.rfft(x * 1j), TypeError),
        (lambda x: np.fft.irfft(x[:1]), ValueError),
    ],
)
def test_what_numpy_refuses(wrong, error: type[Exception]) -> None:
    x = np.ones(4)
    with pytest.raises(error):
        wrong(x)
    with pytest.raises(error):
        jitgraph.compile(wrong)(x)


def power(z):
    return (z.real**2 + z.imag**2 * np.arange(z.shape[-1])).sum()


OF_RESULTS = {
    "fft": lambda x: power(np.fft.fft(x)),
    "ifft": lambda x: power(np.fft.ifft(x * 1j + 1, norm="ortho")),
    "rfft": lambda x: power(np.fft.rfft(x)),
    "rfft_cut": lambda x: power(np.fft.rfft(x, 5, axis=0)),
    "rfft_filled": lambda x: power(np.fft.rfft(x, 12, norm="forward")),
    "irfft": lambda x: np.fft.irfft(x * (1 + 2j))[..., :3] ** 2,
    "irfft_odd": lambda x: np.fft.irfft(x * (1 + 2j), 7) ** 2,
    "hfft": lambda x: np.fft.hfft(x * 1j + 2) ** 2,
    "ihfft": lambda x: power(np.fft.ihfft(x)),
    "fft2": lambda x: power(np.fft.fft2(x)),
    "rfftn": lambda x: power(np.fft.rfftn(x)),
    "irfftn": lambda x: np.fft.irfftn(x * 1j + x * x) ** 2,
    "there_and_back": lambda x: np.fft.irfft(np.fft.rfft(x) ** 2, 6),
    "convolution": lambda x: np.fft.ifft(np.fft.fft(x) * np.fft.fft(x[::-1])).real,
    "shifted": lambda x: power(np.fft.fftshift(np.fft.fft(x), axes=-1)),
}


@pytest.mark.parametrize("name", OF_RESULTS)
@pytest.mark.parametrize("columns", [6, 5])
def test_gradients(name: str, columns: int, rng: np.random.Generator) -> None:
    function = OF_RESULTS[name]
    x = rng.standard_normal((4, columns))
    for f in (function, jitgraph.compile(function, strict=True)):
        by_tape, by_difference = directional(f, (x,), rng)
        assert by_tape == pytest.approx(by_difference, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", OF_RESULTS)
def test_second_derivatives(name: str, rng: np.random.Generator) -> None:
    def total(x):
        return (OF_RESULTS[name](x) ** 2).sum()

    x, d, step = rng.standard_normal((4, 6)), rng.standard_normal((4, 6)), 1e-5
    gradient = jitgraph.grad(total)
    expected = (gradient(x + step * d) - gradient(x - step * d)) / (2 * step)
    (found,) = jitgraph.hvp(total, (x,), (d,))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_batches(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4, 6))
    for function in (
        lambda x: np.fft.fft(x), lambda x: np.fft.rfft(x, axis=0), lambda x: np.fft.irfftn(x),
    ):  # fmt: skip
        assert_same(jitgraph.vmap(function)(x), np.stack([function(part) for part in x]))
