"""Writes to traced arrays: each gives a storage a new value in which the written part is new.

A write to a view is followed through the chain of views to the storage: `a.T[1:][0] = v` replaces a
slice of `a`.  Writes by masks select between old and new elements; writes at integer positions are
an operation of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..batching import Batched
from ..errors import BoundsError, CaptureError, user_line
from ..functions.base import operand
from ..functions.indexing import gathered, mask_key
from ..graph import INPUT, Node
from ..ops import Kind, Op, views
from ..ops import elementwise as ew
from ..ops.host import HOST_RESULT
from ..ops.indexing import INDEX, INDEX_ADD, INDEX_PUT
from ..spec import Spec, dims
from ..symbolic import add, mul
from .host import select
from .refusal import RefusedError
from .tracer import Storage, Tracer, check_same_kind, fitted

if TYPE_CHECKING:
    from .trace import Trace


class Writes:
    """The writes of one trace; what they replaced is remembered, so that they can be undone."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._journal: list[tuple[Storage, Node]] = []

    def write(self, target: Tracer, value: Any, name: str = "assignment") -> None:
        """`target[...] = value`: the storage gets a value in which the target's part is new."""
        storage = target.storage
        differentiable = target.dtype.kind in "fc"
        if self.trace.of_tensors and self.trace.recording and differentiable:
            raise CaptureError(
                f"a Tensor is written in place while gradients are recorded ({user_line()}); build "
                "the new value with where()"
            )
        if storage.of_loop:
            raise RefusedError(
                storage.of_loop,
                f"an array is written that names share in some steps only ({user_line()})",
            )
        if not storage.mutable or storage.unclear:
            raise CaptureError(
                f"an array is written that may share memory in ways only NumPy knows "
                f"({user_line()}); write to a copy of it"
            )
        if any(isinstance(d, int) and d == 0 for d in target._seen[1].spec.shape):
            return
        if isinstance(value, Batched):
            raise CaptureError(
                f"a batch is written to an array that is the same for all of its elements "
                f"({user_line()}); write to a new array, as of np.zeros"
            )
        part, region = fitted(target, value, name), None
        nodes = [storage.node]
        for step in target.chain:
            nodes.append(self.trace.viewed(nodes[-1], (step,)))
        for (op, attrs), parent in zip(reversed(target.chain), reversed(nodes[:-1]), strict=True):
            if op is views.RESHAPE and region is not None:
                part, region = (
                    self._updated(self.trace.viewed(parent, ((op, attrs),)), part, region),
                    None,
                )
            part, region = _lifted_through(op, attrs, parent.spec, part, region)
        whole = views.whole_slices(storage.node.spec.shape)
        if region is None or region == whole:
            new = ew.CAST(part, dtype=storage.node.spec.dtype)
        else:
            new = self._updated(storage.node, part, region)
        self.replace(storage, new.node)

    def replace(self, storage: Storage, node: Node) -> None:
        """Give a storage a new value."""
        self._journal.append((storage, storage.node))
        for call in storage.calls:
            call.apart = True
        storage.assign(node)

    def final(self) -> list[tuple[Node, Node]]:
        """The inputs that were written to, with what they hold at the end."""
        found = []
        for node, storage in zip(self.trace.inputs, self.trace.storages, strict=True):
            if storage.node is node:
                continue
            start = storage.node
            while start.op in (views.UPDATE, INDEX_PUT, INDEX_ADD):
                start = start.inputs[0]
            if start is not node:  # all of it is new
                self.trace.where = storage.node.where
                value, slices = self.trace.tracer(storage.node), views.whole_slices(node.spec.shape)
                whole = self.trace.apply(
                    views.UPDATE, (self.trace.tracer(node), value), {"slices": slices}
                )
                storage.assign(whole.node)
            found.append((node, storage.node))
        self.trace.where = None
        return found

    def checkpoint(self) -> int:
        return len(self._journal)

    def forget(self, state: int) -> None:
        """Take the writes since a checkpoint as done."""
        del self._journal[state:]

    def restore(self, state: int) -> None:
        """Undo the writes since a checkpoint; nodes that nothing uses are dropped later."""
        while len(self._journal) > state:
            storage, node = self._journal.pop()
            storage.assign(node)

    def shows(self, tracer: Tracer, array: Any) -> bool:
        """Whether a tracer stands for the whole of an array of the surroundings."""
        return tracer.storage is self.trace.lifted_storages.get(id(array)) and not tracer.chain

    def _updated(self, node: Node, part: Any, region: tuple[views.Slice, ...]) -> Tracer:
        return self.trace.apply(views.UPDATE, (self.trace.tracer(node), part), {"slices": region})

    def result(self, target: Tracer, result: Any, name: str) -> None:
        """What an operation with an output does: the result's dtype must fit."""
        check_same_kind(result, target, name)
        self.write(target, result, name)

    def at(self, target: Tracer, key: Any, value: Any) -> None:
        """`target[key] = value` for masks and integer arrays."""
        mask = key[0] if isinstance(key, tuple) and len(key) == 1 else key
        if _is_traced_mask(mask):
            if not getattr(operand(value), "ndim", 0):
                return self.write(target, self._where_mask(mask, value, target))
            full = self._unselected(target, mask, value)
            if full is not None:
                return self.write(target, self._where_mask(mask, full, target))
        if mask_key(key):
            new = self.trace.calls.library_call(_put, (target, key, value), {})
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
        index_spec = self.trace.apply(INDEX, (found.x, *found.arrays), found.attrs)
        part = fitted(index_spec, value, "assignment")
        return self.trace.apply(op, (found.x, part, *found.arrays), found.attrs)

    def _where_mask(self, mask: Any, value: Any, target: Tracer) -> Any:
        if not isinstance(value, Tracer) and not hasattr(value, "ndim"):
            value = self.trace.literal(value, target.dtype)
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
                call = self.trace.hosts[node.inputs[0].attrs["call"]]
                inputs = node.inputs[0].inputs
                same = call.function is select and _same_value(inputs[1], chosen)
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
            return self.trace.add(Node(node.op, inputs, node.attrs, spec, node.where))

        found = full(value.node)
        if found is None or found.spec.ndim != target.ndim:
            return None
        return self.trace.tracer(found)

    def out(self, name: str, out: Any, result: Any, where: Any = True) -> Any:
        """`out=` of a NumPy function."""
        outs = out if isinstance(out, tuple) else (out,)
        results = result if isinstance(result, tuple) else (result,)
        written = []
        for target, value in zip(outs, results, strict=True):
            if target is None:
                written.append(value)
                continue
            if type(target) is not Tracer:
                target = self.trace.lift(target)
            check_same_kind(value, target, name)
            if where is not True:
                value = ew.WHERE(operand(where), ew.CAST(value, dtype=target.dtype), target)
            self.write(target, value, name)
            written.append(target)
        return tuple(written) if isinstance(result, tuple) else written[0]

    def ufunc_at(self, ufunc: np.ufunc, target: Any, key: Any, *value: Any) -> None:
        """`np.add.at(x, index, y)`."""
        if type(target) is not Tracer:
            target = self.trace.lift(target)
        if ufunc is np.add and not mask_key(key):
            found = gathered(target, key)
            self.write(found.x, self._put_at(INDEX_ADD, found, *value))
        else:
            self.trace.calls.host_call(ufunc.at, (target, key, *value), {}, pure=True)


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
    if op is views.DETACHED:
        return part, region
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


def _put(x: Any, key: Any, value: Any) -> Any:
    whole = x.copy()
    whole[key] = value
    return whole


def _is_traced_mask(key: Any) -> bool:
    return hasattr(key, "dtype") and np.dtype(key.dtype) == np.bool_ and bool(key.ndim)
