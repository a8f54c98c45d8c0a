"""A function made of another one, which does what it is asked where it is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..compile import compile
from ..interpreter import tracing
from ..tree import map_leaves
from .leaves import as_array, of_arrays

Function = Callable[..., Any]


def wrap(made: Any, function: Function) -> None:
    """Give an object a function's name, documentation and signature, but not its module: capture
    asks that whose it is.
    """
    assigned = tuple(name for name in functools.WRAPPER_ASSIGNMENTS if name != "__module__")
    functools.update_wrapper(made, function, assigned, ())


class Transformed:
    """A function made of another one."""

    def __init__(self, function: Function, name: str, run: Function) -> None:
        wrap(self, function)
        own = getattr(function, "__name__", type(function).__name__).strip("<>")
        self.__name__ = f"{name}_of_{own}"
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        run = self._compiled if of_arrays((args, kwargs)) else self._run
        return run(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    @cached_property
    def _compiled(self) -> Function:
        return compile(_OnArrays(self, self._run))


class _OnArrays:
    """What is captured of a transformed function, and runs by the tape where no graph holds it."""

    def __init__(self, function: Transformed, run: Function) -> None:
        wrap(self, function)
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._run(*args, **kwargs)
        return result if tracing.trace is not None else map_leaves(as_array, result)
