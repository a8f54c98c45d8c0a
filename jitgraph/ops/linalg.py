"""Linear algebra by LAPACK, over the last two axes of stacks of matrices, and sorting.

What gives several arrays is one operation whose result has them side by side along the last axis,
as rows: `taken_apart` gives them.  Rules of gradients are those of M. B. Giles, "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008), and of
J. Townsend, "Differentiating the singular value decomposition" (2016); of complex matrices those of
S. Walter, L. Lehmann and R. Lamour, "On evaluating higher-order derivatives of the QR decomposition
of tall matrices with full column rank in forward and reverse mode algorithmic differentiation"
(2012), and of Z.-Q. Wan and S.-X. Zhang, "Automatic differentiation for complex valued SVD" (2019).

Eigenvectors and singular vectors of complex matrices are what they are up to a phase.  A gradient
is that of a result that does not depend on the phases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import CaptureError
from ..interpreter import made
from ..spec import Spec, as_shape, broadcast, dims, real_dtype
from ..symbolic import Dim, Shape, add, mul, product
from . import elementwise as ew
from .indexing import along
from .library import CONCATENATE, MATMUL, swap_last
from .op import Op, opaque, undispatched
from .views import EXPAND_DIMS, RESHAPE, SLICE, whole_slices

Rule = Callable[..., Any]


def _matrices(name: str, x: Spec, square: bool = True) -> tuple[Shape, Dim, Dim]:
    """The sizes of a stack of matrices; what is none is left to NumPy, which says so."""
    if x.ndim < 2 or x.dtype.char not in "fdFD":
        raise CaptureError(f"{name} of {x} is not captured")
    if square and not dims.same(x.shape[-1], x.shape[-2]):
        raise CaptureError(f"{name} of matrices that are not square")
    return x.shape[:-2], x.shape[-2], x.shape[-1]


def _of_matrices(
    name: str, eval: Callable[..., Any], shape: Callable[[Shape, Dim, Dim], Shape],
    vjp: Rule | None, square: bool = True, adjoint: bool = False, real: bool = False,
) -> Op:  # fmt: skip
    """real: whether the result is, of complex matrices too."""

    def spec(x: Spec) -> Spec:
        dtype = real_dtype(x.dtype) if real else x.dtype
        return Spec(shape(*_matrices(name, x, square)), dtype)

    return opaque(name, eval, spec, vjp, adjoint=adjoint)


def _is_complex(x: Any) -> bool:
    return bool(np.dtype(x.dtype).kind == "c")


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
    return swap_last(ew.CONJUGATE(x) if _is_complex(x) else x)


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


INV = _of_matrices("inv", np.linalg.inv, lambda batch, n, m: (*batch, n, m), _inverse_gradient)


def _solve_spec(a: Spec, b: Spec) -> Spec:
    batch, n, _ = _matrices("solve", a)
    others, rows, columns = _matrices("solve", b, square=False)
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
    lambda g, out, x: _column(_column(g * out)) * swap_last(INV(x)),
)  # fmt: skip


def _slogdet_gradient(g: Any, out: Any, x: Any) -> Any:
    """The sign turns by the imaginary part of what the logarithm of the determinant grows by."""
    factor = _column(_last(g, 1, 2))
    if _is_complex(x):
        turned = ew.IMAG(_last(g, 0, 1) * ew.CONJUGATE(_last(out, 0, 1)))
        factor = ew.REAL(factor) + _column(turned) * 1j
    return factor * _adjoint(INV(x))


SLOGDET = _of_matrices(
    "slogdet",  # the sign, and the logarithm of the magnitude
    lambda x: np.stack(np.linalg.slogdet(x), axis=-1),
    lambda batch, n, m: (*batch, 2),
    _slogdet_gradient,
    adjoint=True,
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
    adjoint=True,
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
    adjoint=True,
)  # fmt: skip


# decompositions


class Part(NamedTuple):
    """One of the arrays that a decomposition gives: its shape without the stack's axes, and whether
    it is real where the matrix is complex.
    """

    shape: Shape
    real: bool = False

    @property
    def size(self) -> Dim:
        return product(self.shape)


def taken_apart(packed: Any, parts: Sequence[Part]) -> list[Any]:
    """The arrays that lie side by side along the last axis."""
    batch = as_shape(packed.shape)[:-1]
    found: list[Any] = []
    start: Dim = 0
    for part in parts:
        stop = add(start, part.size)
        array = RESHAPE(_last(packed, start, stop), shape=(*batch, *part.shape))
        found.append(ew.REAL(array) if part.real and _is_complex(array) else array)
        start = stop
    return found


def _packed(arrays: Sequence[Any], batch: int) -> Any:
    flat = [np.reshape(a, (*a.shape[:batch], -1)) for a in arrays]
    return np.concatenate(flat, axis=-1)


def _smaller(n: Dim, m: Dim) -> Dim:
    return m if dims.at_least(n, m) else n


def eigh_parts(x: Any) -> list[Part]:
    n = as_shape(x.shape)[-1]
    return [Part((n,), real=True), Part((n, n))]


def qr_parts(x: Any) -> list[Part]:
    n, m = as_shape(x.shape)[-2:]
    k = _smaller(n, m)
    return [Part((n, k)), Part((k, m))]


def svd_parts(x: Any) -> list[Part]:
    n, m = as_shape(x.shape)[-2:]
    k = _smaller(n, m)
    return [Part((n, k)), Part((k,), real=True), Part((k, m))]


def slogdet_parts(x: Any) -> list[Part]:
    return [Part(()), Part((), real=True)]


def _decomposition(
    name: str, eval: Callable[..., Sequence[Any]], parts: Callable[[Any], list[Part]],
    gradient: Callable[..., Any], square: bool = False,
) -> Op:  # fmt: skip
    """gradient: from the cotangents of the arrays, these, and the matrix."""

    def spec(x: Spec) -> Spec:
        batch, _, _ = _matrices(name, x, square)
        total: Dim = 0
        for part in parts(x):
            total = add(total, part.size)
        return Spec((*batch, total), x.dtype)

    def rule(g: Any, out: Any, x: Any) -> Any:
        found = parts(x)
        return gradient(taken_apart(g, found), taken_apart(out, found), x)

    def whole(x: Any) -> Any:
        return _packed(eval(x), np.ndim(x) - 2)

    return opaque(name, whole, spec, rule, adjoint=True)


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
    back = _adjoint(v)
    inner = _diagonal(gw) + _differences(w, squared=False) * MATMUL(back, gv)
    return _symmetric(MATMUL(MATMUL(v, inner), back))


EIGH = _decomposition("eigh", np.linalg.eigh, eigh_parts, _eigh_gradient, square=True)


def _eigvalsh_gradient(g: Any, out: Any, x: Any) -> Any:
    _, v = taken_apart(EIGH(x), eigh_parts(x))
    return MATMUL(v * _row(g), _adjoint(v))


EIGVALSH = _of_matrices(
    "eigvalsh", np.linalg.eigvalsh, lambda batch, n, m: (*batch, n), _eigvalsh_gradient, real=True
)


def _qr_gradient(g: Sequence[Any], out: Sequence[Any], x: Any) -> Any:
    """Of matrices of more columns than rows, q comes from the first columns: the rest of r is the
    rest of the matrix in its coordinates.
    """
    (gq, gr), (q, r) = g, out
    rows, columns = as_shape(x.shape)[-2:]
    if dims.at_least(rows, columns):
        return _tall_qr_gradient(gq, gr, q, r)
    rest, g_rest = _last(x, rows, columns), _last(gr, rows, columns)
    gq = gq + MATMUL(rest, _adjoint(g_rest))
    first = _tall_qr_gradient(gq, _last(gr, 0, rows), q, _last(r, 0, rows))
    return CONCATENATE(first, MATMUL(q, g_rest), axis=x.ndim - 1)


def _tall_qr_gradient(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    lower = _lower(MATMUL(r, _adjoint(gr)) - MATMUL(_adjoint(gq), q), 0.5)
    both = lower + _adjoint(lower)
    return _adjoint(SOLVE(r, _adjoint(gq + MATMUL(q, both))))


QR = _decomposition("qr", np.linalg.qr, qr_parts, _qr_gradient)


def _svd_gradient(g: Sequence[Any], out: Sequence[Any], x: Any) -> Any:
    (gu, gs, gvh), (u, s, vh) = g, out
    f = _differences(s, squared=True)
    of_u, of_v = MATMUL(_adjoint(u), gu), MATMUL(vh, _adjoint(gvh))
    turns = of_u - _adjoint(of_u)
    inner = f * turns * _row(s) + _column(s) * (f * (of_v - _adjoint(of_v))) + _diagonal(gs)
    if _is_complex(x):  # the phases of u and v turn together
        here = _eye(as_shape(s.shape)[-1], s)
        inner = inner + ew.WHERE(here, turns / _row(s), 0) * np.dtype(s.dtype).type(0.5)
    outside_u = (gu - MATMUL(u, of_u)) / _row(s)
    outside_v = (_adjoint(gvh) - MATMUL(_adjoint(vh), of_v)) / _row(s)
    whole = MATMUL(MATMUL(u, inner), vh)
    return whole + MATMUL(outside_u, vh) + MATMUL(u, _adjoint(outside_v))


SVD = _decomposition(
    "svd", lambda x: np.linalg.svd(x, full_matrices=False), svd_parts, _svd_gradient
)


def _svdvals_gradient(g: Any, out: Any, x: Any) -> Any:
    u, _, vh = taken_apart(SVD(x), svd_parts(x))
    return MATMUL(u * _row(g), vh)


SVDVALS = _of_matrices(
    "svdvals",
    lambda x: np.linalg.svd(x, compute_uv=False),
    lambda batch, n, m: (*batch, _smaller(n, m)),
    _svdvals_gradient,
    square=False,
    real=True,
)


# sorting


_sort, _argsort = undispatched(np.sort), undispatched(np.argsort)
ARGSORT = opaque(
    "argsort",
    lambda x, *, axis: _argsort(x, axis, "stable"),
    lambda x, *, axis: Spec(x.shape, np.dtype(np.int64)),
)
SORT = opaque(
    "sort",
    lambda x, *, axis: _sort(x, axis),
    lambda x, *, axis: Spec(x.shape, x.dtype),
    lambda g, out, x, *, axis: along(g, ARGSORT(ARGSORT(x, axis=axis), axis=axis), axis),
)
STACKED = (INV, SOLVE, DET, SLOGDET, CHOLESKY, PINV, EIGH, EIGVALSH, QR, SVD, SVDVALS)
"""Operations on stacks of matrices: other axes may come in front."""
