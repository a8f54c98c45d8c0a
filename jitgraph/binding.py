"""Arguments of a call in the order of the parameters, as leaves of containers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import CaptureError
from .signature import is_named
from .tensor import Tensor
from .tree import LEAF, Tree, flatten

PLAIN = (np.ndarray, Tensor, float, int)


@dataclass
class Bound:
    """A call's arguments as leaves; `arguments` is empty where they are plain and positional."""

    leaves: list[Any]
    tree: Tree
    static: tuple[bool, ...]
    arguments: dict[str, Any]

    def call(
        self, function: Callable[..., Any], signature: inspect.Signature, leaves: list[Any]
    ) -> Any:
        if not self.arguments:
            return function(*leaves)
        values = self.tree.unflatten(leaves)
        bound = signature.bind_partial()
        bound.arguments.update(values)
        result = function(*bound.args, **bound.kwargs)
        after, tree = flatten(values)
        if tree != self.tree or any(a is not b for a, b in zip(after, leaves, strict=True)):
            raise CaptureError("it changes a container among its arguments")
        return result

    def leaf_names(self, signature: inspect.Signature, entries: Sequence[Any]) -> list[str]:
        """A name for each leaf that is an input or a number: the parameter's, numbered where it is
        a container.
        """
        if not self.arguments:
            names = list(signature.parameters)
        else:
            names = []
            for name, tree in zip(self.tree.keys, self.tree.children, strict=True):
                count = _count(tree)
                one = tree is LEAF or count == 1
                names += [str(name)] if one else [f"{name}_{k}" for k in range(count)]
        return [n for n, e in zip(names, entries, strict=True) if is_named(e)]


def bind(
    name: str,
    signature: inspect.Signature,
    static_names: Collection[str],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Bound:
    """Arguments in the order of the parameters, defaults filled in, flattened.

    static_names: parameters whose values are compiled in.  Raises `TypeError` as Python would.
    """
    parameters = signature.parameters
    positional = not kwargs and len(args) == len(parameters) and not static_names
    if positional and all(type(a) in PLAIN for a in args):
        return Bound(list(args), _flat_tree(len(args)), (False,) * len(args), {})
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None
    bound.apply_defaults()
    leaves: list[Any] = []
    trees: list[Tree] = []
    static: list[bool] = []
    for parameter, value in bound.arguments.items():
        inner, tree = flatten(value)
        leaves += inner
        trees.append(tree)
        static += [parameter in static_names] * len(inner)
    names = tuple(bound.arguments)
    return Bound(leaves, Tree(dict, names, tuple(trees)), tuple(static), dict(bound.arguments))


@functools.cache
def _flat_tree(count: int) -> Tree:
    return Tree(tuple, (), (LEAF,) * count)


def _count(tree: Tree) -> int:
    return 1 if tree.kind is None else sum(map(_count, tree.children))
