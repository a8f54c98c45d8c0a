"""The text of a function as syntax, found by where its code says it is."""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from types import CodeType

FunctionNode = ast.FunctionDef | ast.Lambda


def source_tree(code: CodeType) -> FunctionNode | None:
    """The syntax of the function a code object was compiled from."""
    lines = linecache.getlines(code.co_filename)
    if not lines:
        return None
    try:
        tree = _parsed("".join(lines))
    except (SyntaxError, ValueError):
        return None
    arguments = code.co_argcount + code.co_kwonlyargcount
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.Lambda))
        and _first_line(node) == code.co_firstlineno
        and _argument_names(node)[:arguments] == code.co_varnames[:arguments]
        and (isinstance(node, ast.Lambda) == (code.co_name == "<lambda>"))
        and (isinstance(node, ast.Lambda) or node.name == code.co_name)
    ]
    if len(found) > 1:
        found = [node for node in found if _body_position(node) == _code_position(code)]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=64)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def _first_line(node: FunctionNode) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return min([node.lineno, *[d.lineno for d in decorators]])


def _argument_names(node: FunctionNode) -> tuple[str, ...]:
    a = node.args
    return tuple(x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs))


def _body_position(node: FunctionNode) -> tuple[int, int] | None:
    body = node.body
    return (body.lineno, body.col_offset) if isinstance(body, ast.expr) else None


def _code_position(code: CodeType) -> tuple[int, int] | None:
    """Where the first expression of a lambda's body starts."""
    starts = [
        (line, column)
        for line, _, column, end in code.co_positions()
        if line is not None and column is not None and (column, end) != (0, 0)
    ]
    return min(starts, default=None)
