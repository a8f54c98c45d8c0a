"""What becomes of a function that no graph can hold: it runs under Numba as it is written, or else
as plain Python.

Numba is asked for functions with loops, where it pays.  Its first result and what it leaves in the
arguments are compared with plain Python's; only if they agree is it used.  Numbers among its
results get the type they had in Python in the first call.  Loops over whole arrays may be slower
than NumPy's own: a few calls of the first one's sizes tell.
"""

from __future__ import annotations

import ast
import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from .. import config
from ..place import Place
from ..tree import flatten
from .source import source_tree
from .surroundings import Fixture
from .unbound import UnclearError, telling

_EFFECTS = frozenset(("print", "input", "open", "random"))  # seen twice if both are called
CLOSE = 1e-6  # relative difference that another order of operations may make
_TIMED = 5  # calls, after which it is known which is faster


@dataclass
class Race:
    """Python's seconds for a call, and Numba's best one of some calls of the same sizes."""

    python: float
    sizes: tuple[Any, ...]
    numba: float = math.inf
    timed: int = 0

    @property
    def verdict(self) -> str:
        """Why Numba is not used any more, if it is not."""
        lost = self.timed == _TIMED and self.numba > self.python
        return "plain NumPy was faster" if lost else ""

    def run(self, call: Callable[..., Any], args: Sequence[Any]) -> Any:
        """One call by Numba."""
        if self.timed == _TIMED or _sizes(args) != self.sizes:
            return call(*args)
        start = perf_counter()
        result = call(*args)
        self.numba = min(self.numba, perf_counter() - start)
        self.timed += 1
        if self.verdict:
            config.log("fallbacks", f"a call takes {self.numba:.3g} s under Numba: {self.verdict}")
        return result


@dataclass(frozen=True)
class Numba:
    """A function under Numba, found to agree with Python.

    fixtures: what of its surroundings is compiled in.
    kinds: the type of each number among its results; None for an array.
    """

    call: Callable[..., Any]
    fixtures: tuple[Fixture, ...]
    kinds: tuple[type | None, ...]
    race: Race

    def holds(self) -> bool:
        return not self.race.verdict and all(fixture.holds() for fixture in self.fixtures)

    def __call__(self, *args: Any) -> Any:
        leaves, tree = flatten(self.race.run(self.call, args))
        kinds: Sequence[type | None] = self.kinds
        if len(leaves) != len(kinds):  # a list of another length
            one = set(kinds)
            kinds = [one.pop() if len(one) == 1 else None] * len(leaves)
        typed = zip(leaves, kinds, strict=True)
        return tree.unflatten([leaf if kind is None else kind(leaf) for leaf, kind in typed])


@dataclass(frozen=True)
class Attempt:
    """A call that was made in Python, with the Numba version of the function if it agreed."""

    result: Any
    numba: Numba | None
    refusal: str  # why there is none


def attempt(function: Callable[..., Any], args: Sequence[Any]) -> Attempt:
    """Call a function in Python, and find out whether Numba gives the same."""
    scope = _scope(function) if isinstance(function, FunctionType) else "it is no Python function"
    if isinstance(scope, str):
        return Attempt(function(*args), None, scope)
    assert isinstance(function, FunctionType)
    from jitgraph_codegen.numba_function import NotCompilableError, compiled

    given = [copy.deepcopy(a) if isinstance(a, np.ndarray) else a for a in args]
    sizes, start = _sizes(args), perf_counter()
    result = function(*args)
    race = Race(perf_counter() - start, sizes)
    try:
        call = compiled(function, scope.helpers, telling)
        found = call(*given)
    except UnclearError:
        return Attempt(result, None, "Numba does not tell if a name is unbound")
    except NotCompilableError as error:
        return Attempt(result, None, f"Numba: {error}")
    except Exception as error:
        return Attempt(result, None, f"Numba raised {type(error).__name__}: {error}")
    if not _agree((result, tuple(args)), (found, tuple(given))):
        return Attempt(result, None, "Numba's result differs from Python's")
    leaves, _ = flatten(result)
    kinds = tuple(None if isinstance(leaf, np.ndarray) else type(leaf) for leaf in leaves)
    return Attempt(result, Numba(call, tuple(scope.fixtures), kinds, race), "")


def _sizes(args: Sequence[Any]) -> tuple[Any, ...]:
    """What tells how long a call takes: shapes and numbers."""
    return tuple(a.shape if isinstance(a, np.ndarray) else a for a in args)


@dataclass
class _Scope:
    helpers: set[FunctionType]
    fixtures: list[Fixture]


def _scope(function: FunctionType) -> _Scope | str:
    """The helpers and numbers a function refers to; or why Numba is not asked."""
    tree = source_tree(function.__code__)
    loops = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp)
    if tree is None or not any(isinstance(node, loops) for node in ast.walk(tree)):
        return "it has no loops"
    scope, waiting = _Scope(set(), []), [function]
    while waiting:
        current = waiting.pop()
        if current in scope.helpers:
            continue
        if found := _EFFECTS.intersection(current.__code__.co_names):
            return f"it uses {sorted(found)[0]}"
        scope.helpers.add(current)
        for place in _places(current):
            value = place.read()
            if isinstance(value, FunctionType):
                scope.fixtures.append(Fixture(place, value))
                if value.__module__.split(".")[0] not in ("numpy", "math"):
                    waiting.append(value)
            elif isinstance(value, (bool, int, float, complex, str, np.generic)):
                scope.fixtures.append(Fixture(place, value))
            elif not isinstance(value, (ModuleType, type, BuiltinFunctionType, np.ufunc)):
                return f"Numba would keep {place.name!r} as it is now"
    return scope


def _places(function: FunctionType) -> list[Place]:
    code, names = function.__code__, function.__globals__
    found = [Place(names, n) for n in code.co_names if n in names]
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    return found + [Place(cell, name) for name, cell in cells]


def _agree(python: Any, numba: Any) -> bool:
    """Whether both agree in structure, dtypes and values."""
    expected, tree = flatten(python)
    found, other = flatten(numba)
    return tree == other and all(map(_alike, expected, found))


def _alike(want: Any, have: Any) -> bool:
    if type(want) in (np.float32, np.complex64) and type(have) in (float, complex):
        single = type(want)(have)  # Numba hands out numbers of single precision as Python's
        have = single if single == have or have != have else have
    a, b = np.asarray(want), np.asarray(have)
    if isinstance(want, np.ndarray) != isinstance(have, np.ndarray) or a.dtype.kind not in "biufc":
        return False
    same = a.dtype == b.dtype and a.shape == b.shape
    return same and bool(np.allclose(a, b, rtol=CLOSE, atol=0, equal_nan=True))
