"""Several registers of elements at a time in loops that compute much.

A long formula is a chain of operations, each of which waits for the one before.  A processor looks
ahead by about a hundred operations, less than one round of such a loop; where the rounds of several
registers are one, with their operations in turn, it has others to go on with meanwhile.  LLVM does
so by itself in reductions and in the shortest loops only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import llvmlite.binding as llvm

_ELEMENTS = 32  # in a round
_LEAST = 24  # arithmetic operations in a loop; there is no gain with few
_LEAST_BESIDE_A_ROOT = 60  # square roots wait for each other, and others then for four of them

_FUNCTION = re.compile(r"^define .*\{\n(?:[^}].*\n|\n)+\}", re.MULTILINE)
_BLOCK = re.compile(r'^([\w.$-]+|"[^"]+"):.*\n((?:  .+\n)+)', re.MULTILINE)
_ARITHMETIC = re.compile(
    r" = (?:f(?:mul|add|sub|div|neg)|.*call).* (float|double) (?:[%0-9]|@(?:lanes|llvm\.fma)\.)"
)
_TARGET = re.compile(r'label %([\w.$-]+|"[^"]+")')
_NODE = re.compile(r"^!(\d+) = ", re.MULTILINE)
_CARRIED = re.compile(r" = phi (?:float|double) ")


def interleaved(module: llvm.ModuleRef) -> llvm.ModuleRef:
    """The module with its loops marked for LLVM's vectoriser, which has yet to run: those of one
    block that compute much, carry no number from round to round, and are in no other loop, which
    may have few elements for them.
    """
    text = str(module)
    node = 1 + max(map(int, _NODE.findall(text)), default=-1)
    pieces, nodes, end = [], [], 0
    for function in _FUNCTION.finditer(text):
        blocks = list(_BLOCK.finditer(text, *function.span()))
        for block in _outermost(blocks):
            registers = _registers(block[2])
            if registers == 1:
                continue
            pieces += [text[end : block.end() - 1], f", !llvm.loop !{node}"]
            nodes += [
                f"!{node} = distinct !{{!{node}, !{node + 1}}}",
                f'!{node + 1} = !{{!"llvm.loop.interleave.count", i32 {registers}}}',
            ]
            node, end = node + 2, block.end() - 1
    if not nodes:
        return module
    name, layout = module.name, module.data_layout
    module = llvm.parse_assembly("".join(pieces) + text[end:] + "\n".join(nodes) + "\n")
    module.name, module.data_layout = name, layout
    return module


def _outermost(blocks: Sequence[re.Match[str]]) -> Iterator[re.Match[str]]:
    """Blocks that are a loop each, inside no other loop."""
    places = {block[1]: k for k, block in enumerate(blocks)}
    back = [
        (places[target], k)
        for k, block in enumerate(blocks)
        for target in _TARGET.findall(block[2].splitlines()[-1])
        if places.get(target, k + 1) <= k
    ]
    for first, last in back:
        around = sum(start <= first and last <= end for start, end in back)
        if first == last and around == 1:
            yield blocks[first]


def _registers(body: str) -> int:
    """How many registers of elements a round of a loop takes at a time."""
    operations = body.splitlines()
    if any(_CARRIED.search(o) for o in operations):
        return 1
    kinds = [found[1] for o in operations if (found := _ARITHMETIC.search(o))]
    if len(kinds) < (_LEAST_BESIDE_A_ROOT if "@llvm.sqrt." in body else _LEAST):
        return 1
    return _ELEMENTS // (8 if "double" in kinds else 16)
