"""`numpy.fft`: transforms of one axis and of several, of real and of complex numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import CaptureError
from ..ops import elementwise as ew
from ..ops import fft as ops
from ..ops import views
from ..spec import as_shape, dims, normalize_axis
from ..symbolic_int import to_dim
from .base import array, implements, refuse
from .creation import zeros
from .rearranging import roll


def _norm(norm: str | None) -> str:
    norm = "backward" if norm is None else norm
    if norm not in ops.SWAPPED_NORM:
        raise CaptureError(f"NumPy refuses the norm {norm!r}")
    return norm


def _operand(name: str, a: Any, out: Any) -> Any:
    refuse(name, out=out)
    a = array(a)
    if np.dtype(a.dtype).char not in "?bhilqBHILQfdFD" or not a.ndim:
        raise CaptureError(f"{name} of {a.dtype} with {a.ndim} axes is not captured")
    return a


def _of_length(a: Any, n: Any, axis: int) -> Any:
    """An array cut, or filled up with zeros, to a length along an axis; as it is for None."""
    if n is None:
        return a
    if isinstance(n, int) and n < 1:
        raise CaptureError(f"NumPy refuses or looks up the length {n}")
    shape, length = as_shape(a.shape), to_dim(n)
    if dims.same(length, shape[axis]):
        return a
    slices = list(views.whole_slices(shape))
    if dims.at_least(shape[axis], length):
        slices[axis] = (0, 1, length)
        return views.SLICE(a, slices=tuple(slices))
    whole = zeros((*a.shape[:axis], n, *a.shape[axis + 1 :]), a.dtype)
    return views.UPDATE(whole, a, slices=tuple(slices))


def _lengths(name: str, a: Any, s: Any, axes: Any) -> tuple[list[int], list[Any]]:
    """The axes that are transformed, and the lengths asked for; None for what they have."""
    if axes is None and s is not None:
        raise CaptureError(f"{name} by lengths without axes, of which NumPy warns")
    axes = range(a.ndim) if axes is None else axes
    found = [normalize_axis(name, k, a.ndim) for k in axes]
    if len(set(found)) < len(found) or not found or (s is not None and len(s) != len(found)):
        raise CaptureError(f"{name} of axes {tuple(axes)} is not captured")
    return found, [None] * len(found) if s is None else list(s)


def _complex(name: str, inverse: bool) -> Callable[..., Any]:
    def transform(
        a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None
    ) -> Any:
        a = _operand(name, a, out)
        along, lengths = _lengths(name, a, s, axes)
        for axis, n in zip(along, lengths, strict=True):
            a = _of_length(a, n, axis)
        return ops.FFT(a, axes=tuple(along), inverse=inverse, norm=_norm(norm))

    return transform


def _along_one(transform: Callable[..., Any]) -> Callable[..., Any]:
    """A transform of several axes as one of a single axis."""

    def of_one(
        a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None
    ) -> Any:
        return transform(a, None if n is None else (n,), (axis,), norm, out)

    return of_one


def _of_planes(transform: Callable[..., Any]) -> Callable[..., Any]:
    def of_two(
        a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None
    ) -> Any:
        return transform(a, s, axes, norm, out)

    return of_two


def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """The half of a spectrum of real numbers that the other half follows from."""
    a = _operand("rfftn", a, out)
    if np.dtype(a.dtype).kind == "c":
        raise CaptureError("NumPy takes real numbers here")
    along, lengths = _lengths("rfftn", a, s, axes)
    for axis, n in zip(along, lengths, strict=True):
        a = _of_length(a, n, axis)
    *others, last = along
    found = ops.RFFT(a, axis=last, norm=_norm(norm))
    if not others:
        return found
    return ops.FFT(found, axes=tuple(others), inverse=False, norm=_norm(norm))


def irfftn(
    a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None
) -> Any:
    """The real numbers with this half of a spectrum."""
    a = _operand("irfftn", a, out)
    along, lengths = _lengths("irfftn", a, s, axes)
    *others, last = along
    for axis, n in zip(others, lengths, strict=False):
        a = _of_length(a, n, axis)
    if others:
        a = ops.FFT(a, axes=tuple(others), inverse=True, norm=_norm(norm))
    n = 2 * (a.shape[last] - 1) if lengths[-1] is None else lengths[-1]
    if isinstance(n, int) and n < 1:
        raise CaptureError(f"NumPy refuses the length {n}")
    a = _of_length(a, n // 2 + 1, last)
    return ops.IRFFT(a, axis=last, n=to_dim(n), norm=_norm(norm))


fftn, ifftn = _complex("fftn", False), _complex("ifftn", True)
fft, ifft, rfft, irfft = map(_along_one, (fftn, ifftn, rfftn, irfftn))
fft2, ifft2, rfft2, irfft2 = map(_of_planes, (fftn, ifftn, rfftn, irfftn))


def hfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """The real spectrum of what half of a signal with Hermitian symmetry stands for."""
    return irfft(ew.CONJUGATE(array(a)), n, axis, ops.SWAPPED_NORM[_norm(norm)], out)


def ihfft(a: Any, n: Any = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Half of the signal with Hermitian symmetry that has this real spectrum."""
    return ew.CONJUGATE(rfft(a, n, axis, ops.SWAPPED_NORM[_norm(norm)], out))


for _name in (
    "fft", "ifft", "rfft", "irfft", "fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn",
    "irfftn", "hfft", "ihfft",
):  # fmt: skip
    implements(getattr(np.fft, _name))(globals()[_name])


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: int | Sequence[int] | None = None) -> Any:
    """The number of frequency 0 in the middle."""
    return _shifted(x, axes, 1)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: int | Sequence[int] | None = None) -> Any:
    """The number of frequency 0 in front again."""
    return _shifted(x, axes, -1)


def _shifted(x: Any, axes: int | Sequence[int] | None, sign: int) -> Any:
    x = array(x)
    along = range(x.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
    chosen = [normalize_axis("fftshift", k, x.ndim) for k in along]
    return roll(x, tuple(sign * (x.shape[k] // 2) for k in chosen), tuple(chosen))
