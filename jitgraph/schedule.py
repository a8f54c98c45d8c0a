"""The order of a program's steps, and where its writes happen.

A write (`update`, `index_put`, `index_add`) gives an array with some elements new.  It happens in
the memory of the old array, once all who read the old values have run:

    copied   the memory is not the program's to change: the write starts from a copy
    saved    somebody reads the old values later all the same: they are given a copy made before
    sunk     the kernel that computes the new elements puts them straight where they belong
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from .access import WRITES, memory_of, reads, result_place, writes_to_arguments
from .affine import Affine, Index, fixed
from .checking import checks, may_not_end
from .errors import CaptureError
from .evaluation import takes_angle
from .fuse import Group, Partition, Refusal, Step, drop_unused, external_inputs
from .graph import SIZE, Node, SizeSources
from .ops import Kind, views
from .ops.host import HOST_RESULT
from .ops.library import MATMUL
from .symbolic import sub, symbols

_INVERTIBLE = (views.EXPAND_DIMS, views.SQUEEZE, views.TRANSPOSE)


@dataclass(frozen=True)
class Plan:
    """The steps of a program in order.

    saved, copied: writes, as above.  donated: for each result in the memory of an argument or of an
    array that it is the last to be computed from, the write that puts it there.
    """

    steps: tuple[Step, ...]
    refusals: tuple[Refusal, ...]
    saved: frozenset[Node]
    copied: frozenset[Node]
    donated: Mapping[Node, Node]


def schedule(
    partition: Partition, in_place: bool = True, donated: Collection[Node] = (), whole: bool = True
) -> Plan:
    """Order the steps that the outputs need; members of groups that no step reads are dropped.

    in_place: whether kernels may store into arrays that exist.  donated: inputs whose memory the
    results may have.  whole: whether it is a whole program, whose inputs are the caller's arrays.
    Raises CaptureError where a check would have to come after what could not be undone.
    """
    return _Scheduler(partition, in_place, donated, whole).plan()


class _Scheduler:
    def __init__(
        self, partition: Partition, in_place: bool, donated: Collection[Node], whole: bool
    ) -> None:
        self.in_place, self.whole = in_place, whole
        self.offered = list(donated)
        self.donated: dict[Node, Node] = {}
        self.partition, self.graph = partition, partition.graph
        self.group_of = partition.group_of
        self.sizes = SizeSources(self.graph.nodes)
        self.steps: list[Step] = []
        self.maker: dict[Node, Step] = {}
        self.after: dict[Step, set[Step]] = {}  # steps that must come first
        self.read: dict[Step, frozenset[Node]] = {}  # the memory each step reads
        self.saved: set[Node] = set()
        self.copied: set[Node] = set()

    def plan(self) -> Plan:
        guarded = {name for guard in self.graph.guards for name in symbols(guard.dim)}
        self._demand([*self.graph.needed, *self.sizes.bringing(guarded)])
        for step in self.steps:
            if isinstance(step, Group):
                drop_unused(step)
        for step in self.steps:
            self.after[step] = {self.maker[n] for n in self._needs(step) if n in self.maker} - {
                step
            }
        self._place_writes()
        for argument in self.offered:
            self._donate_argument(argument)
        for step in list(self.steps) if self.in_place else ():
            self._donate_own(step)
        return Plan(
            tuple(self._ordered()), self.partition.refusals,
            frozenset(self.saved), frozenset(self.copied), self.donated,
        )  # fmt: skip

    def _demand(self, outputs: Iterable[Node]) -> None:
        """Mark values as needed in memory; deep graphs make this iterative."""
        stack, done = list(outputs), set[Node]()
        while stack:
            node = stack.pop()
            if node in done or node.kind is Kind.SOURCE:
                continue
            done.add(node)
            stack.extend(self.sizes.of(node))
            if not node.op.fresh:
                stack.extend(node.inputs)
                continue
            step: Step = self.group_of.get(node) or node
            self.maker[node] = step
            if isinstance(step, Group):
                step.outputs.append(node)
            if step not in self.after:
                self.after[step] = set()
                self.steps.append(step)
            stack.extend(self._needs(step))

    def _needs(self, step: Step) -> list[Node]:
        """What must be in memory before a step; views are taken when they are used."""
        members = [step] if isinstance(step, Node) else list(step.inside)
        sources = list(step.inputs) if isinstance(step, Node) else external_inputs(step)
        sizes = [i for member in members for i in member.inputs if i.op is SIZE]
        brought = [source for node in (*members, *sizes) for source in self.sizes.of(node)]
        return [*map(memory_of, sources), *brought]

    def _ordered(self) -> list[Step]:
        """The steps, each after those it needs."""
        order: list[Step] = []
        entered: set[Step] = set()
        for start in self.steps:
            stack = [(start, False)]
            while stack:
                step, finished = stack.pop()
                if finished:
                    order.append(step)
                elif step not in entered:
                    entered.add(step)
                    stack.append((step, True))
                    stack.extend((s, False) for s in self._sorted(self.after[step]))
        return order

    def _sorted(self, steps: set[Step]) -> list[Step]:
        return [s for s in self.steps if s in steps]

    # writes

    def _place_writes(self) -> None:
        own = writes_to_arguments(self.graph)
        self._check_first(own if self.whole else ())
        outputs = {memory_of(o) for o in self.graph.outputs}
        of_arguments = {*self.graph.inputs, *own}
        for write in [n for n in self.graph.nodes if n.op in WRITES and n in self.maker]:
            base = write.inputs[0]
            not_ours = base in of_arguments and write not in own
            if not base.op.fresh or not_ours or _is_foreign(base):
                self.copied.add(write)
                continue
            readers = [s for s in self.steps if s is not write and self._reads(s, base)]
            later = [s for s in readers if self._depends(s, write)]
            self.after[write].update(s for s in readers if s not in later)
            if later or base in outputs:
                self.saved.add(write)
            elif write.op is views.UPDATE and self.in_place:
                self._sink(write)

    def _check_first(self, own: Collection[Node]) -> None:
        """Put checks before writes to arguments, and before later loops that might not end."""
        before: list[Step] = []
        checking = [step for step in self.steps if isinstance(step, Node) and checks(step)]
        for node in self.graph.nodes if checking else ():
            if node in checking:
                if may_not_end(node):
                    self._put_after(node, before)
                before.append(node)
            elif node in own and node in self.maker:
                self._put_after(node, checking)
            elif node in self.maker and may_not_end(node):
                self._put_after(node, before)

    def _put_after(self, later: Step, sooner: Collection[Step]) -> None:
        for step in sooner:
            if self._depends(step, later):
                raise CaptureError("it asserts something that is computed with what comes after it")
            self.after[later].add(step)

    def _donate_argument(self, argument: Node) -> None:
        """Give an argument's memory to a result."""
        written = {i for i, _ in self.graph.writes}
        if argument in written or argument in map(memory_of, self.graph.outputs):
            return
        for result in self.graph.outputs:
            group = self.group_of.get(result)
            if group is not None and self._donate(argument, result, group):
                return

    def _donate_own(self, step: Step) -> None:
        """Give the memory of a kernel's results, or of a matrix product, to those computed from
        them element by element.
        """
        if not isinstance(step, Group) and step.op is not MATMUL:
            return
        made = step.outputs if isinstance(step, Group) else [step]
        for array in made:
            if array.op in WRITES or array in self._kept:
                continue
            for group in self._readers[array]:
                if _is_plain(group) and any(
                    self._donate(array, result, group) for result in list(group.outputs)
                ):
                    break

    @cached_property
    def _readers(self) -> Mapping[Node, list[Group]]:
        """The kernels that read an array."""
        found: dict[Node, list[Group]] = defaultdict(list)
        for step in self.steps:
            if isinstance(step, Group):
                for array in set(map(memory_of, external_inputs(step))):
                    found[array].append(step)
        return found

    @cached_property
    def _kept(self) -> frozenset[Node]:
        """Arrays that are handed out, or that a write changes."""
        writes = (n for n in self.graph.nodes if n.op in WRITES and n not in self.copied)
        return frozenset(map(memory_of, self.graph.outputs)) | {w.inputs[0] for w in writes}

    def _donate(self, array: Node, result: Node, group: Group) -> bool:
        """Store a result where an array was, if it is computed element by element from it, and
        all others have read it before.
        """
        if (
            result not in group.outputs
            or result.op in WRITES
            or result.spec != array.spec
            or result in self.donated
            or (group.along_rows and result.kind is Kind.REDUCE)
        ):
            return False
        readers = {s for s in self.steps if s is not group and self._reads(s, array)}
        whole = views.whole_slices(array.spec.shape)
        write = Node(views.UPDATE, (array, result), {"slices": whole}, array.spec)
        target = write_index(write, result, group)
        in_step = all(index == target for index in _accesses(group, array))
        if not in_step or any(self._depends(s, group) for s in readers):
            return False
        group.outputs[group.outputs.index(result)] = write
        group.sinks[write] = result
        self.after[group] |= readers
        self.donated[result] = write
        return True

    def _reads(self, step: Step, base: Node) -> bool:
        """Whether a step reads an array's memory; groups have all their members by now."""
        if step not in self.read:
            sources = step.inputs if isinstance(step, Node) else external_inputs(step)
            self.read[step] = frozenset(map(memory_of, sources))
        return base in self.read[step]

    def _depends(self, step: Step, on: Step) -> bool:
        stack, seen = [step], set[Step]()
        while stack:
            step = stack.pop()
            if step is on:
                return True
            if step not in seen:
                seen.add(step)
                stack.extend(self.after[step])
        return False

    def _sink(self, write: Node) -> None:
        """Let the kernel that computes the new elements store them in place, where that is safe."""
        value = write.inputs[1]
        while value.op in _INVERTIBLE:
            value = value.inputs[0]
        group = self.group_of.get(value)
        if group is not None and group.along_rows and value.kind is Kind.REDUCE:
            return  # it needs its own memory to add up in
        if (
            group is None
            or value not in group.outputs
            or value in map(memory_of, self.graph.outputs)
            or (self.maker.get(write.inputs[0]) is group and not _apart(write, group))
        ):
            return
        others = [s for s in self.steps if s is not write and self._reads(s, value)]
        first = self.after[write] - {group}
        if others or any(self._depends(s, group) for s in first):
            return
        target = write_index(write, value, group)
        read = _accesses(group, write.inputs[0])
        if not all(index == target or _elsewhere(index, target) for index in read):
            return
        group.outputs.remove(value)
        group.outputs.append(write)  # after the write that it is made upon
        group.sinks[write] = value
        self.maker[write] = group
        self.after[group] |= first
        self.steps.remove(write)
        del self.after[write]
        for needed in self.after.values():
            if write in needed:
                needed.remove(write)
                needed.add(group)


def _is_plain(group: Group) -> bool:
    """Whether the kernel passes once over its arrays; one of several passes puts its results to use
    as memory meanwhile.
    """
    several = group.reduced or group.nested or group.across or group.along_rows
    return not several and not any(takes_angle(m) for m in group.inside)


def _apart(write: Node, group: Group) -> bool:
    """Whether all that the group writes to the same array lies elsewhere in it, as the columns of a
    matrix do that are computed each on its own.
    """
    before = write.inputs[0]
    while before in group.sinks:
        pairs = zip(before.attrs["slices"], write.attrs["slices"], strict=True)
        if not any(views.are_disjoint(a, b) for a, b in pairs):
            return False
        before = before.inputs[0]
    return before.op.fresh and before not in group.outputs


def _is_foreign(node: Node) -> bool:
    """Memory that a host call gave, which others may hold."""
    return node.op is HOST_RESULT


def write_index(write: Node, value: Node, group: Group) -> Index:
    """Where in the written array the group puts the element it computes."""
    chain, node = [], write.inputs[1]
    while node is not value:
        chain.append(node)
        node = node.inputs[0]
    index: tuple[Affine, ...] = result_place(value, group.place[value])
    for view in reversed(chain):
        axes = view.attrs["axes"]
        if view.op is views.TRANSPOSE:
            index = tuple(index[k] for k in axes)
        elif view.op is views.SQUEEZE:
            index = tuple(i for k, i in enumerate(index) if k not in axes)
        else:
            rest = iter(index)
            index = tuple(fixed(0) if k in axes else next(rest) for k in range(view.spec.ndim))
    return tuple(
        fixed(start) if isinstance(size, int) and size == 1 else i * step + start
        for i, (start, step, size) in zip(index, write.attrs["slices"], strict=True)
    )


def _elsewhere(read: Index | None, written: Index) -> bool:
    """Whether a kernel writes to one place along an axis, and reads at another there."""
    if read is None:
        return False
    for a, b in zip(read, written, strict=True):
        apart = 0 if a.terms or b.terms else sub(a.offset, b.offset)
        if isinstance(apart, int) and apart != 0:
            return True
    return False


def _accesses(group: Group, base: Node) -> Iterator[Index | None]:
    """The indices a group reads an array at; None for a read through a view of its memory."""
    inside = group.inside
    seen: set[tuple[Node, Index]] = set()
    stack = [(m, p) for m, p in group.place.items()]
    while stack:
        node, index = stack.pop()
        for source, at in reads(node, index):
            if source is base:
                yield at
            elif source in inside:
                placed = group.place.get(source)
                elsewhere = placed is None or (placed != at and source.kind is not Kind.REDUCE)
                if elsewhere and (source, at) not in seen:
                    seen.add((source, at))
                    stack.append((source, at))
            elif memory_of(source) is base:
                yield None
