"""Arrays in compiled code over memory that the caller brings.

They have a type of their own, whose elements are addressed by `getelementptr`: Numba's own arrays
test each index for being negative, and add strides to addresses that were turned into integers,
which no loop around them vectorises through.  Nor do two of them share elements that one of them
is written to, which loads and stores say by `alias.scope`: a loop over many arrays needs no tests
for that when it runs.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
from numba.extending import lower_builtin, models, register_model, type_callable
from numba.np.arrayobj import load_item, make_array, populate_array, store_item
from numba.np.numpy_support import as_dtype

MOST = 32  # memories that are told apart


class Memory(types.Array):  # type: ignore[misc]
    """An array whose indices are never negative, and that overlaps none of another number."""

    def __init__(self, dtype: types.Type, ndim: int, layout: str, number: int | None) -> None:
        name = f"memory({dtype}, {ndim}, {layout}, {number})"
        super().__init__(dtype, ndim, layout, name=name)
        self.number = number

    @property
    def key(self) -> Any:
        return (*super().key, self.number)


register_model(Memory)(models.ArrayModel)


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
            signature(Memory(dtype.dtype, 2, "C", None), rows, columns, dtype) if literal else None
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
def _type_array_view(context: Any) -> Callable[..., types.Type | None]:
    def typer(
        buffers: Any, index: Any, dtype: Any, shape: Any, strides: Any = None
    ) -> types.Type | None:
        layout: Any = "C" if strides is None or strides == types.none else "A"
        if not isinstance(index, types.IntegerLiteral):
            return None
        result = Memory(dtype.dtype, len(shape), layout, index.literal_value)
        return signature(result, buffers, index, dtype, shape, *([strides] if strides else []))

    return typer


def _lower_array_view(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> Any:
    array_type = signature.return_type
    buffers, _, _, shape = operands[:4]
    index = context.get_constant(types.intp, signature.args[1].literal_value)
    array = make_array(array_type)(context, builder)
    item = context.get_data_type(array_type.dtype)
    itemsize = context.get_constant(types.intp, context.get_abi_sizeof(item))
    dims = cgutils.unpack_tuple(builder, shape, array_type.ndim)
    if array_type.layout == "A":
        # elements are aligned, so this changes nothing, but LLVM no longer makes a version of each
        # loop for strides of a single byte and leaves all others scalar
        mask = context.get_constant(types.intp, -alignment(array_type.dtype))
        given = cgutils.unpack_tuple(builder, operands[4], array_type.ndim)
        steps = [builder.and_(step, mask) for step in given]
    else:
        steps, step = [], itemsize
        for dim in reversed(dims):
            steps.insert(0, step)
            step = builder.mul(step, dim)
    pointer = builder.bitcast(builder.load(builder.gep(buffers, [index])), item.as_pointer())
    populate_array(array, pointer, dims, steps, itemsize, meminfo=None)
    return array._getvalue()


def alignment(dtype: types.Type) -> int:
    """Bytes that addresses of elements are multiples of."""
    return int(as_dtype(dtype).alignment)


_HEAD = (types.CPointer(types.voidptr), types.IntegerLiteral, types.Any)
lower_builtin(array_view, *_HEAD, types.BaseTuple)(_lower_array_view)
lower_builtin(array_view, *_HEAD, types.BaseTuple, types.BaseTuple)(_lower_array_view)


# elements


def element(
    context: Any, builder: ir.IRBuilder, kind: Memory, value: Any, indices: Sequence[ir.Value]
) -> ir.Value:
    """The address of an element."""
    array = make_array(kind)(context, builder, value)
    offset: ir.Value = context.get_constant(types.intp, 0)
    if kind.layout == "C":
        for axis, index in enumerate(indices):
            if axis:
                size = builder.extract_value(array.shape, axis)
                offset = builder.add(
                    builder.mul(offset, size, flags=("nsw",)), index, flags=("nsw",)
                )
            else:
                offset = index
        return builder.gep(array.data, [offset], inbounds=True)
    for axis, index in enumerate(indices):
        step = builder.mul(index, builder.extract_value(array.strides, axis), flags=("nsw",))
        offset = builder.add(offset, step, flags=("nsw",))
    start = builder.bitcast(array.data, cgutils.voidptr_t)
    return builder.bitcast(builder.gep(start, [offset], inbounds=True), array.data.type)


def indices_of(context: Any, builder: ir.IRBuilder, kind: types.Type, index: Any) -> list[ir.Value]:
    """The integers of an index, one or a tuple of them."""
    kinds = list(kind) if isinstance(kind, types.BaseTuple) else [kind]
    values = cgutils.unpack_tuple(builder, index, len(kinds)) if kinds != [kind] else [index]
    return [
        context.cast(builder, value, own, types.intp)
        for value, own in zip(values, kinds, strict=True)
    ]


def told_apart(builder: ir.IRBuilder, kind: Memory, before: int) -> None:
    """Say of the latest loads and stores which memory they are to."""
    module, scopes = builder.module, []
    domain = module.add_metadata([ir.MetaDataString(module, "jitgraph")])
    for number in range(MOST):
        name = ir.MetaDataString(module, f"buffer {number}")
        scopes.append(module.add_metadata([name, domain]))
    if kind.number is None or kind.number >= MOST:
        return
    own = module.add_metadata([scopes[kind.number]])
    others = module.add_metadata([s for k, s in enumerate(scopes) if k != kind.number])
    for instruction in builder.block.instructions[before:]:
        if isinstance(instruction, ir.LoadInstr | ir.StoreInstr):
            instruction.set_metadata("alias.scope", own)
            instruction.set_metadata("noalias", others)


def _lower_getitem(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> Any:
    kind, index_kind = signature.args
    indices = indices_of(context, builder, index_kind, operands[1])
    pointer = element(context, builder, kind, operands[0], indices)
    before = len(builder.block.instructions)
    value = load_item(context, builder, kind, pointer)
    told_apart(builder, kind, before)
    return value


def _lower_setitem(context: Any, builder: ir.IRBuilder, signature: Any, operands: Any) -> Any:
    kind, index_kind, value_kind = signature.args
    indices = indices_of(context, builder, index_kind, operands[1])
    pointer = element(context, builder, kind, operands[0], indices)
    value = context.cast(builder, operands[2], value_kind, kind.dtype)
    before = len(builder.block.instructions)
    store_item(context, builder, kind, value, pointer)
    told_apart(builder, kind, before)
    return context.get_dummy_value()


for _index in (types.Integer, types.BaseTuple):
    lower_builtin(operator.getitem, Memory, _index)(_lower_getitem)
    lower_builtin(operator.setitem, Memory, _index, types.Any)(_lower_setitem)
