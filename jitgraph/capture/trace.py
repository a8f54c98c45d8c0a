"""The trace: nodes written down while a function runs on tracers.

Operators, NumPy's ufuncs and NumPy's functions on tracers become nodes; sizes are symbols; what
needs an actual value (a branch, `range(int(x))`) raises `CaptureError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import interpreter
from ..errors import CaptureError, JitgraphError, user_line
from ..graph import CONSTANT, INPUT, SIZE, Node, constant
from ..interpreter import is_recording
from ..ops import Kind, Op, scalars, views
from ..ops import elementwise as ew
from ..ops.control import COND, EXPECT, LOOP
from ..ops.library import MATMUL
from ..ops.scalars import is_python_number
from ..place import Place
from ..spec import PYTHON_SCALARS, Spec, dims, spec_of
from ..symbolic import Dim, ShapeEnv, Size
from ..symbolic_int import SymbolicInt
from ..tensor import Tensor
from .calls import Calls
from .extremes import as_python
from .host import HostCall
from .loops import ControlPolicy
from .nested import Nested
from .random_state import set_random_state
from .surroundings import Fixture, Lifted
from .tracer import TRACERS, ScalarTracer, Storage, Tracer, ViewStep
from .training import Training
from .values import Values
from .writes import Writes

LARGEST_NUMBER = 1 << 62
MOST_NODES, MOST_GUARDS, MOST_EXPECTED = 20_000, 500, 50
_COMPARISONS = frozenset(
    ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
)  # NumPy compares with integers outside of the dtype


@dataclass(frozen=True)
class GradientRule:
    """How cotangents of some results give those of what they were computed from.

    outputs: in the order in which they were written down.  needed: the rules of the operations in
    between would not give the same.  free: what these read besides the inputs.
    """

    name: str
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    cotangents: Callable[[Sequence[Tracer | None]], Sequence[Tracer | None]]
    needed: bool
    free: tuple[Node, ...]


class Trace:
    """The nodes written down so far, and what the function met that is no argument."""

    def __init__(
        self, env: ShapeEnv, of_tensors: bool = False, policy: ControlPolicy | None = None
    ) -> None:
        self.env, self.policy = env, policy or ControlPolicy(allowed=not of_tensors)
        self.trains = self.policy.trains  # backward passes are a part of the function
        self.recorded = is_recording()
        self.recording = self.recorded and not self.trains
        self.tensors: list[Tensor] = []  # of the surroundings, in a function that trains
        self.of_tensors = of_tensors
        self.inputs: list[Node] = []
        self.nodes: list[Node] = []
        self.storages: list[Storage] = []  # of the inputs
        self.known_storages: list[Storage] = []
        self.nested: list[Nested] = []  # whose graphs are being written down
        self.next_nested = 0
        self.keys: dict[Node, str] = {}  # loops and branches, by where the function has them
        self.decided: set[Node] = set()  # Python's integers and flags that a branch decides
        self.lifted: list[Lifted] = []
        self.fixtures: dict[tuple[int, str], Fixture] = {}
        self.hosts: list[HostCall] = []
        self.lifted_storages: dict[Any, Storage] = {}
        self.made: dict[int, Any] = {}  # objects that the function made
        self.generators: dict[int, tuple[Any, Any]] = {}  # of random numbers, with their states
        self.last_call: Node | None = None  # the latest host call that may have effects
        self.expected_of_all: list[Node] = []  # what the program makes sure of
        self.loose: set[Node] = set()  # numbers that may be NumPy's or Python's
        self.rules: dict[Node, GradientRule] = {}  # of a function's own, by its results
        self.superseded: dict[tuple[Node, int], Node] = {}  # results of loops, by others
        self.superseded_checks: dict[Node, tuple[Node, ...]] = {}  # loops, by those that check
        self.refused: CaptureError | None = None  # the last refusal that nobody took care of
        self.where: str | None = None  # the line nodes belong to, where it is not the caller's
        self.values, self.writes, self.calls = Values(env), Writes(self), Calls(self)
        self.training = Training(self)
        self.makes_tensors = self.trains  # of arrays
        env.arithmetic = self._arithmetic  # type: ignore[method-assign]
        env.ufunc = self._ufunc_of_sizes  # type: ignore[method-assign]

    # inputs

    def input(
        self, name: str, spec: Spec, value: Any = None, order: str = "?", mutable: bool = True
    ) -> Tracer:
        """A new input; `value` is that of the call being captured."""
        storage = self._input(name, spec, value, order, mutable)
        return self._shown(storage)

    def _input(self, name: str, spec: Spec, value: Any, order: str, mutable: bool) -> Storage:
        node = Node(INPUT, (), {"name": name}, spec)
        self.inputs.append(node)
        if value is not None:
            self.values.note(node, value)
        storage = Storage(node, order, mutable=mutable and not spec.weak)
        self.storages.append(storage)
        for nested in self.nested:
            nested.adopt(storage)
        self.known_storages.append(storage)
        return storage

    def renew(self) -> None:
        """Let every view be taken anew."""
        for storage in self.known_storages:
            storage.version += 1

    def _shown(self, storage: Storage) -> Tracer:
        kind = ScalarTracer if storage.node.spec.weak else Tracer
        return kind(self, storage)

    def lift(self, value: Any, place: Place | None = None) -> Tracer:
        """An array or Tensor from outside: read anew at every call, so that trained weights are
        seen.
        """
        if self.trains and isinstance(value, Tensor):
            return self._lift_tensor(value, place)
        if self.trains:
            shown: Tracer = views.DETACHED(self._lifted_array(value, place))
            return shown
        return self._lifted_array(value, place)

    def _lifted_array(self, value: Any, place: Place | None) -> Tracer:
        storage = self.lifted_storages.get(id(value))
        if storage is None:
            array = value.data if isinstance(value, Tensor) else value
            if not isinstance(array, np.ndarray) or array.dtype == object:
                kind = getattr(value, "dtype", type(value).__name__)
                raise CaptureError(
                    f"a value of type {kind} is used ({user_line()}), which a graph can't hold"
                )
            if not array.dtype.isnative or not array.flags.aligned:
                raise CaptureError(
                    f"an array of dtype {array.dtype.str} that is not the machine's own is used "
                    f"({user_line()}); convert it with x.astype(np.float64)"
                )
            spec = spec_of(array)
            spec = Spec(self.env.shape(array.shape), spec.dtype)
            order = "C" if array.flags.c_contiguous else "?"
            storage = self._input(f"lifted{len(self.lifted)}", spec, array, order, True)
            self.lifted_storages[id(value)] = storage
            self.lifted.append(Lifted(value, place))
        return self._shown(storage)

    def _lift_tensor(self, tensor: Tensor, place: Place | None) -> Tracer:
        """The array in a Tensor that the program trains, or reads while it does."""
        if place is not None:
            self.rely_on(place, tensor)
        storage = self.lifted_storages.get(id(tensor))
        if storage is None:
            trained = [t for t in self.tensors if t.requires_grad]
            if tensor.requires_grad and any(t.data is tensor.data for t in trained):
                raise CaptureError(
                    f"two Tensors that collect gradients are on the same memory ({user_line()}); "
                    "use one Tensor for both, or give one a copy: b.data = b.data.copy()"
                )
            self.tensors.append(tensor)
            storage = self._lifted_array(tensor.data, Place(tensor, "data")).storage
            self.lifted_storages[id(tensor)] = storage
        shown = self._shown(storage)
        return shown if tensor.requires_grad else views.DETACHED(shown)

    def lift_number(self, place: Place) -> Tracer:
        """A float of Python's from outside, read anew at every call."""
        value = place.read()
        spec = Spec((), np.dtype(np.float64), weak=True)
        storage = self._input(f"lifted{len(self.lifted)}", spec, np.asarray(value), "C", False)
        self.lifted.append(Lifted(value, place))
        return self._shown(storage)

    def literal_array(self, array: np.ndarray[Any, Any]) -> Tracer:
        """An array made from constants in the function: a new one at every call."""
        return self.apply(ew.CAST, (self.lift(array),), {"dtype": array.dtype})

    def literal(self, value: Any, dtype: np.dtype[Any]) -> Tracer:
        """A Python number as NumPy would store it in an array of this dtype."""
        whole = isinstance(value, SymbolicInt) and dtype.kind in "iu"
        if whole and not dims.at_least(int(np.iinfo(dtype).max), value.dim):
            raise OverflowError(f"Python integer out of bounds for {dtype}")
        if isinstance(value, (SymbolicInt, ScalarTracer)):
            return self.apply(ew.CAST, (value,), {"dtype": dtype})
        stored = np.empty((), dtype)
        stored[...] = value
        return self.tracer(self.add(constant(stored[()], Spec((), dtype), user_line())))

    def rely_on(self, place: Place, value: Any) -> None:
        """Note that the program is right only while `place` holds `value`."""
        if place.key not in self.fixtures:
            self.fixtures[place.key] = Fixture.at(place, value)

    def undo(self) -> str | None:
        """Leave the surroundings as they were; what the function changed in them, if anything."""
        for generator, state in self.generators.values():
            set_random_state(generator, state)
        changed = [f for f in self.fixtures.values() if f.is_container and not f.holds()]
        for fixture in changed:
            fixture.value.restore()
        return changed[0].place.name if changed else None

    # nodes

    def stands_for(self, node: Node) -> type:
        if node.spec.weak:
            return {"c": complex, "f": float, "i": int, "u": int, "b": bool}[node.spec.dtype.kind]
        return Tensor if self.of_tensors else np.ndarray

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        if len(self.nodes) > MOST_NODES or len(self.env.guards) > MOST_GUARDS:
            why = "".join(f"; {reason}" for reason in self.policy.refused.values())
            raise CaptureError(
                f"it is too long for a graph: its loops are written out step by step{why}"
            )
        return node

    def tracer(self, node: Node, order: str = "?") -> Tracer:
        """A new array (or Python number) with this value."""
        storage = Storage(node, order, mutable=_is_mutable(node))
        self.known_storages.append(storage)
        return self._shown(storage)

    def apply(self, op: Op, args: tuple[Any, ...], attrs: dict[str, Any]) -> Tracer:
        where = self.where or user_line()
        attrs = {key: _dims(value) for key, value in attrs.items()}
        inputs = tuple(self.node_of(a, where, maybe_loose=True) for a in args)
        try:
            spec = op.spec(*[i.spec for i in inputs], **attrs)
            if not self.loose.isdisjoint(inputs):
                self._check_loose(op, inputs, attrs, spec, where)
        except JitgraphError as error:
            raise type(error)(f"{error} ({where})") from None
        _check_literals(op, inputs, where)
        node = self.add(Node(op, inputs, attrs, spec, where))
        if not self.decided.isdisjoint(inputs):
            self._check_decided(node)
        source = args[0] if args else None
        if not op.fresh and type(source) is Tracer and self._is_view(op, source, attrs, spec):
            return Tracer(self, source.storage, (*source.chain, (op, attrs)), node)
        if self.recorded and not is_recording() and op.differentiable and spec.dtype.kind == "f":
            node = self.add(Node(ew.STOP, (node,), {}, spec, where))  # in no_grad()
        return self.tracer(node, _order(op, args))

    def _check_loose(
        self, op: Op, inputs: Sequence[Node], attrs: dict[str, Any], spec: Spec, where: str
    ) -> None:
        """A number of either kind may be used where the result is the same."""
        specs = [as_python(i.spec) if i in self.loose else i.spec for i in inputs]
        if all(s.weak for s in specs) or op.spec(*specs, **attrs) != spec:
            self._refuse_loose(where)

    def _refuse_loose(self, where: str) -> None:
        raise CaptureError(
            f"whether max() or min() gives NumPy's number or Python's decides the dtype ({where})"
        )

    def _check_decided(self, node: Node) -> None:
        """A number of Python's that a branch decides may take part in what has the same dtype for
        any value of it, and fits.
        """
        small = [i for i in (node, *node.inputs) if not i.spec.weak and _is_small(i.spec.dtype)]
        flags = [i for i in node.inputs if i in self.decided and i.spec.dtype.kind == "b"]
        if node.op in (scalars.ADD, scalars.SUBTRACT) and not flags:
            self.decided.add(node)
            literals = [i for i in node.inputs if i not in self.decided]
            fine = all(i.op is CONSTANT and abs(i.attrs["value"]) < 1 << 31 for i in literals)
        elif flags:
            fine = node.op in _OF_FLAGS
        else:
            grows = node.spec.weak and node.spec.dtype.kind == "i"
            fine = not small and not grows and node.op not in (ew.POWER, scalars.POWER)
        if not fine:
            raise CaptureError(
                f"{node.op.name} of a Python number that a branch decides ({node.where}) may "
                "overflow or change the dtype; use np.where, or a NumPy number"
            )

    def _is_view(self, op: Op, source: Tracer, attrs: dict[str, Any], spec: Spec) -> bool:
        """Whether NumPy gives a view, as all views but some reshapes do."""
        if op is not views.RESHAPE or self.of_tensors or not source.storage.mutable:
            return True
        if source.storage.order != "C":
            source.storage.unclear = True
            return True
        return self._stays_in_place(source, spec)

    def _stays_in_place(self, source: Tracer, spec: Spec) -> bool:
        """Whether a reshape needs no copy, by NumPy's own judgement on memory of these strides."""
        shape = tuple(max(self.env.hint(d), 1) for d in source.storage.node.spec.shape)
        probe: Any = np.lib.stride_tricks.as_strided(
            np.zeros(1, source.dtype), shape, _c_strides(shape, source.dtype.itemsize)
        )
        for op, attrs in source.chain:
            probe = op.eval(probe, **{k: self.values.attribute(v) for k, v in attrs.items()})
        target = tuple(self.env.hint(d) for d in spec.shape)
        try:
            probe.reshape(target, copy=False)
        except ValueError:
            return False
        return True

    def expect(self, failed: Tracer) -> None:
        """Let the program end where this is true; the call is then made in Python."""
        flag = self.apply(ew.CAST, (failed,), {"dtype": np.dtype(bool)})
        self.expected.append(self.apply(EXPECT, (flag,), {}).node)
        if len(self.expected) > MOST_EXPECTED:
            where = self.expected[-1].where
            raise CaptureError(f"it asserts something of a value at each step of a loop ({where})")

    def checks(self, effects: Sequence[Node]) -> list[Node]:
        """Effects of the graph, with the loops that took others' places."""
        found: list[Node] = []
        for node in effects:
            others = self.superseded_checks.get(node)
            found += [node] if others is None else self.checks(others)
        return found

    @property
    def expected(self) -> list[Node]:
        """What the graph that is being written down makes sure of."""
        return self.nested[-1].expected if self.nested else self.expected_of_all

    def viewed(self, node: Node, chain: Sequence[ViewStep]) -> Node:
        """The value that a chain of views shows of a storage's value."""
        for op, attrs in chain:
            spec = op.spec(node.spec, **attrs)
            node = self.add(Node(op, (node,), attrs, spec, self.where or user_line()))
        return node

    def node_of(self, value: Any, where: str, maybe_loose: bool = False) -> Node:
        if type(value) in TRACERS:
            if value.trace is not self:
                raise CaptureError(f"a traced value was kept from an earlier call ({where})")
            node: Node = value.node
            if node in self.loose and not maybe_loose:
                self._refuse_loose(where)
            return node
        if isinstance(value, SymbolicInt):
            self._keep_in_range(value.dim)
            spec = Spec((), np.dtype(np.int64), weak=True)
            return self.add(Node(SIZE, (), {"dim": value.dim}, spec, where))
        if type(value) in PYTHON_SCALARS or isinstance(value, np.generic):
            return self.add(constant(value, spec_of(value), where))
        if isinstance(value, (Tensor, np.ndarray)):
            return self.lift(value).node
        return self.lift(np.asarray(value)).node

    def _keep_in_range(self, dim: Dim) -> None:
        """Python's integers have no end, those of a program do."""
        terms = dim.terms if isinstance(dim, Size) else ()
        if any(len(monomial) > 2 or abs(c) >= 1 << 20 for monomial, c in terms):
            within = dims.at_least(LARGEST_NUMBER, dim) and dims.at_least(dim, -LARGEST_NUMBER)
            if not within:
                raise CaptureError(f"an integer beyond 64 bits is computed ({user_line()})")

    def _arithmetic(self, operation: str, a: Any, b: Any) -> Any:
        if operation == "divide":
            return self.quotient(a, b)
        return self.apply(getattr(scalars, operation.upper()), (a, b), {})

    def quotient(self, a: Any, b: Any) -> Any:
        """a / b of Python numbers, which raises where b is zero."""
        if isinstance(b, SymbolicInt):
            nonzero = self.env.is_positive(b.dim)
        else:
            nonzero = is_python_number(b) and b != 0
        return self.apply(scalars.RATIO if nonzero else scalars.DIVIDE, (a, b), {})

    def _ufunc_of_sizes(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        traced = [
            self.tracer(self.node_of(i, self.where or user_line()))
            if isinstance(i, SymbolicInt) else i for i in inputs
        ]  # fmt: skip
        shower = next(i for i in traced if type(i) in TRACERS)
        return shower.__array_ufunc__(ufunc, method, *traced, **kwargs)

    def settled(self, node: Node) -> Any:
        """The value of what depends on sizes alone, on which the graph is then specialised; None
        for all other values.
        """
        sizes: list[Node] = []
        stack = [node]
        while stack:
            top = stack.pop()
            if top.op is SIZE:
                sizes.append(top)
            elif top.op is not CONSTANT and (top.kind is Kind.SOURCE or not top.inputs):
                return None
            stack.extend(top.inputs)
        if any(self.env.has_index(size.attrs["dim"]) for size in sizes):
            return None  # which differs from step to step of a loop
        for size in sizes:
            self.env.value(size.attrs["dim"])
        return np.asarray(self.values.of(node)).item()


_OF_FLAGS = (ew.LOGICAL_NOT, ew.LOGICAL_AND, ew.LOGICAL_OR, ew.NOT_EQUAL, ew.WHERE, COND, LOOP)


def _is_small(dtype: np.dtype[Any]) -> bool:
    """Whether a Python integer may not fit."""
    return dtype.kind == "u" or (dtype.kind == "i" and dtype.itemsize < 8)


def _is_mutable(node: Node) -> bool:
    """Whether NumPy gives an array: reductions to no axes and their like give scalars."""
    if node.spec.weak:
        return False
    return node.spec.ndim > 0 or node.op in (views.FULL, ew.WHERE, ew.CAST)


def _order(op: Op, args: tuple[Any, ...]) -> str:
    """ "C" where NumPy's result is surely C-contiguous: elementwise results follow operands."""
    arrays = [a for a in args if type(a) is Tracer]
    orders = {a.storage.order if not a.chain or a.ndim < 2 else "?" for a in arrays}
    if op.kind in (Kind.ELEMENTWISE, Kind.REDUCE):
        return "C" if orders <= {"C"} or all(a.ndim < 2 for a in arrays) else "?"
    return "C" if op in (views.FULL, MATMUL) else "?"


def _c_strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    strides: list[int] = []
    step = itemsize
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)


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
        if node.op is SIZE and dtype.kind in "iu" and dtype != np.int64:
            bounds = np.iinfo(dtype)
            if not dims.at_least(int(bounds.max), node.attrs["dim"]):
                raise OverflowError(f"Python integer out of bounds for {dtype} ({where})")
        if node.op is CONSTANT and node.spec.weak and dtype.kind in "iu":
            value, bounds = node.attrs["value"], np.iinfo(dtype)
            if not bounds.min <= value <= bounds.max:
                if op.name in _COMPARISONS:
                    raise CaptureError(f"{op.name}: {value} is outside {dtype} ({where})")
                raise OverflowError(f"Python integer {value} out of bounds for {dtype} ({where})")


def _operand_dtypes(op: Op, inputs: tuple[Node, ...]) -> tuple[Any, ...]:
    if op.loop_dtypes is None or op.name == "cast":
        return ()
    return op.loop_dtypes(*[i.spec for i in inputs])


def _apply(op: Op, args: tuple[Any, ...], attrs: dict[str, Any]) -> Tracer:
    tracer: Tracer = next(a for a in args if type(a) in TRACERS)
    return tracer.trace.apply(op, args, attrs)


interpreter.register(Tracer, interpreter.TRACER, _apply)
interpreter.register(ScalarTracer, interpreter.TRACER, _apply)
