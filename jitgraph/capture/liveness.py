"""Which names a loop carries from one step to the next or a branch binds, and which are read after.

A backward dataflow analysis over a function's syntax.  What is not known to be overwritten counts
as read: names in functions inside the function are read everywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .exits import LEFT, flag_of, is_guard

Names = frozenset[str]
Loop = ast.For | ast.While
Position = tuple[int, int]


@dataclass(frozen=True)
class LoopNames:
    """carried: names that a step binds and a later one reads; last: others that it binds and that
    are read after the loop; augmented: names that are bound by `+=` and its like alone; flag: the
    name that tells that the loop has been left.
    """

    carried: tuple[str, ...]
    last: tuple[str, ...]
    augmented: Names
    flag: str = ""


@dataclass(frozen=True)
class BranchNames:
    """Of a branch or a `try` statement.  bound: names that one of the sides binds; after: those of
    them that are read later.
    """

    bound: tuple[str, ...]
    after: tuple[str, ...]


def position(node: ast.stmt | ast.expr) -> Position:
    return node.lineno, node.col_offset


def control_names(body: Sequence[ast.stmt]) -> dict[Position, LoopNames | BranchNames]:
    """What each loop of a function carries and each branch and `try` binds, by its place.

    Left out are those that end early in the middle, by `break`, `return` and their like, and loops
    that are written in another way than a program's loop.
    """
    analysis = _Liveness(body)
    analysis.before(body, frozenset())
    return analysis.found


class _Liveness:
    def __init__(self, body: Sequence[ast.stmt]) -> None:
        self.found: dict[Position, LoopNames | BranchNames] = {}
        nested = (n for s in body for n in ast.walk(s) if isinstance(n, _FUNCTIONS))
        self.shared = _read(nested) | _read_anywhere(body)
        self.leaving: list[tuple[Names, Names]] = []  # live after a break, and after a continue

    def before(self, stmts: Iterable[ast.stmt], after: Names) -> Names:
        """The names that are read from some statements on, where `after` are from their end on."""
        for stmt in reversed(list(stmts)):
            after = self._before(stmt, after)
        return after

    def _before(self, stmt: ast.stmt, after: Names) -> Names:
        match stmt:
            case ast.Assign(targets=targets, value=value):
                return self._assigned(targets, after) | _read([value, *targets])
            case ast.AugAssign(target=target, value=value):
                own = {target.id} if isinstance(target, ast.Name) else set()
                return after | own | _read([value, target])
            case ast.AnnAssign(target=target, value=value):
                if value is None:
                    return after
                return self._assigned([target], after) | _read([value, target])
            case ast.Return(value=value):
                return _read([value] if value else []) | self.shared
            case ast.Raise():
                return _read([stmt])
            case ast.If(test=test, body=body, orelse=orelse):
                if not any(map(_leaves, (*body, *orelse))):
                    self._found(stmt, (*body, *orelse), after)
                return self.before(body, after) | self.before(orelse, after) | _read([test])
            case ast.For() | ast.While():
                return self._loop(stmt, after)
            case ast.Break() if self.leaving:
                return self.leaving[-1][0]
            case ast.Continue() if self.leaving:
                return self.leaving[-1][1]
            case ast.With(items=items, body=body):
                return self.before(body, after) | _read(items)
            case ast.Try() | ast.TryStar():
                self._found(stmt, [stmt], after)
                handled = [s for h in stmt.handlers for s in h.body]
                inside = [*stmt.body, *handled, *stmt.orelse, *stmt.finalbody]
                self.before(inside, after)  # for the loops in it
                ways = ([*stmt.body, *stmt.orelse], *(h.body for h in stmt.handlers))
                surely = frozenset.intersection(*map(_overwritten, ways))
                return after - (surely - self.shared) | _read([stmt])
        return after | _read([stmt])

    def _found(self, stmt: ast.stmt, inside: Sequence[ast.stmt], after: Names) -> None:
        caught = [n.name for s in inside for n in ast.walk(s) if isinstance(n, ast.ExceptHandler)]
        bound = frozenset((*(name.id for name in _bound(inside)), *filter(None, caught)))
        read = bound & (after | self.shared)
        self.found[position(stmt)] = BranchNames(_sorted(bound), _sorted(read))

    def _assigned(self, targets: Sequence[ast.expr], after: Names) -> Names:
        return after - (frozenset(_plain_targets(targets)) - self.shared)

    def _loop(self, loop: Loop, after: Names) -> Names:
        after = after | self.shared
        if loop.orelse:
            after = self.before(loop.orelse, after)
        head = after | _read(_tests(loop))
        target = frozenset(_plain_targets([loop.target]) if isinstance(loop, ast.For) else ())
        while True:
            self.leaving.append((after, head))
            inside = self.before(loop.body, head) - target
            self.leaving.pop()
            if inside <= head:
                break
            head = head | inside
        names = _names_of(loop, inside | _read(_tests(loop)), after)
        if names is not None:
            self.found[position(loop)] = names
        return head | _read([loop.iter] if isinstance(loop, ast.For) else [])


def _tests(loop: Loop) -> list[ast.AST]:
    """What is asked before each step."""
    if isinstance(loop, ast.While):
        return [loop.test]
    return [ast.Name(flag_of(loop), ast.Load())] if flag_of(loop) else []


def _names_of(loop: Loop, read_in_it: Names, after: Names) -> LoopNames | None:
    """None for a loop that is no program's loop."""
    if loop.orelse or any(_leaves(stmt) for stmt in loop.body):
        return None
    bound = frozenset(name.id for name in _bound(loop.body))
    if isinstance(loop, ast.For):
        target = loop.target.id if isinstance(loop.target, ast.Name) else None
        if target is None or target in after or not is_walked(loop.iter):
            return None
    elif any(isinstance(n, (ast.NamedExpr, ast.Await)) for n in ast.walk(loop.test)):
        return None
    carried = bound & read_in_it
    adding = {
        n.target for s in loop.body for n in ast.walk(s) if isinstance(n, ast.AugAssign)
    }  # places of names
    augmented = bound - {name.id for name in _bound(loop.body) if name not in adding}
    last = bound & after - carried
    return LoopNames(_sorted(carried), _sorted(last), augmented, flag_of(loop))


def range_of(iterated: ast.expr) -> ast.Call | None:
    """The call of `range`, if that is what a loop runs over."""
    plain = (
        isinstance(iterated, ast.Call)
        and isinstance(iterated.func, ast.Name)
        and iterated.func.id == "range"
        and not iterated.keywords
        and not any(isinstance(a, ast.Starred) for a in iterated.args)
    )
    return iterated if plain else None  # type: ignore[return-value]


def is_walked(iterated: ast.expr) -> bool:
    """Whether a loop may run over numbers or the elements of an array."""
    walked = isinstance(iterated, (ast.Name, ast.Attribute, ast.Subscript))
    return walked or range_of(iterated) is not None


def _read_anywhere(body: Sequence[ast.stmt]) -> Names:
    """Names that may be read wherever the function ends: by `finally`, or by looking at all."""
    nodes = [n for stmt in body for n in ast.walk(stmt)]
    found = _read(s for n in nodes if isinstance(n, ast.Try) for s in n.finalbody)
    looking = {"eval", "exec", "locals", "vars", "dir"}
    if any(isinstance(n, ast.Name) and n.id in looking for n in nodes):
        found |= {n.id for n in nodes if isinstance(n, ast.Name)}
    return found


def _sorted(names: Names) -> tuple[str, ...]:
    return tuple(sorted(names))


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_NO_STEP = (
    ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Try, ast.TryStar, ast.Delete, ast.Global,
    ast.Nonlocal, ast.Import, ast.ImportFrom, ast.NamedExpr, ast.Match, ast.FunctionDef,
    ast.ClassDef, ast.AsyncFor, ast.AsyncWith, ast.AsyncFunctionDef, ast.Raise,
)  # fmt: skip


_NO_CALL = (
    ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Global,
    ast.Nonlocal, ast.Delete, ast.Import, ast.ImportFrom, ast.Match, ast.FunctionDef,
    ast.AsyncFunctionDef, ast.ClassDef,
)  # fmt: skip
_OF_A_FRAME = frozenset(("super", "locals", "vars", "dir", "eval", "exec", "__class__"))


def can_be_called(stmt: ast.stmt) -> bool:
    """Whether a statement may be a function of the names in it: it does not leave the function it
    is in, or bind names in ways other than by assignment.
    """

    def fits(node: ast.AST, in_loop: bool) -> bool:
        if isinstance(node, _NO_CALL) or (isinstance(node, ast.Name) and node.id in _OF_A_FRAME):
            return False
        if isinstance(node, ast.Name) and node.id.startswith(LEFT):  # where nobody looks
            return False
        if isinstance(node, (ast.Break, ast.Continue)):
            return in_loop
        in_loop = in_loop or isinstance(node, (ast.For, ast.While))
        return all(fits(inner, in_loop) for inner in ast.iter_child_nodes(node))

    return fits(stmt, False)


def _leaves(stmt: ast.AST) -> bool:
    """Whether a statement of a loop's body may leave the step, or does what a body can't hold."""
    if _is_called(stmt):
        return False
    if isinstance(stmt, (*_NO_STEP, ast.Break, ast.Continue)):
        return True
    if is_guard(stmt):
        return False
    if isinstance(stmt, (ast.For, ast.While)):  # a break inside is its own
        return any(map(_is_no_step, stmt.body)) or any(map(_leaves, stmt.orelse))
    return any(map(_leaves, ast.iter_child_nodes(stmt)))


def _is_no_step(stmt: ast.AST) -> bool:
    if _is_called(stmt):
        return False
    if isinstance(stmt, _NO_STEP):
        return True
    return not is_guard(stmt) and any(map(_is_no_step, ast.iter_child_nodes(stmt)))


def _is_called(stmt: ast.AST) -> bool:
    """Whether it is a `try` statement that becomes a function."""
    return isinstance(stmt, (ast.Try, ast.TryStar)) and bool(stmt.handlers) and can_be_called(stmt)


def _bound(stmts: Sequence[ast.stmt]) -> Iterator[ast.Name]:
    """Where statements bind names of the function."""
    waiting: list[ast.AST] = [*stmts]
    while waiting:
        node = waiting.pop()
        if is_guard(node):
            continue  # what it binds, nobody reads
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node
        if isinstance(node, ast.comprehension):
            waiting += [node.iter, *node.ifs]
        else:
            waiting += ast.iter_child_nodes(node)


def _overwritten(stmts: Iterable[ast.stmt]) -> Names:
    """Names that statements give a value to, whatever happens."""
    targets = [t for s in stmts if isinstance(s, ast.Assign) for t in s.targets]
    return frozenset(_plain_targets(targets))


def _plain_targets(targets: Sequence[ast.expr]) -> Iterator[str]:
    """Names that an assignment surely overwrites."""
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, (ast.Tuple, ast.List)):
            yield from _plain_targets(target.elts)
        elif isinstance(target, ast.Starred):
            yield from _plain_targets([target.value])


def _read(nodes: Iterable[ast.AST]) -> Names:
    """Names that are loaded or deleted anywhere in these."""
    return frozenset(
        n.id
        for node in nodes
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Load, ast.Del))
    )
