"""`jitgraph bench --tensors`: what dynamic mode costs over NumPy, an operation and a node of
`backward()`, on arrays so small that little else costs anything.

NumPy's own time of an expression is that of the same expression on arrays; of a node, that of the
NumPy calls of its rule, one after the other on the arrays they get.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .harness import readable
from .tables import show

ROUNDS = 25
RESULTS = 20  # that a walk starts from

EXPRESSIONS = (
    "x + y", "x - 1", "x * y", "x / y", "-x", "x ** 2", "abs(x)", "x @ y", "x @ v", "np.exp(x)",
    "np.tanh(x)", "np.sqrt(x)", "np.maximum(x, 0)", "np.maximum(x, y)", "np.logaddexp(x, y)",
    "np.where(mask, x, y)", "np.clip(x, 0, 1)", "x.sum()", "x.sum(axis=0)", "np.sum(x, axis=0)",
    "x.mean()", "np.mean(x, axis=0)", "x.max()", "np.max(x, axis=1)", "np.prod(x)", "np.var(x)",
    "np.cumsum(x, axis=0)", "np.sort(x)", "x.T", "x.transpose(1, 0)", "x.reshape(9)", "x.ravel()",
    "x[0]", "x[:, None, 1:]", "x[indices]", "x[mask]", "np.take(x, indices, axis=0)",
    "np.concatenate([x, y])", "np.stack([x, y])", "x.astype('f8')", "np.expand_dims(x, 0)",
    "np.squeeze(x)", "np.swapaxes(x, 0, 1)", "np.broadcast_to(x, (2, 3, 3))", "np.flip(x)",
    "np.roll(x, 1, axis=0)", "np.diff(x)", "np.trace(x)", "np.pad(x, 1)", "np.tril(x)",
    "np.repeat(x, 2)", "np.dot(x, y)", "np.outer(v, v)", "np.einsum('ij,jk->ik', x, y)",
    "np.linalg.norm(x)", "np.linalg.inv(x)", "np.linalg.solve(x, y)", "np.linalg.det(x)",
    "np.linalg.cholesky(s)", "np.fft.rfft(x)",
)  # fmt: skip


def _values() -> dict[str, Any]:
    x = np.random.default_rng(0).random((3, 3), "f4") + np.float32(0.1)
    return {"x": x, "y": x + 1, "v": x[0].copy(), "s": x @ x.T + np.eye(3, dtype="f4")}


def _best(call: Callable[[], Any], count: int) -> float:
    """Seconds a call takes, the best of rounds of so many."""
    found = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(count):
            call()
        found = min(found, (time.perf_counter() - began) / count)
    return found


def _as_function(expression: str, values: dict[str, Any]) -> Callable[[], Any]:
    known = {"np": np, "mask": np.eye(3, dtype=bool), "indices": np.array([2, 0, 1]), **values}
    return eval(f"lambda: {expression}", known)  # type: ignore[no-any-return]


def costs(expression: str) -> list[str]:
    """A row of the table: an expression on arrays, on Tensors, and back."""
    import jitgraph

    arrays = _values()
    numpys = _best(_as_function(expression, arrays), 2000)
    over = []
    for wanted in (False, True):
        tensors = {k: jitgraph.Tensor(a, requires_grad=wanted) for k, a in arrays.items()}
        over.append(_best(_as_function(expression, tensors), 2000) - numpys)
    results = [_result(expression, arrays) for _ in range(RESULTS)]
    nodes, walked, own = _back(results)
    return [
        expression, readable(numpys), readable(over[0]), readable(over[1]), str(nodes),
        readable(over[1] / nodes), readable(walked / nodes), readable(own / nodes),
        readable((walked - own) / nodes),
    ]  # fmt: skip


def _result(expression: str, arrays: dict[str, Any]) -> Any:
    import jitgraph

    leaves = {k: jitgraph.Tensor(a, requires_grad=True) for k, a in arrays.items()}
    return _as_function(expression, leaves)()


def _back(results: Sequence[Any]) -> tuple[int, float, float]:
    """How many nodes there are behind each result, what it takes to go back through them, and
    NumPy's own part of that.
    """
    from jitgraph.tape import history, walk_back

    ones = np.ones(results[0].shape, results[0].dtype)
    walked = history(results)
    leaves = [t for t in walked if t.is_leaf]
    total = _best(lambda: walk_back(dict.fromkeys(results, ones), False), 100)
    of_leaves = _best(lambda: walk_back(dict.fromkeys(leaves, ones), False), 100)
    nodes = [t for t in history(results[:1]) if not t.is_leaf]
    return len(nodes), (total - of_leaves) / len(results), sum(map(_own, nodes))


def _own(node: Any) -> float:
    """NumPy's own time of a node's rule, of which nothing is left but the calls."""
    from jitgraph.ops.indexing import AT, in_zeros
    from jitgraph.preparing import prepare_rule

    g, out, operands = np.ones(node.shape, node.dtype), node.data, node._operands
    if node._maker is AT:
        key, shape = node._attrs["key"], operands[0].shape
        return _best(lambda: in_zeros(g, key=key, shape=shape), 2000)
    rule = prepare_rule(node._maker, g, out, node._inputs, operands, node._attrs)
    assert rule is not None, node._maker
    return _best(lambda: rule(g, out, *operands), 2000)


def main(markdown: Path | None) -> int:
    """Measure and print."""
    header = [
        "on 3 x 3", "NumPy", "over it", "recorded, over it", "operations", "an operation",
        "a node of backward()", "NumPy's own of it", "over it",
    ]  # fmt: skip
    show("Tensors", header, [costs(expression) for expression in EXPRESSIONS], markdown)
    return 0
