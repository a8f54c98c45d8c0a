"""Capture: running a function on tracers to write down its static graph.

Tracers stand for the arrays of a call.  Operators, NumPy's ufuncs and NumPy's functions on them
become nodes; sizes are symbols; what needs an actual value (a branch, `float(x)`, a write) raises
`CaptureError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import interpreter
from .errors import CaptureError, JitgraphError, user_line
from .graph import CONSTANT, INPUT, SIZE, Graph, Node, constant
from .methods import ArrayMethods
from .ops import Kind, Op, scalars
from .ops.elementwise import CAST
from .spec import PYTHON_SCALARS, Spec, dims, spec_of
from .symbolic import Dim, ShapeEnv, Size, SymbolicInt, user_int
from .tensor import Tensor, is_recording


class Tracer(ArrayMethods):
    """A value of the graph that is being captured."""

    __slots__ = ("node", "trace")

    def __init__(self, node: Node, trace: Trace) -> None:
        self.node, self.trace = node, trace

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` in the user's function sees: the class of the value it stands for."""
        return self.trace.stands_for(self.node)

    @property
    def shape(self) -> tuple[int | SymbolicInt, ...]:
        return tuple(user_int(d, self.trace.env) for d in self.node.spec.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.node.spec.dtype

    @property
    def ndim(self) -> int:
        return self.node.spec.ndim

    def __repr__(self) -> str:
        return f"<traced {self.node.spec}>"

    def _refuse(self, what: str, cure: str) -> CaptureError:
        return CaptureError(f"{what} needs the value of a traced array ({user_line()}); {cure}")

    def __bool__(self) -> bool:
        raise self._refuse("a branch (if, while, and, or)", "use np.where, or np.logical_and")

    def __float__(self) -> float:
        raise self._refuse("float()", "keep it an array, or make the argument static")

    def __int__(self) -> int:
        raise self._refuse("int()", "keep it an array, or make the argument static")

    def __index__(self) -> int:
        raise self._refuse("using it as an index or a size", "make the argument static")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise self._refuse(
            "a conversion to a NumPy array", "use NumPy functions that jitgraph captures"
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        raise self._refuse(
            "an in-place write", "build the new value with np.where or np.concatenate"
        )

    def __iadd__(self, other: Any) -> Any:
        raise self._refuse("an augmented assignment", "write x = x + y, which makes a new array")

    __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __ipow__ = __imod__ = __iadd__
    __iand__ = __ior__ = __ixor__ = __ilshift__ = __irshift__ = __imatmul__ = __iadd__

    def item(self) -> Any:
        raise self._refuse("item()", "keep it an array")

    def copy(self) -> Any:
        """The same values in memory of their own."""
        return CAST(self, dtype=self.dtype)


def _python(row: Op, name: str) -> Any:
    """The operator `name` as Python's where both operands are Python numbers, else NumPy's."""
    general, reflected = getattr(ArrayMethods, name), name.startswith("__r")

    def operator(self: ScalarTracer, other: Any) -> Any:
        if isinstance(other, (ScalarTracer, SymbolicInt)) or scalars.is_python_number(other):
            return self.trace.apply(row, (other, self) if reflected else (self, other), {})
        return general(self, other)

    return operator


class ScalarTracer(Tracer):
    """A Python number that is known only when the program runs."""

    __slots__ = ()
    __hash__ = object.__hash__

    __add__, __radd__ = _python(scalars.ADD, "__add__"), _python(scalars.ADD, "__radd__")
    __sub__ = _python(scalars.SUBTRACT, "__sub__")
    __rsub__ = _python(scalars.SUBTRACT, "__rsub__")
    __mul__ = _python(scalars.MULTIPLY, "__mul__")
    __rmul__ = _python(scalars.MULTIPLY, "__rmul__")
    __truediv__ = _python(scalars.DIVIDE, "__truediv__")
    __rtruediv__ = _python(scalars.DIVIDE, "__rtruediv__")
    __floordiv__ = _python(scalars.FLOOR_DIVIDE, "__floordiv__")
    __rfloordiv__ = _python(scalars.FLOOR_DIVIDE, "__rfloordiv__")
    __mod__ = _python(scalars.REMAINDER, "__mod__")
    __rmod__ = _python(scalars.REMAINDER, "__rmod__")
    __pow__, __rpow__ = _python(scalars.POWER, "__pow__"), _python(scalars.POWER, "__rpow__")
    __eq__, __ne__ = _python(scalars.EQUAL, "__eq__"), _python(scalars.NOT_EQUAL, "__ne__")
    __lt__, __le__ = _python(scalars.LESS, "__lt__"), _python(scalars.LESS_EQUAL, "__le__")
    __gt__, __ge__ = _python(scalars.GREATER, "__gt__"), _python(scalars.GREATER_EQUAL, "__ge__")
    __iadd__, __isub__, __imul__, __itruediv__ = __add__, __sub__, __mul__, __truediv__
    __ifloordiv__, __imod__, __ipow__ = __floordiv__, __mod__, __pow__

    def __neg__(self) -> Any:
        return self.trace.apply(scalars.NEGATIVE, (self,), {})

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return self.trace.apply(scalars.ABSOLUTE, (self,), {})


class Trace:
    """The nodes written down so far, and the arrays met on the way that are no arguments."""

    def __init__(self, env: ShapeEnv, of_tensors: bool = False) -> None:
        self.env = env
        self.recording = is_recording()
        self.of_tensors = of_tensors
        self.inputs: list[Node] = []
        self.nodes: list[Node] = []
        self.lifted: list[Any] = []  # Tensors and arrays of the function's surroundings, inputs too
        self._lifted_nodes: dict[int, Node] = {}
        self.where: str | None = None  # the line nodes belong to, where it is not the caller's
        env.arithmetic = self._arithmetic  # type: ignore[method-assign]

    def input(self, name: str, spec: Spec) -> Tracer:
        node = Node(INPUT, (), {"name": name}, spec)
        self.inputs.append(node)
        return self.tracer(node)

    def stands_for(self, node: Node) -> type:
        if node.spec.weak:
            return {"f": float, "i": int, "b": bool}[node.spec.dtype.kind]
        return Tensor if self.of_tensors else np.ndarray

    def tracer(self, node: Node) -> Tracer:
        return (ScalarTracer if node.spec.weak else Tracer)(node, self)

    def _arithmetic(self, operation: str, a: Any, b: Any) -> Any:
        return self.apply(getattr(scalars, operation.upper()), (a, b), {})

    def lift(self, value: Any) -> Node:
        """An array or Tensor from outside: read anew at every call, so that trained weights are
        seen.
        """
        node = self._lifted_nodes.get(id(value))
        if node is None:
            array = value.data if isinstance(value, Tensor) else value
            if array.dtype == object or not array.dtype.isnative:
                raise CaptureError(
                    f"an array of dtype {array.dtype.str} is used ({user_line()}); one made from a "
                    "traced size can be made from int(n), which compiles for that size"
                )
            spec = spec_of(array)
            spec = Spec(symbolic_shape(array.shape, self.env), spec.dtype)
            node = self.input(f"lifted{len(self.lifted)}", spec).node
            self._lifted_nodes[id(value)] = node
            self.lifted.append(value)
        return node

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def apply(self, op: Op, args: tuple[Any, ...], attrs: dict[str, Any]) -> Tracer:
        where = self.where or user_line()
        if self.recording and not is_recording():
            raise CaptureError(
                f"no_grad() inside a captured function ({where}); put it around the call"
            )
        attrs = {key: _dims(value) for key, value in attrs.items()}
        inputs = tuple(self.node_of(a, where) for a in args)
        try:
            spec = op.spec(*[i.spec for i in inputs], **attrs)
        except JitgraphError as error:
            raise type(error)(f"{error} ({where})") from None
        _check_literals(op, inputs, where)
        return self.tracer(self.add(Node(op, inputs, attrs, spec, where)))

    def node_of(self, value: Any, where: str) -> Node:
        if isinstance(value, Tracer):
            if value.trace is not self:
                raise CaptureError(f"a traced value was kept from an earlier call ({where})")
            return value.node
        if isinstance(value, SymbolicInt):
            spec = Spec((), np.dtype(np.int64), weak=True)
            return self.add(Node(SIZE, (), {"dim": value.dim}, spec, where))
        if type(value) in PYTHON_SCALARS or isinstance(value, np.generic):
            return self.add(constant(value, spec_of(value), where))
        if isinstance(value, (Tensor, np.ndarray)):
            return self.lift(value)
        return self.lift(np.asarray(value))


def _dims(value: Any) -> Any:
    """An attribute with size expressions for traced sizes."""
    if isinstance(value, tuple):
        return tuple(map(_dims, value))
    return value.dim if isinstance(value, SymbolicInt) else value


def _check_literals(op: Op, inputs: tuple[Node, ...], where: str) -> None:
    """A Python integer must fit the dtype it is computed in, as NumPy demands."""
    if op.kind is not Kind.ELEMENTWISE or op.loop_dtypes is None:
        return
    for node, dtype in zip(inputs, _operand_dtypes(op, inputs), strict=False):
        if node.op is CONSTANT and node.spec.weak and dtype.kind in "iu":
            value, bounds = node.attrs["value"], np.iinfo(dtype)
            if not bounds.min <= value <= bounds.max:
                if op.name in (
                    "equal",
                    "not_equal",
                    "less",
                    "less_equal",
                    "greater",
                    "greater_equal",
                ):
                    raise CaptureError(f"{op.name}: {value} is outside {dtype} ({where})")
                raise OverflowError(f"Python integer {value} out of bounds for {dtype} ({where})")


def _operand_dtypes(op: Op, inputs: tuple[Node, ...]) -> tuple[Any, ...]:
    if op.loop_dtypes is None or op.name == "cast":
        return ()
    return op.loop_dtypes(*[i.spec for i in inputs])


def _apply(op: Op, args: tuple[Any, ...], attrs: dict[str, Any]) -> Tracer:
    tracer: Tracer = next(a for a in args if type(a) in (Tracer, ScalarTracer))
    return tracer.trace.apply(op, args, attrs)


interpreter.register(Tracer, 2, _apply)
interpreter.register(ScalarTracer, 2, _apply)


@dataclass(frozen=True)
class Captured:
    """A graph with what a call must add to it: the lifted arrays, its last inputs."""

    graph: Graph
    lifted: tuple[Any, ...]
    env: ShapeEnv


def capture(
    function: Callable[[Sequence[Tracer]], Sequence[Any]],
    names: Sequence[str],
    specs: Sequence[Spec],
    env: ShapeEnv,
    name: str,
    of_tensors: bool = False,
) -> Captured:
    """The graph of `function(tracers) -> values`.

    names, specs: of the inputs; symbolic sizes belong to `env`.
    of_tensors: whether arrays stand for Tensors.  Raises `CaptureError` for what a
    graph can't hold, and the errors NumPy would raise for wrong shapes and dtypes.
    """
    trace = Trace(env, of_tensors)
    outer, interpreter.tracing.apply = interpreter.tracing.apply, trace.apply
    dims.push(env)
    try:
        tracers = [trace.input(n, s) for n, s in zip(names, specs, strict=True)]
        results = function(tracers)
        outputs = [trace.node_of(r, "?") for r in results]
        nodes, replace = _canonical(trace, env)
    finally:
        interpreter.tracing.apply = outer
        dims.pop()
    graph = Graph(
        name,
        tuple(replace[i] for i in trace.inputs),
        tuple(nodes),
        tuple(replace[o] for o in outputs),
        tuple(env.guards),
    )
    return Captured(graph, tuple(trace.lifted), env)


def _canonical(trace: Trace, env: ShapeEnv) -> tuple[list[Node], dict[Node, Node]]:
    """All nodes with sizes in the symbols that are left once every equality is known."""
    replace: dict[Node, Node] = {}
    for node in trace.inputs:
        replace[node] = Node(node.op, (), node.attrs, _canonical_spec(node.spec, env), node.where)
    nodes = []
    for node in trace.nodes:
        made = Node(
            node.op,
            tuple(replace[i] for i in node.inputs),
            {key: _canonical_attr(value, env) for key, value in node.attrs.items()},
            _canonical_spec(node.spec, env),
            node.where,
        )
        replace[node] = made
        nodes.append(made)
    return nodes, replace


def _canonical_spec(spec: Spec, env: ShapeEnv) -> Spec:
    return Spec(tuple(env.canonical(d) for d in spec.shape), spec.dtype, spec.weak)


def _canonical_attr(value: Any, env: ShapeEnv) -> Any:
    if isinstance(value, tuple):
        return tuple(_canonical_attr(v, env) for v in value)
    return env.canonical(value) if isinstance(value, Size) else value


def symbolic_shape(shape: Sequence[int], env: ShapeEnv) -> tuple[Dim, ...]:
    """A symbol for each size but 0 and 1, which belong to the signature."""
    return tuple(d if d < 2 else env.fresh(d) for d in shape)
