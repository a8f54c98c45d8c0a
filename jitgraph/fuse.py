"""Fusion: which operations become one kernel.

A group is a set of operations computed in one loop nest over a domain.  Each member has a place in
the domain: the index, in the domain's axes, of the element it computes at one point.  Members that
are reduced, and those computed from them, sit on the axes that are left ("rows"); a group with rows
is a kernel of several passes over each row.

An operation joins the group of its operand when every operand it reads there is read at its own
place.  An operand read elsewhere (a shifted slice, a transpose) is computed again where it is used
if that is cheap, or else kept in memory.  Legality first, then greedily: joining always saves the
bytes of a result that need not be written and read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

from .access import (
    WRITES,
    domain_of,
    is_one,
    is_transparent,
    readers_before_writes,
    reads,
    result_place,
    runs_along_memory,
    sources,
)
from .affine import Index, identity
from .affine import axis as affine_axis
from .graph import INPUT, Graph, Node
from .ops import Kind
from .ops.elementwise import CAST
from .spec import COMPLEX, FUSABLE
from .symbolic import Dim

RECOMPUTE_FLOPS = 16  # an operand this cheap is computed twice rather than stored
MOST_OPERATIONS = 200  # of a kernel, whose compilation takes longer than that of two halves
MOST_ARRAYS = 12  # that groups read which are joined for having some in common
MOST_READ_AGAIN = 3  # arrays read to compute an operand again: to store it costs as much
SPREAD_FLOPS = 3  # the same for one that would be computed once per row


@dataclass(eq=False)
class Group:
    """Operations of one kernel over `domain`, reducing `reduced` axes of it.

    With `nested` axes there are two loops of reductions: the nearest of some centres is a minimum
    over centres of a sum over coordinates.
    """

    domain: tuple[Dim, ...]
    reduced: frozenset[int] = frozenset()
    along_rows: bool = False  # whether reductions add up whole rows, see `_runs_along_rows`
    across: bool = False  # whether a scan runs across rows, see `runs_along_memory`
    nested: frozenset[int] = frozenset()  # axes reduced to what `reduced` axes are reduced over
    place: dict[Node, Index] = field(default_factory=dict)  # members, producers first
    inlined: set[Node] = field(default_factory=set)  # computed again here
    outputs: list[Node] = field(default_factory=list)
    sinks: dict[Node, Node] = field(default_factory=dict)  # update made in place -> its member

    @property
    def inside(self) -> set[Node]:
        return self.inlined | self.place.keys()

    @property
    def outer(self) -> tuple[int, ...]:
        inner = self.reduced | self.nested
        return tuple(k for k in range(len(self.domain)) if k not in inner)


@dataclass(frozen=True)
class Refusal:
    """Why a consumer is not computed with its producer."""

    producer: Node
    consumer: Node
    reason: str


Step = Group | Node  # a kernel, or an operation carried out by NumPy


@dataclass(frozen=True)
class Partition:
    """Which group each operation belongs to; the others are carried out by NumPy."""

    graph: Graph
    group_of: dict[Node, Group]
    refusals: tuple[Refusal, ...]


def partition(graph: Graph, nesting: bool = True) -> Partition:
    """Group the graph's operations into kernels and library calls.

    nesting: whether loops may be nested in other ways than rows around reductions.
    """
    fusion = _Fusion(graph, nesting)
    for node in graph.nodes:
        if is_fusable(node) and (nesting or node.kind is not Kind.SCAN):
            fusion.visit(node)
    if nesting:
        fusion.join_siblings()
    return Partition(graph, fusion.group_of, tuple(fusion.refusals))


def is_fusable(node: Node) -> bool:
    """Whether loops are generated for an operation; the rest goes to NumPy."""
    if node.kind not in (Kind.ELEMENTWISE, Kind.REDUCE, Kind.SCAN):
        return False
    if node.kind is Kind.SCAN and is_one(node.spec.shape[node.attrs["axis"]]):
        return False
    dtypes = [s.dtype for s in (node.spec, *[i.spec for i in node.inputs])]
    known = FUSABLE | COMPLEX if _is_complex_loop(node) else FUSABLE
    if any(d.char not in known for d in dtypes):
        return False
    if any(isinstance(d, int) and d == 0 for i in (node, *node.inputs) for d in i.spec.shape):
        return False  # nothing to compute, and NumPy knows the neutral elements
    if node.op.loop_dtypes is not None and node.op.name != "cast":
        dtypes = list(node.op.loop_dtypes(*[i.spec for i in node.inputs]))
        if any(d.char not in known for d in dtypes):
            return False
        if node.op.loop is not None and dtypes[0].kind in node.op.loop.numpy_only:
            return False
    return True


def _is_complex_loop(node: Node) -> bool:
    """Whether complex numbers are computed in a loop; a cast to a real number warns, in NumPy."""
    drops = node.op is CAST and node.spec.dtype.kind != "c"
    return node.op.loop is not None and node.op.loop.on_complex and not drops


class _Fusion:
    def __init__(self, graph: Graph, nesting: bool) -> None:
        self.graph, self.nesting = graph, nesting
        self.consumers: dict[Node, set[Node]] = {}
        for node in graph.nodes:
            if not is_transparent(node):
                for source in (s for i in node.inputs for s in sources(i)):
                    self.consumers.setdefault(source, set()).add(node)
        self.needed = {source for node in graph.needed for source in sources(node)}
        self.groups: list[Group] = []
        self.group_of: dict[Node, Group] = {}
        self.inputs_of: dict[Group, tuple[tuple[int, int], list[Node]]] = {}
        self.before = readers_before_writes(graph)
        self.refusals: list[Refusal] = []

    def visit(self, node: Node) -> None:
        """Put an operation into the first group of its operands that can take it, or its own."""
        operands = list(reads(node, identity(domain_of(node))))
        candidates: list[Group] = []
        for source, _ in operands:
            group = self.group_of.get(source)
            if group is not None and group not in candidates:
                candidates.append(group)
        home: Group | None = None
        for group in reversed(candidates):
            home = self._joined(node, operands, group, home)
        if home is None:
            home = Group(domain_of(node))
            self.groups.append(home)
            self._enter(home, node, identity(home.domain))
        for source, index in operands:
            if source in self.group_of and self.group_of[source] is not home:
                self._inline(home, node, source, index)

    def _joined(
        self, node: Node, operands: list[tuple[Node, Index]], group: Group, home: Group | None
    ) -> Group | None:
        """`group` with the operation added, or `home` (where it is already) with `group` merged
        in.
        """
        place = self._fits(node, operands, group, home)
        if isinstance(place, str):
            self._refuse(operands, group, node, place)
            return home
        if home is None:
            self._enter(group, node, place)
            return group
        reason = self._merged(home, group, node, place)
        if reason:
            self._refuse(operands, group, node, reason)
        return home

    def _enter(self, group: Group, node: Node, place: Index) -> None:
        if node.kind is Kind.REDUCE:
            reduced = {i.axis for k, i in enumerate(place) if k in node.attrs["axis"]} - {None}
            axes = frozenset(k for k in reduced if k is not None)
            if group.reduced and axes != group.reduced:
                group.nested, group.reduced = group.reduced, axes
            else:
                group.reduced = axes
        if node.kind is Kind.SCAN:
            axis = place[node.attrs["axis"]].axis
            group.reduced = frozenset(() if axis is None else (axis,))
            group.across = not runs_along_memory(node)
        first = node.kind is Kind.REDUCE and not any(m.kind is Kind.REDUCE for m in group.place)
        group.place[node] = place
        self.group_of[node] = group
        if first:
            group.along_rows = self.nesting and _runs_along_rows(group)

    def _refuse(
        self, operands: list[tuple[Node, Index]], group: Group, node: Node, why: str
    ) -> None:
        source = next(s for s, _ in operands if self.group_of.get(s) is group)
        self.refusals.append(Refusal(source, node, why))

    def _fits(
        self, node: Node, operands: list[tuple[Node, Index]], group: Group, home: Group | None
    ) -> Index | str:
        """Where the operation sits in the group's domain, or why it has no place there."""
        together = {group} if home is None else {group, home}
        if sum(len(g.place) for g in together) >= MOST_OPERATIONS:
            return f"a kernel of more than {MOST_OPERATIONS} operations takes long to compile"
        domain = domain_of(node)
        own_to_group: dict[int, int] = {}
        for source, index in operands:
            if self.group_of.get(source) is not group:
                continue
            if not _unify(index, result_place(source, group.place[source]), own_to_group):
                return "it reads the result at another index"
        _extend(own_to_group, domain, group.domain)
        place = _renamed(identity(domain), own_to_group)
        if place is None:
            return "its loops are others"
        if any(domain[k] != group.domain[v] for k, v in own_to_group.items()):
            return "its loops are others"
        covered = set(own_to_group.values())
        everything = {k for k, d in enumerate(group.domain) if not (isinstance(d, int) and d == 1)}
        everything -= group.nested
        rows = everything - group.reduced
        results = [s for s, _ in operands if s in group.place and s.kind is Kind.REDUCE]
        if results and group.along_rows:
            return "rows are added up as a whole"
        if group.across and (node.kind is Kind.REDUCE or covered != everything):
            return "a scan runs across its rows"
        if group.nested and self._waits_for_rows(operands, group, covered, rows):
            return "it would reduce the nested axes again"
        if node.kind is Kind.REDUCE:
            axes = {v for k, v in own_to_group.items() if k in node.attrs["axis"]}
            if covered == rows and home is None and self._may_nest(group, axes, rows):
                return place
            if covered != everything:
                return "it reduces what is reduced already"
            if group.reduced and axes != group.reduced:
                return "it reduces other axes"
            if not group.reduced and any(r.kind is Kind.REDUCE for r in group.place):
                return "it reduces other axes"
        elif covered != everything and not (group.reduced and covered == rows):
            return "its loops are others"
        if node.kind is Kind.SCAN:
            along = {v for k, v in own_to_group.items() if k == node.attrs["axis"]}
            several = any(m.kind is Kind.REDUCE for m in group.place) and not group.reduced
            if covered != everything or group.nested or group.along_rows or several:
                return "its loops are others"
            if group.reduced and along != group.reduced:
                return "it runs along another axis"
            if group.place and not runs_along_memory(node) and _reduces(group):
                return "it runs across the rows of a reduction"
        if group.reduced and not rows and covered and node.kind is not Kind.REDUCE:
            return "the whole array is one row: a second kernel runs in parallel"
        if self._reaches(
            [s for s, _ in operands if self.group_of.get(s) not in together], together
        ):
            return "another step lies between them"
        return place

    def _may_nest(self, group: Group, axes: set[int], rows: set[int]) -> bool:
        """Whether a reduction of a group's rows can be its outer one: rows must be left to run in
        parallel, and nobody else may need the elements that are reduced first.
        """
        if not self.nesting or group.nested or not group.reduced or not set() < axes < rows:
            return False
        if group.along_rows:
            return False
        inside = group.inside
        return all(
            member not in self.needed and self.consumers.get(member, set()) <= inside
            for member in inside
            if member.kind is not Kind.REDUCE
            and any(i.axes() & group.reduced for i in group.place.get(member, ()))
        )

    def _waits_for_rows(
        self,
        operands: list[tuple[Node, Index]],
        group: Group,
        covered: set[int],
        rows: set[int],
    ) -> bool:
        """Whether elements would be computed again, their nested reductions too, for a second pass
        over a row.
        """
        if covered <= rows:
            return False
        return any(
            self.group_of.get(source) is group
            and not any(i.axes() & group.reduced for i in result_place(source, group.place[source]))
            for source, _ in operands
        )

    def _merged(self, home: Group, other: Group, node: Node, place: Index) -> str:
        """Move the members of `other` into `home`, which has `node` already; the reason if that
        can't be.
        """
        translate: dict[int, int] = {}
        if home.nested or other.nested:
            return "its loops are others"
        if home.along_rows or other.along_rows:
            return "rows are added up as a whole"
        if (home.across and _reduces(other)) or (other.across and _reduces(home)):
            return "a scan runs across its rows"
        if node.kind is Kind.REDUCE:
            return "two operands of a reduction from two kernels"
        for theirs, ours in zip(place, home.place[node], strict=True):
            if (theirs.axis is None) != (ours.axis is None):
                return "its loops are others"
            if theirs.axis is not None and ours.axis is not None:
                translate[theirs.axis] = ours.axis
        _extend(translate, other.domain, home.domain)
        axes = {translate.get(k) for k in other.reduced}
        if len(other.domain) != len(home.domain) or None in axes:
            return "its loops are others"
        if any(other.domain[k] != home.domain[v] for k, v in translate.items()):
            return "its loops are others"
        if home.reduced and other.reduced and axes != home.reduced:
            return "it reduces other axes"
        if self._need_another(home, other):
            return "another step lies between them"
        moved = {m: _renamed(p, translate) for m, p in other.place.items()}
        if any(p is None for p in moved.values()):
            return "its loops are others"
        known = {m: p for m, p in moved.items() if p is not None}
        places = home.place | known
        if _reads_elsewhere(home, other, places) or _reads_elsewhere(other, home, places):
            return "it reads the result at another index"
        self._absorb(home, other, known, frozenset(a for a in axes if a is not None))
        return ""

    def _absorb(
        self, home: Group, other: Group, moved: dict[Node, Index], reduced: frozenset[int]
    ) -> None:
        """Move the members of `other` to their places in `home`. reduced: its axes there."""
        mine = dict(home.place)
        home.place.clear()
        for member in self.graph.nodes:
            found = moved[member] if member in moved else mine.get(member)
            if member in moved or member in mine:
                assert found is not None
                home.place[member] = found
                self.group_of[member] = home
        home.reduced |= reduced
        home.across |= other.across
        home.inlined |= other.inlined - home.place.keys()
        self.groups.remove(other)

    def join_siblings(self) -> None:
        """Let groups that read the same elements be one, though none needs the other."""
        readers: dict[tuple[Node, Index], list[Group]] = {}
        for group in self.groups:
            for read in self._external_reads(group):
                readers.setdefault(read, []).append(group)
        gone: set[Group] = set()
        for together in readers.values():
            for home, other in combinations(together, 2):
                if not gone & {home, other} and self._are_siblings(home, other):
                    gone.add(other)
                    self._absorb(home, other, other.place, other.reduced)

    def _external_reads(self, group: Group) -> set[tuple[Node, Index]]:
        """What a group's members read from memory at their places, arrays of no axes aside."""
        inside = group.inside
        return {
            (source, index)
            for member, place in group.place.items()
            for source, index in reads(member, place)
            if source not in inside and index and (source.op is INPUT or source.op.fresh)
        }

    def _are_siblings(self, a: Group, b: Group) -> bool:
        plain = all(not (g.nested or g.across or g.along_rows) for g in (a, b))
        if not plain or a.domain != b.domain or len(a.place) + len(b.place) > MOST_OPERATIONS:
            return False
        if a.reduced and b.reduced and a.reduced != b.reduced:
            return False
        arrays = {source for g in (a, b) for source, _ in self._external_reads(g)}
        if len(arrays) > MOST_ARRAYS or self._is_written(a) or self._is_written(b):
            return False
        if a.reduced != b.reduced and not self._is_whole(b if a.reduced else a):
            return False
        linked = any(self.group_of.get(s) in (a, b) for g in (a, b) for s in self._inputs(g))
        return not linked and not self._need_another(a, b)

    def _is_written(self, group: Group) -> bool:
        """Whether a result may be stored in place, which others that read there might prevent."""
        readers = (reader for m in group.place for reader in self.consumers.get(m, ()))
        return any(reader.op in WRITES for reader in readers)

    def _is_whole(self, group: Group) -> bool:
        """Whether each member is computed, element by element, at all of the domain."""
        if _reduces(group):
            return False
        looped = sum(not is_one(d) for d in group.domain)
        return all(sum(i.axis is not None for i in p) == looped for p in group.place.values())

    def _need_another(self, a: Group, b: Group) -> bool:
        starts = [s for g in (a, b) for s in self._inputs(g) if self.group_of.get(s) not in (a, b)]
        return self._reaches(starts, {a, b})

    def _reaches(self, starts: Iterable[Node], targets: set[Group]) -> bool:
        """Whether any of these values needs one of the groups to have run."""
        seen: set[Node | Group] = set()
        stack = list(starts)
        while stack:
            node = stack.pop()
            group = self.group_of.get(node)
            if group is not None and group in targets:
                return True
            unit = group if group is not None else node
            if unit in seen:
                continue
            seen.add(unit)
            if group is not None:
                stack.extend(self._inputs(group))
            else:
                stack.extend((*node.inputs, *self.before.get(node, ())))
        return False

    def _inputs(self, group: Group) -> list[Node]:
        members = len(group.place), len(group.inlined)  # which only grow
        known = self.inputs_of.get(group)
        if known is None or known[0] != members:
            inside = group.inside
            read = [s for m in inside for i in m.inputs for s in sources(i) if s not in inside]
            known = self.inputs_of[group] = members, list(dict.fromkeys(read))
        return known[1]

    def _inline(self, home: Group, node: Node, source: Node, index: Index) -> None:
        """Have `home` compute `source` itself, if it is cheap and needs no reduction."""
        origin = self.group_of[source]
        subtree = _subtree(source, origin)
        flops = sum(m.op.loop.flops if m.op.loop else 1 for m in subtree)
        spread = source.spec.shape != () and _long(source.spec.shape) < _long(home.domain)
        limit = SPREAD_FLOPS if spread else RECOMPUTE_FLOPS
        if any(m.kind in (Kind.REDUCE, Kind.SCAN) for m in subtree) or (
            flops > limit and source.spec.shape != ()
        ):
            return
        if self._arrays_read(subtree, source) > MOST_READ_AGAIN:
            return
        home.inlined |= subtree - home.place.keys()
        self.refusals = [
            r for r in self.refusals if r.consumer is not node or r.producer is not source
        ]

    def _arrays_read(self, subtree: set[Node], source: Node) -> int:
        """How many arrays as large as a value are read to compute it."""
        read = {s for m in subtree for i in m.inputs for s in sources(i) if s not in subtree}
        size = _long(source.spec.shape)
        return sum(_long(array.spec.shape) >= size for array in read)


def _reduces(group: Group) -> bool:
    return any(member.kind is Kind.REDUCE for member in group.place)


def _reads_elsewhere(reader: Group, maker: Group, places: dict[Node, Index]) -> bool:
    """Whether a group reads from memory what another computes, at an index that is not its place;
    in one group it would be computed again for each read.
    """
    for member in reader.inside:
        place = places.get(member)
        index = identity(domain_of(member)) if place is None else place
        for source, at in reads(member, index):
            from_memory = source in maker.place and source not in reader.inside
            if from_memory and (place is None or at != result_place(source, places[source])):
                return True
    return False


def _runs_along_rows(group: Group) -> bool:
    """Whether a reduction had better add up whole rows: `x.sum(axis=0)` of a matrix reads its
    memory in order if the loop over the columns is the inner one.

    The results then serve as accumulators, so what is computed from them is another kernel.
    """
    looped = [k for k, d in enumerate(group.domain) if not (isinstance(d, int) and d == 1)]
    first = next((k for k in looped if k in group.reduced), len(group.domain))
    if not any(k > first and k not in group.reduced for k in looped):
        return False
    along_rows = along_reduced = 0
    for member, place in group.place.items():
        if member.kind is Kind.REDUCE and str(member.op.name).startswith("arg"):
            return False
        for source, index in reads(member, place):
            if source not in group.inside and index and index[-1].axis is not None:
                along_reduced += index[-1].axis in group.reduced
                along_rows += index[-1].axis not in group.reduced
    return along_rows > along_reduced


def _long(shape: tuple[Dim, ...]) -> int:
    """How many axes have more than one element."""
    return sum(not (isinstance(d, int) and d == 1) for d in shape)


def _unify(read: Index, place: Index, own_to_group: dict[int, int]) -> bool:
    """Extend the map of axes so that reading at `read` is reading at `place`."""
    for mine, theirs in zip(read, place, strict=True):
        if mine.axis is None or theirs.axis is None:
            if mine != theirs:
                return False
            continue
        known = own_to_group.setdefault(mine.axis, theirs.axis)
        if known != theirs.axis:
            return False
    return len(set(own_to_group.values())) == len(own_to_group)


def _extend(axes: dict[int, int], domain: tuple[Dim, ...], target: tuple[Dim, ...]) -> None:
    """Map the remaining axes in order onto remaining axes of the same size."""
    free = [v for v in range(len(target)) if v not in axes.values()]
    for k, dim in enumerate(domain):
        if k in axes or (isinstance(dim, int) and dim == 1):
            continue
        match = next((v for v in free if target[v] == dim), None)
        if match is not None:
            axes[k] = match
            free.remove(match)


def _renamed(index: Index, axes: dict[int, int]) -> Index | None:
    renamed = []
    for i in index:
        if i.axis is None:
            if i.terms:
                return None
            renamed.append(i)
        elif i.axis in axes:
            renamed.append(affine_axis(axes[i.axis]))
        else:
            return None
    return tuple(renamed)


def _subtree(source: Node, group: Group) -> set[Node]:
    """The members and inlined operations of a group that `source` is computed from, itself among
    them.
    """
    inside, found, stack = group.inside, set[Node](), [source]
    while stack:
        node = stack.pop()
        if node in inside and node not in found:
            found.add(node)
            stack.extend(s for i in node.inputs for s in sources(i))
    return found


def external_inputs(group: Group) -> list[Node]:
    """What the group's kernel reads from memory, in order of first use."""
    inside, found, seen = group.inside, dict[Node, None](), set[Node]()
    stored = [group.sinks.get(o, o) for o in group.outputs]
    stack = list(reversed(stored or list(group.place)))
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in inside:
            stack.extend(s for i in reversed(node.inputs) for s in reversed(sources(i)))
        elif node.kind is not Kind.SOURCE or node.op is INPUT:
            found[node] = None
    return list(found)


def drop_unused(group: Group) -> None:
    inside, alive, stack = group.inside, set[Node](), list(group.outputs)
    while stack:
        node = stack.pop()
        if node in inside and node not in alive:
            alive.add(node)
            stack.extend(s for i in node.inputs for s in sources(i))
    group.place = {m: p for m, p in group.place.items() if m in alive}
    group.inlined = {m for m in group.inlined if m in alive}
    group.outputs.sort(key=list(group.place).index)
