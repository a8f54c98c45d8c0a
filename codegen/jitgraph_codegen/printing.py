"""Expressions and statements of the loop IR as Python syntax trees; what both printers share.

Text comes from `ast.unparse`, so that precedence and parentheses are never our problem.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from functools import cache

from .loop_ir import (
    INDEX,
    Accumulator,
    Apply,
    Cast,
    Const,
    Expr,
    Extent,
    For,
    If,
    Kernel,
    Let,
    Load,
    Range,
    Scratch,
    Stmt,
    Var,
)
from .loop_ir import neutral as neutral_value

NARROW_INTEGERS = frozenset(("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"))
DTYPES = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
    "complex64", "complex128",
)  # fmt: skip
_OPERANDS = ("x", "y", "z")


def name(identifier: str) -> ast.expr:
    return ast.Name(identifier, ast.Load())


def call(function: ast.expr | str, *args: ast.expr) -> ast.expr:
    return ast.Call(name(function) if isinstance(function, str) else function, list(args), [])


def number(value: bool | int | float) -> ast.expr:
    if isinstance(value, float) and not math.isfinite(value):
        text = "nan" if math.isnan(value) else "inf"
        plain: ast.expr = ast.Attribute(name("math"), text, ast.Load())
        return ast.UnaryOp(ast.USub(), plain) if value < 0 else plain
    if not isinstance(value, bool) and (value < 0 or math.copysign(1.0, value) < 0):
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def typed(value: complex, dtype: str) -> ast.expr:
    """A literal of this dtype: `float32(0.5)`; int64, float64 and bool are Python's own."""
    if dtype.startswith("complex"):
        whole = complex(value)
        return call(dtype, call("complex", number(whole.real), number(whole.imag)))
    assert not isinstance(value, complex)
    literal = number(float(value) if dtype.startswith("float") else value)
    return literal if dtype in ("bool", INDEX, "float64") else call(dtype, literal)


def expression(expr: Expr) -> ast.expr:
    match expr:
        case Const(value, dtype):
            return typed(value, dtype)
        case Var(identifier, _):
            return name(identifier)
        case Load(buffer, index):
            return subscript(buffer.name, index)
        case Cast(value, "bool"):
            return ast.Compare(expression(value), [ast.NotEq()], [typed(0, value.dtype)])
        case Cast(value, dtype):
            return call(dtype, expression(value))
        case Apply(template, args, dtype):
            tree = filled(template, [expression(a) for a in args], args[0].dtype if args else dtype)
            return call(dtype, tree) if dtype in NARROW_INTEGERS else tree
    raise TypeError(f"no expression: {expr!r}")


def subscript(buffer: str, index: Sequence[Expr], store: bool = False) -> ast.expr:
    context = ast.Store() if store else ast.Load()
    items = [expression(i) for i in index]
    inner: ast.expr = items[0] if len(items) == 1 else ast.Tuple(items, ast.Load())
    return ast.Subscript(name(buffer), inner, context)


@cache
def _template(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def filled(template: str, args: Sequence[ast.expr], dtype: str) -> ast.expr:
    """A template with arguments for x, y, z, and its literals in the arguments' dtype."""
    operands = dict(zip(_OPERANDS, args, strict=False))

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return operands.get(node.id, node)

        def visit_Constant(self, node: ast.Constant) -> ast.expr:
            value = node.value
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                return node
            return typed(value, dtype)

    tree: ast.expr = Fill().visit(_copy(_template(template)))
    return tree


def _copy(tree: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(tree), mode="eval").body


def extent(value: Extent) -> ast.expr:
    return ast.Constant(value) if isinstance(value, int) else name(value)


def assign(target: str | ast.expr, value: ast.expr) -> ast.stmt:
    left = ast.Name(target, ast.Store()) if isinstance(target, str) else target
    return ast.Assign([left], value, lineno=0)


def loop(index: str, bounds: Sequence[ast.expr], body: list[ast.stmt]) -> ast.stmt:
    return ast.For(ast.Name(index, ast.Store()), call("range", *bounds), body, [], lineno=0)


def neutral(combine: str, dtype: str) -> ast.expr:
    """What an accumulator starts from."""
    return typed(neutral_value(combine, dtype), dtype)


def names_in(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def unparsed(body: Sequence[ast.stmt]) -> str:
    module = ast.Module(list(body), [])
    return ast.unparse(ast.fix_missing_locations(module))


def docstring(doc: str) -> list[str]:
    lines = doc.splitlines()
    if len(lines) == 1:
        return [f'"""{doc}"""']
    return ['"""' + lines[0], *lines[1:], '"""']


def defined(kernel: Kernel) -> set[str]:
    names: set[str] = set()

    def visit(body: tuple[Stmt, ...]) -> None:
        for stmt in body:
            match stmt:
                case Let(name, _):
                    names.add(name)
                case Accumulator(name, _, _):
                    names.update((name, f"{name}_at", f"{name}_new"))
                case Scratch(buffer):
                    names.add(buffer.name)
                case For(index, _, inner, _, _) | Range(index, inner, _, _, _):
                    names.add(index)
                    visit(inner)
                case If(_, inner):
                    visit(inner)

    visit(kernel.body)
    return names


def indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}".rstrip() for line in lines]
