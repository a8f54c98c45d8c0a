"""Rewriting a user's function so that capture sees what it does.

Calls, and loads of what the function finds in its surroundings, go through a `Runtime`:

    def f(x):                        def f(x):
        y = np.zeros(x.shape)            y = jg.call(jg.attribute(jg.name('np'), 'zeros'),
        return helper(x) + y                         jg.attribute(x, 'shape'))
                                         return jg.call(jg.name('helper'), x) + y

Loops over `range` and `while` loops tell the runtime what a step starts from and what it ends with,
so that it may write down one step instead of all:

    for i in range(n):               loop1 = jg.loop('f.py:3:4', ('u',), (), ())
        u = u + dt * f(u)            for i in loop1.over(jg.name('range'), n):
                                         if loop1.traced:
                                             u, = loop1.enter((u,))
                                         u = u + dt * jg.call(f, u)
                                         if loop1.traced:
                                             loop1.leave((u,))
                                     if loop1.traced:
                                         u, = loop1.results()

So do branches, of which both sides are written down where the program decides:

    if c > 0:                        branch1 = jg.branch('f.py:3:4', ('y',), ('y',))
        y = a                        if branch1.taken(c > 0):
    else:                                y = a
        y = b                            if branch1.traced:
                                             branch1.end()
                                     if branch1.otherwise():
                                         if branch1.traced:
                                             y, = branch1.restored()
                                         y = b
                                         if branch1.traced:
                                             branch1.end()
                                     if branch1.traced:
                                         y, = branch1.results()

A `try` statement with handlers becomes a function, which the program calls as it is:

    try:                             def tried1(given):
        y = g(x)                         if 'x' in given: x = given['x']
    except ValueError:                   try: y = g(x)
        y = x                            except ValueError: y = x
                                         return locals()
                                     tried1 = jg.tried(tried1, locals(), {}, ('x',), ('y',))
                                     if 'y' in tried1: y = tried1['y']

Texts with values go through the runtime as well, as those of traced ones are known later:

    print(f"{x:.3f}", "%d" % n)      jg.call(jg.name('print'), jg.text((x, -1, '.3f')),
                                             jg.percent('%d', n))

`assert c` becomes `assert jg.expected(c)`, and `if c: raise` becomes
`if not jg.expected(not c): raise`; the program makes sure of it.

The rewritten function has the original's globals, closure, defaults and line numbers.  Where there
is no source (a REPL, `exec`), or where it can't be told which of two lambdas of one line it is, the
function is traced as it stands.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import CellType, CodeType, FunctionType
from typing import Any, Protocol

from ..errors import CaptureError
from .control_syntax import BranchText, ControlText, LoopText, TryText, left
from .exits import HIDDEN, flag_of, is_guard, with_one_exit
from .liveness import (
    BranchNames,
    LoopNames,
    Position,
    can_be_called,
    control_names,
    position,
    range_of,
)
from .source import FunctionNode, source_tree

RUNTIME = "__jitgraph__"
_LEFT_ALONE = frozenset(("super", "locals", "globals", "vars", "dir", "eval", "exec"))
_ORDER = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_BOUND_OUTSIDE = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)  # what a lambda can't hold
_NOT_REWRITTEN = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Runtime(Protocol):
    """What rewritten code calls."""

    def name(self, name: str) -> Any: ...
    def cell(self, name: str, value: Any) -> Any: ...
    def attribute(self, owner: Any, name: str) -> Any: ...
    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any: ...
    def augment_attribute(self, operation: str, owner: Any, name: str, value: Any) -> None: ...
    def set_attribute(self, owner: Any, name: str, value: Any) -> None: ...
    def loop(self, *names: Any) -> Any: ...
    def branch(self, *names: Any) -> Any: ...
    def chosen(self, key: str, condition: Any, first: Any, second: Any) -> Any: ...
    def written(self, container: Any) -> Any: ...
    def both(self, first: Any, then: Any) -> Any: ...
    def either(self, first: Any, then: Any) -> Any: ...
    def negated(self, value: Any) -> Any: ...
    def compared(self, comparison: str, a: Any, b: Any) -> Any: ...
    def chained(self, comparisons: Any, first: Any, *others: Any) -> Any: ...
    def expected(self, value: Any) -> Any: ...
    def tried(self, function: Any, *names: Any) -> Any: ...


def rewritten(function: FunctionType, runtime: Runtime) -> FunctionType | None:
    """The function with calls and outer loads sent to `runtime`; None where it can't be done."""
    code = _rewritten_code(function.__code__)
    if code is None:
        return None
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[RUNTIME] = CellType(runtime)
    closure = tuple(cells[name] for name in code.co_freevars)
    made = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, closure
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


@lru_cache(maxsize=1024)
def _rewritten_code(code: CodeType) -> CodeType | None:
    if code.co_flags & _NOT_REWRITTEN or RUNTIME in code.co_freevars:
        return None
    tree = source_tree(code)
    if tree is None:
        return None
    changed = _Rewriter(code, tree).run()
    outer = [*(n for n in code.co_freevars), RUNTIME]
    factory = ast.FunctionDef(
        "factory", _parameters(outer), [changed, ast.Return(ast.Name("target", ast.Load()))],
        [], lineno=1,
    )  # fmt: skip
    module = ast.fix_missing_locations(ast.Module([factory], []))
    compiled = compile(module, code.co_filename, "exec")
    (made,) = [c for c in compiled.co_consts if isinstance(c, CodeType)]
    for inner in made.co_consts:
        if isinstance(inner, CodeType) and inner.co_name in ("target", "<lambda>"):
            return inner.replace(co_name=code.co_name, co_qualname=code.co_qualname)
    return None


def _parameters(names: list[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])


class _Rewriter(ast.NodeTransformer):
    def __init__(self, code: CodeType, tree: FunctionNode) -> None:
        self.tree = tree
        self.free = frozenset(code.co_freevars)
        self.filename = code.co_filename
        self.stores = 0
        self.scopes: list[frozenset[str]] = []
        self.control: list[dict[Position, LoopNames | BranchNames]] = []  # of functions
        self.of_errors = 0  # texts of errors, which are made at once
        self.inside = 0  # loops and branches that may become a program's

    def run(self) -> ast.stmt:
        node = self.tree
        arguments = _without_defaults(node.args)
        if isinstance(node, ast.Lambda):
            self.scopes.append(frozenset(_bound_names(node)))
            made = ast.Return(self.visit(_copied(node.body)))
            body: list[ast.stmt] = [ast.copy_location(made, node.body)]
        else:
            body = self._function(node, _copied(node.body))
        target = ast.FunctionDef("target", arguments, body, [])
        return ast.copy_location(target, node)

    def _function(self, node: ast.FunctionDef, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements of a function."""
        body = with_one_exit(body)
        self.scopes.append(frozenset((*_bound_names(node), *_stored(body))))
        self.control.append(control_names(body))
        changed = self._statements(body)
        self.control.pop()
        self.scopes.pop()
        return changed

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id in _LEFT_ALONE:
            self.generic_visit(node)
            return node
        function, *args = [self.visit(n) for n in (node.func, *node.args)]
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
        return self._runtime("call", node, [function, *args], keywords)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load) or node.id == "__class__":
            return node
        if any(node.id in scope for scope in self.scopes):
            return node
        if node.id in self.free:
            return self._runtime("cell", node, [ast.Constant(node.id), node])
        return self._runtime("name", node, [ast.Constant(node.id)])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if not isinstance(node.ctx, ast.Load):
            raise CaptureError(
                f"the attribute {node.attr!r} is deleted, or assigned by a loop (line "
                f"{node.lineno})"
            )
        return self._runtime("attribute", node, [self.visit(node.value), ast.Constant(node.attr)])

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        """`a.x, b = v` as `store, b = v; set_attribute(a, 'x', store)`."""
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Attribute):
            return self._set_attribute(node.targets[0], self.visit(node.value))
        stored: list[ast.stmt] = []
        node.targets = [self._target(t, stored) for t in node.targets]
        self.generic_visit(node)
        return [node, *stored]

    def _target(self, node: Any, stored: list[ast.stmt]) -> Any:
        if isinstance(node, (ast.Tuple, ast.List)):
            node.elts = [self._target(e, stored) for e in node.elts]
        elif isinstance(node, ast.Attribute):
            self.stores += 1
            name = f"__store{self.stores}__"
            value = ast.copy_location(ast.Name(name, ast.Load()), node)
            stored.append(self._set_attribute(node, value))
            return ast.copy_location(ast.Name(name, ast.Store()), node)
        return node

    def _set_attribute(self, target: ast.Attribute, value: Any) -> ast.stmt:
        owner, name = self.visit(target.value), ast.Constant(target.attr)
        call = self._runtime("set_attribute", target, [owner, name, value])
        return ast.copy_location(ast.Expr(call), target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | list[ast.stmt]:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        plain = ast.Assign([node.target], node.value)
        return self.visit_Assign(ast.copy_location(plain, node))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        """`self.u += v` as `augment_attribute('Add', self, 'u', v)`."""
        target = node.target
        if not isinstance(target, ast.Attribute):
            self.generic_visit(node)
            return node
        names = ast.Constant(type(node.op).__name__), ast.Constant(target.attr)
        owner, value = self.visit(target.value), self.visit(node.value)
        call = self._runtime("augment_attribute", node, [names[0], owner, names[1], value])
        return ast.copy_location(ast.Expr(call), node)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> ast.stmt | list[ast.stmt]:
        if not node.handlers:
            self.generic_visit(node)
            return node
        names = self._names(node)
        possible = isinstance(names, BranchNames) and can_be_called(node)
        if not isinstance(names, BranchNames) or not possible or _unbinds(node, names):
            raise CaptureError(
                f"it catches exceptions (line {node.lineno}), which values decide when it runs"
            )
        text = TryText(self._variable("tried"), names, node)
        local, *outer = reversed(self.scopes)
        own = [name for name in text.mentioned if name in local]
        others = [n for n in text.mentioned if n not in local and any(n in o for o in outer)]
        start = ast.Pass(lineno=node.lineno, col_offset=node.col_offset, end_lineno=node.lineno)
        call = self._runtime("tried", start, text.arguments(own, others))
        return [text.function([*own, *others]), *text.results(call)]

    def visit_TryStar(self, node: ast.TryStar) -> ast.stmt | list[ast.stmt]:
        return self.visit_Try(node)

    def visit_Global(self, node: ast.Global) -> ast.stmt:
        raise CaptureError(
            f"a function that assigns the outer name {node.names[0]!r} (line {node.lineno}) runs "
            "in dynamic mode; return the value instead"
        )

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.stmt:
        if outer := [n for n in node.names if n in self.free]:
            self.visit_Global(ast.copy_location(ast.Global(outer), node))
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.args = self.visit(node.args)
        node.returns = None
        node.body = self._function(node, node.body)
        return node

    def _statements(self, stmts: list[ast.stmt]) -> list[ast.stmt]:
        parts = [self.visit(stmt) for stmt in stmts]
        return [s for made in parts for s in (made if isinstance(made, list) else [made])]

    def visit_For(self, node: ast.For) -> ast.stmt | list[ast.stmt]:
        names = self._names(node)
        flag = flag_of(node)
        if not isinstance(names, LoopNames):
            self.generic_visit(node)
            node.body += [left(flag, node)] if flag else []
            return node
        loop = LoopText(self._variable("loop"), names, node)
        if (numbers := range_of(node.iter)) is not None:
            over = loop.call("over", *(self.visit(n) for n in (numbers.func, *numbers.args)))
        else:
            over = loop.call("along", self.visit(node.iter))
        body = [loop.enter(), *self._side(node.body), loop.leave()]
        if flag:
            going_on = self._condition(ast.UnaryOp(ast.Not(), ast.Name(flag, ast.Load())))
            body.insert(1, loop.unless(loop.call("tested", going_on), "traced"))
            body.append(loop.where_left(flag))
        return [
            self._started(loop, "loop", *_groups(names)),
            loop.placed(ast.For(node.target, over, body, [])),
            loop.results(),
        ]

    def visit_While(self, node: ast.While) -> ast.stmt | list[ast.stmt]:
        names = self._names(node)
        if not isinstance(names, LoopNames):
            self.generic_visit(node)
            return node
        loop = LoopText(self._variable("loop"), names, node)
        asked, tested = (self._condition(_copied(node.test)) for _ in range(2))
        body = [
            loop.unless(loop.call("asked", asked)),
            loop.enter(),
            loop.unless(loop.call("tested", tested), "traced"),
            *self._side(node.body),
            loop.leave(),
        ]
        return [
            self._started(loop, "loop", *_groups(names)),
            loop.placed(ast.While(loop.call("goes_on"), body, [])),
            loop.results(),
        ]

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        node.test = self._expected(node.test)
        node.msg = self._with_texts(ast.Expr(node.msg)).value if node.msg else None
        return node

    def _expected(self, test: ast.expr) -> ast.expr:
        return self._runtime("expected", test, [self._condition(test)])

    def visit_If(self, node: ast.If) -> ast.stmt | list[ast.stmt]:
        if is_guard(node):
            fine = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
            node.test = ast.copy_location(ast.UnaryOp(ast.Not(), self._expected(fine)), node.test)
            node.body = self._statements(node.body)
            return node
        names = self._names(node)
        if not isinstance(names, BranchNames):
            node.test = self._condition(node.test)
            node.body, node.orelse = self._statements(node.body), self._statements(node.orelse)
            return node
        branch = BranchText(self._variable("branch"), names, node)
        taken = branch.call("taken", self._condition(node.test))
        return [
            self._started(branch, "branch", names.bound, names.after),
            branch.side(taken, [*self._side(node.body), branch.end()]),
            branch.side(
                branch.call("otherwise"),
                [branch.restore(), *self._side(node.orelse), branch.end()],
            ),
            branch.results(),
        ]

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        condition = self._condition(node.test)
        sides = []
        self.inside += 1
        for value in (node.body, node.orelse):
            side = ast.Lambda(_parameters([]), self.visit(value))
            sides.append(ast.copy_location(side, value))
        self.inside -= 1
        if any(isinstance(n, _BOUND_OUTSIDE) for s in sides for n in ast.walk(s)):
            node.test, node.body, node.orelse = condition, *(s.body for s in sides)
            return node
        key = ast.Constant(self._key(node))
        return self._runtime("chosen", node, [key, condition, *sides])

    def _names(self, node: ast.stmt) -> LoopNames | BranchNames | None:
        return self.control[-1].get(position(node))

    def _variable(self, kind: str) -> str:
        self.stores += 1
        return f"__{kind}{self.stores}__"

    def _key(self, node: ast.stmt | ast.expr) -> str:
        line, column = position(node)
        return f"{self.filename}:{line}:{column}"

    def _started(self, text: ControlText, kind: str, *groups: tuple[str, ...]) -> ast.stmt:
        known: list[ast.expr] = [ast.Constant(self._key(text.node))]
        known += [ast.Tuple([ast.Constant(n) for n in group], ast.Load()) for group in groups]
        call = self._runtime(kind, text.node, known)
        made: ast.stmt = text.placed(ast.Assign([ast.Name(text.variable, ast.Store())], call))
        return made

    def _side(self, stmts: list[ast.stmt]) -> list[ast.stmt]:
        """What is written down once, whatever the program does with it."""
        self.inside += 1
        body = self._statements(stmts)
        self.inside -= 1
        return body

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """`f"{x!r:.3f}"` as `text((x, 114, ".3f"))`."""
        if self.of_errors:
            self.generic_visit(node)
            return node
        parts: list[Any] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                spec = ast.Constant("") if part.format_spec is None else part.format_spec
                items = [self.visit(part.value), ast.Constant(part.conversion), self.visit(spec)]
                part = ast.copy_location(ast.Tuple(items, ast.Load()), node)
            parts.append(part)
        return self._runtime("text", node, parts)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """`"%f" % x` as `percent("%f", x)`."""
        self.generic_visit(node)
        of_text = isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
        if not (of_text and isinstance(node.op, ast.Mod)):
            return node
        return self._runtime("percent", node, [node.left, node.right])

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        """An exception is made when it is raised, with its text."""
        changed: ast.stmt = self._with_texts(node)
        return changed

    def _with_texts(self, node: Any) -> Any:
        self.of_errors += 1
        self.generic_visit(node)
        self.of_errors -= 1
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """`d[k] = v` as `written(d)[k] = v`: a Tensor is written to by the program, and a step that
        is written down once may change arrays only.
        """
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            node.value = self._runtime("written", node, [node.value])
        return node

    def _condition(self, node: ast.expr) -> ast.expr:
        """What is asked only for being true or not: `and`, `or`, `not` and chains of comparisons
        may be of traced values.
        """
        if any(isinstance(n, _BOUND_OUTSIDE) for n in ast.walk(node)):
            return self.visit(node)  # type: ignore[no-any-return]
        match node:
            case ast.BoolOp(op=op, values=[first, *rest]) if rest:
                method = "both" if isinstance(op, ast.And) else "either"
                others = rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
                ast.copy_location(others, node)
                then = ast.Lambda(_parameters([]), self._condition(others))
                return self._runtime(
                    method, node, [self._condition(first), ast.copy_location(then, node)]
                )
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._runtime("negated", node, [self._condition(operand)])
            case ast.Compare(left=left, ops=[_, _, *_] as ops, comparators=others) if all(
                isinstance(op, _ORDER) for op in ops
            ):
                names = ast.Tuple([ast.Constant(type(op).__name__) for op in ops], ast.Load())
                thunks = [
                    ast.copy_location(ast.Lambda(_parameters([]), self.visit(other)), other)
                    for other in others
                ]
                return self._runtime("chained", node, [names, self.visit(left), *thunks])
            case ast.Compare(left=left, ops=[op], comparators=[right]) if isinstance(op, _ORDER):
                name = ast.Constant(type(op).__name__)
                return self._runtime("compared", node, [name, self.visit(left), self.visit(right)])
        return self.visit(node)  # type: ignore[no-any-return]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.args = self.visit(node.args)
        self.scopes.append(frozenset(_bound_names(node)))
        node.body = self.visit(node.body)
        self.scopes.pop()
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.copy_location(ast.arg(node.arg), node)

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            return self._comprehension(node)
        return super().visit(node)

    def _comprehension(self, node: Any) -> Any:
        self.scopes.append(frozenset(_targets(node.generators)))
        self.generic_visit(node)
        self.scopes.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        return node

    def _runtime(
        self, method: str, node: ast.AST, args: list[Any], keywords: list[ast.keyword] | None = None
    ) -> ast.expr:
        function = ast.Attribute(ast.Name(RUNTIME, ast.Load()), method, ast.Load())
        call = ast.Call(function, args, keywords or [])
        for part in (call, function, function.value):
            ast.copy_location(part, node)
        return call


def _unbinds(node: ast.Try | ast.TryStar, names: BranchNames) -> bool:
    """Whether a handler unbinds a name that is read later."""
    return any(handler.name in names.after for handler in node.handlers)


def _groups(names: LoopNames) -> tuple[tuple[str, ...], ...]:
    flag = (names.flag,) if names.flag else ()
    return names.carried, names.last, tuple(sorted(names.augmented)), flag


def _copied(node: Any) -> Any:
    """A tree of its own: parsed files are shared between the functions in them."""
    if isinstance(node, list):
        return [_copied(n) for n in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: _copied(value) for name, value in ast.iter_fields(node)}
    return ast.copy_location(type(node)(**fields), node)


def _without_defaults(node: ast.arguments) -> ast.arguments:
    """Parameters as they are; defaults are the function object's, annotations nobody's."""
    copied: ast.arguments = _copied(node)
    for argument in _arguments(copied):
        argument.annotation = None
    copied.defaults = [ast.Constant(None) for _ in copied.defaults]
    copied.kw_defaults = [None if d is None else ast.Constant(None) for d in copied.kw_defaults]
    return copied


def _arguments(node: ast.arguments) -> Iterator[ast.arg]:
    yield from (*node.posonlyargs, *node.args, *node.kwonlyargs)
    yield from (a for a in (node.vararg, node.kwarg) if a is not None)


def _stored(body: list[ast.stmt]) -> Iterator[str]:
    """Names that statements bind, those of rewritten exits among them."""
    for node in (n for stmt in body for n in ast.walk(stmt)):
        if isinstance(node, ast.Name) and node.id.startswith(HIDDEN):
            yield node.id


def _bound_names(tree: FunctionNode) -> Iterator[str]:
    """Names that are local to the function."""
    yield from (a.arg for a in _arguments(tree.args))
    waiting: list[ast.AST] = [*tree.body] if isinstance(tree.body, list) else [tree.body]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                waiting += node.decorator_list
                continue
            case ast.Lambda():
                continue
            case ast.comprehension():
                waiting += [node.iter, *node.ifs]
                continue
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((a.asname or a.name).split(".")[0] for a in names)
        waiting += ast.iter_child_nodes(node)


def _targets(generators: list[ast.comprehension]) -> Iterator[str]:
    """Names that a comprehension binds."""
    for generator in generators:
        for node in ast.walk(generator.target):
            if isinstance(node, ast.Name):
                yield node.id
