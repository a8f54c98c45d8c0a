"""The statements around a rewritten loop, branch or `try`; `syntax` shows them together."""

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


_GIVEN = "__given__"


class TryText(ControlText):
    """A `try` statement as a function, and what is left of it."""

    def __init__(self, variable: str, names: BranchNames, node: ast.Try | ast.TryStar) -> None:
        super().__init__(variable, node)
        self.names = names
        mentioned = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        self.mentioned = sorted(mentioned | {*names.bound})

    def function(self, given: list[str]) -> ast.stmt:
        """Of a dict of the names that are bound before; gives those that are bound after it."""
        start = [self._bound_if_there(name, _GIVEN) for name in given]
        end = ast.Return(ast.Call(ast.Name("locals", ast.Load()), [], []))
        parameters = ast.arguments([], [ast.arg(_GIVEN)], None, [], [], None, [])
        made: ast.stmt = self.placed(
            ast.FunctionDef(self.variable, parameters, [*start, self.node, end], [])
        )
        return made

    def arguments(self, own: list[str], others: list[str]) -> list[ast.expr]:
        """The function, the names it is given, and those that are read after it."""
        frame = ast.Call(ast.Name("locals", ast.Load()), [], [])
        around = ast.Dict(
            [ast.Constant(name) for name in others], [ast.Name(n, ast.Load()) for n in others]
        )
        names = [
            ast.Tuple([ast.Constant(n) for n in group], ast.Load())
            for group in (own, self.names.after)
        ]
        arguments = [ast.Name(self.variable, ast.Load()), frame, around, *names]
        return [self.placed(argument) for argument in arguments]

    def results(self, call: ast.expr) -> list[ast.stmt]:
        found = ast.Assign([ast.Name(self.variable, ast.Store())], call)
        names = self.names.after
        return [self.placed(found), *(self._bound_if_there(n, self.variable) for n in names)]

    def _bound_if_there(self, name: str, where: str) -> ast.stmt:
        """`if 'y' in found: y = found['y']`"""
        key, found = ast.Constant(name), ast.Name(where, ast.Load())
        there = ast.Compare(key, [ast.In()], [found])
        value = ast.Subscript(found, key, ast.Load())
        bind = ast.Assign([ast.Name(name, ast.Store())], value)
        made: ast.stmt = self.placed(ast.If(there, [bind], []))
        return made


def left(flag: str, loop: ast.stmt, where: ast.expr | None = None) -> ast.stmt:
    """`if flag: break`, maybe only where something else holds"""
    asked: ast.expr = ast.Name(flag, ast.Load())
    if where is not None:
        asked = ast.BoolOp(ast.And(), [where, asked])
    made: ast.stmt = placed(ast.If(asked, [ast.Break()], []), loop)
    return made
