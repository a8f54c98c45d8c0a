"""Linear algebra by LAPACK, over the last two axes of stacks of matrices, and sorting.

What gives several arrays is one operation whose result has them side by side along the last axis,
as rows: `parts` takes them apart.  Rules of gradients are those of M. B. Giles, "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008), and of
J. Townsend, "Differentiating the singular value decomposition" (2016).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import CaptureError, GradientError
from ..interpreter import made
from ..spec import Spec, as_shape, broadcast, dims
from ..symbolic import Dim, Shape, add, mul
from . import elementwise as ew
from .indexing import along
from .library import MATMUL, swap_last
from .op import Op, opaque
from .views import EXPAND_DIMS, RESHAPE, SLICE, whole_slices

Rule = Callable[..., Any]


def _matrices(
    name: str, x: Spec, square: bool = True, dtypes: str = "fd"
) -> tuple[Shape, Dim, Dim]:
    """The sizes of a stack of matrices; what is none is left to NumPy, which says so."""
    if x.ndim < 2 or x.dtype.char not in dtypes:
        raise CaptureError(f"{name} of {x} is not captured")
    if square and not dims.same(x.shape[-1], x.shape[-2]):
        raise CaptureError(f"{name} of matrices that are not square")
    return x.shape[:-2], x.shape[-2], x.shape[-1]


def _of_matrices(
    name: str, eval: Callable[..., Any], shape: Callable[[Shape, Dim, Dim], Shape],
    vjp: Rule | None, square: bool = True, dtypes: str = "fd", adjoint: bool = False,
) -> Op:  # fmt: skip
    def spec(x: Spec) -> Spec:
        return Spec(shape(*_matrices(name, x, square, dtypes)), x.dtype)

    return opaque(name, eval, spec, vjp, adjoint=adjoint)


def _check_real(name: str, x: Any) -> None:
    """Transposes in a rule, where those of complex matrices would be conjugated in part."""
    if np.dtype(x.dtype).kind == "c":
        raise GradientError(f"{name} of complex matrices has no gradient rule")


def _eye(n: Dim, like: Any) -> Any:
    """Where a matrix has its diagonal."""
    count = made(ew.IOTA, size=n, dtype=np.dtype(np.int64))
    return ew.EQUAL(EXPAND_DIMS(count, axes=(1,)), EXPAND_DIMS(count, axes=(0,)))


def _lower(x: Any, diagonal: float) -> Any:
    """The part below the diagonal, and so much of that."""
    n = as_shape(x.shape)[-1]
    count = made(ew.IOTA, size=n, dtype=np.dtype(np.int64))
    row, column = EXPAND_DIMS(count, axes=(1,)), EXPAND_DIMS(count, axes=(0,))
    weight = np.dtype(x.dtype).type
    on = ew.WHERE(ew.EQUAL(row, column), weight(diagonal), weight(0))
    return x * ew.WHERE(ew.GREATER(row, column), weight(1), on)


def _adjoint(x: Any) -> Any:
    """The transpose, of complex matrices conjugated."""
    return swap_last(ew.CONJUGATE(x) if np.dtype(x.dtype).kind == "c" else x)


def _symmetric(x: Any) -> Any:
    return (x + _adjoint(x)) * np.dtype(x.dtype).type(0.5)


def _column(x: Any) -> Any:
    """Vectors as factors of the rows of matrices."""
    return EXPAND_DIMS(x, axes=(x.ndim,))


def _row(x: Any) -> Any:
    return EXPAND_DIMS(x, axes=(x.ndim - 1,))


# inverses and determinants


def _inverse_gradient(g: Any, out: Any, x: Any) -> Any:
    transposed = swap_last(out)
    return -MATMUL(MATMUL(transposed, g), transposed)


INV = _of_matrices(
    "inv", np.linalg.inv, lambda batch, n, m: (*batch, n, m), _inverse_gradient, dtypes="fdFD"
)


def _solve_spec(a: Spec, b: Spec) -> Spec:
    batch, n, _ = _matrices("solve", a, dtypes="fdFD")
    others, rows, columns = _matrices("solve", b, square=False, dtypes="fdFD")
    if a.dtype != b.dtype or not dims.same(n, rows):
        raise CaptureError("solve of matrices that do not fit")
    return Spec((*broadcast("solve", [batch, others]), n, columns), a.dtype)


SOLVE: Op = opaque(
    "solve",  # of a right-hand side of two axes or more
    np.linalg.solve,
    _solve_spec,
    (
        lambda g, out, a, b: -MATMUL(SOLVE(swap_last(a), g), swap_last(out)),
        lambda g, out, a, b: SOLVE(swap_last(a), g),
    ),
)
DET: Op = _of_matrices(
    "det", np.linalg.det, lambda batch, n, m: batch,
    lambda g, out, x: _column(_column(g * out)) * swap_last(INV(x)), dtypes="fdFD",
)  # fmt: skip
SLOGDET = _of_matrices(
    "slogdet",  # the sign, and the logarithm of the magnitude
    lambda x: np.stack(np.linalg.slogdet(x), axis=-1),
    lambda batch, n, m: (*batch, 2),
    lambda g, out, x: _column(_last(g, 1, 2)) * swap_last(INV(x)),
)


def _last(x: Any, start: Dim, stop: Dim) -> Any:
    """A part of the last axis."""
    slices = list(whole_slices(x.shape))
    slices[-1] = (start, 1, add(stop, mul(-1, start)))
    return SLICE(x, slices=tuple(slices))


def _cholesky_gradient(g: Any, out: Any, x: Any) -> Any:
    back = _adjoint(out)
    inner = SOLVE(back, _lower(MATMUL(back, g), 0.5))
    return _symmetric(_adjoint(SOLVE(back, _adjoint(inner))))


CHOLESKY = _of_matrices(
    "cholesky", np.linalg.cholesky, lambda batch, n, m: (*batch, n, m), _cholesky_gradient,
    dtypes="fdFD", adjoint=True,
)  # fmt: skip


def _pinv_gradient(g: Any, out: Any, x: Any) -> Any:
    """Of G. H. Golub and V. Pereyra (1973)."""
    back, p = _adjoint(g), _adjoint(out)
    first = MATMUL(MATMUL(back, out), p)
    second = MATMUL(MATMUL(p, out), back)
    return (
        -MATMUL(MATMUL(p, g), p)
        + (first - MATMUL(x, MATMUL(out, first)))
        + (second - MATMUL(MATMUL(second, out), x))
    )


PINV = _of_matrices(
    "pinv", np.linalg.pinv, lambda batch, n, m: (*batch, m, n), _pinv_gradient, square=False,
    dtypes="fdFD", adjoint=True,
)  # fmt: skip


# decompositions


def parts(packed: Any, shapes: Sequence[Shape]) -> list[Any]:
    """The arrays that lie side by side along the last axis; shapes: without the stack's axes."""
    batch = as_shape(packed.shape)[:-1]
    found, start = [], 0
    for shape in shapes:
        size: Dim = 1
        for d in shape:
            size = mul(size, d)
        stop = add(start, size)
        found.append(RESHAPE(_last(packed, start, stop), shape=(*batch, *shape)))
        start = stop  # type: ignore[assignment]
    return found


def _packed(arrays: Sequence[Any], batch: int) -> Any:
    flat = [np.reshape(a, (*a.shape[:batch], -1)) for a in arrays]
    return np.concatenate(flat, axis=-1)


def _smaller(n: Dim, m: Dim) -> Dim:
    return m if dims.at_least(n, m) else n


def eigh_shapes(x: Any) -> list[Shape]:
    n = as_shape(x.shape)[-1]
    return [(n,), (n, n)]


def qr_shapes(x: Any) -> list[Shape]:
    n, m = as_shape(x.shape)[-2:]
    k = _smaller(n, m)
    return [(n, k), (k, m)]


def svd_shapes(x: Any) -> list[Shape]:
    n, m = as_shape(x.shape)[-2:]
    k = _smaller(n, m)
    return [(n, k), (k,), (k, m)]


def _decomposition(
    name: str, eval: Callable[..., Sequence[Any]], shapes: Callable[[Any], list[Shape]],
    gradient: Callable[..., Any], square: bool = False,
) -> Op:  # fmt: skip
    """gradient: from the cotangents of the arrays, these, and the matrix."""

    def spec(x: Spec) -> Spec:
        batch, _, _ = _matrices(name, x, square)
        total: Dim = 0
        for shape in shapes(x):
            size: Dim = 1
            for d in shape:
                size = mul(size, d)
            total = add(total, size)
        return Spec((*batch, total), x.dtype)

    def rule(g: Any, out: Any, x: Any) -> Any:
        _check_real(name, x)
        found = shapes(x)
        return gradient(parts(g, found), parts(out, found), x)

    def whole(x: Any) -> Any:
        return _packed(eval(x), np.ndim(x) - 2)

    return opaque(name, whole, spec, rule)


def _differences(values: Any, squared: bool) -> Any:
    """1 / (v[j] - v[i]), or of the squares; 0 where i is j."""
    v = values * values if squared else values
    apart = _eye(as_shape(v.shape)[-1], v)
    one = np.dtype(v.dtype).type(1)
    zero = np.dtype(v.dtype).type(0)
    return ew.WHERE(apart, zero, one / ew.WHERE(apart, one, _row(v) - _column(v)))


def _diagonal(values: Any) -> Any:
    zero = np.dtype(values.dtype).type(0)
    return ew.WHERE(_eye(as_shape(values.shape)[-1], values), _row(values), zero)


def _eigh_gradient(g: Sequence[Any], out: Sequence[Any], x: Any) -> Any:
    (gw, gv), (w, v) = g, out
    back = swap_last(v)
    inner = _diagonal(gw) + _differences(w, squared=False) * MATMUL(back, gv)
    return _symmetric(MATMUL(MATMUL(v, inner), back))


EIGH = _decomposition("eigh", np.linalg.eigh, eigh_shapes, _eigh_gradient, square=True)


def _eigvalsh_gradient(g: Any, out: Any, x: Any) -> Any:
    _, v = parts(EIGH(x), eigh_shapes(x))
    return MATMUL(v * _row(g), _adjoint(v))


EIGVALSH = _of_matrices(
    "eigvalsh", np.linalg.eigvalsh, lambda batch, n, m: (*batch, n), _eigvalsh_gradient
)


def _qr_gradient(g: Sequence[Any], out: Sequence[Any], x: Any) -> Any:
    (gq, gr), (q, r) = g, out
    if not dims.at_least(*as_shape(x.shape)[-2:]):
        raise GradientError("qr of matrices of more columns than rows has no gradient rule")
    m = MATMUL(r, swap_last(gr)) - MATMUL(swap_last(gq), q)
    both = _lower(m, 1.0) + swap_last(_lower(m, 0.0))
    return swap_last(SOLVE(r, swap_last(gq + MATMUL(q, both))))


QR = _decomposition("qr", np.linalg.qr, qr_shapes, _qr_gradient)


def _svd_gradient(g: Sequence[Any], out: Sequence[Any], x: Any) -> Any:
    (gu, gs, gvt), (u, s, vt) = g, out
    f = _differences(s, squared=True)
    ut, v, gv = swap_last(u), swap_last(vt), swap_last(gvt)
    of_u, of_v = MATMUL(ut, gu), MATMUL(vt, gv)
    left = (f * (of_u - swap_last(of_u))) * _row(s)
    right = _column(s) * (f * (of_v - swap_last(of_v)))
    whole = MATMUL(MATMUL(u, left + right + _diagonal(gs)), vt)
    outside_u = (gu - MATMUL(u, of_u)) / _row(s)
    outside_v = (gv - MATMUL(v, of_v)) / _row(s)
    return whole + MATMUL(outside_u, vt) + MATMUL(u, swap_last(outside_v))


SVD = _decomposition(
    "svd", lambda x: np.linalg.svd(x, full_matrices=False), svd_shapes, _svd_gradient
)


def _svdvals_gradient(g: Any, out: Any, x: Any) -> Any:
    u, _, vt = parts(SVD(x), svd_shapes(x))
    return MATMUL(u * _row(g), vt)


SVDVALS = _of_matrices(
    "svdvals",
    lambda x: np.linalg.svd(x, compute_uv=False),
    lambda batch, n, m: (*batch, _smaller(n, m)),
    _svdvals_gradient,
    square=False,
)


# sorting


ARGSORT = opaque(
    "argsort",
    lambda x, *, axis: np.argsort(x, axis=axis, kind="stable"),
    lambda x, *, axis: Spec(x.shape, np.dtype(np.int64)),
)
SORT = opaque(
    "sort",
    lambda x, *, axis: np.sort(x, axis=axis),
    lambda x, *, axis: Spec(x.shape, x.dtype),
    lambda g, out, x, *, axis: along(g, ARGSORT(ARGSORT(x, axis=axis), axis=axis), axis),
)
STACKED = (INV, SOLVE, DET, SLOGDET, CHOLESKY, PINV, EIGH, EIGVALSH, QR, SVD, SVDVALS)
"""Operations on stacks of matrices: other axes may come in front."""
