"""Early exits as branches of what follows them.

    if c:                    if c:
        return a                 result = a
    b = f(x)          =>     else:
    return b                     b = f(x)
                                 result = b
                             return result

    while t:                 leave = False
        if c:                while not leave and t:
            break     =>         if c:
        a = f(a)                     leave = True
                                 else:
                                     a = f(a)

    if c:                    if not c:
        a = f(a)                 raise ValueError
    else:                =>  a = f(a)
        raise ValueError

A condition that the program decides can then be a branch of its graph; for all others the function
does what it did.  A loop over `range` has no condition: it carries the name of its flag.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

RESULT = "__result__"
LEFT = "__leave"  # how the names of flags begin, by which loops are left
HIDDEN = (RESULT, LEFT)  # how names begin that are not the user's
_OF_THEIR_OWN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)

Exits = Callable[[ast.AST], bool]


def with_one_exit(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a function with one return, at the end, and loops without `break` and
    `continue`.  What is not written with branches alone, or would have to be there twice, stays.
    """
    body = _returning_after_tries(_inside_out(_inside_out(body, _raising_first), _whole))
    early = [s for s in body[:-1] if _returns(s)]
    last = body[-1:] if body and not isinstance(body[-1], ast.Return) else []
    if not early and not any(map(_returns, last)):
        return body
    made = _ended(body, _returns, _bound_result, at_end=True)
    if made is None:
        return body
    result = ast.Return(ast.Name(RESULT, ast.Load()))
    ast.copy_location(result, body[-1])
    return [*made, ast.fix_missing_locations(result)]


def is_guard(stmt: ast.AST) -> bool:
    """Whether a statement raises or does nothing, as its condition says."""
    return isinstance(stmt, ast.If) and not stmt.orelse and isinstance(stmt.body[-1], ast.Raise)


def _inside_out(
    stmts: Sequence[ast.stmt], changed: Callable[[ast.stmt], list[ast.stmt]]
) -> list[ast.stmt]:
    """Statements with each, from the innermost on, replaced by what it is changed to; functions and
    classes stay as they are.
    """
    made: list[ast.stmt] = []
    for stmt in stmts:
        if isinstance(stmt, _OF_THEIR_OWN):
            made.append(stmt)
            continue
        for name in ("body", "orelse", "finalbody"):
            if isinstance(getattr(stmt, name, None), list):
                setattr(stmt, name, _inside_out(getattr(stmt, name), changed))
        made += changed(stmt)
    return made


def _raising_first(stmt: ast.stmt) -> list[ast.stmt]:
    """The side of a branch that raises, with what the other side does after it."""
    if isinstance(stmt, ast.If) and stmt.orelse:
        first, second = stmt.body, stmt.orelse
        if isinstance(first[-1], ast.Raise):
            stmt.orelse = []
            return [stmt, *second]
        if isinstance(second[-1], ast.Raise):
            wrong = placed(ast.UnaryOp(ast.Not(), stmt.test), stmt.test)
            return [ast.copy_location(ast.If(wrong, second, []), stmt), *first]
    return [stmt]


def _returning_after_tries(stmts: Sequence[ast.stmt]) -> list[ast.stmt]:
    """`try` statements that return in each way, with one `return` after them instead."""
    made: list[ast.stmt] = []
    for stmt in stmts:
        made.append(stmt)
        if isinstance(stmt, ast.If):
            stmt.body = _returning_after_tries(stmt.body)
            stmt.orelse = _returning_after_tries(stmt.orelse)
        elif isinstance(stmt, (ast.Try, ast.TryStar)) and _bind_results(stmt):
            result = ast.Return(ast.Name(RESULT, ast.Load()))
            made.append(placed(result, stmt))
    return made


def _bind_results(stmt: ast.Try | ast.TryStar) -> bool:
    """Bind what a `try` statement returns to a name, if it never comes to its end."""
    ways = [stmt.orelse or stmt.body, *(h.body for h in stmt.handlers)]
    others = [*(stmt.body if stmt.orelse else []), *stmt.finalbody]
    ending = all(map(_always_ends, ways)) and any(_returns(s) for way in ways for s in way)
    if not stmt.handlers or not ending or any(map(_returns, others)):
        return False
    bound = [_ended(way, _returns, _bound_result, at_end=False) for way in ways]
    if any(way is None for way in bound):
        return False
    for way, new in zip(ways, bound, strict=True):
        way[:] = new or []
    return True


def flag_of(loop: ast.For | ast.While) -> str:
    """The name that is true once a loop has been left by `break`."""
    return getattr(loop, "flag", "")


def _whole(loop: ast.stmt) -> list[ast.stmt]:
    """A loop whose steps come to their end; other statements as they are."""
    if not isinstance(loop, (ast.For, ast.While)) or loop.orelse:
        return [loop]
    if not any(map(_leaves_loop, loop.body)):
        return [loop]
    flag = f"__leave{loop.lineno}_{loop.col_offset}__"

    def exit_of(stmt: ast.stmt | None) -> list[ast.stmt]:
        if isinstance(stmt, ast.Continue):
            return []
        return [_assigned(flag, ast.Constant(True), stmt)]

    body = _ended(loop.body, _leaves_loop, exit_of, at_end=False)
    if body is None:
        return [loop]
    loop.body = body or [ast.copy_location(ast.Pass(), loop)]
    if not any(isinstance(n, ast.Name) and n.id == flag for s in body for n in ast.walk(s)):
        return [loop]  # it has `continue` only
    if isinstance(loop, ast.While):
        going_on = ast.UnaryOp(ast.Not(), ast.Name(flag, ast.Load()))
        loop.test = placed(ast.BoolOp(ast.And(), [going_on, loop.test]), loop.test)
    loop.flag = flag  # type: ignore[union-attr]
    return [_assigned(flag, ast.Constant(False), loop), loop]


def _ended(
    stmts: Sequence[ast.stmt], exits: Exits, exit_of: Callable[[ast.stmt | None], list[ast.stmt]],
    at_end: bool,
) -> list[ast.stmt] | None:  # fmt: skip
    """Statements that do what `exit_of` says where they left, and maybe where they end."""
    for k, stmt in enumerate(stmts):
        before, rest = list(stmts[:k]), stmts[k + 1 :]
        if isinstance(stmt, ast.Raise):
            return [*before, stmt]
        if isinstance(stmt, (ast.Return, ast.Break, ast.Continue)):
            return [*before, *exit_of(stmt)] if exits(stmt) else None
        if not exits(stmt):
            continue
        if not isinstance(stmt, ast.If):
            return None
        sides = stmt.body, stmt.orelse
        if rest and not any(map(_always_ends, sides)):
            return None  # the rest would have to be there twice
        made = [
            _ended(side if _always_ends(side) else [*side, *rest], exits, exit_of, at_end)
            for side in sides
        ]
        first, second = made
        if first is None or second is None:
            return None
        first = first or [ast.copy_location(ast.Pass(), stmt)]
        return [*before, ast.copy_location(ast.If(stmt.test, first, second), stmt)]
    return [*stmts, *(exit_of(None) if at_end else [])]


def _bound_result(stmt: ast.stmt | None) -> list[ast.stmt]:
    value = stmt.value if isinstance(stmt, ast.Return) else None
    return [_assigned(RESULT, value or ast.Constant(None), stmt)]


def _assigned(name: str, value: ast.expr, where: ast.stmt | None) -> Any:
    made = ast.Assign([ast.Name(name, ast.Store())], value)
    return placed(made, where) if where is not None else made


def placed(node: Any, where: ast.AST) -> Any:
    """With a position for the parts that have none."""
    for part in ast.walk(node):
        if not hasattr(part, "lineno"):
            ast.copy_location(part, where)
    return node


def _always_ends(stmts: Sequence[ast.stmt]) -> bool:
    """Whether these never come to their end."""
    if not stmts:
        return False
    last = stmts[-1]
    if isinstance(last, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
        return True
    return isinstance(last, ast.If) and _always_ends(last.body) and _always_ends(last.orelse)


def _returns(stmt: ast.AST) -> bool:
    """Whether a statement returns from the function, other than in a function of its own."""
    if isinstance(stmt, ast.Return):
        return True
    if isinstance(stmt, _OF_THEIR_OWN):
        return False
    return any(map(_returns, ast.iter_child_nodes(stmt)))


def _leaves_loop(stmt: ast.AST) -> bool:
    """Whether a statement leaves the step of the loop it is in, other than in loops inside it."""
    if isinstance(stmt, (ast.Break, ast.Continue)):
        return True
    if isinstance(stmt, (*_OF_THEIR_OWN, ast.For, ast.While)):
        return False
    return any(map(_leaves_loop, ast.iter_child_nodes(stmt)))
