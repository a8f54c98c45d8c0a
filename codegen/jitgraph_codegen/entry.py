"""The entry stub: a call from Python to result in machine code.

For `f(x, y)` it is a C function with CPython's fast calling convention,

    PyObject *entry(PyObject *self, PyObject **args, Py_ssize_t count, PyObject *keywords)

which checks the arguments against a signature (types, dtypes, layouts, sizes, guards), makes the
results through NumPy's C API, runs the kernels and returns.  Whatever does not fit goes to the next
stub, at last to Python.  Addresses of this process are symbols of the object code, so that it can
be kept on disk.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir

from .native import (
    ArrayParam,
    Drop,
    FloatParam,
    IntParam,
    Make,
    NativeProgram,
    Outer,
    Param,
    Run,
    SameParam,
    Signature,
    Step,
)
from .recycling import SMALLEST
from .threads import PARALLEL_WORK

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
ENTRY = ir.FunctionType(I64, [I64, I64, I64, I64])
KERNEL = ir.FunctionType(ir.VoidType(), [I64, I64, I64, I64])

# Byte offsets, checked against this interpreter and this NumPy by `is_supported`.
HEAD = object.__basicsize__  # the value of a float or NumPy scalar, and an array's data, follow it
TYPE = HEAD - 8
NDIM, DIMS, STRIDES, DESCR, FLAGS = HEAD + 8, HEAD + 16, HEAD + 24, HEAD + 40, HEAD + 48
CELL_CONTENTS = HEAD
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
LARGEST_INT = 1 << 15  # arithmetic of larger numbers might leave 64 bits
NEW_FROM_DESCR, RETURN = 94, 76  # slots of NumPy's C API table

SCALARS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
           "float32", "float64", "complex64", "complex128")  # fmt: skip


def entry_module(program: NativeProgram, signature: Signature, parallel: bool) -> str:
    """LLVM IR of the stub.  parallel: whether large kernels are shared among threads."""
    return str(_Stub(program, signature, parallel).module)


class _Stub:
    def __init__(self, program: NativeProgram, signature: Signature, parallel: bool) -> None:
        self.program, self.signature, self.parallel = program, signature, parallel
        self.module = ir.Module("entry")
        self.function = ir.Function(self.module, ENTRY, "entry")
        self.sizes: dict[str, ir.Value] = {}
        self.data: dict[str, ir.Value] = {}  # addresses of the elements
        self.objects: dict[str, ir.Value] = {}
        self.strides: dict[str, ir.Value] = {}
        self.builder = ir.IRBuilder(self.function.append_basic_block("start"))
        self.missed = self.function.append_basic_block("missed")
        self._check_arguments()
        self._count()
        if program.by_python:
            self._call_driver()
        else:
            for step in program.steps:
                self._step(step)
            dropped = {s.dropped for s in program.steps if isinstance(s, Drop)}
            made = [s.name for s in program.steps if isinstance(s, Make)]
            self._return([name for name in made if name not in dropped])
        self.builder.position_at_end(self.missed)
        following = self._pointer(self._load(self.symbol("next_stub"), 0, I64), ENTRY)
        self.builder.ret(self.builder.call(following, self.function.args, tail=True))

    # addresses and fields

    def symbol(self, name: str) -> ir.Value:
        """The address that a name of this process is linked to."""
        found = self.module.globals.get(name)
        if found is None:
            found = ir.GlobalVariable(self.module, ir.IntType(8), name)
            found.linkage = "external"
        return self.builder.ptrtoint(found, I64)

    def _pointer(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        return self.builder.inttoptr(address, kind.as_pointer())

    def _load(self, address: ir.Value, offset: int, kind: ir.Type) -> ir.Value:
        place = self.builder.add(address, _number(offset)) if offset else address
        return self.builder.load(self._pointer(place, kind))

    def _call(self, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.builder.call(self._pointer(self.symbol(name), kind), args)

    def _guard(self, condition: ir.Value) -> None:
        passed = self.function.append_basic_block("passed")
        self.builder.cbranch(condition, passed, self.missed)
        self.builder.position_at_end(passed)

    def _same(self, a: ir.Value, b: ir.Value) -> None:
        self._guard(self.builder.icmp_signed("==", a, b))

    def expression(self, text: str) -> ir.Value:
        """A size."""
        return self._expression(ast.parse(text, mode="eval").body)

    def _expression(self, tree: ast.expr) -> ir.Value:
        b = self.builder
        match tree:
            case ast.Constant(value=int(value)):
                return _number(value)
            case ast.Name(id=name):
                return self.sizes[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return b.neg(self._expression(operand))
            case ast.BinOp(left=left, op=op, right=right):
                x, y = self._expression(left), self._expression(right)
                if isinstance(op, ast.FloorDiv):
                    return self._floor_divide(x, y)
                return {ast.Add: b.add, ast.Sub: b.sub, ast.Mult: b.mul}[type(op)](x, y)
            case ast.Subscript(
                value=ast.Attribute(value=ast.Name(id=name), attr="strides"),
                slice=ast.Constant(value=int(axis)),
            ):
                return self._load(self.strides[name], 8 * axis, I64)
        raise ValueError(f"no size: {ast.unparse(tree)}")

    def _floor_divide(self, x: ir.Value, y: ir.Value) -> ir.Value:
        b = self.builder
        quotient, rest = b.sdiv(x, y), b.srem(x, y)
        opposite = b.icmp_signed("<", b.xor(rest, y), _number(0))
        inexact = b.and_(b.icmp_signed("!=", rest, _number(0)), opposite)
        return b.sub(quotient, b.zext(inexact, I64))

    # arguments

    def _check_arguments(self) -> None:
        _, args, count, keywords = self.function.args
        self._same(count, _number(len(self.signature.positional)))
        self._same(keywords, _number(0))
        for k, param in enumerate(self.signature.positional):
            self._check(param, self._load(args, 8 * k, I64))
        for outer in self.signature.outer:
            self._check(outer.param, self._found(outer))
        self._check_divisors()
        for guard in self.program.guards:
            tree = ast.parse(guard, mode="eval").body
            assert isinstance(tree, ast.Compare)
            operator = {ast.Eq: "==", ast.NotEq: "!=", ast.GtE: ">="}[type(tree.ops[0])]
            sides = self._expression(tree.left), self._expression(tree.comparators[0])
            self._guard(self.builder.icmp_signed(operator, *sides))
        for name in self.program.written:
            self._check_written(name)

    def _check_divisors(self) -> None:
        """Division by a size that is zero raises, in Python."""
        texts = [*self.program.guards]
        for step in self.program.steps:
            match step:
                case Make():
                    texts += step.shape
                case Run():
                    texts += (*step.sizes, step.extent, step.work)
        for tree in {ast.unparse(n.right) for t in texts for n in ast.walk(ast.parse(t))
                     if isinstance(n, ast.BinOp) and isinstance(n.op, ast.FloorDiv)
                     and not isinstance(n.right, ast.Constant)}:  # fmt: skip
            self._guard(self.builder.icmp_signed("!=", self.expression(tree), _number(0)))

    def _found(self, outer: Outer) -> ir.Value:
        if not outer.owner:
            assert outer.key is not None
            return self.symbol(outer.key)
        owner = self.symbol(outer.owner)
        if outer.key is None:
            found = self._load(owner, CELL_CONTENTS, I64)
        elif outer.attribute:
            return self._attribute(owner, self.symbol(outer.key))
        else:
            found = self._call("PyDict_GetItemWithError", I64, owner, self.symbol(outer.key))
        self._guard(self.builder.icmp_signed("!=", found, _number(0)))
        return found

    def _attribute(self, owner: ir.Value, key: ir.Value) -> ir.Value:
        """An attribute that the object holds, so that it lives on without a reference of ours."""
        b = self.builder
        found = self._call("PyObject_GetAttr", I64, owner, key)
        exists = self.function.append_basic_block("exists")
        absent = self.function.append_basic_block("absent")
        b.cbranch(b.icmp_signed("!=", found, _number(0)), exists, absent)
        b.position_at_end(absent)
        self._call("PyErr_Clear", ir.VoidType())
        b.branch(self.missed)
        b.position_at_end(exists)
        self._call("Py_DecRef", ir.VoidType(), found)
        return found

    def _check(self, param: Param, obj: ir.Value) -> None:
        match param:
            case SameParam(held):
                self._same(obj, self.symbol(held))
            case FloatParam(name):
                self._same(self._load(obj, TYPE, I64), self.symbol("PyFloat_Type"))
                self.data[name] = self.builder.add(obj, _number(HEAD))
            case IntParam(size):
                self._same(self._load(obj, TYPE, I64), self.symbol("PyLong_Type"))
                overflow = self._stack(I32, 1)
                address = self.builder.ptrtoint(overflow, I64)
                value = self._call("PyLong_AsLongLongAndOverflow", I64, obj, address)
                self._same(self.builder.load(overflow), ir.Constant(I32, 0))
                self._guard(self.builder.icmp_signed(">=", value, _number(2)))
                self._guard(self.builder.icmp_signed("<", value, _number(LARGEST_INT)))
                self.sizes[size] = value
            case ArrayParam():
                self._check_array(param, obj)

    def _check_array(self, param: ArrayParam, obj: ir.Value) -> None:
        self.objects[param.name] = obj
        if param.scalar:
            self._same(self._load(obj, TYPE, I64), self.symbol(f"scalar_{param.dtype}"))
            self.data[param.name] = self.builder.add(obj, _number(HEAD))
            return
        self._same(self._load(obj, TYPE, I64), self.symbol("PyArray_Type"))
        self._same(self._load(obj, NDIM, I32), ir.Constant(I32, len(param.sizes)))
        self._same(self._load(obj, DESCR, I64), self.symbol(f"dtype_{param.dtype}"))
        wanted = ALIGNED | (C_CONTIGUOUS if param.layout == "C" else 0)
        flags = self._load(obj, FLAGS, I32)
        seen = self.builder.and_(flags, ir.Constant(I32, ALIGNED | C_CONTIGUOUS))
        self._same(seen, ir.Constant(I32, wanted))
        dims = self._load(obj, DIMS, I64)
        for axis, size in enumerate(param.sizes):
            found = self._load(dims, 8 * axis, I64)
            if isinstance(size, int):
                self._same(found, _number(size))
            else:
                self._guard(self.builder.icmp_signed(">=", found, _number(2)))
                self.sizes[size] = found
        self.data[param.name] = self._load(obj, HEAD, I64)
        strides = self.strides[param.name] = self._load(obj, STRIDES, I64)
        if param.layout != "C" and param.sizes:
            last = self._load(strides, 8 * (len(param.sizes) - 1), I64)
            relation = "==" if param.layout == "R" else "!="
            itemsize = _number(np.dtype(param.dtype).itemsize)
            self._guard(self.builder.icmp_signed(relation, last, itemsize))

    def _check_written(self, name: str) -> None:
        """Writeable, and sharing no memory with another argument."""
        b = self.builder
        writeable = b.and_(self._load(self.objects[name], FLAGS, I32), ir.Constant(I32, WRITEABLE))
        self._guard(b.icmp_signed("!=", writeable, ir.Constant(I32, 0)))
        start, stop = self._bounds(name)
        for param in self.signature.params:
            if isinstance(param, ArrayParam) and not param.scalar and param.name != name:
                other_start, other_stop = self._bounds(param.name)
                before = b.icmp_unsigned("<=", stop, other_start)
                self._guard(b.or_(before, b.icmp_unsigned("<=", other_stop, start)))

    def _bounds(self, name: str) -> tuple[ir.Value, ir.Value]:
        param = next(
            p for p in self.signature.params if isinstance(p, ArrayParam) and p.name == name
        )
        total: ir.Value = _number(np.dtype(param.dtype).itemsize)
        for size in param.sizes:
            known = _number(size) if isinstance(size, int) else self.sizes[size]
            total = self.builder.mul(total, known)
        return self.data[name], self.builder.add(self.data[name], total)

    def _count(self) -> None:
        """One more call that is taken here."""
        counter = self._pointer(self.symbol("hits"), I64)
        self.builder.store(self.builder.add(self.builder.load(counter), _number(1)), counter)

    # steps

    def _stack(self, kind: ir.Type, count: int) -> ir.Value:
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind, count)

    def _array_of(self, values: Sequence[ir.Value]) -> ir.Value:
        """Numbers in memory on the stack, by address."""
        address = self.builder.ptrtoint(self._stack(I64, max(len(values), 1)), I64)
        for k, value in enumerate(values):
            place = self.builder.add(address, _number(8 * k))
            self.builder.store(value, self._pointer(place, I64))
        return address

    def _step(self, step: Step) -> None:
        if isinstance(step, Make):
            self._make(step)
            return
        if isinstance(step, Drop):
            self._call("Py_DecRef", ir.VoidType(), self.objects[step.dropped])
            return
        buffers = self._array_of([self.data[name] for name in step.buffers])
        sizes = self._array_of([self.expression(text) for text in step.sizes])
        self._run(step, buffers, sizes)

    def _run(self, step: Run, buffers: ir.Value, sizes: ir.Value) -> None:
        """The kernel, by several threads and without the interpreter's lock where that pays."""
        b, extent = self.builder, self.expression(step.extent)
        kernel = self.symbol(f"kernel{step.kernel}")
        after = self.function.append_basic_block("after")
        if self.parallel:
            shared = self.function.append_basic_block("shared")
            alone = self.function.append_basic_block("alone")
            work = self.expression(step.work)
            b.cbranch(b.icmp_signed("<", work, _number(PARALLEL_WORK)), alone, shared)
            b.position_at_end(shared)
            state = self._call("PyEval_SaveThread", I64)
            arguments = (self.symbol("pool"), kernel, buffers, sizes, extent, work)
            self._call("run_parts", ir.VoidType(), *arguments)
            self._call("PyEval_RestoreThread", ir.VoidType(), state)
            b.branch(after)
            b.position_at_end(alone)
        b.call(self._pointer(kernel, KERNEL), [buffers, sizes, _number(0), extent])
        b.branch(after)
        b.position_at_end(after)

    def _make(self, step: Make) -> None:
        b, null = self.builder, _number(0)
        shape = [self.expression(text) for text in step.shape]
        total: ir.Value = _number(np.dtype(step.dtype).itemsize)
        for size in shape:
            total = b.mul(total, size)
        if shape and not step.zeros:
            large, small, both = (
                self.function.append_basic_block(name) for name in ("large", "small", "both")
            )
            b.cbranch(b.icmp_signed("<", total, _number(SMALLEST)), small, large)
            b.position_at_end(large)
            again, from_large = self._recycled(step.dtype, shape), b.block
            b.branch(both)
            b.position_at_end(small)
            fresh, from_small = self._fresh(step.dtype, shape), b.block
            b.branch(both)
            b.position_at_end(both)
            made = b.phi(I64)
            made.add_incoming(again, from_large)
            made.add_incoming(fresh, from_small)
        else:
            made = self._fresh(step.dtype, shape)
        exists = self.function.append_basic_block("made")
        failed = self.function.append_basic_block("failed")
        b.cbranch(b.icmp_signed("!=", made, null), exists, failed)
        b.position_at_end(failed)  # out of memory: NumPy has set the error
        b.ret(null)
        b.position_at_end(exists)
        self.objects[step.name] = made
        self.data[step.name] = self._load(made, HEAD, I64)
        if step.zeros:
            self._call("memset", I64, self.data[step.name], ir.Constant(I32, 0), total)

    def _fresh(self, dtype: str, shape: Sequence[ir.Value]) -> ir.Value:
        descr, null = self.symbol(f"dtype_{dtype}"), _number(0)
        self._call("Py_IncRef", ir.VoidType(), descr)
        return self._call(
            "PyArray_NewFromDescr", I64, self.symbol("PyArray_Type"), descr,
            ir.Constant(I32, len(shape)), self._array_of(shape), null, null,
            ir.Constant(I32, 0), null,
        )  # fmt: skip

    def _recycled(self, dtype: str, shape: Sequence[ir.Value]) -> ir.Value:
        """`recycled(shape, dtype)`, a Python call that large arrays are worth."""
        sizes = self._call("PyTuple_New", I64, _number(len(shape)))
        for k, size in enumerate(shape):
            number = self._call("PyLong_FromLongLong", I64, size)
            self._call("PyTuple_SetItem", I32, sizes, _number(k), number)
        arguments = self._array_of([sizes, self.symbol(f"dtype_{dtype}")])
        made = self._call(
            "PyObject_Vectorcall", I64, self.symbol("recycled"), arguments, _number(2), _number(0)
        )
        self._call("Py_DecRef", ir.VoidType(), sizes)
        return made

    def _call_driver(self) -> None:
        _, args, count, _ = self.function.args
        driver = self.symbol("driver")
        result = self._call("PyObject_Vectorcall", I64, driver, args, count, _number(0))
        self.builder.ret(result)

    def _return(self, made: Sequence[str]) -> None:
        returned = self.program.returned
        values = []
        for name, array in zip(returned, self.signature.arrays, strict=True):
            value = self.objects[name]
            if name not in made or returned.count(name) > 1:
                self._call("Py_IncRef", ir.VoidType(), value)
            values.append(value if array else self._call("PyArray_Return", I64, value))
        for name in made:
            if name not in returned or returned.count(name) > 1:
                self._call("Py_DecRef", ir.VoidType(), self.objects[name])
        if self.signature.single:
            self.builder.ret(values[0] if values else self._none())
            return
        result = self._call("PyTuple_New", I64, _number(len(values)))
        for k, value in enumerate(values):
            self._call("PyTuple_SetItem", I32, result, _number(k), value)
        self.builder.ret(result)

    def _none(self) -> ir.Value:
        none = self.symbol("_Py_NoneStruct")
        self._call("Py_IncRef", ir.VoidType(), none)
        return none


def _number(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


# what the symbols are in this process

_PYTHON = (
    "PyFloat_Type", "PyLong_Type", "_Py_NoneStruct", "Py_IncRef", "Py_DecRef", "PyTuple_New",
    "PyTuple_SetItem", "PyDict_GetItemWithError", "PyLong_AsLongLongAndOverflow",
    "PyObject_GetAttr", "PyErr_Clear", "PyObject_Vectorcall", "PyLong_FromLongLong",
    "PyEval_SaveThread", "PyEval_RestoreThread",
)  # fmt: skip


@cache
def addresses() -> Mapping[str, int]:
    """Addresses of Python's and NumPy's objects and functions by the names the stubs use."""
    found = {
        name: ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name)) for name in _PYTHON
    }
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    table = ctypes.cast(get_pointer(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    found["PyArray_NewFromDescr"], found["PyArray_Return"] = table[NEW_FROM_DESCR], table[RETURN]
    found["PyArray_Type"] = id(np.ndarray)
    found["memset"] = ctypes.cast(ctypes.memset, ctypes.c_void_p).value or 0
    for name in SCALARS:
        found[f"dtype_{name}"] = id(np.dtype(name))
        found[f"scalar_{name}"] = id(np.dtype(name).type)
    return found


@cache
def is_supported() -> str:
    """Empty where objects are laid out as the stubs expect, else what is not."""
    import platform
    import sys

    if platform.python_implementation() != "CPython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return "this is no 64-bit CPython"
    if not sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else False:
        return "this Python has no global interpreter lock"

    def field(obj: Any, offset: int, kind: Any = ctypes.c_int64) -> Any:
        return kind.from_address(id(obj) + offset).value

    probe: Any = np.zeros((3, 4), np.float32)[1:, ::2]
    expected = [
        (field(probe, TYPE), id(np.ndarray)),
        (field(probe, HEAD), probe.__array_interface__["data"][0]),
        (field(probe, NDIM, ctypes.c_int32), 2),
        (field(probe, DESCR), id(np.dtype(np.float32))),
        (field(probe, FLAGS, ctypes.c_int32) & (ALIGNED | C_CONTIGUOUS | WRITEABLE),
         ALIGNED | WRITEABLE),
        (field(1.5, HEAD, ctypes.c_double), 1.5),
        (field(np.float64(2.5), HEAD, ctypes.c_double), 2.5),
        (field((lambda: probe).__closure__[0], CELL_CONTENTS), id(probe)),  # type: ignore[index]
    ]  # fmt: skip
    for pointer, values in ((DIMS, probe.shape), (STRIDES, probe.strides)):
        start = field(probe, pointer)
        expected += [
            (ctypes.c_int64.from_address(start + 8 * k).value, v) for k, v in enumerate(values)
        ]
    return "" if all(a == b for a, b in expected) else "objects are laid out in another way"
