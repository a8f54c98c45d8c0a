"""Generated code as text."""

from __future__ import annotations

import linecache
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A kernel twice: a module for people, and the same loops behind the kernel ABI for the
    compiler.
    """

    name: str
    module: str
    entry: str


@dataclass(frozen=True)
class KernelSource(Source):
    """A kernel as a program keeps it: its text, and what a launch needs to know."""

    buffers: int
    outputs: int  # the last ones of the buffers
    sizes: int


def register_source(filename: str, text: str) -> None:
    """Let tracebacks and debuggers show generated code."""
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
