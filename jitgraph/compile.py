"""`@jitgraph.compile`: from a user's NumPy function to cached machine code."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from jitgraph_codegen import program as runtime

from . import config, interpreter
from .errors import CaptureError, DTypeError, JitgraphError, located, user_line
from .graph import Graph
from .options import Options
from .program import Fixed, Specialisation
from .signature import INTEGER, Arguments, array_spec, is_input, is_number, read
from .symbolic import ShapeEnv, SymbolicInt, is_known_before, user_int
from .tensor import Tensor, is_recording
from .tree import LEAF, Tree, flatten

if TYPE_CHECKING:
    from jitgraph_codegen.entry_point import EntryPoint

    from .capture import Argument, Captured, Tracer
    from .capture.ladder import Numba

F = TypeVar("F", bound=Callable[..., Any])

_FIXED = (str, bytes, int, float, complex, np.generic, np.ndarray, np.dtype, SymbolicInt)
_PLAIN = (np.ndarray, Tensor, float, int)


MOST_VERSIONS = 8  # of one signature
NATIVE_FROM = 2  # calls that found a program, before a stub is made for it


class RecompileWarning(UserWarning):
    """A function is compiled again and again because a value changes that it depends on."""


@dataclass(frozen=True)
class CacheInfo:
    """captures: graphs written down; hits: calls that found one; compiled, loaded: kernels by
    Numba, from disk.
    """

    captures: int
    hits: int
    fallbacks: int
    programs: int
    compiled: int
    loaded: int


@dataclass
class Fallback:
    """Why calls of one signature are not compiled from a graph, and what runs instead.

    numba: the function under Numba, or None where plain Python runs; why Numba does not: `refusal`.
    """

    reason: str
    numba: Numba | None = None
    refusal: str = ""


class CompiledFunction:
    """A function that is captured, compiled and cached per signature; made by `compile`."""

    __name__: str

    def __init__(
        self,
        function: Callable[..., Any],
        mode: str,
        options: Options,
        strict: bool,
        static: Sequence[str],
    ) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._mode, self._options, self._strict = mode, options, strict
        self._signature = inspect.signature(function)
        self._static = frozenset(static)
        if unknown := self._static - self._signature.parameters.keys():
            raise ValueError(
                f"static_argnames: {self.__name__} has no parameter {sorted(unknown)[0]!r}"
            )
        self._cache: dict[Any, list[Specialisation] | Fallback] = {}
        self._entry: EntryPoint | None = None
        self._captures = self._hits = self._fallbacks = 0
        self._counters = runtime.counters

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """A call by way of Python; see `_make_native` for the other."""
        if self._mode == "dynamic":
            return self._function(*args, **kwargs)
        try:
            bound = self._bind(args, kwargs)
            arguments = read(bound.leaves, bound.static)
        except CaptureError as error:
            return self._dynamically(str(error), args, kwargs)
        except JitgraphError as error:
            raise type(error)(f"{self.__name__}(): {error} ({user_line()})") from None
        found = self._find(bound.tree, arguments)
        if isinstance(found, Specialisation):
            self._hits += 1
            found.hits += 1
            if found.hits == NATIVE_FROM:
                self._make_native(found, bound, arguments)
        elif isinstance(found, Fallback):
            return self._fallen(found, args, kwargs)
        else:
            try:
                found = self._specialise(bound, arguments)
            except CaptureError as error:
                return self._fall(bound, arguments, str(error), args, kwargs)
        if (reason := _unwritable(found, arguments)) is not None:
            return self._dynamically(reason, args, kwargs)
        try:
            return _run(found, arguments)
        except runtime.DeoptimisedError as error:
            return self._dynamically(str(error), args, kwargs)

    @property
    def __jitgraph_function__(self) -> Callable[..., Any]:
        """The function as written, which a capture that meets this one goes through."""
        return self._function

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _make_native(self, found: Specialisation, bound: _Bound, arguments: Arguments) -> None:
        """Let machine code take the calls of a specialisation that is used again and again.

        The object gets a class of its own whose `__call__` is a builtin function; that function
        hands what it does not take to `_call`.
        """
        from jitgraph_codegen.entry import is_supported

        from .native_call import native_call

        if reason := is_supported():
            found.not_native = reason
            return
        call = native_call(found, arguments.entries, bound.tree)
        code = found.native() if not isinstance(call, str) else None
        if isinstance(call, str) or code is None:
            found.not_native = call if isinstance(call, str) else "a step of it is no kernel"
            return
        from jitgraph_codegen.entry_point import EntryPoint

        if self._entry is None:
            self._entry = EntryPoint(self.__name__, self._call)
        found.not_native = ""
        self._entry.add(code.program, call.signature, code.kernels, call.held)
        if type(self) is CompiledFunction:
            members = {"__call__": self._entry.call, "__slots__": ()}
            self.__class__ = type("CompiledFunction", (CompiledFunction,), members)

    def _dynamically(self, reason: str, args: Any, kwargs: Any) -> Any:
        """One call in plain Python."""
        if self._strict:
            raise CaptureError(reason)
        config.log("fallbacks", f"{self.__name__} runs in dynamic mode: {reason}")
        self._fallbacks += 1
        return self._function(*args, **kwargs)

    def _fall(
        self, bound: _Bound, arguments: Arguments, reason: str, args: Any, kwargs: Any
    ) -> Any:
        """The first call of a signature that no graph holds: one rung down, and kept there."""
        if self._strict:
            raise CaptureError(reason)
        if kwargs or not all(type(a) in _PLAIN and type(a) is not Tensor for a in args):
            result = self._dynamically(reason, args, kwargs)
            fallback = Fallback(reason, None, "its arguments are more than arrays and numbers")
        else:
            from .capture.ladder import attempt

            self._fallbacks += 1
            attempted = attempt(self._function, args)
            result = attempted.result
            fallback = Fallback(reason, attempted.numba, attempted.refusal)
            rung = "dynamic mode" if fallback.numba is None else "Numba as it is written"
            config.log("fallbacks", f"{self.__name__} runs in {rung}: {reason}")
        if not isinstance(self._cache.get((bound.tree, arguments.entries)), list):
            self._cache[bound.tree, arguments.entries] = fallback
        return result

    def _fallen(self, fallback: Fallback, args: Any, kwargs: Any) -> Any:
        if self._strict:
            raise CaptureError(fallback.reason)
        self._fallbacks += 1
        if fallback.numba is not None and fallback.numba.holds():
            return fallback.numba(*args)
        return self._function(*args, **kwargs)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Bound:
        """Arguments in the order of the parameters, defaults filled in, flattened."""
        parameters = self._signature.parameters
        positional = not kwargs and len(args) == len(parameters) and not self._static
        if positional and all(type(a) in _PLAIN for a in args):
            return _Bound(list(args), _flat_tree(len(args)), (False,) * len(args), {})
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.__name__}(): {error}") from None
        bound.apply_defaults()
        leaves: list[Any] = []
        trees: list[Tree] = []
        static: list[bool] = []
        for name, value in bound.arguments.items():
            inner, tree = flatten(value)
            leaves += inner
            trees.append(tree)
            static += [name in self._static] * len(inner)
        names = tuple(bound.arguments)
        return _Bound(leaves, Tree(dict, names, tuple(trees)), tuple(static), dict(bound.arguments))

    def _find(self, tree: Tree, arguments: Arguments) -> Specialisation | Fallback | None:
        known = self._cache.get((tree, arguments.entries))
        if known is None or isinstance(known, Fallback):
            return known
        for specialisation in known:
            lifted = _lifted_arrays(specialisation.captured)
            sizes = arguments.sizes + _long_sizes(lifted)
            if (
                len(sizes) == len(specialisation.symbols)
                and all(f.holds() for f in specialisation.captured.fixtures)
                and _entries(specialisation.captured) == specialisation.lifted_entries
                and specialisation.holds(sizes)
            ):
                return specialisation
        return None

    def _specialise(self, bound: _Bound, arguments: Arguments) -> Specialisation:
        """Capture, compile, and only then keep: a call that fails leaves nothing behind."""
        known = self._cache.get((bound.tree, arguments.entries))
        if isinstance(known, list) and len(known) == MOST_VERSIONS:
            raise CaptureError(self._too_many(known))
        specialisation = self._capture(bound, arguments)
        specialisation.forward  # noqa: B018 - compiles
        known = self._cache.setdefault((bound.tree, arguments.entries), [])
        if isinstance(known, Fallback):
            raise CaptureError(known.reason)
        if known:
            config.log(
                "recompiles", f"{self.__name__}: guards {known[-1].graph.guards} do not hold"
            )
        known.append(specialisation)
        self._captures += 1
        return specialisation

    def _too_many(self, known: list[Specialisation]) -> str:
        """Warn that a value keeps changing that each version was compiled for; the reason to stop
        compiling.
        """
        varying = sorted({name for version in known for name in version.compiled_in})
        what = f"the values of {', '.join(varying)}" if varying else "what they depend on"
        reason = (
            f"{self.__name__} was compiled {len(known)} times, for {what}; it is not compiled "
            "again for such arguments. Keep them the same, or let the function not depend on them"
        )
        warnings.warn(reason, RecompileWarning, stacklevel=5)
        return reason

    def _capture(self, bound: _Bound, arguments: Arguments) -> Specialisation:
        from .capture import TRACERS, captured_through  # `import jitgraph` is to be quick

        env = ShapeEnv()
        inputs, fixed, origins = self._inputs(bound, arguments, env)
        results: list[int | Fixed] = []
        trees: list[Tree] = []

        def traced(tracers: Sequence[Tracer]) -> list[Any]:
            rest = iter(tracers)
            leaves = [next(rest) if v is _TRACED else v for v in fixed]
            function = captured_through(interpreter.tracing.trace, self._function)
            value = bound.call(function, self._signature, leaves)
            flat, tree = flatten(value)
            trees.append(tree)
            outputs: list[Any] = []
            for leaf in flat:
                if type(leaf) is np.ndarray and leaf.dtype != object:
                    leaf = interpreter.tracing.trace.literal_array(leaf)
                unknown = isinstance(leaf, SymbolicInt) and not is_known_before(leaf.dim)
                if type(leaf) in (*TRACERS, Tensor) or unknown:
                    position = next((k for k, o in enumerate(outputs) if o is leaf), len(outputs))
                    results.append(position)
                    if position == len(outputs):
                        outputs.append(leaf)
                elif isinstance(leaf, _FIXED):
                    results.append(Fixed(leaf))
                else:
                    kind = type(leaf).__name__
                    raise CaptureError(f"it returns a value of type {kind}, which is not captured")
            return outputs

        captured = self._traced(traced, inputs, env, arguments.any_tensor)
        lifted = captured.lifted
        everything = [*arguments.tensors, *[_tensor(t.value) for t in lifted]]
        wanted = tuple(
            k
            for k, t in enumerate(everything)
            if t is not None and t.requires_grad and is_recording()
        )
        layouts = {
            str(node.attrs["name"]): "C" if array.flags.c_contiguous else "A"
            for node, array in zip(
                captured.graph.inputs, [*arguments.arrays, *_lifted_arrays(captured)], strict=True
            )
        }
        return Specialisation(
            captured, layouts, self._options, trees[0], tuple(results),
            wanted if _is_differentiable(captured, wanted) else (), _entries(captured), origins,
        )  # fmt: skip

    def _inputs(
        self, bound: _Bound, arguments: Arguments, env: ShapeEnv
    ) -> tuple[list[Argument], list[Any], dict[str, str]]:
        """The graph's inputs; for each leaf what the function is given, `_TRACED` for those; and
        what each size stands for.
        """
        from .capture import Argument

        inputs: list[Argument] = []
        fixed: list[Any] = []
        origins: dict[str, str] = {}
        names = iter(_leaf_names(self._signature, bound, arguments.entries))
        rest = iter(zip(arguments.arrays, arguments.mutable, strict=True))
        for leaf, entry in zip(bound.leaves, arguments.entries, strict=True):
            if entry == INTEGER:
                size = env.fresh(leaf)
                origins[str(size)] = next(names)
                fixed.append(user_int(size, env))
            elif is_input(entry):
                array, mutable = next(rest)
                spec = array_spec(array, env, is_number(entry))
                order = "C" if array.flags.c_contiguous else "?"
                name = next(names)
                origins |= {str(d): f"{name}.shape[{k}]" for k, d in enumerate(spec.shape)}
                inputs.append(Argument(name, spec, array, order, mutable))
                fixed.append(_TRACED)
            else:
                fixed.append(leaf)
        return inputs, fixed, origins

    def _traced(
        self,
        traced: Callable[..., Any],
        inputs: Sequence[Argument],
        env: ShapeEnv,
        of_tensors: bool,
    ) -> Captured:
        from .capture import capture

        try:
            return capture(traced, inputs, env, self.__name__.strip("<>"), of_tensors)
        except JitgraphError as error:
            raise located(error) from None
        except (TypeError, AttributeError) as error:
            raise CaptureError(
                f"{self.__name__} could not be captured: {type(error).__name__}: {error}"
            ) from error

    # inspection

    def _inspected(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Specialisation:
        bound = self._bind(args, kwargs)
        arguments = read(bound.leaves, bound.static)
        found = self._find(bound.tree, arguments)
        if isinstance(found, Fallback):
            raise CaptureError(_rung(self.__name__, found))
        return found if found is not None else self._specialise(bound, arguments)

    def graph(self, *args: Any, **kwargs: Any) -> Graph:
        """The static graph these arguments are run on, simplified; raises `CaptureError` where
        there is none.
        """
        return self._inspected(args, kwargs).graph

    def source(self, *args: Any, **kwargs: Any) -> str:
        """The generated Python: each kernel as a module, and the driver that calls them."""
        found = self._inspected(args, kwargs)
        graph = found.differentiated.forward if found.wanted else found.graph
        return found.source(graph, found.layouts).text

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """What is compiled into which kernel, what was not fused and why; or why nothing was
        captured.
        """
        if self._mode == "dynamic":
            return f'{self.__name__}: mode="dynamic", the function runs as it is'
        try:
            found = self._inspected(args, kwargs)
        except CaptureError as error:
            text = str(error)
            return (
                text
                if text.startswith(self.__name__)
                else f"{self.__name__}: dynamic mode\n  {text}"
            )
        from .report import explain

        return explain(found)

    def cache_info(self) -> CacheInfo:
        """Counts of this function's captures, and of the process's kernels."""
        programs = sum(len(v) for v in self._cache.values() if isinstance(v, list))
        return CacheInfo(
            self._captures, self._hits + (self._entry.hits if self._entry else 0),
            self._fallbacks, programs,
            self._counters.compiled, self._counters.loaded,
        )  # fmt: skip

    def cache_clear(self) -> None:
        """Forget this function's programs; machine code on disk stays."""
        self._cache.clear()
        self.__class__, self._entry = CompiledFunction, None
        self._captures = self._hits = self._fallbacks = 0


@dataclass
class _Bound:
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
        return function(*bound.args, **bound.kwargs)


@functools.cache
def _flat_tree(count: int) -> Tree:
    return Tree(tuple, (), (LEAF,) * count)


def _rung(name: str, fallback: Fallback) -> str:
    if fallback.numba is not None:
        return f"{name}: compiled by Numba as it is written\n  no graph: {fallback.reason}"
    return f"{name}: dynamic mode\n  {fallback.reason}\n  not under Numba: {fallback.refusal}"


def _run(found: Specialisation, arguments: Arguments) -> Any:
    values = [lifted.fetch() for lifted in found.captured.lifted]
    tensors = [*arguments.tensors, *map(_tensor, values)]
    arrays = list(map(_array, values))
    return found.run([*arguments.arrays, *arrays], arguments.sizes + _long_sizes(arrays), tensors)


def _array(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def _tensor(value: Any) -> Tensor | None:
    return value if isinstance(value, Tensor) else None


_NOTHING = np.zeros(0, "V1")  # where an array was, and is no more


def _lifted_arrays(captured: Captured) -> list[np.ndarray[Any, Any]]:
    arrays = [_array(lifted.fetch()) for lifted in captured.lifted]
    return [a if type(a) is np.ndarray else _NOTHING for a in arrays]


def _unwritable(found: Specialisation, arguments: Arguments) -> str | None:
    """Why a program that writes to its arguments can't have these."""
    if not found.captured.written:
        return None
    arrays = [*arguments.arrays, *_lifted_arrays(found.captured)]
    for k in found.captured.written:
        if not arrays[k].flags.writeable or (k < len(arguments.same) and not arguments.same[k]):
            return "it writes to an argument that is read-only or not in the machine's own layout"
        if any(j != k and np.may_share_memory(a, arrays[k]) for j, a in enumerate(arrays)):
            return "it writes to an argument that shares memory with another"
    return None


def _long_sizes(arrays: Sequence[np.ndarray[Any, Any]]) -> list[int]:
    return [d for a in arrays for d in a.shape if d > 1]


def _entries(captured: Captured) -> tuple[Any, ...]:
    """What of the lifted arrays a program depends on."""
    return tuple(
        (
            type(value),
            array.dtype.char,
            array.ndim,
            array.flags.c_contiguous,
            tuple((axis, d) for axis, d in enumerate(array.shape) if d < 2),
            isinstance(value, Tensor) and value.requires_grad and is_recording(),
        )
        if isinstance(array, np.ndarray)
        else type(value)
        for value in [lifted.fetch() for lifted in captured.lifted]
        for array in [_array(value)]
    )


def _is_differentiable(captured: Captured, wanted: Sequence[int]) -> bool:
    """Whether any floating-point output depends on a wanted input."""
    active = {captured.graph.inputs[k] for k in wanted}
    for node in captured.graph.nodes:
        if node.op.differentiable and any(i in active for i in node.inputs):
            active.add(node)
    return any(o in active and o.spec.dtype.kind == "f" for o in captured.graph.outputs)


_TRACED = object()


def _leaf_names(signature: inspect.Signature, bound: _Bound, entries: Sequence[Any]) -> list[str]:
    """A name for each leaf that is an input: the parameter's, numbered where it is a container."""
    if not bound.arguments:
        names = list(signature.parameters)
    else:
        names = []
        for name, tree in zip(bound.tree.keys, bound.tree.children, strict=True):
            count = _count(tree)
            names += (
                [str(name)] if tree is LEAF or count == 1 else [f"{name}_{k}" for k in range(count)]
            )
    return [n for n, e in zip(names, entries, strict=True) if is_input(e) or e == INTEGER]


def _count(tree: Tree) -> int:
    return 1 if tree.kind is None else sum(map(_count, tree.children))


@overload
def compile(function: F, /) -> CompiledFunction: ...
@overload
def compile(
    *,
    mode: str = ...,
    target: str = ...,
    parallel: bool = ...,
    precise: bool = ...,
    strict: bool = ...,
    static_argnames: Sequence[str] = ...,
) -> Callable[[F], CompiledFunction]: ...


def compile(
    function: Callable[..., Any] | None = None,
    /,
    *,
    mode: str = "static",
    target: str = "cpu",
    parallel: bool = True,
    precise: bool = False,
    strict: bool = False,
    static_argnames: Sequence[str] = (),
) -> Any:
    """Compile a function of NumPy arrays or Tensors; use as a decorator, bare or with options.

    mode: "static" captures and compiles; "dynamic" runs the function as it is, op by op.
    target: "cpu", or "cuda" for elementwise operations and row reductions on a GPU.
    parallel: let large kernels use all threads.
    precise: float32 sums in float64, no fused multiply-adds, powers by the library.
    strict: raise `CaptureError` for what can't be captured, instead of running in dynamic mode.
    static_argnames: parameters whose values are compiled in; each new value compiles anew.

    Calls return NumPy arrays for arrays, Tensors (on the tape) for Tensors.  Sizes are not compiled
    in.
    """
    for name, value, known in (
        ("mode", mode, ("static", "dynamic")),
        ("target", target, ("cpu", "cuda")),
    ):
        if value not in known:
            raise ValueError(f"compile: {name}={value!r}, expected {' or '.join(map(repr, known))}")
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    options = Options(target, parallel, precise)

    def decorate(function: Callable[..., Any]) -> CompiledFunction:
        if not callable(function):
            raise DTypeError(f"compile expects a function, not {type(function).__name__}")
        return CompiledFunction(function, mode, options, strict, names)

    return decorate if function is None else decorate(function)
