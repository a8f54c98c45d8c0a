"""The row of the table of operations, and the families rows are made with.

Every interpreter reads the same row: eager evaluation `eval`, shape and dtype checking `spec`, the
tape and graph differentiation `vjp`, code generation `loop`, `combine` and `index_map`.  Data comes
by position, static parameters (`axis`, `shape`, `dtype`) by keyword.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..interpreter import apply
from ..spec import Spec, broadcast, dims, normalize_axes, promotion_type

DType = np.dtype[Any]
Rule = Callable[..., Any]  # (g, out, *inputs, **attrs) -> cotangent of one input


class Kind(Enum):
    """All that fusion may ask of an operation."""

    SOURCE = "source"  # inputs, constants, sizes
    ELEMENTWISE = "elementwise"  # one scalar expression per element
    REDUCE = "reduce"  # combines elements along axes
    SCAN = "scan"  # running combinations of elements along an axis
    VIEW = "view"  # the same elements under another index
    OPAQUE = "opaque"  # a library call
    CONTROL = "control"  # a loop, and what it leaves behind


@dataclass(frozen=True)
class Loop:
    """The scalar expression of an element in `x, y, z`; by dtype kind where NumPy differs.

    mixed: for a signed with an unsigned 64-bit integer, which have no common dtype.
    numpy_only: kinds for which no loop is generated; NumPy itself carries the operation out.
    """

    default: str
    by_kind: Mapping[str, str] = field(default_factory=dict)
    flops: int = 1
    numpy_only: str = ""
    mixed: str = ""
    on_complex: bool = False  # whether the expression serves complex numbers too

    def template(self, kinds: str) -> str:
        """The expression for operands of these kinds, as in "iu"; the first one decides."""
        if self.mixed and kinds in ("iu", "ui"):
            return self.mixed
        return self.by_kind.get(kinds[0], self.default)


@dataclass(frozen=True)
class Combine:
    """How a reduction takes in an element: the name of the accumulation, known to the printers."""

    name: str


@dataclass(frozen=True, eq=False)
class Op:
    name: str
    kind: Kind
    eval: Callable[..., Any]
    spec: Callable[..., Spec]
    vjp: tuple[Rule | None, ...] = ()
    vjp_all: Rule | None = (
        None  # (g, out, *inputs, **attrs) -> all cotangents; for variadic operations
    )
    loop: Loop | None = None
    loop_dtypes: Callable[..., tuple[DType, ...]] | None = (
        None  # (*specs) -> operand dtypes, result dtype
    )
    combine: Combine | None = None
    index_map: Callable[..., tuple[Any, ...]] | None = None
    fresh: bool = True  # its result has memory of its own
    adjoint: bool = False  # whether its rule conjugates what it has to, of complex numbers

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        return apply(self, args, attrs)

    def __repr__(self) -> str:
        return f"Op({self.name})"

    @cached_property
    def differentiable(self) -> bool:
        return self.vjp_all is not None or any(rule is not None for rule in self.vjp)

    @cached_property
    def has_slope(self) -> bool:
        """Whether floating-point results depend on the inputs by more than jumps, so that they have
        gradients, or ought to have; a view without a rule is a constant by intent.
        """
        jumps = self.kind in (Kind.ELEMENTWISE, Kind.VIEW) and not self.name.startswith("scalar_")
        return self.differentiable or not jumps


TABLE: dict[str, Op] = {}
UFUNCS: dict[np.ufunc, Op] = {}


def register(op: Op) -> Op:
    if op.name in TABLE:
        raise ValueError(f"operation {op.name} is defined twice")
    TABLE[op.name] = op
    return op


def undispatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function for arrays, which it need not ask whether they know better."""
    return getattr(function, "_implementation", function)


def rules(vjp: Rule | tuple[Rule | None, ...] | None) -> tuple[Rule | None, ...]:
    if vjp is None:
        return ()
    return vjp if isinstance(vjp, tuple) else (vjp,)


def elementwise(
    ufunc: np.ufunc,
    loop: str | Loop,
    vjp: Rule | tuple[Rule | None, ...] | None = None,
    name: str | None = None,
    flops: int | None = None,
    adjoint: bool = False,
) -> Op:
    """A NumPy ufunc: broadcasts, promotes as NumPy does, has one expression per element."""
    name = name or ufunc.__name__
    loop = loop if isinstance(loop, Loop) else Loop(loop)
    if flops is not None:
        loop = replace(loop, flops=flops)

    def dtypes(*specs: Spec) -> tuple[DType, ...]:
        return ufunc_dtypes(name, ufunc, specs)

    def spec(*specs: Spec) -> Spec:
        result = dtypes(*specs)[-1]  # NumPy complains of dtypes first
        return Spec(broadcast(name, [s.shape for s in specs]), result)

    op = Op(
        name, Kind.ELEMENTWISE, ufunc, spec, rules(vjp), loop=loop, loop_dtypes=dtypes,
        adjoint=adjoint,
    )  # fmt: skip
    UFUNCS[ufunc] = op
    return register(op)


def ufunc_dtypes(name: str, ufunc: np.ufunc, specs: tuple[Spec, ...]) -> tuple[DType, ...]:
    """The dtypes NumPy's own loop would take and give, by NumPy's own resolution."""
    given = [s.dtype if all(t.weak for t in specs) else promotion_type(s) for s in specs]
    try:
        return tuple(ufunc.resolve_dtypes((*given, *[None] * ufunc.nout)))
    except TypeError:
        listed = " and ".join(str(s.dtype) for s in specs)
        raise DTypeError(f"{name} is not defined for {listed}") from None


def reduction(
    name: str,
    eval: Callable[..., Any],
    dtype: Callable[[DType], DType],
    vjp: Rule | None = None,
    empty: bool = True,
) -> Op:
    """Combines elements along `axis`, a sorted tuple; the accumulation is named as the op.

    `empty=False` for those without a value over no elements.
    """

    def spec(x: Spec, *, axis: tuple[int, ...], keepdims: bool) -> Spec:
        normalize_axes(name, axis, x.ndim)
        if not empty:
            refuse_empty(name, x, axis)
        return Spec(reduced_shape(x.shape, axis, keepdims), dtype(x.dtype))

    return register(Op(name, Kind.REDUCE, eval, spec, rules(vjp), combine=Combine(name)))


def refuse_empty(name: str, x: Spec, axis: tuple[int, ...]) -> None:
    if any(isinstance(x.shape[k], int) and x.shape[k] == 0 for k in axis):
        raise ShapeError(
            f"zero-size array of shape {dims.shown(x.shape)} to reduction operation {name}, "
            "which has no identity"
        )


def reduced_shape(shape: tuple[Any, ...], axis: tuple[int, ...], keepdims: bool) -> tuple[Any, ...]:
    if keepdims:
        return tuple(1 if k in axis else d for k, d in enumerate(shape))
    return tuple(d for k, d in enumerate(shape) if k not in axis)


def view(
    name: str,
    eval: Callable[..., Any],
    spec: Callable[..., Spec],
    index_map: Callable[..., tuple[Any, ...]] | None,
    vjp: Rule | None,
    fresh: bool = False,
) -> Op:
    """The elements of one array under another index.

    `index_map(index, x, **attrs)` gives the index into the input of spec `x` for an index of the
    result; None where that is no affine map, so that the view is taken on memory instead.
    """
    return register(Op(name, Kind.VIEW, eval, spec, rules(vjp), index_map=index_map, fresh=fresh))


def opaque(
    name: str,
    eval: Callable[..., Any],
    spec: Callable[..., Spec],
    vjp: Rule | tuple[Rule | None, ...] | None = None,
    vjp_all: Rule | None = None,
    adjoint: bool = False,
) -> Op:
    """A library call: NumPy carries it out, between the kernels."""
    made = Op(name, Kind.OPAQUE, eval, spec, rules(vjp), vjp_all=vjp_all, adjoint=adjoint)
    return register(made)
