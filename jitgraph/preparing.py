"""Making a straight function of what a function of Tensors comes to for one signature.

The function runs once on tracers of the arguments' shapes.  What they wrote down is carried out by
NumPy on the data, and recorded on the tape where a gradient is wanted:

    def var(a0):
        v0 = a0.data
        v1 = asarray(sum(v0, axis=(0,), keepdims=True))
        v2 = divide(v1, 3)
        ...
        t1 = made_by(op1, v1, (a0,), [v0], attrs1)
        t2 = made_by(op2, v2, (t1, 3), [v1, 3], attrs2)
        ...
        return t5
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitgraph_codegen.source import register_source

from . import config
from .capture.trace import Trace
from .capture.tracer import TRACERS
from .functions.base import ours_for
from .graph import CONSTANT, Node, reachable
from .interpreter import current_batches, is_recording, set_trace
from .ops import Kind, Op, views
from .ops.library import CONCATENATE, MATMUL
from .ops.op import undispatched
from .ops.scans import CUMPROD, CUMSUM
from .ops.views import python_slice
from .prepared import MOST
from .spec import Spec, dims
from .symbolic import Shape, ShapeEnv, Size
from .tape import needs_grad
from .tensor import Tensor, made_by, wrapped
from .tree import Tree, flatten, map_leaves
from .vjp import cotangents, passes_gradients

Function = Callable[..., Any]

_numbers = itertools.count(1)
_CARRIED_OUT = (Kind.ELEMENTWISE, Kind.REDUCE, Kind.SCAN, Kind.VIEW, Kind.OPAQUE)


@dataclass(frozen=True)
class _Traced:
    """What a function comes to.

    nodes: in order, without the inputs; constants: arrays among them that it made of numbers.
    """

    inputs: Sequence[Node]
    nodes: Sequence[Node]
    constants: Mapping[Node, Any]
    results: Sequence[Node]
    form: Tree


def prepare_call(
    function: Function, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Function | None:
    """What does the same, called with the values of all arguments by position; None where what is
    done depends on more than the signature.
    """
    ours = ours_for(function)
    return None if ours is None else _prepared(ours, function.__name__, args, kwargs, False)


def prepare_rule(
    op: Op, g: Any, out: Any, inputs: Sequence[Any], operands: Sequence[Any], attrs: dict[str, Any]
) -> Function | None:
    """The gradient rule of an operation, called with arrays: the cotangent of the result, the
    result and the operands.
    """
    wanted = list(map(needs_grad, inputs))

    def gradients(g: Any, out: Any, *operands: Any) -> tuple[Any, ...]:
        return tuple(cotangents(op, g, out, operands, attrs, wanted))

    return _prepared(gradients, f"{op.name}_gradients", (g, out, *operands), {}, True)


def _prepared(
    function: Function, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], of_arrays: bool
) -> Function | None:
    """of_arrays: whether the results are arrays, not Tensors."""
    values = (*args, *kwargs.values())
    given = [leaf for leaf in flatten(values)[0] if _is_array(leaf)]
    try:
        traced = _traced(function, args, kwargs, given)
        if traced is not None and all(map(_is_straight, traced.nodes)):
            return _Writer(traced, given, of_arrays).function(name, values)
    except Exception as error:  # on Tensors it may do all the same, or raise what it has to
        config.log("fallbacks", f"{name} is carried out op by op: {error}")
    return None


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (Tensor, np.ndarray))


def _is_straight(node: Node) -> bool:
    """Whether NumPy carries it out as it is."""
    known = not any(map(_has_size, (node.spec.shape, *node.attrs.values())))
    return node.op is CONSTANT or (node.kind in _CARRIED_OUT and known)


def _has_size(value: Any) -> bool:
    """Whether there is a size in it that only the running program knows."""
    return any(map(_has_size, value)) if type(value) is tuple else isinstance(value, Size)


class _Known(ShapeEnv):
    """All sizes are numbers, those of arrays that the function makes as well."""

    def shape(self, shape: Iterable[int], known: bool = True) -> Shape:
        return tuple(shape)


def _traced(
    function: Function, args: Sequence[Any], kwargs: Mapping[str, Any], given: Sequence[Any]
) -> _Traced | None:
    trace = Trace(_Known(), of_tensors=True)
    dims.push(trace.env)
    outer = set_trace(trace)
    try:
        tracers = [trace.input(f"a{k}", Spec(g.shape, g.dtype)) for k, g in enumerate(given)]
        inputs = tuple(trace.inputs)
        rest = iter(tracers)
        args, kwargs = map_leaves(
            lambda leaf: next(rest) if _is_array(leaf) else leaf, (args, dict(kwargs))
        )
        results, form = flatten(function(*args, **kwargs))
        nodes = [r.node if type(r) in TRACERS else None for r in results]
        also = trace.hosts or trace.expected or trace.rules or trace.writes.final()
        refused = also or None in nodes or any(lifted.place for lifted in trace.lifted)
    finally:
        set_trace(outer)
        dims.pop()
    if refused:
        return None
    values = [lifted.value for lifted in trace.lifted]
    constants = dict(zip(trace.inputs[len(inputs) :], values, strict=True))
    alive = reachable(n for n in nodes if n is not None)
    kept = [n for n in trace.nodes if n in alive]
    return _Traced(inputs, kept, constants, [n for n in nodes if n is not None], form)


class _Writer:
    """Writes the function down: first what is computed, then what goes on the tape."""

    def __init__(self, traced: _Traced, given: Sequence[Any], of_arrays: bool) -> None:
        self.traced, self.given, self.of_arrays = traced, given, of_arrays
        self.bound: dict[str, Any] = {"asarray": np.asarray}
        self.data: dict[Node, str] = {}  # how its array, or number, is written
        self.tensor: dict[Node, str] = {}  # and its Tensor, for what has a gradient
        self.known: dict[str, str] = {}  # what is computed already, by its expression
        self.arrays: dict[Any, Any] = {}  # numbers as arrays
        self.numbers, self.others = itertools.count(), itertools.count()
        self.lines: list[str] = []
        self.tape: list[str] = []

    def function(self, name: str, values: Sequence[Any]) -> Function | None:
        """The function; None if it is for the tape and has an operation without a gradient."""
        self.bound[name] = None  # no operation's name
        parameters = [self._parameter(value) for value in values]
        if any(map(_is_new, self.traced.nodes)):
            self.lines.append(f"{self._bind('outside_of_batches', outside_of_batches)}()")
        for k, (node, value) in enumerate(zip(self.traced.inputs, self.given, strict=True)):
            self._take(node, f"a{k}", value)
        for node, value in self.traced.constants.items():
            self.data[node] = self._bind("c", value)
        for node in self.traced.nodes:
            if node.op is CONSTANT:
                value = node.attrs["value"]
                is_numpys = isinstance(value, np.generic)
                self.data[node] = self._literal(np.asarray(value) if is_numpys else value, "c")
            elif not self._compute(node):
                return None
        results = [self._result(node) for node in self.traced.results]
        if None in results:
            return None
        head = f"def {name}({', '.join(parameters)}):"
        text = "\n    ".join([head, *self.lines, *self.tape, self._return(results)])
        filename = f"<prepared {next(_numbers) % MOST}>"
        register_source(filename, text)
        exec(compile(text, filename, "exec"), self.bound)
        made: Function = self.bound[name]
        return made

    def _parameter(self, value: Any) -> str:
        """A name for an argument: an array, or a list of arrays, or what is settled."""
        if _is_array(value):
            return f"a{next(self.numbers)}"
        name = f"p{next(self.others)}"
        if type(value) in (list, tuple) and any(map(_is_array, flatten(value)[0])):
            at = len(self.lines)
            items = [self._parameter(item) for item in value]
            self.lines.insert(at, f"{', '.join(items)}, = {name}")
        return name

    def _take(self, node: Node, parameter: str, value: Any) -> None:
        if not isinstance(value, Tensor):
            self.data[node] = parameter
            return
        self.data[node] = f"v{len(self.data)}"
        self.lines.append(f"{self.data[node]} = {parameter}.data")
        if value.requires_grad and is_recording():
            self.tensor[node] = parameter

    def _compute(self, node: Node) -> bool:
        operands = [self.data[i] for i in node.inputs]
        expression = self._expression(node, self._converted(node, operands))
        if not (node.spec.shape or node.spec.weak):
            expression = f"asarray({expression})"  # NumPy gives a number
        name = self.known.get(expression)
        if name is None or self._is_own(node):
            name = self.known[expression] = f"v{len(self.data)}"
            self.lines.append(f"{name} = {expression}")
        self.data[node] = name
        wanted = any(i in self.tensor for i in node.inputs)
        if not wanted or not passes_gradients(node.op, node.spec.dtype.kind):
            return True
        inputs = [self.tensor.get(i, self.data[i]) for i in node.inputs]
        op, attrs_of = self._bind("op", node.op), self._bind("attrs", dict(node.attrs))
        self.tensor[node] = f"t{len(self.data)}"
        self.tape.append(
            f"{self.tensor[node]} = "
            f"made_by({op}, {name}, ({', '.join(inputs)},), [{', '.join(operands)}], {attrs_of})"
        )
        return node.op.differentiable

    def _is_own(self, node: Node) -> bool:
        """Whether it has memory of its own: each of the Tensors that are returned."""
        return node in self.traced.results and not self.of_arrays

    def _converted(self, node: Node, operands: Sequence[str]) -> list[str]:
        """Operands with Python's numbers as arrays of the dtype that NumPy would make them."""
        if node.op.loop_dtypes is None or node.spec.weak:
            return list(operands)
        dtypes = node.op.loop_dtypes(*[i.spec for i in node.inputs], **node.attrs)
        found = []
        for operand, given, dtype in zip(operands, node.inputs, dtypes, strict=False):
            is_number = given.op is CONSTANT and given.spec.weak and dtype.kind == "f"
            found.append(self._number(given.attrs["value"], dtype) if is_number else operand)
        return found

    def _number(self, value: Any, dtype: Any) -> str:
        array = np.asarray(value, dtype)
        if not np.isfinite(array):
            return self._literal(value, "c")
        return self._bind("number", self.arrays.setdefault((array.tobytes(), dtype), array))

    def _expression(self, node: Node, operands: Sequence[str]) -> str:
        write = _AS_METHODS.get(node.op)
        if write is not None:
            return f"{operands[0]}{write(node)}"
        if node.op is MATMUL and all(i.spec.ndim < 3 for i in node.inputs):
            return f"{operands[0]} @ {operands[1]}"
        attrs = [f"{key}={self._literal(v, key)}" for key, v in node.attrs.items()]
        if node.op is CONCATENATE:
            eval, operands = undispatched(np.concatenate), [f"({', '.join(operands)},)"]
        else:
            eval = node.op.eval
        return f"{self._bind(node.op.name, eval)}({', '.join([*operands, *attrs])})"

    def _result(self, node: Node) -> str | None:
        """How a result is returned; None for what is none of Tensors'."""
        if node in self.tensor:
            return self.tensor[node]
        if node in self.traced.inputs:
            k = self.traced.inputs.index(node)
            return f"a{k}" if self.of_arrays or isinstance(self.given[k], Tensor) else None
        if self.of_arrays:
            return self.data[node]
        return None if node.spec.weak or node.op is CONSTANT else f"wrapped({self.data[node]})"

    def _return(self, results: Sequence[Any]) -> str:
        self.bound |= {"made_by": made_by, "wrapped": wrapped}
        rest = iter(results)
        return f"return {self._structure(self.traced.form, rest)}"

    def _structure(self, form: Tree, results: Iterator[str]) -> str:
        """The expression of results in lists, tuples and named tuples."""
        if form.kind is None:
            return next(results)
        if form.kind is type(None):
            return "None"
        items = ", ".join(self._structure(child, results) for child in form.children)
        if form.kind is tuple:
            return f"({items},)"
        if form.kind is list:
            return f"[{items}]"
        if hasattr(form.kind, "_fields"):
            return f"{self._bind(form.kind.__name__, form.kind)}({items})"
        raise TypeError(f"a result of type {form.kind}")

    def _literal(self, value: Any, name: str) -> str:
        return repr(value) if _is_literal(value) else self._bind(name, value)

    def _bind(self, name: str, value: Any) -> str:
        """A name for an object."""
        for k in range(len(self.bound) + 1):
            found = f"{name}{k or ''}"
            if self.bound.setdefault(found, value) is value:
                return found
        raise AssertionError(name)


def _is_new(node: Node) -> bool:
    """Whether it is an array made of numbers; of a batch, each element has one of its own."""
    return node.op is not CONSTANT and not any(i.op is not CONSTANT for i in node.inputs)


def outside_of_batches() -> None:
    """Raise where a function runs on a batch."""
    if current_batches() is not None:
        raise AssertionError("new arrays are batches too")


def _subscript(node: Node) -> str:
    slices = [python_slice(*s) for s in node.attrs["slices"]]
    return "[{}]".format(", ".join(f"{s.start}:{_shown(s.stop)}:{s.step}" for s in slices))


def _shown(stop: Any) -> str:
    return "" if stop is None else str(stop)


def _reshaped(node: Node) -> str:
    return f".reshape({node.spec.shape})"


# what the sizes settle
_AS_METHODS: dict[Any, Callable[[Node], str]] = {
    views.SLICE: _subscript, views.RESHAPE: _reshaped, views.EXPAND_DIMS: _reshaped,
    views.SQUEEZE: lambda node: f".squeeze({node.attrs['axes']})",
    views.TRANSPOSE: lambda node: f".transpose({node.attrs['axes']})",
    CUMSUM: lambda node: f".cumsum({node.attrs['axis']})",
    CUMPROD: lambda node: f".cumprod({node.attrs['axis']})",
}  # fmt: skip


def _is_literal(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_literal, value))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)
