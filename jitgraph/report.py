"""`explain` and `profile`: what a compiled function does, for people."""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jitgraph_codegen import program as runtime
from jitgraph_codegen import threads
from jitgraph_codegen.kernels import machine_code
from jitgraph_codegen.runtime import LoadedKernel
from jitgraph_codegen.source import KernelSource
from jitgraph_codegen.vector_width import vector_bits

from .access import WRITES, memory_of
from .build import Staged, stage
from .capture import Captured
from .fuse import Group, external_inputs
from .graph import Graph, Node
from .narrow import narrow
from .ops.control import COND, CONTROL_RESULT, EXPECT, LOOP
from .ops.host import HOST, HOST_RESULT
from .ops.views import UNINITIALISED
from .program import Specialisation, library_operations
from .symbolic import Dim, evaluate, product

ROUNDS = 7  # of a measurement, of which the best counts


class Explanation(str):
    """A text with its facts as data.

    details: `name`, `operations`, `target`, `calls`, `guards`, `peak_bytes` (of arrays that a call
    makes and that live at the same time, results among them), `steps`, `not_fused`; a step has
    `kind` ("kernel", "NumPy" or "Python"), `name`, `where`, and, for a kernel, `kernels` (the names
    of its parts), `domain`, `reduced`, `bytes`, `flops`, `operations` by line, `narrow` (why less
    than whole registers are computed with), and where it was measured `seconds`, `bandwidth` and
    `vector_bits` (of the widest registers that its loops compute with).
    """

    details: dict[str, Any]

    def __new__(cls, details: dict[str, Any]) -> Explanation:
        made = super().__new__(cls, "\n".join(_lines(details)))
        made.details = details
        return made

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        rows = [
            [s["kind"], s["name"], _size(s), _time(s), "; ".join(_operations(s)) or s["where"]]
            for s in _flat(self.details["steps"])
        ]
        head = ["step", "name", "over", "time", "operations"]
        cells = [
            "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
            for tag, row in [("th", head), *[("td", row) for row in rows]]
        ]
        notes = "".join(f"<li>{html.escape(text)}</li>" for text in _notes(self.details))
        table = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<p>{html.escape(_title(self.details))}</p><table>{table}</table><ul>{notes}</ul>"


def explain(found: Specialisation) -> Explanation:
    """Groups with their operations, lines and bytes; library calls; what was not fused and why."""
    graph = found.differentiated.forward if found.wanted else found.graph
    donated = [str(found.captured.graph.inputs[k].attrs["name"]) for k in found.donated]
    staged = stage(graph, found.layouts, found.options, donated)
    calls = None
    if found.not_native is not None:
        calls = f"by Python: {found.not_native}" if found.not_native else "in machine code"
    if calls is not None and found.python_steps:
        steps = "steps" if found.python_steps > 1 else "step"
        calls += f", which calls Python for {found.python_steps} {steps}"
    details: dict[str, Any] = {
        "name": graph.name,
        "operations": len(graph.nodes),
        "target": found.options.target,
        "calls": calls,
        "guards": [str(guard) for guard in graph.guards],
        "peak_bytes": _peak(staged, staged.graph, found.captured.env.hints),
        "steps": _steps(staged, found.captured),
        "not_fused": [
            {
                "producer": f"{r.producer.op.name} ({r.producer.where})",
                "consumer": f"{r.consumer.op.name} ({r.consumer.where})",
                "reason": r.reason,
            }
            for r in staged.plan.refusals
        ],
    }
    if found.wanted:
        parts = found.differentiated
        again = Counter(node.op.name for node in parts.recomputed)
        details["gradient"] = {
            "kept_arrays": len(parts.forward.outputs) - parts.outputs,
            "kept_bytes": parts.kept_bytes, "computed_again": dict(again),
        }  # fmt: skip
    return Explanation(details)


def profile(found: Specialisation, arrays: Sequence[Any], sizes: Sequence[int]) -> Explanation:
    """`explain`, with the seconds of each step and the share of a plain copy's bandwidth."""
    from jitgraph_codegen.numba_compile import assembly

    details = explain(found).details
    seconds, runs = _measured(found, arrays, sizes)
    graph = found.differentiated.forward if found.wanted else found.graph
    sources = {kernel.name: kernel for kernel in found.source(graph, found.layouts).kernels}
    for step in _flat(details["steps"]):
        names = step.get("kernels", [step["name"]])
        if not all(name in seconds for name in names):
            continue
        best = step["seconds"] = sum(seconds[name] for name in names)
        if step["kind"] == "kernel":
            step["runs"] = runs[names[0]]
            step["bandwidth"] = step["bytes"] * step["runs"] / best / _copying(step["bytes"])
            step["vector_bits"] = max(vector_bits(assembly(sources[name])) for name in names)
    details["threads"] = threads.get_num_threads()
    return Explanation(details)


def _measured(
    found: Specialisation, arrays: Sequence[Any], sizes: Sequence[int]
) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds of each kernel and library function in a run of the program, the best of several, and
    how often each was called in it.

    The arrays of the call are not written to; calls with effects are made as often as it runs.
    """
    graph = found.differentiated.forward if found.wanted else found.graph
    source = found.source(graph, found.layouts)
    spent: dict[str, float] = {}
    calls: dict[str, int] = {}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = call(*args, **kwargs)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
            calls[name] = calls.get(name, 0) + 1
            return result

        return run

    def launcher(kernel: KernelSource) -> Callable[..., None]:
        code = machine_code(kernel)
        parallel = found.options.parallel
        loaded = LoadedKernel(kernel.name, code, kernel.buffers, kernel.sizes, parallel)
        return timed(kernel.name, loaded)

    operations = {name: timed(name, op) for name, op in library_operations().items()}
    for k, call in enumerate(found.captured.hosts):
        operations[f"host{k}"] = timed(call.name, call)
    program = runtime.load(source, operations, found.options.parallel, launcher)
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        spent.clear()
        calls.clear()
        program(*[np.array(a, order="K") for a in arrays], list(sizes))
        for name, seconds in spent.items():
            best[name] = min(seconds, best.get(name, seconds))
    return best, calls


def _copying(count: int) -> float:
    """Bytes a second that a plain copy moves, which reads and writes `count` together."""
    source = np.ones(max(count // 2, 1), np.uint8)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return count / best


def _steps(staged: Staged, captured: Captured) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for step in staged.plan.steps:
        if isinstance(step, Group):
            steps.append(_kernel(staged, step, captured.env.hints))
        elif step.op is HOST:
            call = captured.hosts[step.attrs["call"]]
            made = {"kind": "Python", "name": call.name, "where": step.where}
            steps.append(made | {"reason": call.reason})
        elif step.op is LOOP:
            steps.append(_loop(staged, step, captured))
        elif step.op is COND:
            steps += [_side(staged, step, captured, key) for key in ("taken", "otherwise")]
        elif step.op is EXPECT:
            steps.append({"kind": "check", "name": "assertion", "where": step.where, "steps": []})
        elif step.op not in (HOST_RESULT, CONTROL_RESULT, UNINITIALISED):
            made = {"kind": "NumPy", "name": step.op.name, "where": step.where}
            steps.append(made | {"spec": str(step.spec)})
    return steps


def _loop(staged: Staged, node: Node, captured: Captured) -> dict[str, Any]:
    """The steps of a loop, those of its test first."""
    inner: list[dict[str, Any]] = []
    for part in ("test", "body"):
        if part in node.attrs:
            inside = stage(node.attrs[part], {}, staged.options, outer=staged)
            inner += _steps(inside, captured)
    name = f"for {node.attrs['count']} times" if node.attrs["index"] else "while"
    return {"kind": "loop", "name": name, "where": node.where, "steps": inner}


def _side(staged: Staged, node: Node, captured: Captured, key: str) -> dict[str, Any]:
    """The steps of one side of a branch."""
    inner = _steps(stage(node.attrs[key], {}, staged.options, outer=staged), captured)
    name = "if" if key == "taken" else "else"
    return {"kind": "branch", "name": name, "where": node.where, "steps": inner}


def _flat(steps: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Steps and those of loops."""
    for step in steps:
        yield step
        yield from _flat(step.get("steps", ()))


def _peak(staged: Staged, graph: Graph, hints: dict[str, int]) -> int:
    """The most bytes of arrays alive at a time, from the steps that make them to their last use."""
    made: dict[Node, int] = {}
    last: dict[Node, int] = {}
    for k, step in enumerate(staged.plan.steps):
        inside = isinstance(step, Group)
        own = step.outputs if isinstance(step, Group) else [step]
        read = external_inputs(step) if isinstance(step, Group) else step.inputs
        for node in own:
            in_place = node.op in WRITES and node not in staged.plan.copied
            if node.op.fresh and not in_place and (inside or node.op is not HOST):
                made[node] = k
        for node in (*own, *read):
            last[_owner(node, staged)] = k
    for node in graph.outputs:
        last[_owner(node, staged)] = len(staged.plan.steps)
    alive = [0] * (len(staged.plan.steps) + 1)
    for node, start in made.items():
        for k in range(start, last.get(node, start) + 1):
            alive[k] += _bytes(node, hints)
    return max(alive)


def _owner(node: Node, staged: Staged) -> Node:
    """The array whose memory a value lies in."""
    node = memory_of(node)
    while node.op in WRITES and node not in staged.plan.copied:
        node = memory_of(node.inputs[0])
    return node


def _kernel(staged: Staged, group: Group, hints: dict[str, int]) -> dict[str, Any]:
    kernels = staged.kernels[group]
    partial = {n for lowered in kernels for n in (*lowered.partials, lowered.outside)}
    moved = {n for lowered in kernels for n in lowered.buffers} - partial
    by_line: dict[str, list[str]] = {}
    for node in group.place:
        by_line.setdefault(node.where, []).append(node.op.name)
    flops = sum(m.op.loop.flops if m.op.loop else 1 for m in group.inside)
    return {
        "kind": "kernel",
        "name": kernels[0].kernel.name,
        "kernels": [lowered.kernel.name for lowered in kernels],
        "where": next(iter(by_line), "?"),
        "domain": [str(d) for d in group.domain],
        "reduced": sorted(group.reduced | group.nested),
        "bytes": sum(_bytes(n, hints) for n in moved),
        "flops": flops * evaluate(product(group.domain), hints),
        "operations": by_line,
        "narrow": narrow(group, kernels),
    }


# as text


def _title(details: dict[str, Any]) -> str:
    return (
        f"{details['name']}: static graph of {details['operations']} operations, "
        f"target {details['target']}"
    )


def _notes(details: dict[str, Any]) -> list[str]:
    notes = []
    if details["calls"] is not None:
        notes.append(f"the steps of a call are made {details['calls']}")
    if "threads" in details:
        notes.append(f"measured with {details['threads']} threads")
    if details["peak_bytes"]:
        notes.append(f"at most {_readable(details['peak_bytes'], 'B')} of arrays at a time")
    return notes + [f"valid while {guard}" for guard in details["guards"]]


def _lines(details: dict[str, Any]) -> list[str]:
    lines = [_title(details), *[f"  {note}" for note in _notes(details)]]
    lines += _step_lines(details["steps"])
    for refusal in details["not_fused"]:
        lines.append(
            f"  not fused: {refusal['producer']} into {refusal['consumer']}: {refusal['reason']}"
        )
    if "gradient" in details:
        found = details["gradient"]
        again = ", ".join(
            name if n == 1 else f"{n} x {name}" for name, n in found["computed_again"].items()
        )
        lines.append(
            f"  kept for the gradient: {found['kept_arrays']} arrays, "
            f"{_readable(found['kept_bytes'], 'B')}; computed again: {again or 'nothing'}"
        )
    return lines


def _step_lines(steps: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for step in steps:
        took = f", {_time(step)}" if "seconds" in step else ""
        match step["kind"]:
            case "kernel":
                lines.append(f"  kernel   {step['name']}  over {_size(step)}{took}")
                lines += [f"             {text}" for text in _operations(step)]
                lines += [f"             narrow: {text}" for text in step["narrow"]]
            case "NumPy":
                lines.append(f"  NumPy    {step['name']}  {step['spec']}  ({step['where']}){took}")
            case "loop" | "branch" | "check":
                lines.append(f"  {step['kind']:<8} {step['name']}  ({step['where']})")
                lines += [f"    {line}" for line in _step_lines(step["steps"])]
            case _:
                named = f"{step['name']}  ({step['where']}): {step['reason']}"
                lines.append(f"  Python   {named}{took}")
    return lines


def _size(step: dict[str, Any]) -> str:
    if step["kind"] != "kernel":
        return ""
    rows = f", reduces axes {step['reduced']}" if step["reduced"] else ""
    return f"[{', '.join(step['domain'])}]{rows}, {_readable(step['bytes'], 'B')} moved"


def _time(step: dict[str, Any]) -> str:
    if "seconds" not in step:
        return ""
    text = f"{step['seconds'] * 1e6:.4g} us"
    if "bandwidth" in step:
        rate = _readable(step["flops"] / step["seconds"], "FLOP/s")
        text += f" ({step['bandwidth']:.0%} of a copy's bandwidth, {rate}, "
        bits = step["vector_bits"]
        text += f"registers of {bits} bits)" if bits else "no vectors)"
    return text


def _operations(step: dict[str, Any]) -> list[str]:
    return [f"{line}: {', '.join(names)}" for line, names in step.get("operations", {}).items()]


def _bytes(node: Node, hints: dict[str, int]) -> int:
    elements: Dim = product(node.spec.shape)
    return evaluate(elements, hints) * node.spec.dtype.itemsize


def _readable(count: float, unit: str) -> str:
    for prefix in ("", "k", "M", "G"):
        if count < 1000 or prefix == "G":
            return f"{count:.3g} {prefix}{unit}"
        count /= 1000
    raise AssertionError
