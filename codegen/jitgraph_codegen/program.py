"""Programs: the kernels and library calls of one graph in order, as Python text that can be kept.

    def program(x, b):
        s0, s1 = x.shape
        out = empty((s0, s1), float32)
        gelu_0((x, b, out), (s0*s1, s1), s0, s0*s1)
        return (out,)

The text is the program; loading it needs its kernels' machine code and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import store
from .kernels import Progress, machine_codes, quietly
from .native import Call, NativeProgram, everywhere
from .recycling import recycler
from .runtime import LoadedKernel
from .source import KernelSource


class DeoptimisedError(Exception):
    """A value in the middle of a program is not what the program was compiled for."""


class UnmetError(Exception):
    """A position is outside of its axis, or what the function asserts does not hold: Python makes
    the call once more, and raises.
    """


@cache
def generator() -> str:
    """What the text of programs and kernels depends on: the back end's own source."""
    return store.fingerprint(Path(__file__).parent, ("*.py",))


@dataclass(frozen=True)
class ProgramSource:
    """The text of a program and of its kernels."""

    driver: str
    kernels: tuple[KernelSource, ...]
    native: NativeProgram | None = None  # the same steps for the entry stub, where all are kernels

    @property
    def text(self) -> str:
        """Each kernel as a module, and the driver that calls them."""
        return "\n\n".join([*[k.module for k in self.kernels], self.driver])

    def to_json(self) -> bytes:
        native = None if self.native is None else self.native.to_json()
        kernels = [asdict(k) for k in self.kernels]
        return json.dumps({"driver": self.driver, "kernels": kernels, "native": native}).encode()

    @staticmethod
    def from_json(data: bytes) -> ProgramSource:
        fields = json.loads(data)
        native = fields["native"]
        return ProgramSource(
            fields["driver"],
            tuple(KernelSource(**k) for k in fields["kernels"]),
            None if native is None else NativeProgram.from_json(native),
        )


def load(
    source: ProgramSource,
    operations: Mapping[str, Callable[..., Any]],
    parallel: bool,
    launcher: Callable[[KernelSource], Callable[..., None]] | None = None,
    progress: Progress = quietly,
) -> Callable[..., tuple[Any, ...]]:
    """The program as a callable of arrays.

    operations: the library functions its text names.
    launcher: makes the callable of a kernel; machine code on the CPU unless given.
    progress: is told how many kernels are compiled, and of how many.
    """
    namespace = _namespace(operations)
    if launcher is None:
        codes = machine_codes(source.kernels, progress)
        for kernel, code in zip(source.kernels, codes, strict=True):
            namespace[kernel.name] = LoadedKernel(
                kernel.name, code, kernel.buffers, kernel.sizes, parallel
            )
    else:
        namespace |= {kernel.name: launcher(kernel) for kernel in source.kernels}
    exec(compile(source.driver, "<jitgraph program>", "exec"), namespace)
    program: Callable[..., tuple[Any, ...]] = namespace["program"]
    return program


def functions(
    native: NativeProgram, operations: Mapping[str, Callable[..., Any]]
) -> dict[str, Callable[..., Any]]:
    """The Python functions that a native program calls, by name."""
    namespace = _namespace(operations)
    exec(compile(native.functions, "<jitgraph program>", "exec"), namespace)
    names = [step.function for step in everywhere(native.steps) if isinstance(step, Call)]
    return {name: namespace[name] for name in names}


def _namespace(operations: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """What the text of programs names."""
    known: dict[str, Any] = {
        "empty": recycler.empty, "asarray": np.asarray, "array": np.array, "ensure": _ensure,
        "ensure_false": _ensure_false,
        "span": _span, "Deoptimised": DeoptimisedError,
    }  # fmt: skip
    return known | dict(operations) | {d: np.dtype(d) for d in _DTYPES}


def _span(start: int, step: int, size: int) -> slice:
    """`size` elements from `start` on; a negative step may end before the first."""
    stop = start + step * size
    return slice(start, stop if stop >= 0 else None, step)


def _ensure_false(flag: np.ndarray[Any, Any]) -> None:
    if flag:
        raise UnmetError


def _ensure(condition: bool, what: str) -> None:
    if not condition:
        raise DeoptimisedError(what)


_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64", "complex64", "complex128",
)  # fmt: skip
