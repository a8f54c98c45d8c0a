"""NumPy's and other libraries' functions on traced values.

Those of the table become nodes; the others are called in the middle of the program, with arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import config
from ..batching import Batched
from ..errors import CaptureError, user_line
from ..functions.base import FUNCTIONS
from ..graph import Node
from ..methods import ArrayMethods, special_function
from ..ops import UFUNCS
from ..ops import elementwise as ew
from ..ops.host import HOST, HOST_RESULT
from ..spec import PYTHON_SCALARS, Spec
from ..symbolic import SMALLEST, Dim, Shape
from ..symbolic_int import SymbolicInt
from ..tree import flatten
from .host import SIZED_BY_VALUES, HostCall, Traced, TracedText, Tried, select
from .random_state import generator_of, random_state
from .surroundings import LIBRARIES
from .texts import Text
from .tracer import TRACERS, ScalarTracer, Tracer

if TYPE_CHECKING:
    from .trace import Trace


class Calls:
    """The calls of one trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: Any, kwargs: dict[str, Any]) -> Any:
        known = ufunc in UFUNCS or ufunc is np.matmul or method in ("reduce", "accumulate")
        known = known or special_function(ufunc) is not None
        if known and kwargs.get("dtype") is None:
            shower = next(i for i in inputs if type(i) in TRACERS)
            if all(_is_number(i) for i in inputs):  # NumPy's functions give NumPy's numbers
                strong = ew.CAST(shower, dtype=shower.dtype)
                strong.storage.mutable = False
                inputs = [strong if i is shower else i for i in inputs]
                shower = strong
            try:
                return ArrayMethods.__array_ufunc__(shower, ufunc, method, *inputs, **kwargs)
            except CaptureError:
                self.trace.refused = None
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return self.library_call(function, inputs, kwargs)

    def numpy_function(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """One of NumPy's functions on traced values: ours, or NumPy's own between the kernels."""
        out = kwargs.get("out")
        ours = FUNCTIONS.get(function)
        if ours is not None:
            plain = {k: v for k, v in kwargs.items() if k != "out"}
            before = self.trace.writes.checkpoint()
            try:
                result = ours(*args, **plain)
            except CaptureError:
                self.trace.refused = None
                self.trace.writes.restore(before)
            else:
                name = function.__name__
                return result if out is None else self.trace.writes.out(name, out, result)
        return self.library_call(function, args, kwargs)

    def library_call(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """A library's function, which has no effects but on its arguments."""
        return self.host_call(function, args, kwargs, pure=True)

    def library_method(self, tracer: Tracer, method: Any) -> Any:
        return lambda *args, **kwargs: self.library_call(method, (tracer, *args), kwargs)

    def selected(self, x: Tracer, key: Any) -> Any:
        """`x[key]` by masks: its size is known when the program runs."""
        return self.library_call(select, (x, key), {})

    def host_call(
        self,
        function: Any,
        args: Any,
        kwargs: dict[str, Any],
        pure: bool = False,
        reason: str = "a library's function",
    ) -> Any:
        """A call in the middle of the program.

        It is made once now, with the values of the call being captured, to see what it gives.  In a
        step of a loop or on a side of a branch these are what the first step would have.
        """
        where = user_line()
        leaves, tree = flatten((tuple(args), dict(kwargs)))
        self._check_possible(function, leaves, pure, where)
        tracers: list[Tracer] = []
        places = [self._place(leaf, tracers, where) for leaf in leaves]
        inputs = [t.node for t in tracers]
        call = HostCall(function, places, tree, where, pure, reason)
        config.log("fallbacks", f"{call.name} ({where}) is called as it is: {reason}")
        generator = generator_of(function)
        if generator is not None and id(generator) not in self.trace.generators:
            self.trace.generators[id(generator)] = generator, random_state(generator)
        results = self._first_results(call, inputs)
        assert call.result is not None
        if not pure:
            _refuse_shared(call, tracers)
        if not results:
            call.pure = False  # it is called for what it does
        token = self._token(call, inputs)
        for tracer in tracers:
            tracer.storage.unclear = tracer.storage.unclear or call.aliases
            tracer.storage.calls.append(call)
        shown = [
            self._host_result(token, k, r, self._shape_of(np.shape(r), inputs, call), call)
            for k, r in enumerate(results)
        ]
        count = len(results) - len(call.mutated)
        for position, new in zip(call.mutated, shown[count:], strict=True):
            self.trace.writes.write(tracers[position], new)
        return call.result.unflatten(shown[:count])

    def _check_possible(self, function: Any, leaves: Sequence[Any], pure: bool, where: str) -> None:
        """Refuse a call that the graph being written down can't have."""
        trace, name = self.trace, getattr(function, "__name__", function)
        if trace.nested and not (_gives_the_same_again(function, pure) or function is print):
            trace.nested[-1].refuse(f"{name} is called, which is no operation ({where})")
        if trace.of_tensors and trace.recording:
            raise CaptureError(f"{name} has no gradient rule that a graph could use ({where})")
        if any(isinstance(leaf, Batched) for leaf in leaves):
            raise CaptureError(f"{name} of a batch is no operation ({where})")

    def _token(self, call: HostCall, inputs: Sequence[Node]) -> Node:
        """The node that makes the call, after the one before if both are made for what they do."""
        trace = self.trace
        before = () if call.pure or trace.last_call is None else (trace.last_call,)
        attrs = {"call": len(trace.hosts), "after": bool(before)}
        token = Node(HOST, (*inputs, *before), attrs, Spec((), np.dtype(bool)), call.where)
        trace.add(token)
        trace.hosts.append(call)
        if not call.pure:
            trace.last_call = token
        return token

    def _first_results(self, call: HostCall, inputs: Sequence[Node]) -> list[Any]:
        """What the call gives with the values that are known now."""
        if call.function is print:
            return call.probe([])
        if not self.trace.nested:
            return call.probe([self.trace.values.of(n) for n in inputs])
        nested = self.trace.nested[-1]
        try:
            results = call.probe([self.trace.values.of(n) for n in inputs])
        except Exception as error:
            nested.refuse(f"{call.name} could not be called with what a step has: {error}")
        if call.mutated or call.aliases or not results:
            nested.refuse(f"{call.name} is called, which is no operation ({call.where})")
        return results

    def _shape_of(self, sizes: Sequence[int], inputs: Sequence[Node], call: HostCall) -> Shape:
        """The shape of a result: new sizes, or in a loop or a branch those of what it is given, of
        which the program makes sure.
        """
        if not self.trace.nested:
            return self.trace.env.shape(sizes, known=False)
        hint, shapes = self.trace.env.hint, [n.spec.shape for n in inputs]
        found: list[Dim] = []
        for axis, size in enumerate(sizes):
            alike = [s[axis] for s in shapes if len(s) == len(sizes)]
            known = (d for d in (*alike, *(d for s in shapes for d in s)) if hint(d) == size)
            dim = size if size < SMALLEST else next(known, None)
            if dim is None:
                self.trace.nested[-1].refuse(
                    f"{call.name} gives an array of a size of its own ({call.where})"
                )
            found.append(dim)
        return tuple(found)

    def _place(self, leaf: Any, tracers: list[Tracer], where: str) -> Any:
        """What stands for a value among a call's arguments; traced ones join the others."""
        if type(leaf) is Text:
            leaves, tree = flatten((leaf.args, leaf.kwargs))
            parts = [self._place(inner, tracers, where) for inner in leaves]
            return TracedText(leaf.function, parts, tree)
        if isinstance(leaf, SymbolicInt):
            leaf = self.trace.tracer(self.trace.node_of(leaf, where))
        if type(leaf) not in TRACERS:
            return leaf
        tracers.append(leaf)
        spec = leaf.node.spec
        return Traced(len(tracers) - 1, spec.weak, not spec.ndim and not leaf.storage.mutable)

    def _host_result(
        self, token: Node, position: int, value: Any, shape: Shape, call: HostCall
    ) -> Tracer:
        array = np.asarray(value)
        if type(value) is int and array.dtype != np.int64:
            raise CaptureError(f"{call.name} gives an integer beyond 64 bits ({call.where})")
        weak = type(value) in PYTHON_SCALARS
        attrs = {"position": position, "shape": shape, "dtype": array.dtype, "weak": weak}
        attrs |= {"scalar": not isinstance(value, np.ndarray), "brings": not self.trace.nested}
        node = Node(HOST_RESULT, (token,), attrs, Spec(shape, array.dtype, weak), call.where)
        self.trace.values.note(node, array)
        tracer = self.trace.tracer(self.trace.add(node))
        tracer.storage.mutable = isinstance(value, np.ndarray)
        tracer.storage.unclear = tracer.storage.mutable and call.aliases
        tracer.storage.calls.append(call)
        return tracer


def _gives_the_same_again(function: Any, pure: bool) -> bool:
    """Whether a function may be called at each step as it was to see what it gives, and gives
    arrays of kinds and sizes that do not depend on values.
    """
    if not pure or generator_of(function) is not None or function in SIZED_BY_VALUES:
        return False
    owner = function if hasattr(function, "__module__") else getattr(function, "__objclass__", None)
    module = (getattr(owner, "__module__", None) or "").split(".")[0]
    return module in LIBRARIES or isinstance(function, (np.ufunc, Tried))


def _refuse_shared(call: HostCall, tracers: Sequence[Tracer]) -> None:
    """What is called gets copies, where a write to one array would not be seen in another."""
    written = [tracers[k].storage for k in call.mutated]
    if sum(t.storage is s for t in tracers for s in written) > len(written):
        raise CaptureError(
            f"{call.name} writes to one of two arrays that share memory ({call.where}); give it a "
            "copy of one"
        )


def _is_number(value: Any) -> bool:
    return type(value) is ScalarTracer or type(value) in PYTHON_SCALARS
