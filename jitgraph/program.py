"""A captured function ready to run: its program, and what must hold for a call to use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jitgraph_codegen import blas, store
from jitgraph_codegen import program as runtime
from jitgraph_codegen.kernels import counters, machine_codes, missing
from jitgraph_codegen.machine_code import MachineCode
from jitgraph_codegen.native import NativeProgram
from jitgraph_codegen.source import KernelSource

from . import config
from .checking import check_before_writes, checks
from .components import write_out_components
from .graph import INPUT, Graph, Node, with_bodies
from .hoisting import hoist_invariants
from .loop_fusion import fuse_loops
from .ops import TABLE
from .ops.indexing import add_in_place, put_in_place
from .options import Options
from .progress import CompileProgress
from .rewrite import read_what_was_written, share_final_values, simplify, without_detached
from .spec import is_inexact
from .symbolic import Guard, evaluate, is_known_before, symbols
from .symbolic_int import SymbolicInt
from .tape import record_together
from .tensor import Tensor, wrapped
from .tree import LEAF, Tree
from .unpacking import CallForm

if TYPE_CHECKING:
    from .autodiff import Differentiated
    from .capture import Captured


@dataclass(frozen=True)
class Fixed:
    """A result that the graph does not compute: a Python value, an array made in the function."""

    value: Any

    def result(self, sizes: Mapping[str, int]) -> Any:
        if isinstance(self.value, np.ndarray):
            return self.value.copy()
        if isinstance(self.value, SymbolicInt):
            return evaluate(self.value.env.canonical(self.value.dim), sizes)
        return self.value


@dataclass(frozen=True)
class NativeCode:
    """A native program with its kernels in memory, and the Python functions it calls."""

    program: NativeProgram
    kernels: list[MachineCode]
    functions: dict[str, Callable[..., Any]]


@dataclass
class Specialisation:
    """One captured version of a function.

    wanted: positions of the inputs whose gradient is asked for.
    results: for each leaf of the function's value, the graph output it is, or a `Fixed`.
    """

    captured: Captured
    layouts: dict[str, str]
    options: Options
    tree: Tree
    results: tuple[int | Fixed, ...]
    wanted: tuple[int, ...]
    lifted_entries: tuple[Any, ...]
    origins: Mapping[str, str]  # what in the arguments a size is, as in "x.shape[0]"
    donated: tuple[int, ...] = ()  # positions of the inputs whose memory the results may have
    of_tensors: bool = False  # whether its results are Tensors
    gradients: tuple[tuple[Tensor, int | None], ...] = ()  # whose `.grad` is an output, or None
    hits: int = 0
    not_native: str | None = None  # why calls go through Python; empty if they do not
    forms: set[CallForm] = field(default_factory=set)  # of calls that a stub was made for
    python_steps: int = 0  # functions that machine code calls

    @property
    def compiled_in(self) -> set[str]:
        """The sizes and numbers of the arguments that this version was compiled for."""
        settled = [g.dim for g in self.captured.graph.guards if g.relation == "=="]
        values = [dim for dim in settled if len(symbols(dim)) == 1]
        fixtures = {f"{f.place.name}" for f in self.captured.fixtures}
        return {self.origins.get(n, n) for dim in values for n in symbols(dim)} | (
            set() if values else fixtures
        )

    @cached_property
    def graph(self) -> Graph:
        """The graph after simplification."""
        graph = self.captured.graph
        if not self.wanted:
            graph = _everywhere(graph, without_detached)
        graph = _everywhere(simplify(graph), fuse_loops)
        graph = simplify(_everywhere(simplify(graph), hoist_invariants))
        if self.options.target == "cpu":
            graph = simplify(_everywhere(graph, write_out_components))
        if any(map(checks, graph.effects)):
            return check_before_writes(graph)
        return _everywhere(graph, lambda g: share_final_values(read_what_was_written(g)))

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        return tuple(name for name in self.captured.env.hints if name.startswith("s"))

    @cached_property
    def holds(self) -> Callable[[Sequence[int]], bool]:
        """Whether the guards hold for the sizes of a call, as compiled Python."""
        guards = [g for g in self.graph.guards if is_known_before(g.dim)]
        return _guard_function(guards, self.symbols)

    @cached_property
    def differentiated(self) -> Differentiated:
        from .autodiff import differentiate

        return differentiate(self.graph, self.wanted, self.captured.env.hints)

    @cached_property
    def forward(self) -> Callable[..., tuple[Any, ...]]:
        graph = self.differentiated.forward if self.wanted else self.graph
        return self._load(graph, self.layouts)

    def stays_array(self, position: int) -> bool:
        """Whether a result of no axes is handed out as an array, not as a scalar."""
        return _stays_array(self.captured.graph.outputs[position])

    def native(self) -> NativeCode | None:
        """The program for the entry stub, if it takes one."""
        source = self.source(self.graph, self.layouts)
        if source.native is None or self.options.target != "cpu":
            return None
        kernels = machine_codes(source.kernels)
        functions = runtime.functions(source.native, self._operations())
        return NativeCode(source.native, kernels, functions)

    def forget_first_calls(self) -> None:
        """Make the function's calls of others at the next run too: no run of the call that was
        captured, when they were made, follows.
        """
        for host in self.captured.hosts:
            host.first = None

    @property
    def may_end_after_writes(self) -> bool:
        """Whether another function may end a run that has written to arrays of the caller's."""
        giving = any(h.result is not None and h.result.size for h in self.captured.hosts)
        return giving and bool(self.captured.written)

    @property
    def asserts(self) -> bool:
        """Whether its program makes sure of what the function asserts."""
        return any(map(checks, self.captured.graph.effects))

    @property
    def kernels_to_compile(self) -> int:
        """How many kernels neither memory nor disk has."""
        graph = self.differentiated.forward if self.wanted else self.graph
        return missing(self.source(graph, self.layouts).kernels)

    def _operations(self) -> dict[str, Callable[..., Any]]:
        """What the program's text calls by name: the library, and the user's calls of others."""
        hosts = {f"host{k}": call for k, call in enumerate(self.captured.hosts)}
        return library_operations() | hosts

    @cached_property
    def backward(self) -> Callable[..., tuple[Any, ...]]:
        parts = self.differentiated
        kept = parts.forward.outputs[parts.outputs :]
        layouts = {f"r{k}": self.layouts.get(_input_name(n), "C") for k, n in enumerate(kept)}
        return self._load(parts.backward, layouts)

    def source(self, graph: Graph, layouts: Mapping[str, str]) -> runtime.ProgramSource:
        """The program of a graph, from the store if it was ever built on this machine."""
        donated = [_input_name(self.captured.graph.inputs[k]) for k in self.donated]
        return program_of(graph, layouts, self.symbols, self.options, donated)

    def _load(self, graph: Graph, layouts: Mapping[str, str]) -> Callable[..., tuple[Any, ...]]:
        source = self.source(graph, layouts)
        launcher: Callable[[KernelSource], Callable[..., None]] | None = None
        if self.options.target == "cuda":
            from jitgraph_codegen.cuda_compile import launcher as on_device

            launcher = on_device
        config.log("source", source.text)
        before = counters.compiled, counters.loaded
        with CompileProgress(graph.name) as progress:
            program = runtime.load(
                source, self._operations(), self.options.parallel, launcher, progress
            )
        compiled, loaded = counters.compiled, counters.loaded
        config.log(
            "cache",
            f"{graph.name}: of {len(source.kernels)} kernels {compiled - before[0]} were compiled "
            f"and {loaded - before[1]} came from {store.folder()}",
        )
        return program

    @cached_property
    def _returned(self) -> tuple[Callable[[Any], Any], ...]:
        """How each output is handed to the user: 0-d results are NumPy's or Python's scalars."""
        if self.of_tensors:
            return tuple(_number_or_tensor(o.spec.weak) for o in self.captured.graph.outputs)
        return tuple(map(_handed_out, self.captured.graph.outputs))

    def run(self, arrays: list[Any], sizes: list[int], inputs: Sequence[Tensor | None]) -> Any:
        """Run on the arrays of a call, lifted ones last, and build the function's value."""
        if self.wanted:
            return self._assembled(self._on_tape(arrays, sizes, inputs), sizes)
        return self.built(self.forward(*arrays, sizes), sizes)

    def built(self, computed: Sequence[Any], sizes: Sequence[int]) -> Any:
        """The function's value from the program's results."""
        values = [r(v) for r, v in zip(self._returned, computed, strict=True)]
        for tensor, position in self.gradients:
            tensor._grad = None if position is None else values[position]
        for function in self.captured.afterwards:
            function()
        if self.tree is LEAF and self.results == (0,):
            return values[0]
        return self._assembled(values, sizes)

    def _assembled(self, values: Sequence[Any], sizes: Sequence[int]) -> Any:
        named = dict(zip(self.symbols, sizes, strict=True))
        leaves = [values[r] if isinstance(r, int) else r.result(named) for r in self.results]
        return self.tree.unflatten(leaves)

    @cached_property
    def derivative(self) -> Specialisation:
        """The gradients as a program of the inputs and of the cotangents of the outputs."""
        graph, count = self.differentiated.pullback, len(self.captured.graph.inputs)
        seeds = range(count, len(graph.inputs))
        captured = replace(self.captured, graph=graph, lifted=(), fixtures=(), afterwards=())
        return Specialisation(
            captured, self.layouts | {_input_name(graph.inputs[k]): "C" for k in seeds},
            self.options, LEAF, (), (*self.wanted, *seeds), (), self.origins, of_tensors=True,
        )  # fmt: skip

    def _on_tape(
        self, arrays: Sequence[Any], sizes: list[int], inputs: Sequence[Tensor | None]
    ) -> list[Tensor]:
        """Tensors that share one entry of the tape: the whole program is one node."""
        parts, written = self.differentiated, self.captured.written
        before = [a.copy() if k in written else a for k, a in enumerate(arrays)]
        computed = self.forward(*arrays, sizes)
        outputs = [Tensor(v) for v in computed[: parts.outputs]]
        residuals = computed[parts.outputs :]
        sources = tuple(inputs[k] for k in self.wanted)
        templates = [(o.shape, o.dtype) for o in outputs]

        def pull_all(given: dict[int, Any], create_graph: bool) -> list[Any]:
            cotangents = [
                given.get(k, np.zeros(shape, dtype))
                for k, (shape, dtype) in enumerate(templates)
                if is_inexact(dtype)
            ]
            seeds = [
                np.asarray(g.data if isinstance(g, Tensor) else g, g.dtype, order="C")
                for g in cotangents
            ]
            found: Sequence[Any]
            if create_graph:
                tensors = [g if isinstance(g, Tensor) else wrapped(g) for g in cotangents]
                everything = [*before, *seeds]
                found = self.derivative._on_tape(everything, sizes, [*inputs, *tensors])
            else:
                found = self.backward(*residuals, *seeds, sizes)
            gradients: list[Any] = [None] * len(sources)
            for position, gradient in zip(parts.reached, found, strict=True):
                gradients[position] = gradient
            return gradients

        record_together(self.graph.name, outputs, sources, pull_all)
        return outputs


def _everywhere(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """A graph changed, and those inside its loops."""
    return change(with_bodies(graph, lambda inner: _everywhere(inner, change)))


def _handed_out(node: Node) -> Callable[[Any], Any]:
    if node.spec.weak:
        return lambda value: value.item()
    if node.spec.ndim or _stays_array(node):
        return lambda value: value
    return lambda value: value[()]


def _number_or_tensor(weak: bool) -> Callable[[Any], Any]:
    return (lambda value: value.item()) if weak else wrapped


def _stays_array(node: Node) -> bool:
    array = node.op is INPUT or node.op.name in _ARRAYS_OF_NO_AXES
    return array or node.attrs.get("scalar") is False


_ARRAYS_OF_NO_AXES = frozenset(
    ("where", "full", "update", "reshape", "broadcast_to", "transpose")
)  # where NumPy gives an array of no axes, not a scalar


def _input_name(node: Node) -> str:
    return str(node.attrs.get("name", ""))


def _guard_function(
    guards: Sequence[Guard], symbols: Sequence[str]
) -> Callable[[Sequence[int]], bool]:
    if not guards:
        return lambda sizes: True
    unpack = f"    {', '.join(symbols)}, = sizes\n"
    condition = " and ".join(map(str, guards))
    namespace: dict[str, Any] = {}
    exec(f"def holds(sizes):\n{unpack}    return {condition}\n", namespace)
    holds: Callable[[Sequence[int]], bool] = namespace["holds"]
    return holds


def program_of(
    graph: Graph,
    layouts: Mapping[str, str],
    sizes: Sequence[str],
    options: Options,
    donated: Sequence[str] = (),
) -> runtime.ProgramSource:
    """The program of a simplified graph, from the store if it was ever built on this machine.

    layouts: "C", "R" or "A" for each input by name; sizes: names of the sizes a call brings;
    donated: inputs whose memory the results may have.
    """
    text = f"{graph}\n{sorted(layouts.items())} {sizes} {options} {donated}"
    key = store.key("program", text, _generator(), runtime.generator())
    found = store.read(key, "program")
    if found is not None:
        return runtime.ProgramSource.from_json(found[1])
    from .build import build  # the compiler proper, which a warm start does not need

    source = build(graph, layouts, sizes, options, donated)
    store.write(key, "program", {"name": graph.name}, source.to_json())
    return source


@cache
def _generator() -> str:
    """What programs depend on besides their graph: NumPy, whether its BLAS is one whose functions
    are known, and the front end's own source.
    """
    known = f"{np.__version__} {bool(blas.addresses())}"
    return store.key(known, store.fingerprint(Path(__file__).parent, ("*.py", "*/*.py")))


def library_operations() -> dict[str, Callable[..., Any]]:
    """NumPy evaluations by name, for a program's text to call."""
    writes = {"index_put_in_place": put_in_place, "index_add_in_place": add_in_place}
    return {name: op.eval for name, op in TABLE.items()} | writes
