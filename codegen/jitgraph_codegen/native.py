"""A program whose every step is machine code, as data: what the entry stub is made of.

    param  ::= array of a dtype, layout and fixed sizes | Python float | Python int, a size
    step   ::= an array to make, empty or of zeros | a kernel to run | a matrix product
             | a copy | a name for the same memory | a Python function to call | a flag to look at
             | an array to let go | a loop of steps
    value  ::= name of a parameter or of an array made

Sizes are texts over the names of sizes, as the driver prints them: "s0*s1", "(s0 + 1)//2".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Make:
    """A new C-contiguous array."""

    name: str
    dtype: str
    shape: tuple[str, ...]
    zeros: bool


@dataclass(frozen=True)
class Run:
    """A kernel of the program, by number, on arrays by name."""

    kernel: int
    buffers: tuple[str, ...]
    sizes: tuple[str, ...]
    extent: str
    work: str


@dataclass(frozen=True)
class Drop:
    """An array that nothing needs any more, so that its memory serves the next one."""

    dropped: str


@dataclass(frozen=True)
class Same:
    """A contiguous array under another name, for other sizes."""

    name: str
    array: str


@dataclass(frozen=True)
class Matrix:
    """Elements of an array as the matrices of a product.

    offset, step, stack: in elements: where the first is, from one row (of a matrix as it lies in
    memory) to the next, and along each axis of a stack from one matrix to the next.  crossed:
    whether it is the transpose of what lies in memory.
    """

    array: str
    offset: str
    step: str
    stack: tuple[str, ...]
    crossed: bool


@dataclass(frozen=True)
class Product:
    """result[k] = x[k] @ y[k] for a stack of matrices (`stack` has the sizes of its axes), or of a
    matrix and a column, or a row and a column, as `routine` says: gemm, gemv, dot.
    """

    result: str
    routine: str
    dtype: str
    x: Matrix
    y: Matrix
    stack: tuple[str, ...]
    rows: str
    inner: str
    columns: str


@dataclass(frozen=True)
class Strided:
    """Elements of a contiguous array: where the first is and the step along each axis, in
    elements.
    """

    array: str
    offset: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """Elements of one array to those of another, which do not overlap; or, where `element` is not
    empty, that one element's bytes in hexadecimal.
    """

    target: Strided
    source: Strided
    shape: tuple[str, ...]
    dtype: str
    element: str


@dataclass(frozen=True)
class Call:
    """A function among the program's, called with arrays and with sizes.

    name: of what it gives, empty for nothing; array: whether that is an array in C order; axes:
    which of its axes bring sizes, with their names.  checked: whether it gives a string where the
    program is not for these values.
    """

    name: str
    function: str
    arrays: tuple[str, ...]
    sizes: tuple[str, ...]
    array: bool
    axes: tuple[tuple[int, str], ...]
    checked: bool


@dataclass(frozen=True)
class Expect:
    """Going on only if a flag, an array of no axes, is False: no position was outside of its axis,
    what the function asserts holds.

    Otherwise the held function `again` runs the call.
    """

    flag: str


@dataclass(frozen=True)
class Loop:
    """Steps again and again: `count` times, or as long as an array of no axes is True after the
    steps of a test, or until the first of both ends it.

    index: a size that the steps may mention, from 2 to count + 1; empty for any number of steps.
    flag: what the test makes, empty for no test.  carried: variables with what a step makes for the
    next one; those among `last` are nothing before the first step.
    """

    index: str
    count: str
    test: tuple[Step, ...]
    flag: str
    steps: tuple[Step, ...]
    carried: tuple[tuple[str, str], ...]
    last: tuple[str, ...]


@dataclass(frozen=True)
class Branch:
    """The steps of one side or of the other, as an array of no axes is True or not.

    results: variables, each with what the first side makes for it and what the second.
    """

    flag: str
    taken: tuple[Step, ...]
    otherwise: tuple[Step, ...]
    results: tuple[tuple[str, str, str], ...]


Step = Make | Run | Same | Product | Copy | Call | Expect | Drop | Loop | Branch
_INNER: dict[type, tuple[str, ...]] = {Loop: ("test", "steps"), Branch: ("taken", "otherwise")}


def inner_steps(step: Step) -> list[Step]:
    """The steps of a loop or of both sides of a branch."""
    return [s for name in _INNER.get(type(step), ()) for s in getattr(step, name)]


def everywhere(steps: Sequence[Step]) -> Iterator[Step]:
    """Steps and those inside of them."""
    for step in steps:
        yield step
        yield from everywhere(inner_steps(step))


@dataclass(frozen=True)
class NativeProgram:
    """guards: conditions on sizes; written: parameters whose arrays change; returned: values;
    functions: the text of those that its steps call.
    """

    guards: tuple[str, ...]
    steps: tuple[Step, ...]
    written: tuple[str, ...]
    returned: tuple[str, ...]
    functions: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "guards": self.guards,
            "steps": list(map(_packed, self.steps)),
            "written": self.written,
            "returned": self.returned,
            "functions": self.functions,
        }

    @staticmethod
    def from_json(fields: dict[str, Any]) -> NativeProgram:
        steps = list(map(_unpacked, fields["steps"]))
        return NativeProgram(
            tuple(fields["guards"]), tuple(steps), tuple(fields["written"]),
            tuple(fields["returned"]), fields["functions"],
        )  # fmt: skip


_STEPS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Make, Run, Same, Product, Copy, Call, Expect, Drop, Loop, Branch)
}


def _packed(step: Step) -> list[Any]:
    fields = asdict(step)
    inner = _INNER.get(type(step), ())
    fields |= {k: list(map(_packed, getattr(step, k))) for k in inner}
    return [type(step).__name__, fields]


def _unpacked(packed: Sequence[Any]) -> Step:
    kind, fields = packed
    inner = _INNER.get(_STEPS[kind], ())
    plain = {k: _plain(v) for k, v in fields.items() if k not in inner}
    step: Step = _STEPS[kind](**plain, **{k: tuple(map(_unpacked, fields[k])) for k in inner})
    return step


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        kind = Matrix if "crossed" in value else Strided
        return kind(**{k: _plain(v) for k, v in value.items()})
    return tuple(map(_plain, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class ArrayParam:
    """name: of the array in steps; sizes: of its axes, names or numbers; layout: as a buffer's;
    scalar: a NumPy scalar.
    """

    name: str
    dtype: str
    sizes: tuple[str | int, ...]
    layout: str
    scalar: bool = False


@dataclass(frozen=True)
class FloatParam:
    name: str


@dataclass(frozen=True)
class IntParam:
    size: str


@dataclass(frozen=True)
class SameParam:
    """A value that is compiled in: the very object, held by the stub under this name."""

    held: str


@dataclass(frozen=True)
class AliasParam:
    """The very object that is an earlier leaf."""

    leaf: int


@dataclass(frozen=True)
class Outer:
    """A parameter from the surroundings, found by the names of held objects: a dict and its key, an
    object and its attribute, a cell and no key, or no owner and the object itself.
    """

    owner: str
    key: str | None
    param: ArrayParam | SameParam
    attribute: bool = False


Param = ArrayParam | FloatParam | IntParam | SameParam | AliasParam


@dataclass(frozen=True)
class Signature:
    """leaves: of the arguments, a single one or some in a container; order: which argument each of
    them is, or None where the held function `unpack` gives them of the arguments; positional,
    keywords: how many arguments come by position, and held names of the others.

    outer: of the surroundings; checks: held functions that say whether the rest of these is as it
    was.

    single: whether one value is returned, not a tuple; arrays: returned values that stay arrays
    where they have no axes; built: the sizes that the held function `built` makes the result of,
    after a tuple of all values.
    """

    leaves: tuple[Param, ...]
    order: tuple[int, ...] | None
    positional: int
    keywords: tuple[str, ...]
    outer: tuple[Outer, ...]
    checks: tuple[str, ...]
    single: bool
    arrays: tuple[bool, ...]
    built: tuple[str, ...] | None = None

    @property
    def params(self) -> Sequence[Param]:
        return [*self.leaves, *[o.param for o in self.outer]]
