"""The leaves of a call's arguments as a function of what the caller writes.

For `f(params, x=...)` with a dict of two arrays it is

    def unpack(p0, p1):
        if type(p0) is not dict or tuple(p0) != keys0: return None
        v0, v1 = p0["a"], p0["b"]
        return (v0, v1, p1)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .tensor import Tensor
from .tree import Tree


@dataclass(frozen=True)
class CallForm:
    """How a call was written: how many arguments by position, and the names of the others."""

    positional: int
    keywords: tuple[str, ...]

    @property
    def count(self) -> int:
        return self.positional + len(self.keywords)


@dataclass(frozen=True)
class Unpacking:
    """order: for each leaf which argument it is; None where a function has to look into them:
    `function(*arguments)` gives the leaves, or None for arguments of another structure.
    """

    order: tuple[int, ...] | None
    function: Callable[..., tuple[Any, ...] | None] | None


def unpacking(
    signature: inspect.Signature,
    structure: Tree,
    named: bool,
    form: CallForm,
    fetched: Sequence[Callable[[], Any]] = (),
    tensors: Sequence[int] = (),
) -> Unpacking:
    """How calls of a form give the leaves of a structure.

    named: whether the structure has the parameters' names, else it is that of plain arguments.
    fetched: functions of further leaves, which are no arguments.  tensors: which leaves are Tensors
    that need no gradient, of which the array is taken.
    """
    writer = _Writer()
    children = structure.children
    if not named:
        leaves = [f"p{k}" for k in range(len(children))]
    else:
        values = _values(signature, form, writer)
        for key, child in zip(structure.keys, children, strict=True):
            writer.visit(values[str(key)], child)
        leaves = writer.leaves
    for k in tensors:
        name = f"t{k}"
        writer.lines.append(f"{name} = {leaves[k]}")
        writer._unless(f"type({name}) is {writer.hold(Tensor)} and not {name}.requires_grad")
        leaves[k] = f"{name}.data"
    if not writer.lines and not fetched and all(leaf[0] == "p" for leaf in leaves):
        return Unpacking(tuple(int(leaf[1:]) for leaf in leaves), None)
    leaves = [*leaves, *[f"{writer.hold(fetch)}()" for fetch in fetched]]
    parameters = ", ".join(f"p{k}" for k in range(form.count))
    body = [*writer.lines, f"return ({''.join(f'{leaf}, ' for leaf in leaves)})"]
    text = f"def unpack({parameters}):\n" + "".join(f"    {line}\n" for line in body)
    exec(compile(text, "<jitgraph arguments>", "exec"), writer.held)
    return Unpacking(None, writer.held["unpack"])


def _values(signature: inspect.Signature, form: CallForm, writer: _Writer) -> dict[str, Any]:
    """For each parameter an expression, or a container of them."""
    found: dict[str, Any] = {}
    given = [f"p{k}" for k in range(form.positional)]
    by_name = {name: f"p{form.positional + k}" for k, name in enumerate(form.keywords)}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            found[name], given = tuple(given), []
        elif parameter.kind is parameter.VAR_KEYWORD:
            found[name] = dict(by_name)
        elif given and parameter.kind is not parameter.KEYWORD_ONLY:
            found[name] = given.pop(0)
        elif name in by_name:
            found[name] = by_name.pop(name)
        else:
            found[name] = writer.hold(parameter.default)
    return found


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.leaves: list[str] = []
        self.held: dict[str, Any] = {}

    def hold(self, value: Any) -> str:
        name = f"held{len(self.held)}"
        self.held[name] = value
        return name

    def visit(self, value: Any, tree: Tree) -> None:
        """Take a value apart; tuples and dicts of expressions were made by the call itself."""
        kind = tree.kind
        if isinstance(value, tuple | dict):
            items = list(value.values()) if isinstance(value, dict) else list(value)
        elif kind is None:
            self.leaves.append(value)
            return
        elif kind is type(None):
            self._unless(f"{value} is None")
            return
        else:
            items = self._items(value, tree)
        for item, child in zip(items, tree.children, strict=True):
            self.visit(item, child)

    def _items(self, value: str, tree: Tree) -> list[str]:
        """Names of the items of a container, after a test that it is of this structure."""
        kind, count = tree.kind, len(tree.children)
        if kind is dict:
            self._unless(f"type({value}) is dict and tuple({value}) == {self.hold(tree.keys)}")
            items = [f"{value}[{self.hold(key)}]" for key in tree.keys]
        elif tree.keys:
            self._unless(f"type({value}) is {self.hold(kind)}")
            items = [f"{value}.{key}" for key in tree.keys]
        else:
            self._unless(f"type({value}) is {self.hold(kind)} and len({value}) == {count}")
            items = [f"{value}[{k}]" for k in range(count)]
        names = [f"v{len(self.lines)}_{k}" for k in range(count)]
        self.lines += [f"{name} = {item}" for name, item in zip(names, items, strict=True)]
        return names

    def _unless(self, test: str) -> None:
        self.lines.append(f"if not ({test}): return None")
