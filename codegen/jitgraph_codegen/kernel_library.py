"""How LLVM compiles kernels: what Numba tells it, and what is told besides.

For some processors LLVM keeps to registers of half their width unless a function asks for more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from . import lanes
from .interleaving import interleaved

FULL_WIDTH = '"prefer-vector-width"="512"'  # less where the processor has no such registers

_REGISTER = 64  # bytes, of the widest: what is spilled to the stack lies in one cache line


class KernelLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The module of a kernel, and of what Numba compiles for it."""

    _final_module: llvm.ModuleRef

    def add_ir_module(self, ir_module: ir.Module) -> None:
        for function in ir_module.functions:
            set.add(function.attributes, FULL_WIDTH)  # which llvmlite's own `add` does not know
            if not function.is_declaration:
                function.attributes.alignstack = _REGISTER
        super().add_ir_module(ir_module)

    def _optimize_final_module(self) -> None:
        self._final_module = interleaved(self._final_module)
        super()._optimize_final_module()
        self._final_module = lanes.inline(self._final_module, self._codegen._tm)


@contextmanager
def compiling_kernels() -> Iterator[None]:
    """Let Numba make kernel libraries, and formulas use what these can do."""
    codegen = cpu_target.target_context.codegen()
    with global_compiler_lock, lanes.in_use():
        codegen._library_class = KernelLibrary
        try:
            yield
        finally:
            del codegen._library_class  # the class has its own
