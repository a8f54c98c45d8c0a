"""How many bits at once a kernel's loops compute with, read from its assembly."""

from __future__ import annotations

import re

_LABEL = re.compile(r"^(\.?\w+):")
_JUMP = re.compile(r"^\s+(?:j[a-z]+|b\.\w+|cbn?z\s+\w+,|tbn?z\s+\w+,\s*#\d+,)\s+(\.?\w+)\s*$")
_ARITHMETIC = re.compile(
    r"^\s+(?:v?(?:f?n?m?)(?:mul|add|sub|fma|fnma|fms|div|max|min|cmp|p|mla|mls|cvt|sqrt)\w*)\s"
)
_SCALAR = re.compile(r"^\s+v?\w+s[sd](?:2\w+)?\s")
_REGISTERS = (
    (512, re.compile(r"%zmm\d")),
    (256, re.compile(r"%ymm\d")),
    (128, re.compile(r"%xmm\d|\bv\d+\.(?:16b|8h|4s|2d)")),
)


def vector_bits(assembly: str) -> int:
    """The widest registers that arithmetic in a loop uses, in bits; 0 where no loop has vectors.

    assembly: of x86-64 in AT&T syntax, or of AArch64.
    """
    lines = assembly.splitlines()
    labels = {m.group(1): k for k, line in enumerate(lines) if (m := _LABEL.match(line))}
    inside: set[int] = set()
    for k, line in enumerate(lines):
        jump = _JUMP.match(line)
        start = labels.get(jump.group(1), k) if jump else k
        if start < k:
            inside.update(range(start, k))
    computing = [
        lines[k] for k in inside if _ARITHMETIC.match(lines[k]) and not _SCALAR.match(lines[k])
    ]
    for bits, register in _REGISTERS:
        if any(register.search(line) for line in computing):
            return bits
    return 0
