"""Machine code of kernels: from memory, from disk, or compiled now and kept in both.

The kernels of a large program are compiled side by side: a second process, which imports Numba in
the meantime, takes them from the end of the list while this one takes them from the start.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import store, threads
from .machine_code import MachineCode, machine_name
from .source import KernelSource

if TYPE_CHECKING:
    from .numba_compile import ObjectCode

MANY = 8  # kernels that a second process is worth

Progress = Callable[[int, int], None]  # told (kernels compiled, of how many)


def quietly(done: int, total: int) -> None:
    """No report."""


@dataclass
class Counters:
    """What happened in this process; shown by `cache_info`."""

    compiled: int = 0  # kernels that Numba compiled
    loaded: int = 0  # kernels whose machine code came from disk
    shared: int = 0  # kernels that were in memory already


counters = Counters()
_loaded: dict[str, MachineCode] = {}


@cache
def _compiler() -> str:
    """What machine code depends on besides a kernel's text: compiler and library functions."""
    from importlib.metadata import version

    functions = store.fingerprint(
        Path(__file__).parent,
        (
            "*_math.py",
            "formulas/*.py",
            "ir_values.py",
            "lanes.py",
            "array_view.py",
            "kernel_library.py",
            "numba_compile.py",
        ),
    )
    return f"numba {version('numba')} numpy {np.__version__} {functions}"


def missing(kernels: Sequence[KernelSource]) -> int:
    """How many kernels would have to be compiled."""
    keys = {_key(kernel) for kernel in kernels} - _loaded.keys()
    return sum(store.read(key, "kernel") is None for key in keys)


def _key(kernel: KernelSource) -> str:
    return store.key("kernel", _nameless(kernel.entry), machine_name(), _compiler())


_ARRAY = re.compile(r"^    (\w+) = array_view\(", re.MULTILINE)


def _nameless(text: str) -> str:
    """A kernel's text where its arrays are numbers, whatever the user calls them."""
    number = {name: f"array {k}" for k, name in enumerate(_ARRAY.findall(text))}
    return re.sub(r"\w+", lambda word: number.get(word[0], word[0]), text)


def machine_code(kernel: KernelSource) -> MachineCode:
    """The code of one kernel."""
    (code,) = machine_codes([kernel])
    return code


def machine_codes(
    kernels: Sequence[KernelSource], progress: Progress = quietly
) -> list[MachineCode]:
    """The code of each kernel; one for those of the same text."""
    keys = list(map(_key, kernels))
    codes: dict[str, MachineCode] = {}
    absent: dict[str, KernelSource] = {}
    for key, kernel in zip(keys, kernels, strict=True):
        if key in codes or key in _loaded or key in absent:
            counters.shared += 1
        elif (found := store.read(key, "kernel")) is not None:
            counters.loaded += 1
            _loaded[key] = MachineCode(found[1], found[0]["symbol"])
        else:
            absent[key] = kernel
        if key in _loaded:
            codes[key] = _loaded[key]
    if absent:
        _compile(absent, codes, progress)
    return [codes[key] for key in keys]


def _compile(
    absent: dict[str, KernelSource], codes: dict[str, MachineCode], progress: Progress
) -> None:
    from .numba_compile import compile_source

    waiting = deque(absent.items())
    found: dict[str, ObjectCode] = {}
    other: threading.Thread | None = None
    if len(absent) >= MANY and threads.get_num_threads() > 1:
        other = threading.Thread(target=_helped, args=(waiting, found), daemon=True)
        other.start()
    progress(0, len(absent))
    while waiting:
        try:
            key, kernel = waiting.popleft()
        except IndexError:  # the other process has taken the last one
            break
        found[key] = compile_source(kernel)
        progress(len(found), len(absent))
    if other is not None:
        other.join()
        for key in absent.keys() - found.keys():  # what the other process could not do
            found[key] = compile_source(absent[key])
        progress(len(found), len(absent))
    for key, made in found.items():
        counters.compiled += 1
        header = {"symbol": made.symbol, "name": absent[key].name}
        store.write(key, "kernel", header, made.data)
        codes[key] = _loaded[key] = MachineCode(made.data, made.symbol)


def _helped(waiting: deque[tuple[str, KernelSource]], found: dict[str, ObjectCode]) -> None:
    """Have a second process compile kernels until none waits, or it fails."""
    from .compile_process import CompileProcess

    with CompileProcess() as process:
        while len(waiting) > 1:
            try:
                key, kernel = waiting.pop()
            except IndexError:
                return
            made = process.compiled(kernel)
            if made is None:
                return
            found[key] = made
