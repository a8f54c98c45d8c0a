"""From a graph to a program: the passes in order, and the text of the driver that runs the kernels.

graph -> simplify -> partition -> lower each group -> print -> driver
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jitgraph_codegen.cpu_printer import print_kernel
from jitgraph_codegen.native import NativeProgram, Run
from jitgraph_codegen.program import ProgramSource
from jitgraph_codegen.source import KernelSource

from . import config
from .access import WRITES, is_transparent, memory_of
from .copies import native_copy
from .errors import CaptureError
from .filling import fill_what_is_left
from .fuse import Group, partition
from .gathers import with_gathers
from .graph import CONSTANT, INPUT, SIZE, Graph, Node
from .inner_graphs import handed_on, is_whole, with_own_outputs
from .lower import Lowered, lower
from .ops import Kind
from .ops.control import COND, CONTROL_RESULT, EXPECT, LOOP
from .ops.host import HOST, HOST_RESULT
from .ops.views import FULL, RESHAPE, UNINITIALISED, UPDATE, is_zero_bits, whole_slices
from .options import Options
from .products import native_product
from .recorder import Recorder
from .reshaping import copy_before_reshapes
from .schedule import Plan, schedule
from .symbolic import SMALLEST, Guard, Size, add, is_known_before, mul, symbols

INDENT = "    "
WIDE = 4096  # columns that are worth sharing between threads


def build(
    graph: Graph,
    layouts: Mapping[str, str],
    sizes: Sequence[str],
    options: Options,
    donated: Collection[str] = (),
) -> ProgramSource:
    """The program's text: fuse, lower, print."""
    return _Builder(graph, layouts, sizes, options, donated).run()


@dataclass(frozen=True)
class Staged:
    """A graph's plan with the kernel of each group, for those who want to look at it."""

    graph: Graph
    plan: Plan
    kernels: Mapping[Group, tuple[Lowered, ...]]
    layouts: Mapping[Node, str]  # of values in memory, as a buffer has it
    options: Options
    guards: tuple[Guard, ...]


def stage(
    graph: Graph,
    layouts: Mapping[str, str],
    options: Options,
    donated: Collection[str] = (),
    outer: Staged | None = None,
) -> Staged:
    """Fuse and lower.  donated: names of inputs whose memory the results may have; outer: what the
    graph is a step of, which may not be made twice.
    """
    on_cpu = options.target == "cpu"  # arrays are copied to a device in C order
    guards = graph.guards if outer is None else outer.guards
    if on_cpu and outer is None:
        graph = with_gathers(graph)
    if on_cpu:
        graph = copy_before_reshapes(fill_what_is_left(graph, guards))
    offered = [i for i in graph.inputs if on_cpu and str(i.attrs["name"]) in donated]
    offered = [i for i in offered if layouts.get(str(i.attrs["name"]), "C") == "C"]
    plan = schedule(partition(graph, nesting=on_cpu), on_cpu, offered, whole=outer is None)
    known = {n: layouts.get(str(n.attrs["name"]), "C") if on_cpu else "C" for n in graph.inputs}
    for refusal in plan.refusals if config.logs("fusion") else ():
        producer, consumer = refusal.producer, refusal.consumer
        config.log(
            "fusion",
            f"{producer.op.name} ({producer.where}) is not computed with {consumer.op.name} "
            f"({consumer.where}): {refusal.reason}",
        )
    kernels: dict[Group, tuple[Lowered, ...]] = {}
    for step in plan.steps:
        for made in [step] if isinstance(step, Node) else step.outputs:
            in_place = made.op in WRITES and made not in plan.copied
            known[made] = known[made.inputs[0]] if in_place else "C"
        if isinstance(step, Node):
            continue
        known |= {n: "C" for n, write in plan.donated.items() if write in step.outputs}
        name = f"{graph.name}_{len(kernels)}"  # of the first one
        kernels[step] = lower(step, name, known, options.precise, on_cpu)
    return Staged(graph, plan, kernels, known, options, guards)


class _Builder:
    """The lines of a graph, and the same steps for the entry stub.

    around: of the graph that this one is a part of, as a step of a loop.
    """

    def __init__(
        self,
        graph: Graph,
        layouts: Mapping[str, str],
        sizes: Sequence[str],
        options: Options,
        donated: Collection[str],
        around: _Builder | None = None,
        given: Sequence[str] = (),
    ) -> None:
        self.options, self.sizes = options, sizes
        if around is not None:
            graph = with_own_outputs(graph)
        outer = None if around is None else around.staged
        self.staged: Staged = stage(graph, layouts, options, donated, outer)
        self.donated = donated
        self.graph = graph = self.staged.graph
        names = given or [f"a{k}" for k in range(len(graph.inputs))]
        self.names: dict[Node, str] = dict(zip(graph.inputs, names, strict=True))
        self.parameters = dict(self.names)
        self.lines: list[str] = []
        self.bound = set(sizes)  # names of sizes that are known so far
        self.layout = self.staged.layouts
        self.left: dict[Node, list[str]] = {}  # variables of what loops and branches leave behind
        self.waiting = [g for g in graph.guards if not is_known_before(g.dim)]
        self.returned: list[str] = []
        self.counter: Iterator[int] = itertools.count() if around is None else around.counter
        self.kernels: list[KernelSource] = [] if around is None else around.kernels
        if around is not None:
            self.recorder: Recorder = around.recorder.inner()
            return
        contiguous = [
            name for n, name in self.names.items() if layouts.get(str(n.attrs["name"]), "C") == "C"
        ]
        scalars = [name for n, name in self.names.items() if not n.spec.shape]
        self.recorder = Recorder(self.names.values(), contiguous, scalars)

    def run(self) -> ProgramSource:
        self._steps()
        self._return()
        self._let_go()
        parameters = ", ".join([*[f"a{k}" for k in range(len(self.graph.inputs))], "sizes"])
        head = [f"def program({parameters}):"]
        if self.sizes:
            head.append(f"{INDENT}{_tuple(list(self.sizes))} = sizes")
        text = "\n".join(head + self.lines) + "\n"
        return ProgramSource(text, tuple(self.kernels), self._native())

    def _steps(self) -> None:
        for step in self.staged.plan.steps:
            if isinstance(step, Node):
                self._library_call(step)
            else:
                self._kernels(step, self.staged.kernels[step])

    def _native(self) -> NativeProgram | None:
        """The steps as the entry stub takes them."""
        if self.waiting or self.options.target != "cpu":
            return None
        return self.recorder.program(
            [str(g) for g in self.graph.guards if is_known_before(g.dim)],
            [
                *[self.parameters[i] for i, _ in self.graph.writes],
                *[self.parameters[i] for i in self.graph.inputs if i.attrs["name"] in self.donated],
            ],
            self.returned,
        )

    def _let_go(self, kept: Collection[str] = ()) -> None:
        """Delete arrays after their last use, those of large programs as well as views of them;
        what a loop reads, after the loop.
        """
        own = [line for line in self.lines if not line.startswith(INDENT * 2)]
        made = {name for line in own for name in re.findall(r"^\s+(t\d+) = ", line)}
        last: dict[str, int] = {}
        for line, end in zip(self.lines, _ends_of_blocks(self.lines), strict=True):
            last |= dict.fromkeys(made.intersection(re.findall(r"\bt\d+\b", line)), end)
        gone: dict[int, list[str]] = {}
        for name, k in last.items():
            if k < len(self.lines) - 1 and name not in kept:
                gone.setdefault(k, []).append(name)
        lines = []
        for k, line in enumerate(self.lines):
            lines.append(line)
            if k in gone:
                lines.append(f"{INDENT}del {', '.join(gone[k])}")
        self.lines = lines

    def _emit(self, line: str) -> None:
        self.lines.append(INDENT + line)

    def _named(self, node: Node) -> str:
        name = self.names[node] = self._fresh()
        return name

    def _fresh(self) -> str:
        return f"t{next(self.counter)}"

    def _array(self, node: Node) -> str:
        """The variable of a value in memory; views are taken where they are first used."""
        if node not in self.names:
            self._library_call(node)
        return self.names[node]

    def _value(self, node: Node) -> str:
        """An operand of a library call: a variable, or a literal for what is no array."""
        if node.op is CONSTANT:
            value = node.attrs["value"]
            plain = repr(value.item() if isinstance(value, np.generic) else value)
            plain = f"float('{plain}')" if plain.lstrip("-") in ("inf", "nan") else plain
            return plain if node.spec.weak else f"{node.spec.dtype.name}.type({plain})"
        if node.op is SIZE:
            return str(node.attrs["dim"])
        if node.spec.weak:
            return f"{self._array(node)}.item()"
        return self._array(node)

    def _library_call(self, node: Node) -> None:
        if node.op is HOST:
            arguments = [self._value(i) for i in node.inputs[: -1 if node.attrs["after"] else None]]
            call = f"host{node.attrs['call']}({', '.join(arguments)})"
            name = self._assigned(node, call)
            self.recorder.call(name, call, array=False)
        elif node.op is HOST_RESULT:
            self._host_result(node)
        elif node.op in WRITES:
            self._write(node)
        elif node.op is UNINITIALISED:
            self._make(node)
        elif node.op is LOOP:
            self._loop(node)
        elif node.op is COND:
            self._branch(node)
        elif node.op is EXPECT:
            self._expect_false(self._array(node.inputs[0]))
        elif node.op is CONTROL_RESULT:
            self.names[node] = self.left[node.inputs[0]][node.attrs["position"]]
        else:
            arguments = [self._value(i) for i in node.inputs]
            arguments += [f"{key}={_literal(value)}" for key, value in node.attrs.items()]
            call = f"{node.op.name}({', '.join(arguments)})"
            if node.op.fresh or node.op is RESHAPE:  # NumPy may keep another order
                call = f'asarray({call}, order="C")'
            self._record(node, self._assigned(node, call), call)

    def _assigned(self, node: Node, expression: str) -> str:
        name = self._named(node)
        self._emit(f"{name} = {expression}  # {node.where}")
        return name

    def _record(self, node: Node, name: str, expression: str) -> None:
        """What the entry stub does for a library call."""
        if is_transparent(node) and not node.op.fresh:
            self.recorder.view(name, expression)
        elif node.op is RESHAPE and (source := self._memory(node.inputs[0])) is not None:
            self.recorder.reshaped(name, source, expression)
        elif node.op is FULL and _is_zero(node.inputs[0]):
            self.recorder.make(name, node.spec, zeros=True)
        elif (product := native_product(node, name, self._memory)) is not None:
            self.recorder.product(product, node.spec)
        else:
            self.recorder.call(name, expression)

    def _memory(self, node: Node) -> str | None:
        """The variable of a contiguous array that the entry stub has."""
        name = self.names.get(node, "")
        return name if name in self.recorder.contiguous else None

    def _write(self, node: Node) -> None:
        """`t[...] = value` in the memory that held the old elements."""
        value, index = node.inputs[1], [self._value(i) for i in node.inputs[2:]]
        given = self._value(value)
        name = self._written(node)
        if node.op is UPDATE:
            line = f"{name}[{_slices(node)}] = {given}"
        else:
            attrs = ", ".join(f"{k}={_literal(v)}" for k, v in node.attrs.items())
            arguments = ", ".join([name, given, *index, attrs])
            line = f"{node.op.name}_in_place({arguments})"
        self._emit(f"{line}  # {node.where}")
        contiguous = name in self.recorder.contiguous
        copied = native_copy(node, name, self._memory) if node.op is UPDATE and contiguous else None
        if copied is not None:
            self.recorder.copy(copied)
        else:
            self.recorder.effect(line)

    def _written(self, node: Node) -> str:
        """The variable that a write changes; those who need the old values keep a copy."""
        base = node.inputs[0]
        name = self._array(base)
        plan = self.staged.plan
        if node in plan.copied:
            copied = self.names[node] = self._copy(base)
            return copied
        if node in plan.saved:
            saved = self._copy(base)
            for view in [n for n in self.names if n is not base and memory_of(n) is base]:
                del self.names[view]
            self.names[base] = saved
        self.names[node] = name
        return name

    def _loop(self, node: Node) -> None:
        """A `while` or `for` with the lines of a step; the arrays that it carries are its own."""
        body: Graph = node.attrs["body"]
        order = list(range(len(body.inputs)))
        if anew := self._made_anew(body):
            body, order = handed_on(body, anew)
        writes = len(body.writes)
        first = writes + len(body.outputs) - node.attrs["last"]
        values = [node.inputs[k] for k in order]
        given = [self._copy(v) if k < first else self._invariant(v) for k, v in enumerate(values)]
        layouts = {
            str(i.attrs["name"]): self.layout.get(value, "C") if k >= first else "C"
            for k, (i, value) in enumerate(zip(body.inputs, values, strict=True))
        }
        index = str(node.attrs["index"])
        sizes = [*self.sizes, *([index] if index else [])]
        test: Graph | None = node.attrs.get("test")
        if test is not None:
            test = replace(test, inputs=tuple(test.inputs[k] for k in order))
        inner = _Builder(body, layouts, sizes, self.options, (), self, given)
        before, flag, lines = None, "", [f"{INDENT}while True:  # {node.where}"]
        if index:
            end = add(node.attrs["count"], SMALLEST)
            lines = [f"{INDENT}for {index} in range({SMALLEST}, {end}):  # {node.where}"]
        if test is not None:
            before = _Builder(test, layouts, sizes, self.options, (), self, given)
            (flag,) = before.results()
            before._emit(f"if not {flag}: break")
            before._let_go()
            lines += _indented(before.lines)
        news = inner.results()
        olds = given[writes:first]
        last = [self._fresh() for _ in news[len(olds) :]]
        inner._let_go(kept=news)
        if news:
            inner._emit(f"{', '.join([*olds, *last])} = {', '.join(news)}")
        elif not inner.lines:
            inner._emit("pass")
        self.lines += [*lines, *_indented(inner.lines)]
        self.left[node] = [given[order.index(k)] for k in range(first)] + last
        carried = [*zip([*olds, *last], news, strict=True)]
        tested = None if before is None else before.recorder
        count = str(node.attrs["count"])
        self.recorder.loop(index, count, tested, flag, inner.recorder, carried, last)

    def _made_anew(self, body: Graph) -> list[int]:
        """Which writes of a step are of whole arrays that no kernel can compute in place."""
        whole = [k for k, (_, write) in enumerate(body.writes) if is_whole(write)]
        if not whole:
            return []
        layouts = {str(i.attrs["name"]): "C" for i in body.inputs}
        plan = stage(with_own_outputs(body), layouts, self.options, outer=self.staged).plan
        return [k for k in whole if body.writes[k][1] in plan.steps]

    def _branch(self, node: Node) -> None:
        """An `if` with the lines of both sides; the arrays that they write to are its own."""
        condition, *values = node.inputs
        written: int = node.attrs["written"]
        given = [self._copy(v) if k < written else self._invariant(v) for k, v in enumerate(values)]
        flag = self._invariant(condition)
        inputs = node.attrs["taken"].inputs
        layouts = {
            str(i.attrs["name"]): self.layout.get(value, "C") if k >= written else "C"
            for k, (i, value) in enumerate(zip(inputs, values, strict=True))
        }
        sides, news = [], []
        for key in ("taken", "otherwise"):
            side = _Builder(node.attrs[key], layouts, self.sizes, self.options, (), self, given)
            news.append(side.results())
            side._let_go(kept=news[-1])
            sides.append(side)
        results = [self._fresh() for _ in news[0]]
        for side, made in zip(sides, news, strict=True):
            if results:
                side._emit(f"{', '.join(results)} = {', '.join(made)}")
            elif not side.lines:
                side._emit("pass")
        first, second = (_indented(side.lines) for side in sides)
        self.lines += [f"{INDENT}if {flag}:  # {node.where}", *first, f"{INDENT}else:", *second]
        self.left[node] = [*given[:written], *results]
        taken, otherwise = (side.recorder for side in sides)
        self.recorder.branch(flag, taken, otherwise, [*zip(results, *news, strict=True)])

    def _copy(self, node: Node) -> str:
        """A contiguous array of a value, which may be changed."""
        if node.op is UNINITIALISED:
            self._make(node)
            return self.names.pop(node)
        expression = f'array({self._value(node)}, {node.spec.dtype.name}, order="C")'
        name = self._fresh()
        self._emit(f"{name} = {expression}")
        target = Node(INPUT, (), {"name": name}, replace(node.spec, weak=False))
        whole = {"slices": whole_slices(node.spec.shape)}
        write = Node(UPDATE, (target, node), whole, target.spec, node.where)
        copied = native_copy(write, name, self._memory)
        if copied is None:
            self.recorder.call(name, expression)
        else:
            self.recorder.make(name, target.spec)
            self.recorder.copy(copied)
        return name

    def _invariant(self, node: Node) -> str:
        """The array of a value that a loop or a branch only reads; one of its own for a view; None
        for a call that comes before those inside.
        """
        if node.op in (HOST, LOOP, COND) or self.names.get(node) == "None":
            return "None"
        if node.kind is Kind.SOURCE and node.op is not INPUT:
            return self._copy(node)
        name = self._array(node)
        return name if name in self.recorder.data else self._copy(node)

    def results(self) -> list[str]:
        """The lines of a step or a side; gives the variables of what it computes, each in memory
        that nothing else has.
        """
        self._steps()
        return [self._array(node) for node in self.graph.outputs]

    def _host_result(self, node: Node) -> None:
        """An array that a host call gave: checked, and its sizes given their names."""
        position, shape, dtype, *_ = node.attrs.values()
        source, name = self.names[node.inputs[0]], self._named(node)
        expected = f"{name}.dtype == {dtype.name} and {name}.ndim == {len(shape)}"
        lines = [
            f'{name} = asarray({source}[{position}], order="C")',
            f'ensure({expected}, "{node.where}: another dtype or number of axes")',
        ]
        sizes = []
        for axis, dim in enumerate(shape):
            if isinstance(dim, int) or not node.attrs["brings"]:
                lines.append(f'ensure({name}.shape[{axis}] == {dim}, "{node.where}: another size")')
            else:
                lines.append(f"{dim} = {name}.shape[{axis}]")
                lines.append(f'ensure({dim} > 1, "{node.where}: another size")')
                self.bound.add(str(dim))
                sizes.append((axis, str(dim)))
        for guard in [g for g in self.waiting if symbols(g.dim) <= self.bound]:
            lines.append(f'ensure({guard}, "{guard}")')
            self.waiting.remove(guard)
        for line in lines:
            self._emit(line)
        self.recorder.call(name, name, lines, sizes=sizes)

    def _kernels(self, group: Group, kernels: Sequence[Lowered]) -> None:
        for node in group.outputs:
            if node in group.sinks:
                self._written(node)
            else:
                self._make(node)
        outside = next((lowered.outside for lowered in kernels if lowered.outside), None)
        if outside is not None:
            self._emit(f"{self._named(outside)} = asarray(False)")
            self.recorder.make(self.names[outside], outside.spec, zeros=True)
        for lowered in kernels:
            for node in lowered.partials:
                self._make(node)
            self._kernel(group, lowered, outside)
        for result, write in self.staged.plan.donated.items():
            if write in group.outputs:
                self.names[result] = self.names[write]
        if outside is not None:
            self._expect_false(self.names[outside])

    def _expect_false(self, flag: str) -> None:
        """Else the call is made once more in Python."""
        self._emit(f"ensure_false({flag})")
        self.recorder.expect_false(flag)

    def _make(self, node: Node) -> None:
        shape = _literal(node.spec.shape)
        self._emit(f"{self._named(node)} = empty({shape}, {node.spec.dtype.name})")
        self.recorder.make(self.names[node], node.spec)

    def _kernel(self, group: Group, lowered: Lowered, outside: Node | None) -> None:
        if outside is not None and lowered.outside is not None:
            self.names[lowered.outside] = self.names[outside]
        arrays = _tuple([self._array(n) for n in lowered.buffers])
        kernel = lowered.kernel
        sizes = [str(lowered.sizes[s]) for s in kernel.sizes]
        for node, buffer in zip(lowered.buffers, kernel.buffers, strict=True):
            strides = range(len(buffer.strides))
            sizes += [f"{self._array(node)}.strides[{k}]" for k in strides]
        work = f"{_product_text(lowered.domain)}*{_work(group, len(kernel.buffers))}"
        if lowered.shares_columns:  # threads in each other's cache lines gain nothing
            work += f"*(({lowered.extent})//{WIDE})"
        self._emit(f"{kernel.name}({arrays}, {_tuple(sizes)}, {lowered.extent}, {work})")
        names = tuple(self._array(n) for n in lowered.buffers)
        step = Run(len(self.kernels), names, tuple(sizes), str(lowered.extent), work)
        self.recorder.run(step)
        source = self._print(lowered, description(group))
        self.kernels.append(source)

    def _print(self, lowered: Lowered, doc: str) -> KernelSource:
        kernel = lowered.kernel
        if self.options.target == "cuda":
            from jitgraph_codegen.cuda_printer import print_kernel as print_cuda

            try:
                source = print_cuda(kernel, doc)
            except ValueError as error:
                raise CaptureError(f"{doc.splitlines()[0]}: {error}") from None
        else:
            source = print_kernel(kernel, doc, self.options.precise)
        return KernelSource(
            kernel.name,
            source.module,
            source.entry,
            len(kernel.buffers),
            len(lowered.outputs),
            len(kernel.arguments),
        )

    def _return(self) -> None:
        values: list[str] = []
        for node in self.graph.outputs:
            if node.kind is Kind.SOURCE and node.op is not INPUT:
                value = f"asarray({self._value(node)}, {node.spec.dtype.name})"
                name = self._fresh()
                self.recorder.call(name, value)
            else:
                value = name = self._array(node)
                if name in self.recorder.scalars:  # which may be no array
                    name = self._fresh()
                    self.recorder.call(name, f"asarray({value})")
            values.append(value)
            self.returned.append(self.recorder.returned(name))
        self._emit(f"return {_tuple(values)}")


def _indented(lines: Sequence[str]) -> list[str]:
    return [INDENT + line for line in lines]


def _ends_of_blocks(lines: Sequence[str]) -> list[int]:
    """For each line the last one of the loop or branch it is in, or itself."""
    found = list(range(len(lines)))
    for k in range(len(lines) - 2, -1, -1):
        if lines[k + 1].startswith((INDENT * 2, f"{INDENT}else:")):
            found[k] = found[k + 1]
    return found


def _is_zero(node: Node) -> bool:
    return node.op is CONSTANT and is_zero_bits(node.attrs["value"])


def _work(group: Group, buffers: int) -> int:
    """Additions that an element costs; an access to memory counts as two."""
    flops = sum(m.op.loop.flops if m.op.loop else 1 for m in group.inside)
    return flops + 2 * buffers


def description(group: Group) -> str:
    """The operations of a kernel by the user's lines, for its docstring."""
    by_line: dict[str, list[str]] = {}
    for node in group.place:
        by_line.setdefault(node.where, []).append(node.op.name)
    return "\n".join(f"{where}  {', '.join(ops)}" for where, ops in by_line.items())


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _slices(node: Node) -> str:
    """The part that an update writes, as Python's slices."""
    if all(
        start == 0 and step == 1 and size == d
        for (start, step, size), d in zip(node.attrs["slices"], node.spec.shape, strict=True)
    ):
        return "..."
    parts = []
    for start, step, size in node.attrs["slices"]:
        stop = add(start, mul(step, size))
        if step > 0:
            parts.append(f"{start}:{stop}" + (f":{step}" if step != 1 else ""))
        else:  # a stop of -1 would count from the end
            parts.append(f"span({start}, {step}, {size})")
    return ", ".join(parts)


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return _tuple(list(map(_literal, value)))
    if isinstance(value, np.dtype):
        return value.name
    return str(value) if isinstance(value, Size) else repr(value)


def _product_text(domain: tuple[Any, ...]) -> str:
    return "*".join(f"({d})" if " " in str(d) else str(d) for d in domain) or "1"
