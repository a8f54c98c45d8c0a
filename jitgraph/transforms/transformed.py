"""A function made of another one, which does what it is asked where it is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any

from ..compile import CompiledFunction, compile
from ..errors import GradientError
from ..interpreter import current_trace
from ..tape import for_arrays
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

    __signature__: inspect.Signature

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


def run_or_compile(
    function: Function, name: str, run: Function, primals: Any, tangents: Any
) -> Any:
    """`run(function, primals, tangents)` where it is called; on arrays by the tape, or, where the
    function writes in place, as a graph that is kept with it.
    """
    args = primals, tangents
    if not of_arrays(args):
        return run(function, *args)
    kept = getattr(function, "__dict__", {}).setdefault(_KEPT, {})
    owner, made = kept.get(name, (None, None))
    if made is None or owner != function:  # methods and wrappers have the dict of another function
        plain = function._function if isinstance(function, CompiledFunction) else function
        try:
            with for_arrays():
                return map_leaves(as_array, run(plain, *args))
        except (GradientError, ValueError) as error:
            if not _is_of_gradients(error):
                raise
            made = Transformed(function, name, lambda *given: run(function, *given))
            made.__signature__ = inspect.signature(lambda primals, tangents: None)
    result = made(*args)
    kept[name] = function, made
    return result


def _is_of_gradients(error: BaseException | None) -> bool:
    """Whether an error comes of one, as NumPy's does where it stores numbers in an array."""
    while error is not None and not isinstance(error, GradientError):
        error = error.__cause__ or error.__context__
    return error is not None


_KEPT = "__jitgraph_transformed__"  # goes when the function goes


class _OnArrays:
    """What is captured of a transformed function, and runs by the tape where no graph holds it."""

    def __init__(self, function: Transformed, run: Function) -> None:
        wrap(self, function)
        self._run = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current_trace() is not None:
            return self._run(*args, **kwargs)
        with for_arrays():
            return map_leaves(as_array, self._run(*args, **kwargs))
