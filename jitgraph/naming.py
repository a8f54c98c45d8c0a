"""Names in kernels: loops, buffers, and what buffers must not be called."""

from __future__ import annotations

import builtins
import keyword
import re

from jitgraph_codegen.printing import DTYPES

from .access import WRITES
from .graph import INPUT, Node
from .ops import TABLE
from .ops.views import UNINITIALISED

LOOP_NAMES = "ijklpqruvw"
_CALLED = {
    name
    for op in TABLE.values()
    if op.loop
    for text in (op.loop.default, *op.loop.by_kind.values())
    for name in re.findall(r"[A-Za-z_]\w*", text)
}
RESERVED = (
    frozenset(LOOP_NAMES)
    | {"lo", "hi", "out", "njit", "cuda", "extent", "range", "round", "assume", "shapes"}
    | {
        "one_plus_tanh",
        "sin_moderate",
        "cos_moderate",
        "tan_moderate",
        "large",
        "outside",
        "outside_",
        "totals",
        *(f"rows_{d}" for d in DTYPES),
    }
    | {"block", "block_end", "tile", "column", "scratch", "partial", "place"}
    | {"wrapped", "strip", "add_reassoc", "mul_reassoc", *DTYPES, *dir(builtins), *_CALLED}
) - {"x", "y", "z"}


def base_name(node: Node) -> str:
    """What a buffer is called after: the user's argument, or the operation."""
    while node.op in WRITES:
        node = node.inputs[0]
    if node.op is UNINITIALISED:
        return "new"
    name = str(node.attrs["name"]) if node.op is INPUT else node.op.name
    name = "".join(c if c.isalnum() else "_" for c in name)
    unfit = not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED
    numbered = name[:1] in "tn" and name[1:].isdigit()
    return (
        f"{name}_"
        if name[:1].isalpha() and (unfit or numbered)
        else name
        if not unfit
        else f"x{name}"
    )


def unique(name: str, taken: set[str]) -> str:
    """The name, or with a number if it is taken, which it is from now on."""
    found, k = name, 1
    while found in taken:
        found, k = f"{name}_{k}", k + 1
    taken.add(found)
    return found
