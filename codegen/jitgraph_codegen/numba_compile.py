"""Generated source into object code.  The only module that imports Numba, and only on a cache
miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
from numba import types

from .array_view import array_view
from .kernel_library import compiling_kernels
from .source import Source, register_source

_ABI = types.void(
    types.CPointer(types.voidptr), types.CPointer(types.int64), types.int64, types.int64
)


@dataclass(frozen=True)
class ObjectCode:
    data: bytes
    symbol: str


def compile_source(source: Source) -> ObjectCode:
    """Machine code for this processor from a kernel's entry function."""
    compiled = _compiled(source)
    return ObjectCode(compiled._library._get_compiled_object(), compiled.native_name)


def assembly(source: Source) -> str:
    """The machine code as text; compiles."""
    text: str = _compiled(source)._library.get_asm_str()
    return text


def _compiled(source: Source) -> Any:
    namespace: dict[str, Any] = {
        "__name__": f"jitgraph_generated.{source.name}",
        "entry_point": _entry_point,
        "array_view": array_view,
    }
    filename = f"<jitgraph {source.name}>"
    register_source(filename, source.entry)
    with compiling_kernels():
        exec(compile(source.entry, filename, "exec"), namespace)
    return namespace["entry"]


def _entry_point(**options: Any) -> Any:
    return numba.cfunc(_ABI, no_cpython_wrapper=True, **options)
