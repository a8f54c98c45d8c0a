"""Operations that a library carries out between the kernels: matrix products and joining."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..interpreter import apply
from ..spec import Spec, as_shape, broadcast, dims, normalize_axis
from ..symbolic import Dim, add, mul
from .op import opaque, ufunc_dtypes, undispatched
from .views import EXPAND_DIMS, RESHAPE, SLICE, SQUEEZE, TRANSPOSE

# matmul, by NumPy's rules: 1-d operands are rows or columns, leading axes broadcast


def _matmul_spec(x: Spec, y: Spec) -> Spec:
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError("matmul: an operand is a scalar; multiply with * instead")
    dtype = ufunc_dtypes("matmul", np.matmul, (x, y))[-1]
    inner_x, inner_y = x.shape[-1], y.shape[-2 if y.ndim > 1 else 0]
    if not dims.same(inner_x, inner_y):
        raise ShapeError(
            f"matmul: shapes {dims.shown(x.shape)} and {dims.shown(y.shape)} do not fit: "
            f"the inner sizes differ"
        )
    batch = broadcast("matmul", [x.shape[:-2], y.shape[:-2]])
    rows = x.shape[-2:-1] if x.ndim > 1 else ()
    columns = y.shape[-1:] if y.ndim > 1 else ()
    return Spec((*batch, *rows, *columns), dtype)


def swap_last(x: Any) -> Any:
    ndim = x.ndim
    axes = (1, 0) if ndim == 2 else (*range(ndim - 2), ndim - 1, ndim - 2)
    return apply(TRANSPOSE, (x,), {"axes": axes})


def _as_matrices(g: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Operands and cotangent with the axes that matmul's 1-d rules left out."""
    if y.ndim == 1:
        y, g = EXPAND_DIMS(y, axes=(1,)), EXPAND_DIMS(g, axes=(g.ndim,))
    if x.ndim == 1:
        x, g = EXPAND_DIMS(x, axes=(0,)), EXPAND_DIMS(g, axes=(g.ndim - 1,))
    return g, x, y


def _matmul_gradient_x(g: Any, out: Any, x: Any, y: Any) -> Any:
    g, _, matrix = _as_matrices(g, x, y)
    grad = MATMUL(g, swap_last(matrix))
    return SQUEEZE(grad, axes=(grad.ndim - 2,)) if x.ndim == 1 else grad


def _matmul_gradient_y(g: Any, out: Any, x: Any, y: Any) -> Any:
    g, matrix, _ = _as_matrices(g, x, y)
    if y.ndim <= 2 < matrix.ndim:  # the sum over a stack of products is one product
        matrix, g = (_joined(v) for v in (matrix, g))
    grad = MATMUL(swap_last(matrix), g)
    return SQUEEZE(grad, axes=(grad.ndim - 1,)) if y.ndim == 1 else grad


def _joined(stack: Any) -> Any:
    """The rows of a stack's matrices as those of one."""
    rows: Any = 1
    for d in as_shape(stack.shape)[:-1]:
        rows = mul(rows, d)
    return RESHAPE(stack, shape=(rows, as_shape(stack.shape)[-1]))


def _matmul(x: Any, y: Any) -> Any:
    """A stack of matrices by one matrix is a single product of what lies in the stack's rows, where
    NumPy makes one product for each.
    """
    if type(x) is not np.ndarray or type(y) is not np.ndarray:
        x, y = np.asarray(x), np.asarray(y)
    if y.ndim != 2 or x.ndim < 3 or x.dtype.kind not in "fc" or x.dtype != y.dtype:
        return np.matmul(x, y)
    return np.matmul(x.reshape(-1, x.shape[-1]), y).reshape(*x.shape[:-1], y.shape[-1])


MATMUL = opaque("matmul", _matmul, _matmul_spec, (_matmul_gradient_x, _matmul_gradient_y))


# concatenate


def _concatenate_spec(*specs: Spec, axis: int) -> Spec:
    if not specs:
        raise ShapeError("concatenate: need at least one array")
    first = specs[0]
    axis = normalize_axis("concatenate", axis, first.ndim)
    total: Dim = 0
    for spec in specs:
        if spec.ndim != first.ndim:
            raise ShapeError(
                f"concatenate: arrays of {first.ndim} and {spec.ndim} dimensions can't be joined"
            )
        for k, (a, b) in enumerate(zip(first.shape, spec.shape, strict=True)):
            if k != axis and not dims.same(a, b):
                raise ShapeError(
                    f"concatenate: shapes {dims.shown(first.shape)} and {dims.shown(spec.shape)} "
                    f"differ along axis {k}"
                )
        total = add(total, spec.shape[axis])
    dtype = np.result_type(*[s.dtype for s in specs])
    return Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), dtype)


def _concatenate_gradient(g: Any, out: Any, *xs: Any, axis: int) -> list[Any]:
    grads, start = [], 0
    for x in xs:
        parts = [(0, 1, as_shape(d)[0]) for d in x.shape]
        parts[axis] = (start, 1, parts[axis][2])
        grads.append(SLICE(g, slices=tuple(parts)))
        start = add(start, parts[axis][2])  # type: ignore[assignment]
    return grads


_concatenate = undispatched(np.concatenate)
CONCATENATE = opaque(
    "concatenate",
    lambda *xs, axis: _concatenate(xs, axis),
    _concatenate_spec,
    vjp_all=_concatenate_gradient,
)
