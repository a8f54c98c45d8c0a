"""Discrete Fourier transforms by NumPy's library, of axes as long as they are.

The matrix of a transform is symmetric, so that it is its own transpose; where half of a spectrum
stands for all of it, each of its numbers but the first one, and the last one of an even length,
stands for two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..interpreter import made
from ..spec import Spec, as_shape
from ..symbolic import Dim, add, floordiv
from . import elementwise as ew
from .op import Op, opaque
from .views import EXPAND_DIMS, SLICE

# The norm that the transpose of a transform has, and that its inverse has, for the same numbers.
SWAPPED_NORM = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
_SINGLE = "efF"  # what is transformed in single precision


def _spectrum(x: Spec) -> np.dtype[Any]:
    return np.dtype(np.complex64 if x.dtype.char in _SINGLE else np.complex128)


def half(n: Dim) -> Dim:
    """How many numbers of a spectrum of n are kept."""
    return add(floordiv(n, 2), 1)


def _fft(x: Any, *, axes: tuple[int, ...], inverse: bool, norm: Any) -> Any:
    return (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=axes, norm=norm)


FFT: Op = opaque(
    "fft",
    _fft,
    lambda x, *, axes, inverse, norm: Spec(x.shape, _spectrum(x)),
    lambda g, out, x, *, axes, inverse, norm: FFT(g, axes=axes, inverse=inverse, norm=norm),
)


def _half_shape(x: Spec, axis: int) -> tuple[Dim, ...]:
    return (*x.shape[:axis], half(x.shape[axis]), *x.shape[axis + 1 :])


def _weighted(spectrum: Any, axis: int, n: Dim, inner: float) -> Any:
    """Half of a spectrum, with those numbers that stand for two times `inner`."""
    integer = np.dtype(np.int64)
    count = made(ew.IOTA, size=half(n), dtype=integer)
    length = SLICE(made(ew.IOTA, size=add(n, 1), dtype=integer), slices=((n, 1, 1),))
    is_last = ew.EQUAL(count * 2, length)  # of an even length
    stands_for_two = ew.LOGICAL_AND(ew.GREATER(count, 0), ew.LOGICAL_NOT(is_last))
    real = np.float32 if np.dtype(spectrum.dtype) == np.complex64 else np.float64
    weights = ew.WHERE(stands_for_two, real(inner), real(1))
    after = spectrum.ndim - 1 - axis
    if after:
        weights = EXPAND_DIMS(weights, axes=tuple(range(1, after + 1)))
    return spectrum * weights


def _rfft_gradient(g: Any, out: Any, x: Any, *, axis: int, norm: str) -> Any:
    n = as_shape(x.shape)[axis]
    spectrum = _weighted(ew.CONJUGATE(g), axis, n, 0.5)
    return IRFFT(spectrum, axis=axis, n=n, norm=SWAPPED_NORM[norm])


def _irfft_gradient(g: Any, out: Any, x: Any, *, axis: int, n: Dim, norm: str) -> Any:
    return _weighted(RFFT(g, axis=axis, norm=SWAPPED_NORM[norm]), axis, n, 2.0)


RFFT: Op = opaque(
    "rfft",  # the first half of the spectrum of real numbers
    lambda x, *, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    lambda x, *, axis, norm: Spec(_half_shape(x, axis), _spectrum(x)),
    _rfft_gradient,
)
IRFFT: Op = opaque(
    "irfft",  # the real numbers, n of them, of half of a spectrum
    lambda x, *, axis, n, norm: np.fft.irfft(x, n, axis=axis, norm=norm),
    lambda x, *, axis, n, norm: Spec(
        (*x.shape[:axis], n, *x.shape[axis + 1 :]), np.zeros((), _spectrum(x)).real.dtype
    ),
    _irfft_gradient,
)
