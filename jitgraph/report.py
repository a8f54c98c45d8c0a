"""`explain`: what a compiled function does, for people."""

from __future__ import annotations

from collections.abc import Sequence

from .build import Staged, stage
from .capture import HostCall
from .fuse import Group
from .graph import Node
from .ops.host import HOST, HOST_RESULT
from .program import Specialisation
from .symbolic import Dim, evaluate, product


def explain(found: Specialisation) -> str:
    """Groups with their operations, lines and bytes; library calls; what was not fused and why."""
    graph = found.differentiated.forward if found.wanted else found.graph
    staged = stage(graph, found.layouts, found.options)
    hints = found.captured.env.hints
    lines = [
        f"{graph.name}: static graph of {len(graph.nodes)} operations, "
        f"target {found.options.target}"
    ]
    if found.not_native is not None:
        why = f"by Python: {found.not_native}" if found.not_native else "in machine code"
        lines.append(f"  the steps of a call are made {why}")
    lines += [f"  valid while {guard}" for guard in graph.guards]
    lines += _steps(staged, hints, found.captured.hosts)
    for refusal in staged.plan.refusals:
        lines.append(
            f"  not fused: {refusal.producer.op.name} ({refusal.producer.where}) into "
            f"{refusal.consumer.op.name} ({refusal.consumer.where}): {refusal.reason}"
        )
    if found.wanted:
        kept = len(found.differentiated.forward.outputs) - found.differentiated.outputs
        lines.append(f"  kept for the gradient: {kept} arrays")
    return "\n".join(lines)


def _steps(staged: Staged, hints: dict[str, int], hosts: Sequence[HostCall]) -> list[str]:
    lines = []
    for step in staged.plan.steps:
        if isinstance(step, Node) and step.op in (HOST, HOST_RESULT):
            if step.op is HOST:
                call = hosts[step.attrs["call"]]
                lines.append(f"  Python   {call.name}  ({step.where}): {call.reason}")
        elif isinstance(step, Node):
            lines.append(f"  NumPy    {step.op.name}  {step.spec}  ({step.where})")
        if isinstance(step, Node):
            continue
        kernel = staged.kernels[step].kernel
        buffers = staged.kernels[step].buffers
        moved = sum(_bytes(n, hints) for n in buffers)
        axes = sorted(step.reduced | step.nested)
        rows = f", reduces axes {axes}" if axes else ""
        lines.append(
            f"  kernel   {kernel.name}  over [{', '.join(map(str, step.domain))}]{rows}, "
            f"{_readable(moved)} moved"
        )
        for where, ops in _by_line(step).items():
            lines.append(f"             {where}: {', '.join(ops)}")
    return lines


def _by_line(group: Group) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in group.place:
        found.setdefault(node.where, []).append(node.op.name)
    return found


def _bytes(node: Node, hints: dict[str, int]) -> int:
    elements: Dim = product(node.spec.shape)
    return evaluate(elements, hints) * node.spec.dtype.itemsize


def _readable(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError
