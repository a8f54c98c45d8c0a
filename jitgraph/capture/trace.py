"""Capture: running a function on tracers to write down its static graph.

Operators, NumPy's ufuncs and NumPy's functions on tracers become nodes; sizes are symbols; writes
give a storage a new value.  What the graph does not know is called in the middle of the program;
what needs an actual value (a branch, `range(int(x))`) raises `CaptureError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import config, interpreter
from ..errors import BoundsError, CaptureError, JitgraphError, user_line
from ..functions.base import FUNCTIONS, operand
from ..functions.indexing import gathered, mask_key, whole_slices
from ..graph import CONSTANT, INPUT, SIZE, Graph, Node, constant
from ..methods import ArrayMethods
from ..ops import UFUNCS, Kind, Op, scalars, views
from ..ops import elementwise as ew
from ..ops.host import HOST, HOST_RESULT
from ..ops.indexing import INDEX, INDEX_ADD, INDEX_PUT
from ..ops.library import MATMUL
from ..spec import PYTHON_SCALARS, Spec, dims, spec_of
from ..symbolic import Dim, ShapeEnv, Size, SymbolicInt, add, mul
from ..tensor import Tensor, is_recording
from ..tree import flatten
from .host import HostCall, Traced
from .surroundings import Fixture, Lifted, Place
from .tracer import TRACERS, ScalarTracer, Storage, Tracer, ViewStep, check_same_kind, fitted

_COMPARISONS = frozenset(
    ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
)  # NumPy compares with integers outside of the dtype


class Trace:
    """The nodes written down so far, and what the function met that is no argument."""

    def __init__(self, env: ShapeEnv, of_tensors: bool = False) -> None:
        self.env = env
        self.recording = is_recording()
        self.of_tensors = of_tensors
        self.inputs: list[Node] = []
        self.nodes: list[Node] = []
        self.storages: list[Storage] = []  # of the inputs
        self.lifted: list[Lifted] = []
        self.fixtures: dict[tuple[int, str], Fixture] = {}
        self.hosts: list[HostCall] = []
        self._lifted_storages: dict[Any, Storage] = {}
        self._values: dict[Node, Any] = {}  # of this call, as far as they were needed
        self.made: dict[int, Any] = {}  # objects that the function made
        self._journal: list[tuple[Storage, Node]] = []  # what writes replaced
        self._last_call: Node | None = None  # the latest host call that may have effects
        self.where: str | None = None  # the line nodes belong to, where it is not the caller's
        env.arithmetic = self._arithmetic  # type: ignore[method-assign]

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
            self._values[node] = value
        storage = Storage(node, order, mutable=mutable and not spec.weak)
        self.storages.append(storage)
        return storage

    def _shown(self, storage: Storage) -> Tracer:
        kind = ScalarTracer if storage.node.spec.weak else Tracer
        return kind(self, storage)

    def lift(self, value: Any, place: Place | None = None) -> Tracer:
        """An array or Tensor from outside: read anew at every call, so that trained weights are
        seen.
        """
        storage = self._lifted_storages.get(id(value))
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
            spec = Spec(symbolic_shape(array.shape, self.env), spec.dtype)
            order = "C" if array.flags.c_contiguous else "?"
            storage = self._input(f"lifted{len(self.lifted)}", spec, array, order, True)
            self._lifted_storages[id(value)] = storage
            self.lifted.append(Lifted(value, place))
        return self._shown(storage)

    def literal_array(self, array: np.ndarray[Any, Any]) -> Tracer:
        """An array made from constants in the function: a new one at every call."""
        return self.apply(ew.CAST, (self.lift(array),), {"dtype": array.dtype})

    def literal(self, value: Any, dtype: np.dtype[Any]) -> Tracer:
        """A Python number as NumPy would store it in an array of this dtype."""
        if isinstance(value, (SymbolicInt, ScalarTracer)):
            return self.apply(ew.CAST, (value,), {"dtype": dtype})
        stored = np.empty((), dtype)
        stored[...] = value
        return self.tracer(self.add(constant(stored[()], Spec((), dtype), user_line())))

    def rely_on(self, place: Place, value: Any) -> None:
        """Note that the program is right only while `place` holds `value`."""
        self.fixtures.setdefault(place.key, Fixture(place, value))

    # nodes

    def stands_for(self, node: Node) -> type:
        if node.spec.weak:
            return {"c": complex, "f": float, "i": int, "b": bool}[node.spec.dtype.kind]
        return Tensor if self.of_tensors else np.ndarray

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def tracer(self, node: Node, order: str = "?") -> Tracer:
        """A new array (or Python number) with this value."""
        storage = Storage(node, order, mutable=_is_mutable(node))
        return self._shown(storage)

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
        node = self.add(Node(op, inputs, attrs, spec, where))
        source = args[0] if args else None
        if not op.fresh and type(source) is Tracer and self._is_view(op, source, attrs, spec):
            return Tracer(self, source.storage, (*source.chain, (op, attrs)), node)
        return self.tracer(node, _order(op, args))

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
            probe = op.eval(probe, **{k: self._concrete(v) for k, v in attrs.items()})
        target = tuple(self.env.hint(d) for d in spec.shape)
        try:
            probe.reshape(target, copy=False)
        except ValueError:
            return False
        return True

    def viewed(self, node: Node, chain: Sequence[ViewStep]) -> Node:
        """The value that a chain of views shows of a storage's value."""
        for op, attrs in chain:
            spec = op.spec(node.spec, **attrs)
            node = self.add(Node(op, (node,), attrs, spec, self.where or user_line()))
        return node

    def node_of(self, value: Any, where: str) -> Node:
        if type(value) in TRACERS:
            if value.trace is not self:
                raise CaptureError(f"a traced value was kept from an earlier call ({where})")
            node: Node = value.node
            return node
        if isinstance(value, SymbolicInt):
            spec = Spec((), np.dtype(np.int64), weak=True)
            return self.add(Node(SIZE, (), {"dim": value.dim}, spec, where))
        if type(value) in PYTHON_SCALARS or isinstance(value, np.generic):
            return self.add(constant(value, spec_of(value), where))
        if isinstance(value, (Tensor, np.ndarray)):
            return self.lift(value).node
        return self.lift(np.asarray(value)).node

    def _arithmetic(self, operation: str, a: Any, b: Any) -> Any:
        return self.apply(getattr(scalars, operation.upper()), (a, b), {})

    # writes

    def write(self, target: Tracer, value: Any, name: str = "assignment") -> None:
        """`target[...] = value`: the storage gets a value in which the target's part is new."""
        storage = target.storage
        if self.of_tensors and self.recording:
            raise CaptureError(
                f"a Tensor is written in place while gradients are recorded ({user_line()}); build "
                "the new value with where()"
            )
        if not storage.mutable or storage.unclear:
            raise CaptureError(
                f"an array is written that may share memory in ways only NumPy knows "
                f"({user_line()}); write to a copy of it"
            )
        if any(isinstance(d, int) and d == 0 for d in target._seen[1].spec.shape):
            return
        part, region = fitted(target, value, name), None
        nodes = [storage.node]
        for step in target.chain:
            nodes.append(self.viewed(nodes[-1], (step,)))
        for (op, attrs), parent in zip(reversed(target.chain), reversed(nodes[:-1]), strict=True):
            if op is views.RESHAPE and region is not None:
                part, region = (
                    self._updated(self.viewed(parent, ((op, attrs),)), part, region),
                    None,
                )
            part, region = _lifted_through(op, attrs, parent.spec, part, region)
        whole = whole_slices(storage.node.spec.shape)
        if region is None or region == whole:
            new = ew.CAST(part, dtype=storage.node.spec.dtype)
        else:
            new = self._updated(storage.node, part, region)
        self._journal.append((storage, storage.node))
        storage.assign(new.node)

    def final_writes(self) -> list[tuple[Node, Node]]:
        """The inputs that were written to, with what they hold at the end."""
        found = []
        for node, storage in zip(self.inputs, self.storages, strict=True):
            if storage.node is node:
                continue
            start = storage.node
            while start.op in (views.UPDATE, INDEX_PUT, INDEX_ADD):
                start = start.inputs[0]
            if start is not node:  # all of it is new
                value, slices = self.tracer(storage.node), whole_slices(node.spec.shape)
                whole = self.apply(views.UPDATE, (self.tracer(node), value), {"slices": slices})
                storage.assign(whole.node)
            found.append((node, storage.node))
        return found

    def checkpoint(self) -> tuple[int, int]:
        return len(self.nodes), len(self._journal)

    def restore(self, state: tuple[int, int]) -> None:
        """Undo the writes since a checkpoint; nodes that nothing uses are dropped later."""
        while len(self._journal) > state[1]:
            storage, node = self._journal.pop()
            storage.assign(node)

    def shows(self, tracer: Tracer, array: Any) -> bool:
        """Whether a tracer stands for the whole of an array of the surroundings."""
        return tracer.storage is self._lifted_storages.get(id(array)) and not tracer.chain

    def _updated(self, node: Node, part: Any, region: tuple[views.Slice, ...]) -> Tracer:
        return self.apply(views.UPDATE, (self.tracer(node), part), {"slices": region})

    def write_result(self, target: Tracer, result: Any, name: str) -> None:
        """What an operation with an output does: the result's dtype must fit."""
        check_same_kind(result, target, name)
        self.write(target, result, name)

    def write_at(self, target: Tracer, key: Any, value: Any) -> None:
        """`target[key] = value` for masks and integer arrays."""
        mask = key[0] if isinstance(key, tuple) and len(key) == 1 else key
        if _is_traced_mask(mask):
            if not getattr(operand(value), "ndim", 0):
                return self.write(target, self._where_mask(mask, value, target))
            full = self._unselected(target, mask, value)
            if full is not None:
                return self.write(target, self._where_mask(mask, full, target))
        if mask_key(key):
            new = self.library_call(_put, (target, key, value), {})
        else:
            found = gathered(target, key)
            if found.x.chain != target.chain:
                self._write_through(found, value)
                return None
            new = self._put_at(INDEX_PUT, found, value)
        return self.write(target, new)

    def _write_through(self, found: Any, value: Any) -> None:
        self.write(found.x, self._put_at(INDEX_PUT, found, value))

    def _put_at(self, op: Op, found: Any, value: Any) -> Tracer:
        index_spec = self.apply(INDEX, (found.x, *found.arrays), found.attrs)
        part = fitted(index_spec, value, "assignment")
        return self.apply(op, (found.x, part, *found.arrays), found.attrs)

    def _where_mask(self, mask: Any, value: Any, target: Tracer) -> Any:
        if not isinstance(value, Tracer) and not hasattr(value, "ndim"):
            value = self.literal(value, target.dtype)
        value = ew.CAST(value, dtype=target.dtype)
        shapes = mask.node.spec.shape, target._seen[1].spec.shape[: mask.ndim]
        if mask.ndim > target.ndim or not all(map(dims.same, *shapes)):
            raise BoundsError(
                f"boolean index of shape {dims.shown(shapes[0])} did not match an array of shape "
                f"{dims.shown(target._seen[1].spec.shape)}"
            )
        for _ in range(target.ndim - mask.ndim):
            mask = views.EXPAND_DIMS(mask, axes=(mask.ndim,))
        return ew.WHERE(mask, value, target)

    def _unselected(self, target: Tracer, mask: Any, value: Any) -> Any:
        """The value of `target[mask] = value` before it was selected by the same mask: elementwise
        operations on `a[mask]` are those on `a`, selected.
        """
        if type(value) is not Tracer or mask.ndim != target.ndim:
            return None
        chosen = mask.node

        def full(node: Node) -> Node | None:
            if node.op is HOST_RESULT:
                call = self.hosts[node.inputs[0].attrs["call"]]
                inputs = node.inputs[0].inputs
                same = call.function is _select and _same_value(inputs[1], chosen)
                return inputs[0] if same else None
            if node.spec.ndim == 0:
                return node
            if node.kind is not Kind.ELEMENTWISE or node.op is ew.IOTA:
                return None
            parts = [full(i) for i in node.inputs]
            if any(p is None for p in parts):
                return None
            inputs = tuple(p for p in parts if p is not None)
            spec = node.op.spec(*[i.spec for i in inputs], **node.attrs)
            return self.add(Node(node.op, inputs, node.attrs, spec, node.where))

        found = full(value.node)
        if found is None or found.spec.ndim != target.ndim:
            return None
        return self.tracer(found)

    def write_out(self, name: str, out: Any, result: Any, where: Any = True) -> Any:
        """`out=` of a NumPy function."""
        outs = out if isinstance(out, tuple) else (out,)
        results = result if isinstance(result, tuple) else (result,)
        written = []
        for target, value in zip(outs, results, strict=True):
            if target is None:
                written.append(value)
                continue
            if type(target) is not Tracer:
                target = self.lift(target)
            check_same_kind(value, target, name)
            if where is not True:
                value = ew.WHERE(operand(where), ew.CAST(value, dtype=target.dtype), target)
            self.write(target, value, name)
            written.append(target)
        return tuple(written) if isinstance(result, tuple) else written[0]

    # NumPy's functions

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: Any, kwargs: dict[str, Any]) -> Any:
        known = ufunc in UFUNCS or ufunc is np.matmul or method == "reduce"
        if known:
            shower = next(i for i in inputs if type(i) in TRACERS)
            try:
                return ArrayMethods.__array_ufunc__(shower, ufunc, method, *inputs, **kwargs)
            except CaptureError:
                pass
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        return self.library_call(function, inputs, kwargs)

    def ufunc_at(self, ufunc: np.ufunc, target: Any, key: Any, *value: Any) -> None:
        """`np.add.at(x, index, y)`."""
        if type(target) is not Tracer:
            target = self.lift(target)
        if ufunc is np.add and not mask_key(key):
            found = gathered(target, key)
            self.write(found.x, self._put_at(INDEX_ADD, found, *value))
        else:
            self.host_call(ufunc.at, (target, key, *value), {}, pure=True)

    def numpy_function(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """One of NumPy's functions on traced values: ours, or NumPy's own between the kernels."""
        out = kwargs.get("out")
        ours = FUNCTIONS.get(function)
        if ours is not None:
            plain = {k: v for k, v in kwargs.items() if k != "out"}
            before = len(self.nodes)
            try:
                result = ours(*args, **plain)
            except CaptureError:
                del self.nodes[before:]
            else:
                name = function.__name__
                return result if out is None else self.write_out(name, out, result)
        return self.library_call(function, args, kwargs)

    def library_call(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """A library's function, which has no effects but on its arguments."""
        return self.host_call(function, args, kwargs, pure=True)

    def library_method(self, tracer: Tracer, method: Any) -> Any:
        return lambda *args, **kwargs: self.library_call(method, (tracer, *args), kwargs)

    def selected(self, x: Tracer, key: Any) -> Any:
        """`x[key]` by masks: its size is known when the program runs."""
        return self.library_call(_select, (x, key), {})

    def host_call(
        self,
        function: Any,
        args: Any,
        kwargs: dict[str, Any],
        pure: bool = False,
        reason: str = "a library's function",
    ) -> Any:
        """A call in the middle of the program.

        It is made once now, with the values of the call being captured, to see what it gives.
        """
        where = user_line()
        if self.of_tensors and self.recording:
            name = getattr(function, "__name__", function)
            raise CaptureError(f"{name} has no gradient rule that a graph could use ({where})")
        leaves, tree = flatten((tuple(args), dict(kwargs)))
        inputs: list[Node] = []
        tracers: list[Tracer] = []
        places: list[Any] = []
        for leaf in leaves:
            if isinstance(leaf, SymbolicInt):
                leaf = self.tracer(self.node_of(leaf, where))
            if type(leaf) in TRACERS:
                node = leaf.node
                scalar = node.spec.ndim == 0 and not leaf.storage.mutable
                places.append(Traced(len(inputs), node.spec.weak, scalar))
                inputs.append(node)
                tracers.append(leaf)
            else:
                places.append(leaf)
        call = HostCall(function, places, tree, where, pure, reason)
        config.log("fallbacks", f"{call.name} ({where}) is called as it is: {reason}")
        results = call.probe([self.concrete(n) for n in inputs])
        assert call.result is not None
        token_before = () if pure or self._last_call is None else (self._last_call,)
        attrs = {"call": len(self.hosts), "after": bool(token_before)}
        token = Node(HOST, (*inputs, *token_before), attrs, Spec((), np.dtype(bool)), where)
        self.add(token)
        self.hosts.append(call)
        if call.aliases:
            for tracer in tracers:
                tracer.storage.unclear = True
        if not pure:
            self._last_call = token
        shown = [self._host_result(token, k, r, where, call) for k, r in enumerate(results)]
        count = len(results) - len(call.mutated)
        for position, new in zip(call.mutated, shown[count:], strict=True):
            self.write(tracers[position], new)
        return call.result.unflatten(shown[:count])

    def _host_result(
        self, token: Node, position: int, value: Any, where: str, call: HostCall
    ) -> Tracer:
        array = np.asarray(value)
        shape = tuple(d if d < 2 else self.env.fresh(d, known=False) for d in array.shape)
        weak = type(value) in PYTHON_SCALARS
        attrs = {"position": position, "shape": shape, "dtype": array.dtype, "weak": weak}
        attrs["scalar"] = not isinstance(value, np.ndarray)
        node = Node(HOST_RESULT, (token,), attrs, Spec(shape, array.dtype, weak), where)
        self._values[node] = array
        tracer = self.tracer(self.add(node))
        tracer.storage.mutable = isinstance(value, np.ndarray) and not call.aliases
        return tracer

    # values of the call being captured

    def concrete(self, node: Node) -> Any:
        """What a node is in this call, computed by NumPy."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self._values:
                stack.pop()
                continue
            missing = [i for i in top.inputs if i not in self._values]
            if missing:
                stack.extend(missing)
                continue
            self._values[top] = self._evaluated(top)
            stack.pop()
        return self._values[node]

    def _evaluated(self, node: Node) -> Any:
        if node.op is CONSTANT:
            return node.attrs["value"]
        if node.op is SIZE:
            return self.env.hint(node.attrs["dim"])
        if node.kind is Kind.SOURCE:
            raise CaptureError(f"the value of {node!r} is not known while it is captured")
        values = [
            v.item() if i.spec.weak and isinstance(v, np.ndarray) else v
            for i in node.inputs
            for v in [self._values[i]]
        ]
        attrs = {k: self._concrete(v) for k, v in node.attrs.items()}
        with np.errstate(all="ignore"):
            return np.asarray(node.op.eval(*values, **attrs))

    def _concrete(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(self._concrete, value))
        return self.env.hint(value) if isinstance(value, Size) else value


def _lifted_through(
    op: Op, attrs: dict[str, Any], parent: Spec, part: Any, region: Any
) -> tuple[Any, Any]:
    """A write to a view as the write to what it is a view of: the part, and its slices there."""
    if op is views.SLICE:
        outer = attrs["slices"]
        return part, outer if region is None else tuple(map(_within, outer, region))
    if op is views.TRANSPOSE:
        axes = attrs["axes"]
        part = views.TRANSPOSE(part, axes=views.inverse(axes))
        return part, None if region is None else tuple(
            region[axes.index(k)] for k in range(len(axes))
        )
    if op is views.EXPAND_DIMS:
        axes = attrs["axes"]
        part = views.SQUEEZE(part, axes=axes)
        return part, None if region is None else tuple(
            r for k, r in enumerate(region) if k not in axes
        )
    if op is views.SQUEEZE:
        axes = attrs["axes"]
        part = views.EXPAND_DIMS(part, axes=axes)
        if region is not None:
            rest = iter(region)
            region = tuple((0, 1, 1) if k in axes else next(rest) for k in range(parent.ndim))
        return part, region
    if op is views.RESHAPE:
        return views.RESHAPE(part, shape=parent.shape), None
    raise ValueError("assignment destination is read-only")


def _within(outer: views.Slice, inner: views.Slice) -> views.Slice:
    """A slice of a slice as one slice."""
    start = add(outer[0], mul(inner[0], outer[1]))
    return start, outer[1] * inner[1], inner[2]


def _same_value(a: Node, b: Node) -> bool:
    """Whether two nodes surely compute the same."""
    if a is b:
        return True
    if a.op is not b.op or a.kind is Kind.OPAQUE or a.op is INPUT or a.spec != b.spec:
        return False
    return repr(a.attrs) == repr(b.attrs) and all(map(_same_value, a.inputs, b.inputs))


def _select(x: Any, key: Any) -> Any:
    return x[key]


def _put(x: Any, key: Any, value: Any) -> Any:
    whole = x.copy()
    whole[key] = value
    return whole


def _is_traced_mask(key: Any) -> bool:
    return hasattr(key, "dtype") and np.dtype(key.dtype) == np.bool_ and bool(key.ndim)


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
        if node.op is SIZE and dtype.kind in "iu":
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


interpreter.register(Tracer, 2, _apply)
interpreter.register(ScalarTracer, 2, _apply)


@dataclass(frozen=True)
class Captured:
    """A graph with what a call must add to it.

    lifted: arrays of the surroundings, the graph's last inputs.
    fixtures: values of the surroundings that must be what they were.
    hosts: the functions its host nodes call.
    """

    graph: Graph
    lifted: tuple[Lifted, ...]
    fixtures: tuple[Fixture, ...]
    hosts: tuple[HostCall, ...]
    env: ShapeEnv

    @property
    def written(self) -> tuple[int, ...]:
        """Positions of the inputs that are written to."""
        return tuple(self.graph.inputs.index(i) for i, _ in self.graph.writes)


@dataclass(frozen=True)
class Argument:
    """An input of the function: its spec, with sizes that belong to the capture, and its value."""

    name: str
    spec: Spec
    value: Any
    order: str = "?"
    mutable: bool = True


def capture(
    function: Callable[[Sequence[Tracer]], Sequence[Any]],
    arguments: Sequence[Argument],
    env: ShapeEnv,
    name: str,
    of_tensors: bool = False,
) -> Captured:
    """The graph of `function(tracers) -> values`.

    of_tensors: whether arrays stand for Tensors.  Raises `CaptureError` for what a graph can't
    hold, and the errors NumPy would raise for wrong shapes and dtypes.
    """
    trace = Trace(env, of_tensors)
    outer, interpreter.tracing.trace = interpreter.tracing.trace, trace
    dims.push(env)
    try:
        tracers = [trace.input(a.name, a.spec, a.value, a.order, a.mutable) for a in arguments]
        results = function(tracers)
        writes = trace.final_writes()
        outputs = [trace.node_of(r, "?") for r in results]
        nodes, replace = _canonical(trace, env)
    finally:
        interpreter.tracing.trace = outer
        dims.pop()
    graph = Graph(
        name,
        tuple(replace[i] for i in trace.inputs),
        tuple(nodes),
        tuple(replace[o] for o in outputs),
        tuple(env.guards),
        tuple((replace[i], replace[value]) for i, value in writes),
        () if trace._last_call is None else (replace[trace._last_call],),
    )
    return Captured(
        graph, tuple(trace.lifted), tuple(trace.fixtures.values()), tuple(trace.hosts), env
    )


def _canonical(trace: Trace, env: ShapeEnv) -> tuple[list[Node], dict[Node, Node]]:
    """All nodes with sizes in the symbols that are left once every equality is known."""
    replace: dict[Node, Node] = {}
    for node in trace.inputs:
        replace[node] = Node(node.op, (), node.attrs, _canonical_spec(node.spec, env), node.where)
    nodes = []
    for node in trace.nodes:
        own = node.op is HOST_RESULT  # brings its symbols
        made = Node(
            node.op,
            tuple(replace[i] for i in node.inputs),
            dict(node.attrs)
            if own
            else {key: _canonical_attr(value, env) for key, value in node.attrs.items()},
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
