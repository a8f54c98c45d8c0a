"""Arrays in compiled code over memory that the caller brings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.extending import lower_builtin, type_callable
from numba.np.arrayobj import make_array, populate_array


def array_view(buffers: Any, index: int, dtype: Any, shape: Any, strides: Any = None) -> Any:
    """The memory at ``buffers[index]`` as an array, unchecked and uncounted.

    Inside compiled code only.  ``strides`` count bytes; without them, the layout is C.
    """
    raise NotImplementedError("array_view belongs to compiled code")


def scratch(rows: int, columns: int, dtype: Any) -> Any:
    """Memory for one call of a kernel, on its stack where it is compiled; sizes are literals."""
    return np.empty((rows, columns), dtype)


@type_callable(scratch)
def _type_scratch(context: Any) -> Callable[..., types.Type | None]:
    def typer(rows: types.Type, columns: types.Type, dtype: Any) -> types.Type | None:
        literal = isinstance(rows, types.IntegerLiteral) and isinstance(
            columns, types.IntegerLiteral
        )
        return (
            signature(types.Array(dtype.dtype, 2, "C"), rows, columns, dtype) if literal else None
        )

    return typer


def _lower_scratch(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> Any:
    array_type = signature.return_type
    dims = [t.literal_value for t in signature.args[:2]]
    item = context.get_data_type(array_type.dtype)
    size = context.get_abi_sizeof(item)
    with builder.goto_entry_block():
        memory = builder.alloca(ir.ArrayType(item, math.prod(dims)))
        memory.align = 64
    strides = [size * math.prod(dims[k + 1 :]) for k in range(len(dims))]

    def words(numbers: list[int]) -> list[ir.Constant]:
        return [context.get_constant(types.intp, n) for n in numbers]

    array = make_array(array_type)(context, builder)
    pointer = builder.bitcast(memory, item.as_pointer())
    populate_array(array, pointer, words(dims), words(strides), *words([size]), meminfo=None)
    return array._getvalue()


lower_builtin(scratch, types.IntegerLiteral, types.IntegerLiteral, types.Any)(_lower_scratch)


@type_callable(array_view)
def _type_array_view(context: Any) -> Callable[..., types.Type]:
    def typer(buffers: Any, index: Any, dtype: Any, shape: Any, strides: Any = None) -> types.Type:
        layout: Any = "C" if strides is None or strides == types.none else "A"
        return types.Array(dtype.dtype, len(shape), layout)

    return typer


def _lower_array_view(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> Any:
    array_type = signature.return_type
    buffers, index, _, shape = operands[:4]
    array = make_array(array_type)(context, builder)
    item = context.get_data_type(array_type.dtype)
    itemsize = context.get_constant(types.intp, context.get_abi_sizeof(item))
    dims = cgutils.unpack_tuple(builder, shape, array_type.ndim)
    if array_type.layout == "A":
        steps = cgutils.unpack_tuple(builder, operands[4], array_type.ndim)
    else:
        steps, step = [], itemsize
        for dim in reversed(dims):
            steps.insert(0, step)
            step = builder.mul(step, dim)
    pointer = builder.bitcast(builder.load(builder.gep(buffers, [index])), item.as_pointer())
    populate_array(array, pointer, dims, steps, itemsize, meminfo=None)
    return array._getvalue()


_HEAD = (types.CPointer(types.voidptr), types.Integer, types.Any)
lower_builtin(array_view, *_HEAD, types.BaseTuple)(_lower_array_view)
lower_builtin(array_view, *_HEAD, types.BaseTuple, types.BaseTuple)(_lower_array_view)
