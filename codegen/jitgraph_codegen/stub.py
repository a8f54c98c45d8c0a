"""What entry stubs are made of: fields of objects, calls, sizes, memory on the stack."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llvmlite import ir

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
ENTRY = ir.FunctionType(I64, [I64, I64, I64, I64])


class StubBuilder:
    """A function in machine code that is called as CPython calls builtin functions.

    builder: at the end of what is there so far; missed: where calls go that it does not take.
    """

    def __init__(self, name: str) -> None:
        self.module = ir.Module(name)
        self.function = ir.Function(self.module, ENTRY, name)
        self.sizes: dict[str, ir.Value] = {}
        self.data: dict[str, ir.Value] = {}  # addresses of the elements
        self.objects: dict[str, ir.Value] = {}
        self.strides: dict[str, ir.Value] = {}
        self.builder = ir.IRBuilder(self.function.append_basic_block("start"))
        self.missed = self.function.append_basic_block("missed")

    # addresses and fields

    def symbol(self, name: str) -> ir.Value:
        """The address that a name of this process is linked to."""
        found = self.module.globals.get(name)
        if found is None:
            found = ir.GlobalVariable(self.module, ir.IntType(8), name)
            found.linkage = "external"
        return self.builder.ptrtoint(found, I64)

    def pointer(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        return self.builder.inttoptr(address, kind.as_pointer())

    def load(self, address: ir.Value, offset: int, kind: ir.Type) -> ir.Value:
        place = self.builder.add(address, number(offset)) if offset else address
        return self.builder.load(self.pointer(place, kind))

    def call(self, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.builder.call(self.pointer(self.symbol(name), kind), args)

    def guard(self, condition: ir.Value) -> None:
        passed = self.function.append_basic_block("passed")
        self.builder.cbranch(condition, passed, self.missed)
        self.builder.position_at_end(passed)

    def same(self, a: ir.Value, b: ir.Value) -> None:
        self.guard(self.builder.icmp_signed("==", a, b))

    def expression(self, text: str) -> ir.Value:
        """A size."""
        return self._expression(ast.parse(text, mode="eval").body)

    def _expression(self, tree: ast.expr) -> ir.Value:
        b = self.builder
        match tree:
            case ast.Constant(value=int(value)):
                return number(value)
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
                return self.load(self.strides[name], 8 * axis, I64)
        raise ValueError(f"no size: {ast.unparse(tree)}")

    def _floor_divide(self, x: ir.Value, y: ir.Value) -> ir.Value:
        b = self.builder
        if not isinstance(y, ir.Constant):  # by zero the processor would stop the process
            y = b.select(b.icmp_signed("==", y, number(0)), number(1), y)
        quotient, rest = b.sdiv(x, y), b.srem(x, y)
        opposite = b.icmp_signed("<", b.xor(rest, y), number(0))
        inexact = b.and_(b.icmp_signed("!=", rest, number(0)), opposite)
        return b.sub(quotient, b.zext(inexact, I64))

    def stack(self, kind: ir.Type, count: int) -> ir.Value:
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind, count)

    def array_of(self, values: Sequence[ir.Value]) -> ir.Value:
        """Numbers in memory on the stack, by address."""
        address = self.builder.ptrtoint(self.stack(I64, max(len(values), 1)), I64)
        for k, value in enumerate(values):
            place = self.builder.add(address, number(8 * k))
            self.builder.store(value, self.pointer(place, I64))
        return address

    @contextmanager
    def others_may_run(self) -> Iterator[None]:
        """Without the interpreter's lock."""
        state = self.call("PyEval_SaveThread", I64)
        yield
        self.call("PyEval_RestoreThread", ir.VoidType(), state)


def number(value: int) -> ir.Constant:
    return ir.Constant(I64, value)


def sharing_function(module: ir.Module) -> ir.Function:
    """A function that tells whether some memories share elements with others, as 0 or 1.

    Of addresses of their starts and stops, how many come first that are asked for, and of how many.
    """
    function = ir.Function(module, ir.FunctionType(I64, [I64] * 4), "sharing")
    function.linkage = "internal"
    starts, stops, asked, count = function.args
    before, outer, row, inner, pair, after, done = (
        function.append_basic_block(name)
        for name in ("before", "outer", "row", "inner", "pair", "after", "done")
    )
    builder = ir.IRBuilder(before)

    def at(array: ir.Value, k: ir.Value) -> ir.Value:
        place = builder.inttoptr(builder.add(array, builder.mul(k, number(8))), I64.as_pointer())
        return builder.load(place)

    builder.branch(outer)
    builder.position_at_end(outer)
    i, found = builder.phi(I64), builder.phi(I64)
    i.add_incoming(number(0), before)
    found.add_incoming(number(0), before)
    builder.cbranch(builder.icmp_signed("<", i, asked), row, done)
    builder.position_at_end(row)
    start, stop, following = at(starts, i), at(stops, i), builder.add(i, number(1))
    builder.branch(inner)
    builder.position_at_end(inner)
    j, shared = builder.phi(I64), builder.phi(I64)
    j.add_incoming(following, row)
    shared.add_incoming(found, row)
    builder.cbranch(builder.icmp_signed("<", j, count), pair, after)
    builder.position_at_end(pair)
    both = builder.and_(
        builder.icmp_unsigned("<", start, at(stops, j)),
        builder.icmp_unsigned("<", at(starts, j), stop),
    )
    shared.add_incoming(builder.or_(shared, builder.zext(both, I64)), pair)
    j.add_incoming(builder.add(j, number(1)), pair)
    builder.branch(inner)
    builder.position_at_end(after)
    i.add_incoming(following, after)
    found.add_incoming(shared, after)
    builder.branch(outer)
    builder.position_at_end(done)
    builder.ret(found)
    return function
