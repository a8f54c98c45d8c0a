"""Values of the call that is being captured, computed by NumPy as far as they are needed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import CaptureError
from ..graph import CONSTANT, SIZE, Node
from ..ops import Kind
from ..ops.control import COND, LOOP
from ..symbolic import ShapeEnv, Size


class Values:
    """What nodes are in this call; inputs and results of host calls are noted, the rest follows."""

    def __init__(self, env: ShapeEnv) -> None:
        self.env = env
        self._known: dict[Node, Any] = {}
        self._stands_for: dict[Node, Node] = {}

    def stand_in(self, node: Node, before: Node) -> None:
        """Note what a loop's step starts from the first time."""
        self._stands_for[node] = before

    def note(self, node: Node, value: Any) -> None:
        self._known[node] = value

    def of(self, node: Node) -> Any:
        """The value of a node: an array, or a number where it is a constant."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self._known:
                stack.pop()
                continue
            if top in self._stands_for:
                before = self._stands_for[top]
                if before in self._known:
                    self._known[top] = self._known[before]
                else:
                    stack.append(before)
                continue
            missing = [i for i in top.inputs if i not in self._known]
            if missing:
                stack.extend(missing)
                continue
            self._known[top] = self._evaluated(top)
            stack.pop()
        return self._known[node]

    def _evaluated(self, node: Node) -> Any:
        if node.op is CONSTANT:
            return node.attrs["value"]
        if node.op is SIZE:
            return self.env.hint(node.attrs["dim"])
        if node.kind is Kind.SOURCE or node.op in (COND, LOOP):
            raise CaptureError(f"the value of {node!r} is not known while it is captured")
        values = [
            v.item() if i.spec.weak and isinstance(v, np.ndarray) else v
            for i in node.inputs
            for v in [self._known[i]]
        ]
        attrs = {k: self.attribute(v) for k, v in node.attrs.items()}
        with np.errstate(all="ignore"):
            return np.asarray(node.op.eval(*values, **attrs))

    def attribute(self, value: Any) -> Any:
        """An attribute with sizes as numbers."""
        if isinstance(value, tuple):
            return tuple(map(self.attribute, value))
        return self.env.hint(value) if isinstance(value, Size) else value
