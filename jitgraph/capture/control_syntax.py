"""The statements that a rewritten loop or branch is surrounded by; `syntax` shows them together."""

from __future__ import annotations

import ast
from typing import Any

from .exits import placed
from .liveness import BranchNames, LoopNames


class ControlText:
    """Statements that tell an object of the runtime what happens."""

    def __init__(self, variable: str, node: ast.stmt) -> None:
        self.variable, self.node = variable, node

    def placed(self, node: Any) -> Any:
        return placed(node, self.node)

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


class LoopText(ControlText):
    """The statements around a loop."""

    def __init__(self, variable: str, names: LoopNames, node: ast.For | ast.While) -> None:
        super().__init__(variable, node)
        self.names = names

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

    def where_left(self, flag: str) -> ast.stmt:
        """`if flag: break` for steps that are run"""
        return left(flag, self.node, ast.UnaryOp(ast.Not(), self._member("traced")))

    def unless(self, condition: ast.expr, where: str = "") -> ast.stmt:
        """`if not condition: break`, maybe only where the loop is traced"""
        asked: ast.expr = ast.UnaryOp(ast.Not(), condition)
        if where:
            asked = ast.BoolOp(ast.And(), [self._member(where), asked])
        made: ast.stmt = self.placed(ast.If(asked, [ast.Break()], []))
        return made


class BranchText(ControlText):
    """The statements around the sides of a branch."""

    def __init__(self, variable: str, names: BranchNames, node: ast.If) -> None:
        super().__init__(variable, node)
        self.names = names

    def restore(self) -> ast.stmt:
        return self._where_traced(self._set(self.names.bound, self.call("restored")))

    def end(self) -> ast.stmt:
        return self._where_traced(ast.Expr(self.call("end")))

    def results(self) -> ast.stmt:
        return self._where_traced(self._set(self.names.bound, self.call("results")))

    def side(self, asked: ast.expr, body: list[ast.stmt]) -> ast.stmt:
        made: ast.stmt = self.placed(ast.If(asked, body, []))
        return made


def left(flag: str, loop: ast.stmt, where: ast.expr | None = None) -> ast.stmt:
    """`if flag: break`, maybe only where something else holds"""
    asked: ast.expr = ast.Name(flag, ast.Load())
    if where is not None:
        asked = ast.BoolOp(ast.And(), [where, asked])
    made: ast.stmt = placed(ast.If(asked, [ast.Break()], []), loop)
    return made
