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
from collections.abc import Mapping, Sequence

import numpy as np
from llvmlite import ir

from .blas_calls import multiply, product_sizes
from .copy_calls import KERNEL, clear, copy, copy_sizes
from .native import (
    AliasParam,
    ArrayParam,
    Branch,
    Call,
    Copy,
    Drop,
    Expect,
    FloatParam,
    IntParam,
    Loop,
    Make,
    NativeProgram,
    Outer,
    Param,
    Product,
    Run,
    Same,
    SameParam,
    Signature,
    Step,
    everywhere,
)
from .process import (
    ALIGNED,
    C_CONTIGUOUS,
    CELL_CONTENTS,
    DESCR,
    DIMS,
    FLAGS,
    HEAD,
    NDIM,
    STRIDES,
    TYPE,
    WRITEABLE,
)
from .recycling import SMALLEST
from .stub import ENTRY, I32, I64, StubBuilder, number, sharing_function
from .threads import PARALLEL_WORK, THREADS

LARGEST_INT = 1 << 15  # arithmetic of larger numbers might leave 64 bits


def entry_module(program: NativeProgram, signature: Signature, parallel: bool) -> str:
    """LLVM IR of the stub.  parallel: whether large kernels are shared among threads."""
    return str(_Stub(program, signature, parallel).module)


class _Stub(StubBuilder):
    def __init__(self, program: NativeProgram, signature: Signature, parallel: bool) -> None:
        self.program, self.signature, self.parallel = program, signature, parallel
        super().__init__("entry")
        self.owned: list[str] = []  # objects with a reference of ours
        self.unchecked = self._divisors()
        self.first_missed = self.missed
        self._check_arguments()
        self._count()
        self._hold_surroundings()
        for step in program.steps:
            self._step(step)
        self._return()
        self.builder.position_at_end(self.first_missed)
        following = self.pointer(self.load(self.symbol("next_stub"), 0, I64), ENTRY)
        self.builder.ret(self.builder.call(following, self.function.args, tail=True))

    # arguments

    def _check_arguments(self) -> None:
        self._check_form()
        leaves = self._leaves()
        for param, leaf in zip(self.signature.leaves, leaves, strict=True):
            if isinstance(param, AliasParam):
                self.same(leaf, leaves[param.leaf])
            else:
                self._check(param, leaf)
        for check in self.signature.checks:
            self._ask(check)
        for outer in self.signature.outer:
            self._check(outer.param, self._found(outer))
        self._check_divisors()
        for guard in self.program.guards:
            tree = ast.parse(guard, mode="eval").body
            assert isinstance(tree, ast.Compare)
            operator = {ast.Eq: "==", ast.NotEq: "!=", ast.GtE: ">="}[type(tree.ops[0])]
            sides = self._expression(tree.left), self._expression(tree.comparators[0])
            self.guard(self.builder.icmp_signed(operator, *sides))
        if self.program.written:
            self._check_written(self.program.written)

    def _check_form(self) -> None:
        """As many arguments by position, and the same names of the others."""
        _, _, count, keywords = self.function.args
        self.same(count, number(self.signature.positional))
        if not self.signature.keywords:
            self.same(keywords, number(0))
            return
        self.guard(self.builder.icmp_signed("!=", keywords, number(0)))
        length = self.call("PyTuple_Size", I64, keywords)
        self.same(length, number(len(self.signature.keywords)))
        for k, name in enumerate(self.signature.keywords):
            self.same(self.call("PyTuple_GetItem", I64, keywords, number(k)), self.symbol(name))

    def _leaves(self) -> list[ir.Value]:
        given = self._given()
        if self.signature.order is not None:
            return [given[k] for k in self.signature.order]
        leaves = self._called("unpack", given, ())
        self._unless_raised(leaves)
        self._own("leaves", leaves)
        self._let_go_where_missed(leaves)
        self.guard(self.builder.icmp_signed("!=", leaves, self.symbol("_Py_NoneStruct")))
        count = len(self.signature.leaves)
        return [self.call("PyTuple_GetItem", I64, leaves, number(k)) for k in range(count)]

    def _ask(self, check: str) -> None:
        """Go on if a held function gives True."""
        answer = self._called(check, [], ())
        self._unless_raised(answer)
        self.call("Py_DecRef", ir.VoidType(), answer)  # True and False live on
        self.same(answer, self.symbol("_Py_TrueStruct"))

    def _unless_raised(self, value: ir.Value) -> None:
        """A check that raises leaves the call to Python, which then meets the same."""
        b = self.builder
        raised, going_on = map(self.function.append_basic_block, ("raised", "going_on"))
        b.cbranch(b.icmp_signed("!=", value, number(0)), going_on, raised)
        b.position_at_end(raised)
        self.call("PyErr_Clear", ir.VoidType())
        b.branch(self.missed)
        b.position_at_end(going_on)

    def _let_go_where_missed(self, value: ir.Value) -> None:
        b, going_on = self.builder, self.builder.block
        before, self.missed = self.missed, self.function.append_basic_block("missed_later")
        b.position_at_end(self.missed)
        self.call("Py_DecRef", ir.VoidType(), value)
        b.branch(before)
        b.position_at_end(going_on)

    def _divisors(self) -> set[str]:
        """What sizes are divided by, other than constants."""
        texts = [*self.program.guards]
        for step in everywhere(self.program.steps):
            match step:
                case Loop():
                    texts.append(step.count)
                case Make():
                    texts += step.shape
                case Run():
                    texts += (*step.sizes, step.extent, step.work)
                case Product():
                    texts += product_sizes(step)
                case Copy():
                    texts += copy_sizes(step)
                case Call():
                    texts += step.sizes
        return {ast.unparse(n.right) for t in texts for n in ast.walk(ast.parse(t))
                if isinstance(n, ast.BinOp) and isinstance(n.op, ast.FloorDiv)
                and not isinstance(n.right, ast.Constant)}  # fmt: skip

    def _known_divisors(self) -> list[str]:
        """Those of the unchecked divisors whose sizes are known by now, to be checked once."""
        known = [
            text for text in sorted(self.unchecked)
            if {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
            <= self.sizes.keys()
        ]  # fmt: skip
        self.unchecked.difference_update(known)
        return known

    def _check_divisors(self) -> None:
        """Division by a size that is zero raises, in Python."""
        for text in self._known_divisors():
            self.guard(self.builder.icmp_signed("!=", self.expression(text), number(0)))

    def _found(self, outer: Outer) -> ir.Value:
        if not outer.owner:
            assert outer.key is not None
            return self.symbol(outer.key)
        owner = self.symbol(outer.owner)
        if outer.key is None:
            found = self.load(owner, CELL_CONTENTS, I64)
        elif outer.attribute:
            return self._attribute(owner, self.symbol(outer.key))
        else:
            found = self.call("PyDict_GetItemWithError", I64, owner, self.symbol(outer.key))
        self.guard(self.builder.icmp_signed("!=", found, number(0)))
        return found

    def _attribute(self, owner: ir.Value, key: ir.Value) -> ir.Value:
        """An attribute that the object holds, so that it lives on without a reference of ours."""
        b = self.builder
        found = self.call("PyObject_GetAttr", I64, owner, key)
        exists = self.function.append_basic_block("exists")
        absent = self.function.append_basic_block("absent")
        b.cbranch(b.icmp_signed("!=", found, number(0)), exists, absent)
        b.position_at_end(absent)
        self.call("PyErr_Clear", ir.VoidType())
        b.branch(self.missed)
        b.position_at_end(exists)
        self.call("Py_DecRef", ir.VoidType(), found)
        return found

    def _check(self, param: Param, obj: ir.Value) -> None:
        match param:
            case SameParam(held):
                self.same(obj, self.symbol(held))
            case FloatParam(name):
                self.objects[name] = obj
                self.same(self.load(obj, TYPE, I64), self.symbol("PyFloat_Type"))
                self.data[name] = self.builder.add(obj, number(HEAD))
            case IntParam(size):
                self.same(self.load(obj, TYPE, I64), self.symbol("PyLong_Type"))
                overflow = self.stack(I32, 1)
                address = self.builder.ptrtoint(overflow, I64)
                value = self.call("PyLong_AsLongLongAndOverflow", I64, obj, address)
                self.same(self.builder.load(overflow), ir.Constant(I32, 0))
                self.guard(self.builder.icmp_signed(">=", value, number(2)))
                self.guard(self.builder.icmp_signed("<", value, number(LARGEST_INT)))
                self.sizes[size] = value
            case ArrayParam():
                self._check_array(param, obj)

    def _check_array(self, param: ArrayParam, obj: ir.Value) -> None:
        self.objects[param.name] = obj
        if param.scalar:
            self.same(self.load(obj, TYPE, I64), self.symbol(f"scalar_{param.dtype}"))
            self.data[param.name] = self.builder.add(obj, number(HEAD))
            return
        self.same(self.load(obj, TYPE, I64), self.symbol("PyArray_Type"))
        self.same(self.load(obj, NDIM, I32), ir.Constant(I32, len(param.sizes)))
        self.same(self.load(obj, DESCR, I64), self.symbol(f"dtype_{param.dtype}"))
        wanted = ALIGNED | (C_CONTIGUOUS if param.layout == "C" else 0)
        flags = self.load(obj, FLAGS, I32)
        seen = self.builder.and_(flags, ir.Constant(I32, ALIGNED | C_CONTIGUOUS))
        self.same(seen, ir.Constant(I32, wanted))
        dims = self.load(obj, DIMS, I64)
        for axis, size in enumerate(param.sizes):
            found = self.load(dims, 8 * axis, I64)
            if isinstance(size, int):
                self.same(found, number(size))
            else:
                self.guard(self.builder.icmp_signed(">=", found, number(2)))
                self.sizes[size] = found
        self.data[param.name] = self.load(obj, HEAD, I64)
        strides = self.strides[param.name] = self.load(obj, STRIDES, I64)
        if param.layout != "C" and param.sizes:
            last = self.load(strides, 8 * (len(param.sizes) - 1), I64)
            relation = "==" if param.layout == "R" else "!="
            itemsize = number(np.dtype(param.dtype).itemsize)
            self.guard(self.builder.icmp_signed(relation, last, itemsize))

    def _check_written(self, written: Sequence[str]) -> None:
        """Writeable, and sharing no memory with another argument."""
        b = self.builder
        for name in written:
            flags = self.load(self.objects[name], FLAGS, I32)
            writeable = b.and_(flags, ir.Constant(I32, WRITEABLE))
            self.guard(b.icmp_signed("!=", writeable, ir.Constant(I32, 0)))
        params = [p for p in self.signature.params if isinstance(p, ArrayParam) and not p.scalar]
        params.sort(key=lambda param: param.name not in written)
        starts, stops = zip(*map(self._bounds, params), strict=True)
        counts = number(len(written)), number(len(params))
        function = sharing_function(self.module)
        shared = b.call(function, (self.array_of(starts), self.array_of(stops), *counts))
        self.same(shared, number(0))

    def _bounds(self, param: ArrayParam) -> tuple[ir.Value, ir.Value]:
        total: ir.Value = number(np.dtype(param.dtype).itemsize)
        for size in param.sizes:
            known = number(size) if isinstance(size, int) else self.sizes[size]
            total = self.builder.mul(total, known)
        start = self.data[param.name]
        return start, self.builder.add(start, total)

    def _count(self) -> None:
        """One more call that is taken here."""
        counter = self.pointer(self.symbol("hits"), I64)
        self.builder.store(self.builder.add(self.builder.load(counter), number(1)), counter)

    def _hold_surroundings(self) -> None:
        """Arrays that are no arguments live on, whatever others do while the program runs."""
        for outer in self.signature.outer:
            if isinstance(outer.param, ArrayParam):
                self.call("Py_IncRef", ir.VoidType(), self.objects[outer.param.name])
                self.owned.append(outer.param.name)

    # steps

    def _step(self, step: Step) -> None:
        match step:
            case Make():
                self._make(step)
            case Drop():
                self.call("Py_DecRef", ir.VoidType(), self.objects[step.dropped])
                self.owned.remove(step.dropped)
            case Call():
                self._call_python(step)
            case Expect():
                self._expect(step)
            case Same():
                self.data[step.name] = self.data[step.array]
            case Product():
                multiply(self, step, self._launch, self._threads())
            case Loop():
                self._repeat(step)
            case Branch():
                self._branch(step)
            case Copy():
                copy(self, step, self._launch)
            case Run():
                buffers = self.array_of([self.data[name] for name in step.buffers])
                sizes = self.array_of([self.expression(text) for text in step.sizes])
                extent, work = self.expression(step.extent), self.expression(step.work)
                self._launch(f"kernel{step.kernel}", buffers, sizes, extent, work)

    def _repeat(self, step: Loop) -> None:
        """Steps again and again.  Each variable that changes has a place on the stack, with the
        reference to its present array.
        """
        b = self.builder
        places = {name: self.stack(I64, 1) for name, _ in step.carried}
        counter = self.stack(I64, 1)
        for name in step.last:
            self._own(name, number(0))
        for name, place in places.items():
            b.store(self.objects[name], place)
        if step.index:
            b.store(number(2), counter)
        again, body, done = map(self.function.append_basic_block, ("again", "body", "done"))
        b.branch(again)
        b.position_at_end(again)
        for name, place in places.items():
            self.objects[name] = b.load(place)
            if name not in step.last:
                self.data[name] = self.load(self.objects[name], HEAD, I64)
        if step.index:
            self.sizes[step.index] = b.load(counter)
            end = b.add(self.expression(step.count), number(2))
            more = self.function.append_basic_block("more") if step.flag else body
            b.cbranch(b.icmp_signed("<", self.sizes[step.index], end), more, done)
            b.position_at_end(more)
        if step.flag:
            for inner in step.test:
                self._step(inner)
            going_on = self._is_true(step.flag)
            self._step(Drop(step.flag))
            b.cbranch(going_on, body, done)
        b.position_at_end(body)
        self._unless_interrupted()
        for inner in step.steps:
            self._step(inner)
        self._hand_on(step, places)
        if step.index:
            b.store(b.add(self.sizes[step.index], number(1)), counter)
        b.branch(again)
        b.position_at_end(done)
        for name in step.last:
            self.data[name] = self.load(self.objects[name], HEAD, I64)

    def _is_true(self, flag: str) -> ir.Value:
        value = self.builder.load(self.pointer(self.data[flag], ir.IntType(8)))
        return self.builder.icmp_signed("!=", value, ir.Constant(value.type, 0))

    def _branch(self, step: Branch) -> None:
        """One side or the other.  Each result has a place on the stack for its reference."""
        b = self.builder
        places = {name: self.stack(I64, 1) for name, _, _ in step.results}
        blocks = map(self.function.append_basic_block, ("taken", "otherwise", "joined"))
        taken, otherwise, joined = blocks
        b.cbranch(self._is_true(step.flag), taken, otherwise)
        owned = list(self.owned)
        for side, (block, steps) in enumerate(((taken, step.taken), (otherwise, step.otherwise))):
            b.position_at_end(block)
            for inner in steps:
                self._step(inner)
            made = [result[1 + side] for result in step.results]
            for k, (name, *_) in enumerate(step.results):
                if made[k] in made[:k] or made[k] in owned:
                    self.call("Py_IncRef", ir.VoidType(), self.objects[made[k]])
                b.store(self.objects[made[k]], places[name])
            self.owned = list(owned)
            b.branch(joined)
        b.position_at_end(joined)
        for name, place in places.items():
            self._own(name, b.load(place))
            self.data[name] = self.load(self.objects[name], HEAD, I64)

    def _hand_on(self, step: Loop, places: Mapping[str, ir.Value]) -> None:
        """What a step made, to the next one."""
        news = [new for _, new in step.carried]
        for k, new in enumerate(news):
            if new in news[:k]:
                self.call("Py_IncRef", ir.VoidType(), self.objects[new])
            else:
                self.owned.remove(new)
        for name, new in step.carried:
            self.call("Py_DecRef", ir.VoidType(), self.objects[name])
            self.builder.store(self.objects[new], places[name])

    def _unless_interrupted(self) -> None:
        """Leave with KeyboardInterrupt, or what else a signal raises."""
        b = self.builder
        raised, going_on = map(self.function.append_basic_block, ("raised", "going_on"))
        told = self.call("PyErr_CheckSignals", I32)
        b.cbranch(b.icmp_signed("==", told, ir.Constant(I32, 0)), going_on, raised)
        b.position_at_end(raised)
        self._let_go()
        b.ret(number(0))
        b.position_at_end(going_on)

    def _launch(
        self, name: str, buffers: ir.Value, sizes: ir.Value, extent: ir.Value, work: ir.Value
    ) -> None:
        """A kernel, by several threads and without the interpreter's lock where that pays."""
        b, kernel = self.builder, self.symbol(name)
        after = self.function.append_basic_block("after")
        if self.parallel:
            shared = self.function.append_basic_block("shared")
            alone = self.function.append_basic_block("alone")
            b.cbranch(b.icmp_signed("<", work, number(PARALLEL_WORK)), alone, shared)
            b.position_at_end(shared)
            with self.others_may_run():
                arguments = (self.symbol("pool"), kernel, buffers, sizes, extent, work)
                self.call("run_parts", ir.VoidType(), *arguments)
            b.branch(after)
            b.position_at_end(alone)
        b.call(self.pointer(kernel, KERNEL), [buffers, sizes, number(0), extent])
        b.branch(after)
        b.position_at_end(after)

    def _threads(self) -> ir.Value:
        """How many threads may share a launch."""
        if not self.parallel:
            return number(1)
        return self.load(self.symbol("pool"), THREADS, I64)

    def _make(self, step: Make) -> None:
        b = self.builder
        shape = [self.expression(text) for text in step.shape]
        total: ir.Value = number(np.dtype(step.dtype).itemsize)
        for size in shape:
            total = b.mul(total, size)
        if shape:
            large, small, both = (
                self.function.append_basic_block(name) for name in ("large", "small", "both")
            )
            b.cbranch(b.icmp_signed("<", total, number(SMALLEST)), small, large)
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
        self._unless_failed(made)  # out of memory: NumPy has set the error
        self._own(step.name, made)
        self.data[step.name] = self.load(made, HEAD, I64)
        if step.zeros:
            clear(self, self.data[step.name], total, self._launch)

    def _fresh(self, dtype: str, shape: Sequence[ir.Value]) -> ir.Value:
        descr, null = self.symbol(f"dtype_{dtype}"), number(0)
        self.call("Py_IncRef", ir.VoidType(), descr)
        return self.call(
            "PyArray_NewFromDescr", I64, self.symbol("PyArray_Type"), descr,
            ir.Constant(I32, len(shape)), self.array_of(shape), null, null,
            ir.Constant(I32, 0), null,
        )  # fmt: skip

    def _recycled(self, dtype: str, shape: Sequence[ir.Value]) -> ir.Value:
        """`recycled(shape, dtype)`, a Python call that large arrays are worth."""
        sizes = self.call("PyTuple_New", I64, number(len(shape)))
        for k, size in enumerate(shape):
            length = self.call("PyLong_FromLongLong", I64, size)
            self.call("PyTuple_SetItem", I32, sizes, number(k), length)
        arguments = self.array_of([sizes, self.symbol(f"dtype_{dtype}")])
        made = self.call(
            "PyObject_Vectorcall", I64, self.symbol("recycled"), arguments, number(2), number(0)
        )
        self.call("Py_DecRef", ir.VoidType(), sizes)
        return made

    def _own(self, name: str, value: ir.Value) -> None:
        self.objects[name] = value
        self.owned.append(name)

    def _let_go(self) -> None:
        for name in self.owned:
            self.call("Py_DecRef", ir.VoidType(), self.objects[name])

    def _unless_failed(self, value: ir.Value) -> None:
        """Leave with the error that is set if there is no value."""
        b = self.builder
        failed, going_on = map(self.function.append_basic_block, ("failed", "going_on"))
        b.cbranch(b.icmp_signed("!=", value, number(0)), going_on, failed)
        b.position_at_end(failed)
        self._let_go()
        b.ret(number(0))
        b.position_at_end(going_on)

    def _again_if_failed(self, value: ir.Value) -> None:
        """An assertion that comes before the step in the function may come after it here: the
        function as it is written tells which of the two errors it is.
        """
        b = self.builder
        failed, error, going_on = map(
            self.function.append_basic_block, ("step_failed", "error", "step_made")
        )
        b.cbranch(b.icmp_signed("!=", value, number(0)), going_on, failed)
        b.position_at_end(failed)
        is_error = self.call("PyErr_ExceptionMatches", I32, self.symbol("exception"))
        b.cbranch(b.icmp_signed("!=", is_error, ir.Constant(I32, 0)), error, going_on)
        b.position_at_end(error)
        self.call("PyErr_Clear", ir.VoidType())
        self._let_go()
        b.ret(self._called("again", self._given(), ()))
        b.position_at_end(going_on)

    def _called(self, function: str, values: Sequence[ir.Value], sizes: Sequence[str]) -> ir.Value:
        """The result of a Python function of values and of sizes as integers."""
        integers = [self.call("PyLong_FromLongLong", I64, self.expression(text)) for text in sizes]
        arguments = self.array_of([*values, *integers])
        count = number(len(values) + len(integers))
        result = self.call(
            "PyObject_Vectorcall", I64, self.symbol(function), arguments, count, number(0)
        )
        for integer in integers:
            self.call("Py_DecRef", ir.VoidType(), integer)
        return result

    def _call_python(self, step: Call) -> None:
        arrays = [self.objects[name] for name in step.arrays]
        result = self._called(step.function, arrays, step.sizes)
        if any(isinstance(s, Expect) for s in everywhere(self.program.steps)):
            self._again_if_failed(result)
        self._unless_failed(result)
        if step.checked:
            self._unless_told(result)
        if not step.name:
            self.call("Py_DecRef", ir.VoidType(), result)
            return
        self._own(step.name, result)
        if step.array:
            self.data[step.name] = self.load(result, HEAD, I64)
            dims = self.load(result, DIMS, I64)
            for axis, size in step.axes:
                self.sizes[size] = self.load(dims, 8 * axis, I64)
            for text in self._known_divisors():
                self._unless_divided_by_zero(self.expression(text))

    def _unless_divided_by_zero(self, divisor: ir.Value) -> None:
        """A size that a step brings may be zero when it is too late for another stub: leave with
        the error that Python has for it.
        """
        b = self.builder
        zero, going_on = map(self.function.append_basic_block, ("zero", "going_on"))
        b.cbranch(b.icmp_signed("!=", divisor, number(0)), going_on, zero)
        b.position_at_end(zero)
        self._let_go()
        integer = self.call("PyLong_FromLongLong", I64, number(0))
        nothing = self.call("PyNumber_FloorDivide", I64, integer, integer)
        self.call("Py_DecRef", ir.VoidType(), integer)
        b.ret(nothing)
        b.position_at_end(going_on)

    def _unless_told(self, result: ir.Value) -> None:
        """If the result is a string, this program is not for the values of the call: hand that and
        the arguments to what runs it in another way.
        """
        b = self.builder
        told, going_on = map(self.function.append_basic_block, ("told", "going_on"))
        is_string = self.symbol("PyUnicode_Type")
        b.cbranch(b.icmp_signed("==", self.load(result, TYPE, I64), is_string), told, going_on)
        b.position_at_end(told)
        self._let_go()
        other = self._called("dynamically", [result, *self._given()], ())
        self.call("Py_DecRef", ir.VoidType(), result)
        b.ret(other)
        b.position_at_end(going_on)

    def _expect(self, step: Expect) -> None:
        b = self.builder
        beyond, going_on = map(self.function.append_basic_block, ("beyond", "going_on"))
        flag = b.load(self.pointer(self.data[step.flag], ir.IntType(8)))
        b.cbranch(b.icmp_signed("==", flag, ir.Constant(flag.type, 0)), going_on, beyond)
        b.position_at_end(beyond)
        self._let_go()
        b.ret(self._called("again", self._given(), ()))
        b.position_at_end(going_on)

    def _given(self) -> list[ir.Value]:
        """The arguments of the call, those by name last."""
        _, args, _, _ = self.function.args
        count = self.signature.positional + len(self.signature.keywords)
        return [self.load(args, 8 * k, I64) for k in range(count)]

    def _return(self) -> None:
        returned, built = self.program.returned, self.signature.built
        values = []
        for name in returned:
            self.call("Py_IncRef", ir.VoidType(), self.objects[name])
            values.append(self.objects[name])
        self._let_go()
        if built is None:
            values = [
                value if array else self.call("PyArray_Return", I64, value)
                for value, array in zip(values, self.signature.arrays, strict=True)
            ]
            if self.signature.single:
                self.builder.ret(values[0] if values else self._none())
                return
        result = self.call("PyTuple_New", I64, number(len(values)))
        for k, value in enumerate(values):
            self.call("PyTuple_SetItem", I32, result, number(k), value)
        if built is not None:
            together, result = result, self._called("built", [result], built)
            self.call("Py_DecRef", ir.VoidType(), together)
        self.builder.ret(result)

    def _none(self) -> ir.Value:
        none = self.symbol("_Py_NoneStruct")
        self.call("Py_IncRef", ir.VoidType(), none)
        return none
