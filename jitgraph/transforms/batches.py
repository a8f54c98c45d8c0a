"""Functions of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..batching import Batched, running
from ..errors import ShapeError, user_line
from ..functions import broadcast_to, expand_dims, moveaxis
from ..interpreter import current_trace
from ..spec import as_shape, dims
from ..symbolic import Dim
from ..tree import flatten
from .engines import Function, run_seen
from .transformed import Transformed


def vmap(function: Function, in_axes: Any = 0, out_axes: int = 0) -> Function:
    """A function that does for each element of a batch what another one does for one.

    in_axes: the axis of the arguments that runs over the batch, an integer, or a tuple of one for
    each argument; None for an argument that is the same for all.  An argument may be a container,
    whose arrays all have the axis.
    out_axes: where the results have it.
    """

    def run(*args: Any) -> Any:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ShapeError(
                f"vmap: in_axes is for {len(axes)} arguments, the call has {len(args)} "
                f"({user_line()})"
            )
        flat = [flatten(arg) for arg in args]
        batches = [
            [moveaxis(leaf, axis, 0) for leaf in leaves] if axis is not None else None
            for (leaves, _), axis in zip(flat, axes, strict=True)
        ]
        size = _size([b for leaves in batches if leaves for b in leaves])
        with running(size) as level:
            given = [
                tree.unflatten(
                    leaves if batch is None else [Batched(value, level) for value in batch]
                )
                for (leaves, tree), batch in zip(flat, batches, strict=True)
            ]
            results, structure = flatten(run_whole(function, given))
            return structure.unflatten([_result(r, level, size, out_axes) for r in results])

    return Transformed(function, "batches", run)


def run_whole(function: Function, args: Sequence[Any]) -> Any:
    """A function on batches."""
    return function(*args) if current_trace() is None else run_seen(function, args)


def _size(batches: Sequence[Any]) -> Dim:
    if not batches:
        raise ShapeError(f"vmap: no argument has an axis for the batch ({user_line()})")
    sizes = [as_shape(b.shape)[0] for b in batches]
    for size in sizes[1:]:
        if not dims.same(size, sizes[0]):
            raise ShapeError(
                f"vmap: batches of different sizes {dims.shown((sizes[0], size))} ({user_line()})"
            )
    return sizes[0]


def _result(result: Any, level: int, size: Dim, axis: int) -> Any:
    if isinstance(result, Batched) and result.level == level:
        return moveaxis(result.value, 0, axis)
    if not hasattr(result, "ndim"):
        return result
    return broadcast_to(
        expand_dims(result, axis), _inserted(as_shape(result.shape), axis % (result.ndim + 1), size)
    )


def _inserted(shape: tuple[Dim, ...], axis: int, size: Dim) -> tuple[Dim, ...]:
    return (*shape[:axis], size, *shape[axis:])
