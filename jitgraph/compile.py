"""`@jitgraph.compile`: from a user's NumPy function to cached machine code."""

from __future__ import annotations

import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from jitgraph_codegen import program as runtime
from jitgraph_codegen.kernels import counters

from . import config
from .binding import PLAIN, Bound, bind
from .calling import inputs_of, restoring, run, serves, unwritable
from .errors import CaptureError, DTypeError, GradientError, JitgraphError, user_line
from .graph import Graph
from .options import Options
from .program import Specialisation
from .signature import Arguments, read
from .tensor import Tensor
from .tree import Tree
from .unpacking import CallForm

if TYPE_CHECKING:
    from jitgraph_codegen.entry_point import EntryPoint

    from .capture.ladder import Numba

F = TypeVar("F", bound=Callable[..., Any])

MOST_VERSIONS = 8  # of one signature
MOST_FORMS = 8  # in which calls are written that get a stub
# without asking Numba for the function as it is written
MOST_KERNELS, MOST_CALLS, MOST_OPERATIONS = 60, 10, 600
NATIVE_FROM = 2  # calls that found a program, before a stub is made for it


@contextlib.contextmanager
def _saying_why(reason: str) -> Iterator[None]:
    """An error that compiled code would not have had says why there is none."""
    try:
        yield
    except GradientError as error:
        error.add_note(f"It ran op by op, as there is no graph of it: {reason}")
        raise


class _UnrolledError(CaptureError):
    """A function for Numba to compile as it is written, if it can.

    specialisation: its graph, if that has been captured.
    """

    def __init__(self, reason: str, specialisation: Specialisation | None = None) -> None:
        super().__init__(reason)
        self.specialisation = specialisation


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
    sizes: of the calls that it is for; None for any.
    """

    reason: str
    numba: Numba | None = None
    refusal: str = ""
    sizes: tuple[int, ...] | None = None

    def serves(self, arguments: Arguments) -> bool:
        return self.sizes is None or self.sizes == tuple(arguments.sizes)


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
        donated: Sequence[str],
    ) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._mode, self._options, self._strict = mode, options, strict
        self._signature = inspect.signature(function)
        self._static = frozenset(static)
        self._donated = frozenset(donated)
        for option in ("static", "donate"):
            named = self._static if option == "static" else self._donated
            if unknown := named - self._signature.parameters.keys():
                raise ValueError(
                    f"{option}_argnames: {self.__name__} has no parameter {sorted(unknown)[0]!r}"
                )
        self._cache: dict[Any, list[Specialisation | Fallback]] = {}
        self._entry: EntryPoint | None = None
        self._captures = self._hits = self._fallbacks = 0
        self._counters = counters

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
            form = CallForm(len(args), tuple(kwargs))
            known = form in found.forms or len(found.forms) == MOST_FORMS
            if found.hits >= NATIVE_FROM and not known:
                self._make_native(found, bound, arguments, form)
        elif isinstance(found, Fallback):
            return self._fallen(found, args, kwargs)
        else:
            try:
                found = self._specialise(bound, arguments, MOST_KERNELS)
            except _UnrolledError as error:
                numba_might = isinstance(self._function, FunctionType) and _is_plain(args, kwargs)
                if numba_might and not self._strict:
                    return self._as_written(error, bound, arguments, args)
                try:
                    found = self._written_out(error, bound, arguments)
                except CaptureError as error:
                    return self._fall(bound, arguments, str(error), args, kwargs)
            except CaptureError as error:
                return self._fall(bound, arguments, str(error), args, kwargs)
            except Exception as error:
                return self._failed(bound, arguments, error, args, kwargs)
        if (reason := unwritable(found, arguments)) is not None:
            return self._dynamically(reason, args, kwargs)
        restore = restoring(found, arguments)
        try:
            return run(found, arguments)
        except runtime.DeoptimisedError as error:
            restore()
            return self._dynamically(str(error), args, kwargs)
        except runtime.UnmetError:
            return self._function(*args, **kwargs)  # raises
        except Exception:
            if found.asserts:  # which a step that failed may have come before
                return self._function(*args, **kwargs)
            if found.may_end_after_writes and all(h.pure for h in found.captured.hosts):
                restore()
                return self._function(*args, **kwargs)  # raises, with the arguments as it has them
            raise

    @property
    def __jitgraph_function__(self) -> Callable[..., Any]:
        """The function as written, which a capture that meets this one goes through."""
        return self._function

    def __reduce__(self) -> str:
        """Pickled by name, as functions are."""
        return getattr(self, "__qualname__", self.__name__)

    def __copy__(self) -> CompiledFunction:
        return self

    def __deepcopy__(self, memo: Any) -> CompiledFunction:
        return self

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _make_native(
        self, found: Specialisation, bound: Bound, arguments: Arguments, form: CallForm
    ) -> None:
        """Let machine code take the calls of a specialisation that is used again and again.

        The object gets a class of its own whose `__call__` is a builtin function; that function
        hands what it does not take to `_call`.
        """
        from jitgraph_codegen.process import is_supported

        from .native_call import Caller, native_call

        if reason := is_supported():
            found.not_native = reason
            return
        if found.may_end_after_writes:
            found.not_native = "what it writes to may have to be put back"
            return
        found.forms.add(form)
        caller = Caller(
            arguments.entries, bound.tree, bool(bound.arguments), form, self._signature,
            self._dynamically, self._function,
        )  # fmt: skip
        call = native_call(found, caller)
        if isinstance(call, str):
            found.not_native = call
            return
        from jitgraph_codegen.entry_point import EntryPoint

        if self._entry is None:
            self._entry = EntryPoint(self.__name__, self._call)
        found.not_native, found.python_steps = "", call.python_steps
        self._entry.add(
            call.program, call.signature, call.kernels, call.held, self._options.parallel
        )
        if type(self) is CompiledFunction:
            members = {"__call__": self._entry.call, "__slots__": ()}
            self.__class__ = type("CompiledFunction", (CompiledFunction,), members)

    def _dynamically(self, reason: str, args: Any, kwargs: Any) -> Any:
        """One call in plain Python."""
        if self._strict:
            raise CaptureError(reason)
        config.log("fallbacks", f"{self.__name__} runs in dynamic mode: {reason}")
        self._fallbacks += 1
        with _saying_why(reason):
            return self._function(*args, **kwargs)

    def _fall(self, bound: Bound, arguments: Arguments, reason: str, args: Any, kwargs: Any) -> Any:
        """The first call of a signature that no graph holds: one rung down, and kept there."""
        if self._strict:
            raise CaptureError(reason)
        if not _is_plain(args, kwargs):
            result = self._dynamically(reason, args, kwargs)
            fallback = Fallback(reason, None, "its arguments are more than arrays and numbers")
        else:
            from .capture.ladder import attempt

            self._fallbacks += 1
            with _saying_why(reason):
                attempted = attempt(self._function, args)
            result = attempted.result
            fallback = Fallback(reason, attempted.numba, attempted.refusal)
            rung = "dynamic mode" if fallback.numba is None else "Numba as it is written"
            config.log("fallbacks", f"{self.__name__} runs in {rung}: {reason}")
        self._keep_fallback(fallback, bound, arguments)
        return result

    def _keep_fallback(self, fallback: Fallback, bound: Bound, arguments: Arguments) -> None:
        """For all calls of the signature that no graph is known for; beside graphs, where plain
        Python runs, for some calls of these sizes each.
        """
        known = self._cache.setdefault((bound.tree, arguments.entries), [])
        if known and fallback.numba is None and len(known) < MOST_VERSIONS:
            fallback.sizes = tuple(arguments.sizes)
        known.append(fallback)

    def _as_written(
        self, unrolled: _UnrolledError, bound: Bound, arguments: Arguments, args: Any
    ) -> Any:
        """The first call of a function whose loops make a graph of very many kernels: by Numba from
        the next call on if it takes the function, else as that graph.
        """
        from .capture.ladder import attempt

        attempted = attempt(self._function, args)
        if attempted.numba is not None:
            config.log("fallbacks", f"{self.__name__} runs in Numba as it is written: {unrolled}")
            self._fallbacks += 1
            fallback = Fallback(str(unrolled), attempted.numba)
            self._keep_fallback(fallback, bound, arguments)
            return attempted.result
        try:
            self._written_out(unrolled, bound, arguments).forget_first_calls()
        except CaptureError as error:
            self._keep_fallback(Fallback(str(error)), bound, arguments)
        return attempted.result

    def _written_out(
        self, unrolled: _UnrolledError, bound: Bound, arguments: Arguments
    ) -> Specialisation:
        """The graph after all."""
        if unrolled.specialisation is None:
            return self._specialise(bound, arguments)
        unrolled.specialisation.forward  # noqa: B018 - compiles
        self._keep(unrolled.specialisation, bound, arguments)
        return unrolled.specialisation

    def _failed(
        self, bound: Bound, arguments: Arguments, error: Exception, args: Any, kwargs: Any
    ) -> Any:
        """A call whose capture raised what may be the function's own error: plain Python decides,
        and does what the function does before it raises.
        """
        if self._strict:
            raise error from None
        reason = f"{self.__name__} could not be compiled: {type(error).__name__}: {error}"
        try:
            return self._fall(bound, arguments, reason, args, kwargs)
        except Exception as raised:
            if isinstance(error, JitgraphError) and isinstance(raised, _standard_bases(error)):
                raise error from None  # which names the user's line
            raise

    def _fallen(self, fallback: Fallback, args: Any, kwargs: Any) -> Any:
        if self._strict:
            raise CaptureError(fallback.reason)
        self._fallbacks += 1
        if fallback.numba is not None and (verdict := fallback.numba.race.verdict):
            fallback.numba, fallback.refusal = None, verdict
        if fallback.numba is not None and fallback.numba.holds():
            from jitgraph_codegen.numba_function import NotCompilableError

            try:
                return fallback.numba(*args)
            except NotCompilableError as error:  # for arguments laid out in another way
                fallback.numba, fallback.refusal = None, f"Numba: {error}"
        return self._function(*args, **kwargs)

    def _find(self, tree: Tree, arguments: Arguments) -> Specialisation | Fallback | None:
        for known in self._cache.get((tree, arguments.entries), ()):
            if isinstance(known, Fallback):
                if known.serves(arguments):
                    return known
            elif serves(known, arguments):
                return known
        return None

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        return bind(self.__name__, self._signature, self._static, args, kwargs)

    def _specialise(
        self, bound: Bound, arguments: Arguments, most: int | None = None
    ) -> Specialisation:
        """Capture, compile, and only then keep: a call that fails leaves nothing behind.

        most: kernels to compile.  Raises `_UnrolledError` if they are more.
        """
        known = self._graphs_of(bound, arguments)
        if len(known) == MOST_VERSIONS:
            raise CaptureError(self._too_many(known))
        from .capture import OfNumbersError
        from .specialising import specialise  # `import jitgraph` is to be quick

        try:
            specialisation = specialise(
                self._function, self.__name__, self._signature, self._options, bound, arguments,
                self._donated, of_numbers=most is None,
            )  # fmt: skip
        except OfNumbersError as error:
            raise _UnrolledError(str(error)) from None
        if most is not None and not specialisation.graph.effects:
            kernels, calls = specialisation.kernels_to_compile, len(specialisation.captured.hosts)
            operations = len(specialisation.graph.nodes) if kernels else 0
            if kernels > most or calls > MOST_CALLS or operations > MOST_OPERATIONS:
                reason = (
                    f"{self.__name__}: its loops make {operations} operations in {kernels} kernels "
                    f"and {calls} calls"
                )
                raise _UnrolledError(f"{reason}, in a row", specialisation)
        specialisation.forward  # noqa: B018 - compiles
        self._keep(specialisation, bound, arguments)
        return specialisation

    def _keep(self, specialisation: Specialisation, bound: Bound, arguments: Arguments) -> None:
        if known := self._graphs_of(bound, arguments):
            config.log(
                "recompiles", f"{self.__name__}: guards {known[-1].graph.guards} do not hold"
            )
        self._cache.setdefault((bound.tree, arguments.entries), []).append(specialisation)
        self._captures += 1

    def _graphs_of(self, bound: Bound, arguments: Arguments) -> list[Specialisation]:
        known = self._cache.get((bound.tree, arguments.entries), ())
        return [found for found in known if isinstance(found, Specialisation)]

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

    # inspection

    def _inspected(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Specialisation:
        bound = self._bind(args, kwargs)
        arguments = read(bound.leaves, bound.static)
        found = self._find(bound.tree, arguments)
        if isinstance(found, Fallback):
            raise CaptureError(_rung(self.__name__, found))
        if found is None:
            found = self._specialise(bound, arguments)
            found.forget_first_calls()
        return found

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
        captured.  A text; where there is a graph its `details` are the same as a dict, and a
        notebook shows it as a table.
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

    def profile(self, *args: Any, **kwargs: Any) -> str:
        """`explain`, with the time of each step and its share of a plain copy's bandwidth.

        The function is run several times on copies of its arrays.  Raises `CaptureError` where
        there is no graph, or none for the CPU.
        """
        found = self._inspected(args, kwargs)
        if self._options.target != "cpu":
            raise CaptureError(f"{self.__name__}: profile measures programs for the CPU")
        from .report import profile

        bound = self._bind(args, kwargs)
        arguments = read(bound.leaves, bound.static)
        return profile(found, *inputs_of(found, arguments))

    def cache_info(self) -> CacheInfo:
        """Counts of this function's captures, and of the process's kernels."""
        programs = sum(isinstance(p, Specialisation) for v in self._cache.values() for p in v)
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


def _is_plain(args: Any, kwargs: Any) -> bool:
    """Whether arguments are arrays and numbers by position, as Numba takes them."""
    return not kwargs and all(type(a) in PLAIN and type(a) is not Tensor for a in args)


def _standard_bases(error: JitgraphError) -> tuple[type[Exception], ...]:
    """Python's exceptions that an error of ours stands for."""
    return tuple(
        base
        for base in type(error).__mro__
        if base.__module__ == "builtins" and base not in (Exception, BaseException, object)
    )


def _rung(name: str, fallback: Fallback) -> str:
    if fallback.numba is not None:
        return f"{name}: compiled by Numba as it is written\n  no graph: {fallback.reason}"
    return f"{name}: dynamic mode\n  {fallback.reason}\n  not under Numba: {fallback.refusal}"


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
    donate_argnames: Sequence[str] = ...,
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
    donate_argnames: Sequence[str] = (),
) -> Any:
    """Compile a function of NumPy arrays or Tensors; use as a decorator, bare or with options.

    mode: "static" captures and compiles; "dynamic" runs the function as it is, op by op.
    target: "cpu", or "cuda" for elementwise operations and row reductions on a GPU.
    parallel: let large kernels use all threads.
    precise: float32 sums and elementary functions in float64, those of float64 by the C library
    where it is more exact, no fused multiply-adds.
    strict: raise `CaptureError` for what can't be captured, instead of running in dynamic mode.
    static_argnames: parameters whose values are compiled in; each new value compiles anew.
    donate_argnames: parameters whose arrays the caller does not need any more: results may be put
    in their memory, and may be the arrays themselves.

    Calls return NumPy arrays for arrays, Tensors (on the tape) for Tensors.  Sizes are not compiled
    in.
    """
    for name, value, known in (
        ("mode", mode, ("static", "dynamic")),
        ("target", target, ("cpu", "cuda")),
    ):
        if value not in known:
            raise ValueError(f"compile: {name}={value!r}, expected {' or '.join(map(repr, known))}")
    static, donated = (
        (names,) if isinstance(names, str) else tuple(names)
        for names in (static_argnames, donate_argnames)
    )
    options = Options(target, parallel, precise)

    def decorate(function: Callable[..., Any]) -> CompiledFunction:
        if not callable(function):
            raise DTypeError(f"compile expects a function, not {type(function).__name__}")
        return CompiledFunction(function, mode, options, strict, static, donated)

    return decorate if function is None else decorate(function)
