"""The statements that a rewritten loop is surrounded by; `syntax` shows them together."""

from __future__ import annotations

import ast
from typing import Any

from .liveness import LoopNames


class LoopText:
    """The statements around a loop."""

    def __init__(self, variable: str, names: LoopNames, node: ast.For | ast.While) -> None:
        self.variable, self.names, self.node = variable, names, node

    def placed(self, node: Any) -> Any:
        for part in ast.walk(node):
            if not hasattr(part, "lineno"):
                ast.copy_location(part, self.node)
        return node

    def call(self, method: str, *args: ast.expr) -> ast.expr:
        return ast.Call(self._member(method), list(args), [])

    def _member(self, name: str) -> ast.expr:
        return ast.Attribute(ast.Name(self.variable, ast.Load()), name, ast.Load())

    def _where_traced(self, stmt: ast.stmt) -> ast.stmt:
        made: ast.stmt = self.placed(ast.If(self._member("traced"), [stmt], []))
        return made

    def _set(self, names: tuple[str, ...], value: ast.expr) -> ast.stmt:
        if not names:
            return ast.Expr(value)
        targets: list[ast.expr] = [ast.Name(n, ast.Store()) for n in names]
        return ast.Assign([ast.Tuple(targets, ast.Store())], value)

    def _values(self, names: tuple[str, ...]) -> ast.expr:
        return ast.Tuple([ast.Name(n, ast.Load()) for n in names], ast.Load())

    def enter(self) -> ast.stmt:
        carried = self.names.carried
        call = self.call("enter", self._values(carried))
        return self._where_traced(self._set(carried, call))

    def leave(self) -> ast.stmt:
        names = (*self.names.carried, *self.names.last)
        return self._where_traced(ast.Expr(self.call("leave", self._values(names))))

    def results(self) -> ast.stmt:
        names = (*self.names.carried, *self.names.last)
        return self._where_traced(self._set(names, self.call("results")))

    def unless(self, condition: ast.expr, where: str = "") -> ast.stmt:
        """`if not condition: break`, maybe only where the loop is traced"""
        asked: ast.expr = ast.UnaryOp(ast.Not(), condition)
        if where:
            asked = ast.BoolOp(ast.And(), [self._member(where), asked])
        made: ast.stmt = self.placed(ast.If(asked, [ast.Break()], []))
        return made
