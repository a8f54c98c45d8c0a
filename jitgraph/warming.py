"""Work on arrays that NumPy does until it has been enough for a compiled kernel to be worth it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .interpreter import is_tracing


class Warming:
    """`plain(*arrays)`, and from some number of elements on `function(*arrays)`, compiled.

    Both do the same; few: elements that are left to NumPy in any case; many: those that it does
    before the function is compiled, which may take a second.
    """

    def __init__(
        self, plain: Callable[..., Any], function: Callable[..., Any], few: int, many: int
    ) -> None:
        self.plain, self.function, self.few, self.many = plain, function, few, many
        self.done = 0
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, count: int, *arrays: Any) -> Any:
        """count: how many elements these are."""
        if self.done < self.many or count < self.few or is_tracing():
            self.done += count
            return self.plain(*arrays)
        if self._compiled is None:
            compiler = importlib.import_module("jitgraph.compile")  # made of what uses this
            self._compiled = compiler.compile(self.function)
        return self._compiled(*arrays)
