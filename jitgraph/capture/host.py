"""A function of the user's or of a library that a program calls as it is."""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from jitgraph_codegen.program import DeoptimisedError

from ..errors import CaptureError
from ..spec import PYTHON_SCALARS, SUPPORTED
from ..tree import Tree, flatten
from .ladder import Numba, attempt
from .random_state import generator_of
from .surroundings import is_constant, is_library

_PLAIN = (np.ndarray, float, int, np.float64, np.float32, np.int64, np.bool_)
_WRITE_TO_FIRST = (
    np.put, np.place, np.putmask, np.copyto, np.fill_diagonal, np.put_along_axis, np.nan_to_num,
)  # fmt: skip


@dataclass(frozen=True)
class Traced:
    """A place among a call's arguments where an array or number of the program goes."""

    position: int
    weak: bool  # a Python number
    scalar: bool  # a NumPy scalar, where it has no axes


@dataclass(frozen=True)
class TracedText:
    """A place where a text with traced values goes: what makes it, and of what."""

    function: Callable[..., str]
    leaves: Sequence[Any]
    tree: Tree


@dataclass
class Tried:
    """A `try` statement as a function of the values of names.

    function: from the names that are bound before it to those that are bound after it.
    after: names that are read after it; left: those of them that it has bound anew.
    """

    function: FunctionType
    given: tuple[str, ...]
    after: tuple[str, ...]
    left: tuple[str, ...] = ()
    called: bool = False

    def __post_init__(self) -> None:
        self.__name__, self.__module__ = "try", ""

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        before = dict(zip(self.given, values, strict=True))
        found = self.function(before)
        bound = [n for n in self.after if n in found]
        left = tuple(n for n in bound if n not in before or found[n] is not before[n])
        if self.called and left != self.left:
            raise DeoptimisedError("a try statement has bound other names than the first time")
        self.left, self.called = left, True
        return tuple(found[n] for n in left)

    @property
    def prints(self) -> bool:
        return "print" in self.function.__code__.co_names

    @property
    def has_effects(self) -> bool:
        """Whether it may do more than bind names, so that it can't be tried out in a loop."""
        code = self.function.__code__
        known = {**vars(builtins), **self.function.__globals__}
        for step in dis.get_instructions(code):
            if step.opname in _DOING_MORE or code.co_freevars:
                return True
            if step.opname == "LOAD_GLOBAL" and not _is_harmless(known.get(step.argval)):
                return True
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and step.argval in _CHANGING:
                return True
        return False


_DOING_MORE = frozenset((
    "STORE_SUBSCR", "STORE_ATTR", "STORE_GLOBAL", "DELETE_SUBSCR", "DELETE_ATTR", "IMPORT_NAME",
    "MAKE_FUNCTION", "LOAD_BUILD_CLASS", "STORE_SLICE",
))  # fmt: skip
_CHANGING = frozenset((
    "append", "extend", "insert", "pop", "remove", "clear", "add", "discard", "update", "sort",
    "reverse", "write", "setdefault", "popitem", "fill", "put", "random", "partition", "resize",
))  # fmt: skip
_HARMLESS = (
    locals, len, range, abs, min, max, sum, int, float, complex, bool, str, tuple, isinstance,
    enumerate, zip, round,
)  # fmt: skip


def _is_harmless(value: Any) -> bool:
    if isinstance(value, ModuleType):
        return is_library(value.__name__) or value.__name__ == "math"
    of_errors = isinstance(value, type) and issubclass(value, BaseException)
    return of_errors or any(value is v for v in _HARMLESS) or is_constant(value)


@dataclass
class HostCall:
    """A call with its arguments: values as they are, and places for arrays.

    mutated: positions of the arrays that the function writes to; it is given copies of these, which
    come after its results, and read-only views of the others.
    """

    function: Callable[..., Any]
    leaves: Sequence[Any]
    tree: Tree
    where: str
    pure: bool = False
    reason: str = "a library's function"  # why it is no part of the graph
    mutated: tuple[int, ...] = ()
    result: Tree | None = None
    numba: Numba | None = None
    aliases: bool = False  # a result is (a view of) one of the arrays given
    kinds: tuple[str, ...] = ()  # of its results: Python's numbers, NumPy's, or arrays
    apart: bool = False  # else it must not be: it is written later, or handed out
    first: list[Any] | None = None  # what the run of the call being captured is to give

    @property
    def may_differ(self) -> bool:
        """Whether what it gives may be of another kind than the first time, so that a run ends."""
        name = getattr(self.function, "__name__", "")
        known = self.function in SIZED_BY_VALUES or name in _OF_OTHER_DTYPES
        return known or isinstance(self.function, Tried)

    @property
    def name(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        module = (getattr(self.function, "__module__", "") or "").split(".")[0]
        return f"{'np' if module == 'numpy' else module}.{name}" if module else name

    def __call__(self, *arrays: Any) -> list[Any]:
        """Leaves of the result, then the arrays written to."""
        if self.first is not None:  # it was called already, to see what it gives
            first, self.first = self.first, None
            return first
        tried = isinstance(self.function, Tried)  # it may catch the error of a read-only array
        given = [
            _copy(a) if tried or k in self.mutated else _read_only(a) for k, a in enumerate(arrays)
        ]
        try:
            value = self._called(given)
        except ValueError as error:
            if "read-only" in str(error):
                what = f"{self.name} wrote to an argument ({self.where})"
                raise DeoptimisedError(what) from error
            raise
        if tried and any(
            k not in self.mutated and not _same(g, a)
            for k, (g, a) in enumerate(zip(given, arrays, strict=True))
        ):
            raise DeoptimisedError(f"a try statement wrote to an array ({self.where})")
        leaves, tree = flatten(value)
        if tree != self.result or _kinds(leaves) != self.kinds:
            raise DeoptimisedError(f"{self.name} gave a result of another structure ({self.where})")
        if not self.aliases and _share_memory(leaves, given):
            if self.apart:
                what = f"{self.name} gave a part of what it was given ({self.where})"
                raise DeoptimisedError(what)
            leaves = [v.copy() if _share_memory([v], given) else v for v in leaves]
        return [*leaves, *[given[k] for k in self.mutated]]

    def probe(self, arrays: Sequence[Any]) -> list[Any]:
        """The first call, on copies: learns the result's structure and what is written to.

        A function that may have effects is not called again for the run that follows, except one
        that draws random numbers, which are put back, and `print`, which is not called now.
        """
        if self.function is print:
            self.result = flatten(None)[1]
            return []
        given = [np.array(a) for a in arrays]
        value = self._tried(given)
        writes = any(self.function is function for function in _WRITE_TO_FIRST)
        self.mutated = tuple(
            k
            for k, (g, a) in enumerate(zip(given, arrays, strict=True))
            if not _same(g, a) or (writes and isinstance(self.leaves[0], Traced) and not k)
        )
        leaves, self.result = flatten(value)
        self.kinds = _kinds(leaves)
        if not self.pure and self.result.kind in (list, dict):
            raise CaptureError(
                f"{self.name} ({self.where}) gives a {self.result.kind.__name__}, of another "
                "length the next time, and can't be called twice"
            )
        self.aliases = _share_memory(leaves, given) or any(
            _share_memory([leaf], leaves[:k]) for k, leaf in enumerate(leaves)
        )
        for leaf in leaves:
            supported = isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.char in SUPPORTED
            if not supported and type(leaf) not in PYTHON_SCALARS:
                kind = getattr(leaf, "dtype", type(leaf).__name__)
                raise CaptureError(
                    f"{self.name} ({self.where}) gives a value of type {kind}, which a graph "
                    "can't hold; call it outside the compiled function"
                )
        results = [*leaves, *[given[k] for k in self.mutated]]
        if not (self.pure and results) and generator_of(self.function) is None:
            self.first = [r.copy() if isinstance(r, np.ndarray) else r for r in results]
        return results

    def _tried(self, arrays: Sequence[Any]) -> Any:
        """The call in Python; from then on under Numba, if that gives the same."""
        args, kwargs = self._arguments(arrays)
        plain = not kwargs and all(type(a) in _PLAIN for a in args)
        if self.pure or not plain or not isinstance(self.function, FunctionType):
            return self.function(*args, **kwargs)
        attempted = attempt(self.function, args)
        if attempted.numba is not None:
            self.numba = attempted.numba
            self.reason += "; Numba compiles it as it is written"
        return attempted.result

    def _called(self, arrays: Sequence[Any]) -> Any:
        args, kwargs = self._arguments(arrays)
        if self.numba is not None and self.numba.holds():
            return self.numba(*args)
        if self.numba is not None and (verdict := self.numba.race.verdict):
            self.numba, self.reason = None, f"{self.reason}, but {verdict}"
        return self.function(*args, **kwargs)

    def _arguments(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = self.tree.unflatten([_filled(leaf, arrays) for leaf in self.leaves])
        return args, kwargs


def select(x: Any, key: Any) -> Any:
    """`x[key]`, for keys with masks."""
    return x[key]


SIZED_BY_VALUES = (
    select, np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.extract, np.compress,
    np.trim_zeros, np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d, np.arange,
    np.ndarray.nonzero, np.ndarray.compress,
)  # fmt: skip
_OF_OTHER_DTYPES = frozenset((
    "eig", "eigvals", "roots", "sqrtm", "logm", "fractional_matrix_power", "real_if_close",
))  # fmt: skip  # complex or not, as the values are


def _kinds(leaves: Sequence[Any]) -> tuple[str, ...]:
    return tuple(
        "array" if isinstance(v, np.ndarray) else "numpy" if isinstance(v, np.generic) else "python"
        for v in leaves
    )


def _filled(leaf: Any, arrays: Sequence[Any]) -> Any:
    """What goes to a place among the arguments."""
    if isinstance(leaf, Traced):
        return _handed_in(arrays[leaf.position], leaf)
    if isinstance(leaf, TracedText):
        args, kwargs = leaf.tree.unflatten([_filled(inner, arrays) for inner in leaf.leaves])
        return leaf.function(*args, **kwargs)
    return leaf


def _handed_in(array: Any, place: Traced) -> Any:
    if not isinstance(array, np.ndarray):
        return array
    if place.weak:
        return array.item()
    return array[()] if place.scalar else array


def _share_memory(leaves: Sequence[Any], arrays: Sequence[Any]) -> bool:
    return any(np.may_share_memory(leaf, a) for leaf in leaves for a in arrays if np.ndim(leaf))


def _copy(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else array


def _read_only(array: Any) -> Any:
    if isinstance(array, np.ndarray) and array.ndim:
        array = array.view()
        array.flags.writeable = False
    return array


def _same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b, equal_nan=np.asarray(b).dtype.kind in "fc"))
