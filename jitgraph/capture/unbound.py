"""Names that may be unbound where they are read: Python raises there, Numba reads a zero.

for row in rows:              bound_y = False
    y = row.sum()             for row in rows:
return y                          y = row.sum()
                                  bound_y = True
                              if not bound_y: raise UnboundLocalError('cannot access ...')
                              return y
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from types import CodeType, FunctionType

from .source import source_tree

_FLAG = "__bound_{}__"
_MESSAGE = "cannot access local variable {!r} where it is not associated with a value"
_OWN_NAMES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_UNCLEAR = (ast.Try, ast.TryStar, ast.Match, ast.FunctionDef, ast.ClassDef, ast.NamedExpr)

Bound = frozenset[str]


class UnclearError(Exception):
    """Which names are bound where can't be told."""


def telling(function: FunctionType) -> FunctionType:
    """The function, made to raise by itself where a name is unbound.

    Raises `UnclearError` where that can't be seen in its text.
    """
    tree = source_tree(function.__code__)
    if not isinstance(tree, ast.FunctionDef):
        return function
    parameters = [a.arg for a in ast.walk(tree.args) if isinstance(a, ast.arg)]
    rewriter = _Rewriter(tree)
    body, _ = rewriter.block(tree.body, frozenset(parameters))
    if not rewriter.watched:
        return function
    body = _Flags(rewriter.watched).block(body)
    start = [_assign(_FLAG.format(name), False, tree.body[0]) for name in sorted(rewriter.watched)]
    made = _compiled(function.__code__, tree, [*start, *body])
    changed = FunctionType(
        made, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    changed.__kwdefaults__ = function.__kwdefaults__
    return changed


def _compiled(code: CodeType, tree: ast.FunctionDef, body: list[ast.stmt]) -> CodeType:
    arguments = ast.arguments(
        tree.args.posonlyargs, tree.args.args, tree.args.vararg, tree.args.kwonlyargs,
        tree.args.kw_defaults, tree.args.kwarg, tree.args.defaults,
    )  # fmt: skip
    target = ast.copy_location(ast.FunctionDef(tree.name, arguments, body, []), tree)
    around = ast.FunctionDef(
        "around", ast.arguments([], [ast.arg(n) for n in code.co_freevars], None, [], [], None, []),
        [target, ast.Return(ast.Name(tree.name, ast.Load()))], [], lineno=1,
    )  # fmt: skip
    module = ast.fix_missing_locations(ast.Module([around], []))
    outer = next(
        c for c in compile(module, code.co_filename, "exec").co_consts if isinstance(c, CodeType)
    )
    return next(c for c in outer.co_consts if isinstance(c, CodeType) and c.co_name == tree.name)


class _Rewriter:
    """Puts a check before each statement that reads a name which may be unbound there."""

    def __init__(self, tree: ast.FunctionDef) -> None:
        self.locals = {name for stmt in tree.body for name in _stored(ast.walk(stmt))}
        self.watched: set[str] = set()
        self.breaks: list[list[Bound]] = []

    def block(self, stmts: Sequence[ast.stmt], bound: Bound) -> tuple[list[ast.stmt], Bound | None]:
        """Statements with checks, and what is bound after them; None where nothing comes after."""
        found: list[ast.stmt] = []
        now: Bound | None = bound
        for stmt in stmts:
            if now is None:
                break  # which is never reached
            made, now = self._statement(stmt, now)
            found += made
        return found, now

    def _statement(self, stmt: ast.stmt, bound: Bound) -> tuple[list[ast.stmt], Bound | None]:
        if isinstance(stmt, _UNCLEAR):
            raise UnclearError
        checks = self._checks(stmt, bound)
        changed: ast.stmt
        match stmt:
            case ast.If(test=test, body=body, orelse=orelse):
                (first, a), (second, b) = self.block(body, bound), self.block(orelse, bound)
                changed = ast.copy_location(ast.If(test, first, second), stmt)
                return [*checks, changed], _on_both(a, b)
            case ast.For(target=target, iter=over, body=body, orelse=orelse):
                inside, _ = self._loop(body, bound | {*_stored(ast.walk(target))})
                last, _ = self.block(orelse, bound)
                changed = ast.copy_location(ast.For(target, over, inside, last), stmt)
                return [*checks, changed], bound
            case ast.While(test=test, body=body, orelse=orelse):
                inside, left = self._loop(body, bound)
                last, _ = self.block(orelse, bound)
                changed = ast.copy_location(ast.While(test, inside, last), stmt)
                endless = isinstance(test, ast.Constant) and bool(test.value)
                return [*checks, changed], left if endless else bound
            case ast.With(items=items, body=body):
                inside, after = self.block(body, bound | {*_stored(_parts(items))})
                return [*checks, ast.copy_location(ast.With(items, inside), stmt)], after
            case ast.Return() | ast.Raise() | ast.Continue():
                return [*checks, stmt], None
            case ast.Break():
                self.breaks[-1].append(bound)
                return [stmt], None
            case ast.Delete():
                raise UnclearError
        return [*checks, stmt], bound | {*_stored(ast.walk(stmt))}

    def _loop(self, body: list[ast.stmt], bound: Bound) -> tuple[list[ast.stmt], Bound | None]:
        """A loop's statements, and what is bound wherever it is left by `break`."""
        self.breaks.append([])
        inside, _ = self.block(body, bound)
        left = self.breaks.pop()
        return inside, frozenset.intersection(*left) if left else None

    def _checks(self, stmt: ast.stmt, bound: Bound) -> list[ast.stmt]:
        """For what a statement reads itself, not by those inside it."""
        read: dict[str, None] = {}
        for part in _own_parts(stmt):
            for name, surely in _loaded(part, True):
                if name not in self.locals or name in bound:
                    continue
                if not surely:
                    raise UnclearError
                read[name] = None
        if isinstance(stmt, ast.AugAssign) and isinstance(stmt.target, ast.Name):
            read |= {n: None for n in (stmt.target.id,) if n not in bound}
        self.watched.update(read)
        return [_check(name, stmt) for name in read]


class _Flags:
    """Notes after each statement what it has bound."""

    def __init__(self, watched: set[str]) -> None:
        self.watched = watched

    def block(self, stmts: Sequence[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for stmt in stmts:
            match stmt:
                case ast.For(target=target):
                    flags = self._set(_stored(ast.walk(target)), stmt)
                    stmt.body, stmt.orelse = self.block(stmt.body), self.block(stmt.orelse)
                    stmt.body[:0] = flags
                    found.append(stmt)
                case ast.If() | ast.While():
                    stmt.body, stmt.orelse = self.block(stmt.body), self.block(stmt.orelse)
                    found.append(stmt)
                case ast.With(items=items):
                    stmt.body = [*self._set(_stored(_parts(items)), stmt), *self.block(stmt.body)]
                    found.append(stmt)
                case _:
                    found += [stmt, *self._set(_stored(ast.walk(stmt)), stmt)]
        return found

    def _set(self, names: Iterable[str], stmt: ast.stmt) -> list[ast.stmt]:
        bound = dict.fromkeys(n for n in names if n in self.watched)
        return [_assign(_FLAG.format(name), True, stmt) for name in bound]


def _on_both(a: Bound | None, b: Bound | None) -> Bound | None:
    return b if a is None else a if b is None else a & b


def _stored(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def _parts(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    return (part for node in nodes for part in ast.walk(node))


def _own_parts(stmt: ast.stmt) -> list[ast.AST]:
    match stmt:
        case ast.If(test=test) | ast.While(test=test):
            return [test]
        case ast.For(iter=over):
            return [over]
        case ast.With(items=items):
            return list(items)
    return [stmt]


def _loaded(node: ast.AST, surely: bool) -> Iterator[tuple[str, bool]]:
    """Names that are read, and whether they are each time the statement runs."""
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load):
            yield node.id, surely
        return
    if isinstance(node, _OWN_NAMES):
        own = {*_stored(ast.walk(node)), *(a.arg for a in ast.walk(node) if isinstance(a, ast.arg))}
        inside = (pair for n in ast.iter_child_nodes(node) for pair in _loaded(n, False))
        yield from ((name, sure) for name, sure in inside if name not in own)
        return
    children: Sequence[ast.AST] = list(ast.iter_child_nodes(node))
    first = len(children)
    match node:  # in the order in which they are looked at, as far as need be
        case ast.BoolOp():
            children, first = node.values, 1
        case ast.IfExp():
            children, first = [node.test, node.body, node.orelse], 1
        case ast.Compare():
            children, first = [node.left, *node.comparators], 2
    for k, child in enumerate(children):
        yield from _loaded(child, surely and k < first)


def _assign(name: str, value: bool, like: ast.stmt) -> ast.stmt:
    made = ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))
    return ast.fix_missing_locations(ast.copy_location(made, like))


def _check(name: str, like: ast.stmt) -> ast.stmt:
    error = ast.Call(
        ast.Name("UnboundLocalError", ast.Load()), [ast.Constant(_MESSAGE.format(name))], []
    )
    unbound = ast.UnaryOp(ast.Not(), ast.Name(_FLAG.format(name), ast.Load()))
    made = ast.If(unbound, [ast.Raise(error)], [])
    return ast.fix_missing_locations(ast.copy_location(made, like))
