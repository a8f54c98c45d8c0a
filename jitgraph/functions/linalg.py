"""`numpy.linalg`: norms, and what LAPACK does with matrices."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from ..errors import CaptureError
from ..ops import elementwise as ew
from ..ops import linalg as la
from ..spec import as_shape, dims, normalize_axis
from . import reductions
from .base import array, implements, refuse
from .elementwise import astype
from .views import expand_dims, squeeze


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """The 2-norm of all elements or along axes; of vectors also by `ord` 1, 2, inf, -inf and 0.

    Integers are taken as float64.  Matrix norms other than Frobenius's are left to NumPy.
    """
    x = array(x)
    kind = np.dtype(x.dtype).kind
    if kind not in "fiubc":
        raise CaptureError(f"norm of {x.dtype} is not captured")
    x = x if kind in "fc" else astype(x, np.float64)
    axes = (axis,) if isinstance(axis, (int, np.integer)) else axis
    count = x.ndim if axes is None else len(axes)
    options = {"axis": axes, "keepdims": keepdims}
    if ord is None or (ord == "fro" and count == 2) or (ord == 2 and count == 1):
        if ord is None and axes is not None and count > 2:
            raise CaptureError("NumPy refuses such axes")
        square = ew.REAL(x) ** 2 + ew.IMAG(x) ** 2 if kind == "c" else x * x
        return ew.SQRT(reductions.sum(square, **options))
    if count != 1 or ord not in (1, 0, math.inf, -math.inf):
        raise CaptureError(f"norm of order {ord!r} over {count} axes is not captured")
    if ord == 0:
        return reductions.sum(astype(ew.NOT_EQUAL(x, 0), x.dtype), **options)
    if ord == 1:
        return reductions.sum(ew.ABSOLUTE(x), **options)
    extreme = reductions.max if ord > 0 else reductions.min
    return extreme(ew.ABSOLUTE(x), **options)


def _matrices(*arrays: Any) -> list[Any]:
    """Arrays of one dtype as LAPACK takes it: floating-point or complex."""
    found = [array(a) for a in arrays]
    dtype = found[0].dtype if len(found) == 1 else np.result_type(*[a.dtype for a in found])
    if dtype.kind in "iub":
        dtype = np.dtype(np.float64)
    return [a if np.dtype(a.dtype) == dtype else astype(a, dtype) for a in found]


@cache
def _result(name: str) -> type:
    """The named tuple that NumPy gives."""
    return type(getattr(np.linalg, name)(np.eye(1)))


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """Inverses of matrices."""
    return la.INV(*_matrices(a))


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """x in a @ x = b, for b a vector, or matrices."""
    a, b = _matrices(a, b)
    if b.ndim == 1:
        return squeeze(la.SOLVE(a, expand_dims(b, 1)), -1)
    return la.SOLVE(a, b)


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """Determinants of matrices."""
    return la.DET(*_matrices(a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """Signs of determinants, and logarithms of their magnitudes."""
    (a,) = _matrices(a)
    return _result("slogdet")(*la.taken_apart(la.SLOGDET(a), la.slogdet_parts(a)))


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The lower triangular matrix whose product with its transpose is the matrix."""
    refuse("cholesky", upper=upper or None)
    return la.CHOLESKY(*_matrices(a))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """Pseudo-inverses of matrices."""
    refuse("pinv", rcond=rcond, rtol=rtol, hermitian=hermitian or None)
    return la.PINV(*_matrices(a))


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues in ascending order and eigenvectors of symmetric (or Hermitian) matrices."""
    refuse("eigh", UPLO=None if UPLO == "L" else UPLO)
    (a,) = _matrices(a)
    return _result("eigh")(*la.taken_apart(la.EIGH(a), la.eigh_parts(a)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric (or Hermitian) matrices, in ascending order."""
    refuse("eigvalsh", UPLO=None if UPLO == "L" else UPLO)
    return la.EIGVALSH(*_matrices(a))


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns, and the upper triangular matrix that makes a matrix of them."""
    refuse("qr", mode=None if mode == "reduced" else mode)
    (a,) = _matrices(a)
    return _result("qr")(*la.taken_apart(la.QR(a), la.qr_parts(a)))


@implements(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Singular values in descending order, between the vectors on either side of them."""
    refuse("svd", hermitian=hermitian or None)
    (a,) = _matrices(a)
    if not compute_uv:
        return la.SVDVALS(a)
    shape = as_shape(a.shape)
    if full_matrices and not (a.ndim > 1 and dims.same(shape[-1], shape[-2])):
        raise CaptureError("svd of matrices that are not square, with full_matrices=True")
    return _result("svd")(*la.taken_apart(la.SVD(a), la.svd_parts(a)))


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """Elements in ascending order along an axis."""
    refuse("sort", order=order)
    a = array(a)
    if axis is None or not a.ndim or np.dtype(a.dtype).kind == "c":
        raise CaptureError("sort of this kind is not captured")
    return la.SORT(a, axis=normalize_axis("sort", axis, a.ndim))


@implements(np.argsort)
def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    """Positions of the elements in ascending order along an axis, of equal ones in their order."""
    refuse("argsort", order=order)
    if kind not in ("stable", "mergesort") and not stable:
        raise CaptureError("argsort without kind='stable' may order equal elements as it likes")
    a = array(a)
    if axis is None or not a.ndim or np.dtype(a.dtype).kind == "c":
        raise CaptureError("argsort of this kind is not captured")
    return la.ARGSORT(a, axis=normalize_axis("argsort", axis, a.ndim))
