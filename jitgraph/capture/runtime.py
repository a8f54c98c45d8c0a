"""What a rewritten function does where it calls, or looks at its surroundings.

name, cell, attribute    arrays become inputs read anew at every call, other values fixtures
call                     NumPy's functions become nodes; the user's own are captured through;
                         others are called in the middle of the program
"""

from __future__ import annotations

import builtins
import functools
import inspect
import itertools
import math
import operator
import sys
from collections.abc import (
    Callable,
    Hashable,
    Iterable,
    Iterator,
    MutableMapping,
    MutableSequence,
    MutableSet,
)
from contextlib import suppress
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..batching import Batched
from ..errors import CaptureError, DTypeError, user_line
from ..functions.base import FUNCTIONS
from ..functions.creation import CREATORS
from ..methods import ArrayMethods
from ..ops import elementwise as ew
from ..ops import scalars, views
from ..place import Place
from ..symbolic_int import SymbolicInt
from ..tensor import Tensor
from ..tree import flatten
from . import branches, conditions, texts
from .branches import BranchStatement
from .extremes import extreme
from .host import Tried
from .loops import LoopStatement
from .random_state import GENERATORS, generator_of
from .surroundings import LIBRARIES, is_constant, is_library
from .syntax import rewritten
from .texts import Text
from .trace import Trace
from .tracer import TRACERS, ScalarTracer, Tracer

_OUTER_WORLD = frozenset((
    "os", "posix", "nt", "sys", "io", "_io", "logging", "warnings", "datetime", "time", "uuid",
    "secrets", "random", "subprocess", "shutil", "tempfile", "socket", "threading", "pickle",
))  # fmt: skip  # what their functions do or give is not decided by their arguments
_EFFECTS = frozenset((
    np.load, np.save, np.savez, np.savez_compressed, np.loadtxt, np.savetxt, np.genfromtxt,
    np.fromfile, np.seterr, np.seterrcall, np.setbufsize, np.set_printoptions,
))  # fmt: skip  # NumPy's own functions of that kind
_HIGHER_ORDER = frozenset((
    map, filter, sorted, min, max, functools.reduce, itertools.accumulate, itertools.starmap,
    itertools.takewhile, itertools.dropwhile, itertools.filterfalse, itertools.groupby,
))  # fmt: skip  # they call the functions they are given
_OURS_TO_CAPTURE = (
    "jitgraph.control",
    "jitgraph.creation",
    "jitgraph.nn",
    "jitgraph.random",
)  # written like a user's code, with attributes that change
_AUGMENTED: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.iadd, "Sub": operator.isub, "Mult": operator.imul, "Div": operator.itruediv,
    "FloorDiv": operator.ifloordiv, "Mod": operator.imod, "Pow": operator.ipow,
    "MatMult": operator.imatmul, "BitAnd": operator.iand, "BitOr": operator.ior,
    "BitXor": operator.ixor, "LShift": operator.ilshift, "RShift": operator.irshift,
}  # fmt: skip


class CaptureRuntime:
    """The runtime of one rewritten function in one trace."""

    def __init__(self, trace: Trace, function: FunctionType | None = None) -> None:
        self.trace = trace
        self.globals: dict[str, Any] = {} if function is None else function.__globals__
        self.cells: dict[str, CellType] = {}
        if function is not None and function.__closure__:
            names = function.__code__.co_freevars
            self.cells = dict(zip(names, function.__closure__, strict=True))

    # surroundings

    def name(self, name: str) -> Any:
        """The value of a global or builtin name."""
        if name in self.globals:
            return self._found(Place(self.globals, name), self.globals[name])
        try:
            return getattr(builtins, name)
        except AttributeError:
            raise NameError(f"name {name!r} is not defined") from None

    def cell(self, name: str, value: Any) -> Any:
        """The value of a name of an enclosing function."""
        return self._found(Place(self.cells[name], name), value)

    def attribute(self, owner: Any, name: str) -> Any:
        value = getattr(owner, name)
        if isinstance(owner, ModuleType):
            if is_library(owner.__name__) and (callable(value) or isinstance(value, ModuleType)):
                return value
            return self._found(Place(vars(owner), name), value)
        if type(owner) is Tensor and name == "data":
            return views.DETACHED(self.trace.lift(owner))
        if isinstance(owner, (ArrayMethods, SymbolicInt, np.ndarray)):
            return value
        if isinstance(owner, type) and is_library(owner.__module__):
            return value
        if name == "__dict__" and id(owner) not in self.trace.made:
            raise CaptureError(f"__dict__ of an object from outside is used ({user_line()})")
        plain = type(owner).__module__ in ("builtins", "numpy") and not isinstance(owner, type)
        if plain or isinstance(value, (MethodType, BuiltinFunctionType)):
            return value
        if id(owner) in self.trace.made:
            return value
        return self._found(Place(owner, name), value)

    def rely_on_names(self, function: FunctionType) -> None:
        """A function without source reads its surroundings itself, as they are now."""
        for name in function.__code__.co_names:
            if name in self.globals and not is_constant(self.globals[name]):
                self.trace.rely_on(Place(self.globals, name), self.globals[name])
        for name, cell in self.cells.items():
            self.trace.rely_on(Place(cell, name), cell.cell_contents)

    def _found(self, place: Place, value: Any) -> Any:
        if _is_traced(value):
            return value
        if type(value) is np.ndarray:
            return self.trace.lift(value, place)
        if type(value) is Tensor:
            self.trace.lift(value, place)  # read from its place; operations find it by identity
            return value
        if not is_constant(value):
            self.trace.rely_on(place, value)
        return value

    def set_attribute(self, owner: Any, name: str, value: Any) -> None:
        if type(owner) is Tensor and name == "grad":
            owner.grad = value
            return
        if type(owner) is Tensor and name == "data":
            self._set_data(owner, value)
            return
        if type(owner) is Tracer and name == "grad":
            raise CaptureError(
                f"an argument is to collect gradients ({user_line()}); let the function find the "
                "Tensor around it, in a model or a name"
            )
        before = getattr(owner, name, None)
        if type(value) is Tracer and self.trace.writes.shows(value, before):
            return  # `self.u += v` has changed the array itself
        if id(owner) not in self.trace.made:
            raise CaptureError(
                f"the attribute {name!r} of an object from outside is assigned ({user_line()}); "
                "return the value, or write into an array with [...] ="
            )
        self._refuse_change(type(owner).__name__)
        setattr(owner, name, value)

    def _set_data(self, tensor: Tensor, value: Any) -> None:
        trace = self.trace
        if tensor.requires_grad:
            trace.training.begin("it assigns the data of a Tensor that collects gradients")
        target = trace.lift(tensor)
        if type(value) is Tracer and value.storage is target.storage:
            return  # it was changed in place
        if type(value) is not Tracer or (value.shape, value.dtype) != (target.shape, target.dtype):
            raise CaptureError(f"a Tensor's data becomes an array of another kind ({user_line()})")
        with trace.training.on_arrays():
            trace.writes.write(target, value)

    # loops and branches

    def loop(self, key: str, *names: Any) -> LoopStatement:
        return LoopStatement(self.trace, key, *names)

    def branch(self, key: str, *names: Any) -> BranchStatement:
        return BranchStatement(self.trace, key, *names)

    def chosen(self, key: str, condition: Any, first: Any, second: Any) -> Any:
        return branches.chosen(self.trace, key, condition, first, second)

    def written(self, container: Any) -> Any:
        """What `container[...] =` writes to."""
        if type(container) is Tensor and not (container.requires_grad and self.trace.recording):
            return views.DETACHED(self.trace.lift(container))
        if self.trace.nested and type(container) not in (*TRACERS, Batched):
            self._refuse_change(type(container).__name__)
        return container

    def _refuse_change(self, what: str) -> None:
        """A step of a program's loop runs once to be written down."""
        if self.trace.nested:
            self.trace.nested[-1].refuse(f"a {what} is changed in a loop ({user_line()})")

    both, either = staticmethod(conditions.both), staticmethod(conditions.either)
    negated, compared = staticmethod(conditions.negated), staticmethod(conditions.compared)
    chained, expected = staticmethod(conditions.chained), staticmethod(conditions.expected)

    def tried(
        self, function: FunctionType, frame: dict[str, Any], around: dict[str, Any],
        own: tuple[str, ...], after: tuple[str, ...],
    ) -> dict[str, Any]:  # fmt: skip
        """A `try` statement, as a function of the names in it; gives the names it has bound."""
        given = {name: frame[name] for name in own if name in frame} | around
        call = Tried(function, tuple(given), after)
        reason = "what it catches is known when it runs"
        if call.prints:
            raise CaptureError(f"a try statement prints ({user_line()}), which may be made twice")
        if call.has_effects and (kind := _changeable(given.values())):
            raise CaptureError(
                f"a try statement may change a {kind}, which a program does not see ({user_line()})"
            )
        pure = bool(self.trace.nested) and not call.has_effects
        found = self.trace.calls.host_call(call, tuple(given.values()), {}, pure, reason)
        return dict(zip(call.left, found, strict=True))

    def augment_attribute(self, operation: str, owner: Any, name: str, value: Any) -> None:
        before = self.attribute(owner, name)
        self.set_attribute(owner, name, _AUGMENTED[operation](before, value))

    # texts

    def text(self, *parts: Any) -> Any:
        """An f-string."""
        return self._text(texts.joined, *parts)

    def percent(self, left: str, right: Any) -> Any:
        """`left % right`"""
        return self._text(operator.mod, left, right)

    def _text(self, function: Callable[..., str], *args: Any, **kwargs: Any) -> Any:
        """What the function gives; later, where it needs values of the time."""
        leaves, tree = flatten((args, kwargs))
        if not any(map(self._is_known_later, leaves)):
            return function(*args, **kwargs)
        args, kwargs = tree.unflatten(list(map(self._as_now, leaves)))
        return Text(function, *args, **kwargs)

    def _as_now(self, value: Any) -> Any:
        """A traced value as it is, whatever is written to its array before the text is made."""
        if type(value) not in TRACERS:
            return value
        kept = self.trace.tracer(value.node)
        kept.storage.mutable = value.storage.mutable
        return kept

    def _is_known_later(self, value: Any) -> bool:
        if type(value) is SymbolicInt:
            return self.trace.env.has_index(value.dim)
        if type(value) in TRACERS:
            return bool(value.ndim) or self.trace.settled(value.node) is None
        return type(value) is Text

    # calls

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        special = _special(function)
        if special is not None:
            return special(self, *args, **kwargs)
        if isinstance(function, functools.partial):
            return self.call(function.func, *function.args, *args, **(function.keywords | kwargs))
        if isinstance(function, MethodType) and isinstance(function.__func__, FunctionType):
            return self._python(function.__func__, (function.__self__, *args), kwargs)
        if isinstance(function, FunctionType):
            return self._python(function, args, kwargs)
        if isinstance(function, type):
            return self._class(function, args, kwargs)
        inner = getattr(function, "__jitgraph_function__", None)
        if inner is not None:
            return self.call(inner, *args, **kwargs)
        method = inspect.getattr_static(type(function), "__call__", None)
        if isinstance(method, FunctionType) and _is_captured(method):
            return self._python(method, (function, *args), kwargs)
        return self._builtin(function, args, kwargs)

    def _python(self, function: FunctionType, args: Any, kwargs: dict[str, Any]) -> Any:
        module = (function.__module__ or "").split(".")[0]
        if not _is_captured(function):
            if module == "numpy":
                return self._numpy(function, args, kwargs)
            if module in LIBRARIES - {"jitgraph"} and _mentions_traced((args, kwargs)):
                return self.trace.calls.library_call(function, args, kwargs)
            return function(*args, **kwargs)
        if module in sys.stdlib_module_names:
            return self._builtin(function, args, kwargs)
        before, depth = self.trace.writes.checkpoint(), len(self.trace.nested)
        try:
            return captured_through(self.trace, function)(*args, **kwargs)
        except CaptureError as error:
            if len(self.trace.nested) > depth:
                self.trace.nested[-1].refuse(str(error))
            if not _mentions_traced((args, kwargs)):
                raise
            self.trace.refused = None
            self.trace.writes.restore(before)
            return self.trace.calls.host_call(function, args, kwargs, reason=str(error))

    def _class(self, kind: type, args: Any, kwargs: dict[str, Any]) -> Any:
        if issubclass(kind, np.generic) and len(args) == 1 and _is_traced(args[0]):
            return self.trace.apply(ew.CAST, (args[0],), {"dtype": np.dtype(kind)})
        if kind is Tensor and args and _is_traced(args[0]):
            return self._tensor(*args, **kwargs)
        if kind is str and len(args) == 1 and not kwargs:
            return self._text(str, *args)
        if kind is np.ndarray:
            shape, *rest = args
            return self.call(np.empty, shape, *rest[:1], **kwargs)
        made = kind(*self._given(kind, args), **kwargs)
        self._refuse_generator(made)
        self.trace.made[id(made)] = made
        return made

    def _tensor(self, value: Any, dtype: Any = None, requires_grad: bool = False) -> Any:
        """`Tensor(value)`"""
        if requires_grad:
            raise CaptureError(
                f"a Tensor that collects gradients is made in the function ({user_line()})"
            )
        self.trace.makes_tensors = True
        value = views.DETACHED(value)
        return value if dtype is None else ew.CAST(value, dtype=np.dtype(dtype))

    def _builtin(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if isinstance(function, np.ufunc) or _is_numpys(function):
            return self._numpy(function, args, kwargs)
        if function is next or _changes(function):
            self._refuse_change(type(getattr(function, "__self__", args[:1])).__name__)
        if function in _OF_TEXT or _is_formatting(function):
            return self._text(function, *args, **kwargs)
        if _is_of_outer_world(function):
            return self.trace.calls.host_call(function, args, kwargs)
        try:
            if (key := kwargs.get("key")) is not None and function in _HIGHER_ORDER:
                kwargs = kwargs | {"key": functools.partial(self.call, key)}
            value = function(*self._given(function, args), **kwargs)
        except CaptureError:
            if not _mentions_traced((args, kwargs)) or isinstance(function, type):
                raise
            self.trace.refused = None
            return self.trace.calls.library_call(function, args, kwargs)
        self._refuse_generator(value)
        return value

    def _refuse_generator(self, value: Any) -> None:
        if isinstance(value, GENERATORS):
            raise CaptureError(
                f"a random generator is made in the function ({user_line()}); make it outside, "
                "or each call would go on where the last one stopped"
            )

    def _given(self, function: Any, args: Any) -> Any:
        """Arguments for a function, where it calls them with its calls seen too."""
        if not isinstance(function, Hashable) or function not in _HIGHER_ORDER:
            return args
        return [functools.partial(self.call, a) if isinstance(a, FunctionType) else a for a in args]

    def _numpy(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        traced = _mentions_traced((args, kwargs))
        try:
            known = FUNCTIONS.get(function)
        except TypeError:
            known = None
        if known is not None and (traced or function in CREATORS):
            try:
                if isinstance(function, np.ufunc):
                    return function(*args, **kwargs)
                return self.trace.calls.numpy_function(function, args, kwargs)
            except CaptureError:
                if traced:
                    raise
                self.trace.refused = None
        if known is None and (
            function in _EFFECTS or any(isinstance(a, FunctionType) for a in args)
        ):
            return self.trace.calls.host_call(function, args, kwargs)
        if isinstance(function, np.ufunc) or not traced:
            value = function(*args, **kwargs)
            return self._literal(value) if not traced else value
        return self.trace.calls.numpy_function(function, args, kwargs)

    def _literal(self, value: Any) -> Any:
        """Arrays that NumPy made from constants: each call has its own."""
        if type(value) is np.ndarray and value.dtype != object:
            return self.trace.literal_array(value)
        return tuple(map(self._literal, value)) if type(value) is tuple else value


_READING = frozenset((
    "index", "count", "copy", "get", "keys", "values", "items", "union", "intersection",
    "difference", "issubset", "issuperset", "isdisjoint",
))  # fmt: skip  # methods of containers that leave them as they are


def _changeable(values: Iterable[Any]) -> str:
    """The kind of a container or object among some values that Python may change; empty if none."""
    for value in values:
        fixed = _is_traced(value) or is_constant(value) or isinstance(value, _FIXED)
        if not fixed and type(value) is not tuple:
            return type(value).__name__
        if type(value) is tuple and (kind := _changeable(value)):
            return kind
    return ""


_FIXED = (
    int, float, complex, str, bytes, bool, frozenset, range, slice, type(None), type(...),
    np.ndarray, np.generic, np.dtype, type, FunctionType, Tensor,
)  # fmt: skip


def _changes(function: Any) -> bool:
    """Whether it is a method that changes a list, a dict, a set or their like."""
    owner = getattr(function, "__self__", None)
    containers = isinstance(owner, (MutableSequence, MutableMapping, MutableSet, Iterator))
    return containers and getattr(function, "__name__", "") not in _READING


_OF_TEXT = (repr, ascii, format)


def _is_formatting(function: Any) -> bool:
    """`"{}".format` and `", ".join`"""
    of_text = isinstance(getattr(function, "__self__", None), str)
    return of_text and function.__name__ in ("format", "join")


def captured_through(trace: Trace, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its calls and surroundings known to the trace."""
    if isinstance(function, FunctionType):
        runtime = CaptureRuntime(trace, function)
        changed = rewritten(function, runtime)
        if changed is not None:
            return changed
        runtime.rely_on_names(function)
        return function
    runtime = CaptureRuntime(trace)
    return functools.partial(runtime.call, function)


def _is_captured(function: FunctionType) -> bool:
    module = function.__module__ or ""
    return module.startswith(_OURS_TO_CAPTURE) or module.split(".")[0] not in LIBRARIES


def _is_numpys(function: Any) -> bool:
    module = getattr(function, "__module__", None) or ""
    return module.split(".")[0] == "numpy" and not module.startswith("numpy.random")


def _is_of_outer_world(function: Any) -> bool:
    """Whether it draws random numbers, reads a clock or a file, prints, and so on."""
    if generator_of(function) is not None or function is open or function is input:
        return True
    owner = getattr(function, "__self__", None)
    of = owner if isinstance(owner, type) else type(owner)
    modules = (getattr(function, "__module__", None), of.__module__)
    return any((module or "").split(".")[0] in _OUTER_WORLD for module in modules)


def _is_traced(value: Any) -> bool:
    return type(value) in TRACERS or type(value) in (SymbolicInt, Batched, Text)


def _mentions_traced(value: Any) -> bool:
    leaves, _ = flatten(value)
    return any(map(_is_traced, leaves))


# Python's builtins on traced values


def _len(runtime: CaptureRuntime, x: Any) -> Any:
    if type(x) in TRACERS:
        if not x.ndim:
            raise DTypeError("len() of unsized object")
        return x.shape[0]
    return len(x)


def _int(runtime: CaptureRuntime, *args: Any, **kwargs: Any) -> Any:
    if len(args) == 1 and type(args[0]) is SymbolicInt:
        return args[0]
    return int(*args, **kwargs)


def _float(runtime: CaptureRuntime, *args: Any) -> Any:
    if len(args) == 1:
        (x,) = args
        if type(x) is SymbolicInt:
            return runtime.trace.apply(scalars.MULTIPLY, (x, 1.0), {})
        if type(x) is ScalarTracer:
            return x if x.dtype.kind == "f" else x * 1.0
        if type(x) is Tracer and x.dtype.kind == "f":
            return x.item()
    return float(*args)


def _max(runtime: CaptureRuntime, *args: Any, **kwargs: Any) -> Any:
    return _extreme(runtime, max, args, kwargs)


def _min(runtime: CaptureRuntime, *args: Any, **kwargs: Any) -> Any:
    return _extreme(runtime, min, args, kwargs)


def _extreme(runtime: CaptureRuntime, function: Any, args: Any, kwargs: Any) -> Any:
    values = args[0] if len(args) == 1 and type(args[0]) in (list, tuple) else args
    if len(values) > 1 and not kwargs:
        found = extreme(runtime.trace, function is max, values)
        if found is not None:
            return found
    return runtime._builtin(function, args, kwargs)


def _sqrt(runtime: CaptureRuntime, x: Any) -> Any:
    if type(x) is SymbolicInt and runtime.trace.env.is_positive(x.dim):
        return runtime.trace.apply(scalars.SQRT, (x,), {})
    return runtime._builtin(math.sqrt, (x,), {})


def _isinstance(runtime: CaptureRuntime, x: Any, kinds: Any) -> bool:
    stood_for: dict[type, Any] = {SymbolicInt: 0, Text: ""}
    return isinstance(_numpys_number(x) if _is_scalar(x) else stood_for.get(type(x), x), kinds)


def _is_scalar(x: Any) -> bool:
    """Whether it is one of NumPy's numbers, not an array of no axes."""
    return type(x) is Tracer and not (x.ndim or x.storage.mutable or x.trace.of_tensors)


def _numpys_number(x: Tracer) -> Any:
    return x.dtype.type(0)


def _type(runtime: CaptureRuntime, *args: Any) -> Any:
    if len(args) == 1 and _is_scalar(args[0]):
        return args[0].dtype.type
    if len(args) == 1 and type(args[0]) in (SymbolicInt, Text):
        return int if type(args[0]) is SymbolicInt else str
    return args[0].__class__ if len(args) == 1 and type(args[0]) in TRACERS else type(*args)


def _print(runtime: CaptureRuntime, *args: Any, **kwargs: Any) -> None:
    runtime.trace.calls.host_call(print, args, kwargs, reason="it prints")


def _getattr(runtime: CaptureRuntime, owner: Any, name: str, *default: Any) -> Any:
    if default and not hasattr(owner, name):
        return default[0]
    return runtime.attribute(owner, name)


def _setattr(runtime: CaptureRuntime, owner: Any, name: str, value: Any) -> None:
    runtime.set_attribute(owner, name, value)


def _delattr(runtime: CaptureRuntime, owner: Any, name: str) -> None:
    raise CaptureError(f"the attribute {name!r} is deleted ({user_line()})")


def _errstate(runtime: CaptureRuntime, **options: Any) -> Any:
    """Kernels give NumPy's values and no warnings; only NumPy's own loops can raise on the way."""
    asked = [f"{k}={v!r}" for k, v in options.items() if v not in ("ignore", "warn", None)]
    if asked:
        raise CaptureError(
            f"np.errstate({', '.join(asked)}) ({user_line()}) needs NumPy's own loops; check the "
            "result with np.isfinite"
        )
    return np.errstate(**options)


def _suppress(runtime: CaptureRuntime, *kinds: Any) -> Any:
    raise CaptureError(
        f"it catches exceptions by contextlib.suppress ({user_line()}), which values decide when "
        "it runs; a try statement is captured"
    )


_SPECIAL: dict[Any, Callable[..., Any]] = {
    len: _len, int: _int, float: _float, isinstance: _isinstance, type: _type, print: _print,
    getattr: _getattr, setattr: _setattr, delattr: _delattr, np.errstate: _errstate,
    math.sqrt: _sqrt, max: _max, min: _min, suppress: _suppress,
}  # fmt: skip


def _special(function: Any) -> Callable[..., Any] | None:
    if not isinstance(function, (BuiltinFunctionType, type)):
        return None
    return _SPECIAL.get(function)
