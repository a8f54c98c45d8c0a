"""Operations on whole registers that AVX-512 has and LLVM's IR has no name for.

Formulas are written for one number, and LLVM's loop vectoriser makes them ones of registers.  Here
an operation of one number is a function with variants for 2, 4, 8 and 16 numbers, which the
vectoriser calls instead; once it has run, `inline` puts their instructions where they are called.
What compiles a formula has to do that: hence the operations are in use only inside `in_use`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

import llvmlite.binding as llvm
from llvmlite import ir

from .ir_values import DOUBLE, SINGLE, Real, Value

_PREFIX = "lanes."
_REGISTER = 512  # bits
_WIDTHS = (16, 8, 4, 2)
_I32 = ir.IntType(32)
_MODE = (ir.Constant(_I32, 4),)  # of rounding: the one that is set
_SIGNIFICAND = ir.Constant(_I32, 0b1111)  # from 3/4 to 3/2; NaN for numbers below zero

Lanes = Callable[[ir.IRBuilder, Sequence[ir.Value]], ir.Value]  # for one register

_depth = 0


@cache
def _has_avx512() -> bool:
    features = llvm.get_host_cpu_features()
    return all(features.get(f"avx512{f}") for f in ("f", "dq", "vl"))


def available() -> bool:
    return _depth > 0 and _has_avx512()


@contextmanager
def in_use() -> Iterator[None]:
    """For formulas that are compiled with `inline`."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def scaled(x: Value, n: Value) -> Value:
    """x * 2**n for an integral number n, rounded once; of any n, also an infinite one."""
    return _apply("scale", partial(_masked, "mask.scalef", (), _MODE), x, n)


def exponent_of(x: Value) -> Value:
    """floor(log2(abs(x))); minus infinity for zero, infinity and NaN for themselves."""
    return _apply("exponent", partial(_masked, "mask.getexp", (), _MODE), x)


def significand_of(x: Value) -> Value:
    """x over a power of two, from 3/4 to below 3/2; 1 for zeros and infinity, NaN below zero."""
    return _apply("significand", partial(_masked, "mask.getmant", (_SIGNIFICAND,), _MODE), x)


def near_inverse(x: Value) -> Value:
    """1 / x to 14 bits; infinity for zero, and zero for infinity."""
    return _apply("inverse", partial(_masked, "rcp14", (), ()), x)


def entry_of(table: Sequence[float], index: Value, name: str) -> Value:
    """table[index], of as many numbers as two registers hold; of the index the low bits count."""
    return _apply(f"{name}.entry", partial(_permuted, table), index, real=index.real)


def _masked(
    name: str,
    immediate: Sequence[ir.Value],
    mode: Sequence[ir.Value],
    builder: ir.IRBuilder,
    operands: Sequence[ir.Value],
) -> ir.Value:
    kind = operands[0].type
    every = ir.Constant(ir.IntType(max(kind.count, 8)), -1)
    nothing = ir.Constant(kind, [0.0] * kind.count)
    name = f"llvm.x86.avx512.{name}.{_suffix(kind)}"
    return _intrinsic(builder, name, kind, [*operands, *immediate, nothing, every, *mode])


def _permuted(
    table: Sequence[float], builder: ir.IRBuilder, operands: Sequence[ir.Value]
) -> ir.Value:
    (index,) = operands
    count = index.type.count
    kind = ir.VectorType(_real(index.type.element).type, count)
    first, second = (ir.Constant(kind, list(t)) for t in (table[:count], table[count:]))
    name = f"llvm.x86.avx512.vpermi2var.{_suffix(kind)}"
    return _intrinsic(builder, name, kind, [first, index, second])


def _real(element: ir.Type) -> Real:
    return DOUBLE if element in (DOUBLE.type, DOUBLE.integer) else SINGLE


def _suffix(kind: ir.VectorType) -> str:
    return ("pd" if kind.element == DOUBLE.type else "ps") + f".{_REGISTER}"


def _intrinsic(
    builder: ir.IRBuilder, name: str, result: ir.Type, operands: Sequence[ir.Value]
) -> ir.Value:
    known = builder.module.globals.get(name)
    kind = ir.FunctionType(result, [o.type for o in operands])
    return builder.call(known or ir.Function(builder.module, kind, name), operands)


def _apply(name: str, lanes: Lanes, *operands: Value, real: Real | None = None) -> Value:
    first = operands[0]
    result = first.real if real is None else real
    kinds = [o.ir.type for o in operands]
    name = f"{_PREFIX}{name}.{result.type}"
    function = first.builder.module.globals.get(name)
    if function is None:
        function = _defined(first.builder.module, name, lanes, kinds, result.type)
    return Value(first.builder, first.builder.call(function, [o.ir for o in operands]))


def _defined(
    module: ir.Module, name: str, lanes: Lanes, kinds: Sequence[ir.Type], result: ir.Type
) -> ir.Function:
    """The function of one number, and its variants."""
    register = _REGISTER // (32 if result == SINGLE.type else 64)
    variants = []
    for width in _WIDTHS:
        variant = _function(
            module, f"{name}.{width}", [ir.VectorType(k, width) for k in kinds],
            ir.VectorType(result, width),
        )  # fmt: skip
        builder = ir.IRBuilder(variant.append_basic_block())
        builder.ret(_of_width(builder, lanes, list(variant.args), width, register))
        mapping = f"_ZGV_LLVM_N{width}{'v' * len(kinds)}_{name}({variant.name})"
        variants.append(mapping)
    function = _function(module, name, kinds, result)
    attribute = f'"vector-function-abi-variant"="{",".join(variants)}"'
    set.add(function.attributes, attribute)  # which llvmlite's own `add` does not know
    builder = ir.IRBuilder(function.append_basic_block())
    first = ir.Constant(_I32, 0)
    wide = [
        builder.insert_element(_zeros(k, register), a, first)
        for k, a in zip(kinds, function.args, strict=True)
    ]
    builder.ret(builder.extract_element(lanes(builder, wide), first))
    return function


def _function(
    module: ir.Module, name: str, kinds: Sequence[ir.Type], result: ir.Type
) -> ir.Function:
    """One that no pass looks into or drops, as it might be replaced by another of its name."""
    function = ir.Function(module, ir.FunctionType(result, kinds), name)
    function.linkage = "weak"
    for attribute in ("nounwind", "willreturn", "memory(none)"):
        set.add(function.attributes, attribute)
    return function


def _of_width(
    builder: ir.IRBuilder, lanes: Lanes, operands: list[ir.Value], width: int, register: int
) -> ir.Value:
    if width == register:
        return lanes(builder, operands)
    if width < register:
        padded = [*range(width), *[width] * (register - width)]
        wide = [_picked(builder, o, _zeros(o.type.element, width), padded) for o in operands]
        return _picked(builder, lanes(builder, wide), None, range(width))
    half = width // 2
    halves = []
    for part in (range(half), range(half, width)):
        picked = [_picked(builder, o, None, part) for o in operands]
        halves.append(_of_width(builder, lanes, picked, half, register))
    low, high = halves
    return _picked(builder, low, high, range(width))


def _picked(
    builder: ir.IRBuilder, first: ir.Value, second: ir.Value | None, places: Sequence[int]
) -> ir.Value:
    """Elements of one vector after another."""
    mask = ir.Constant(ir.VectorType(_I32, len(places)), list(places))
    return builder.shuffle_vector(first, first if second is None else second, mask)


def _zeros(kind: ir.Type, width: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(kind, width), [0] * width)


def inline(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """The module with the operations inside its loops, which have been vectorised."""
    if not any(f.name.startswith(_PREFIX) for f in module.functions):
        return module
    name = module.name
    module = llvm.parse_assembly(_DEFINITION.sub(r"define internal \1 alwaysinline {", str(module)))
    module.name = name
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_instruction_combine_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    return module


_DEFINITION = re.compile(rf"^define weak (.*@{re.escape(_PREFIX)}.*) \{{$", re.MULTILINE)
