"""Object code into memory and back out: LLVM's ORC, without Numba.

A loaded kernel owns its code; when it is dropped the code is freed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any

# What Numba's wrappers refer to and a kernel that allocates nothing and raises nothing never calls.
_NEVER_CALLED = (
    "NRT_Free", "NRT_MemInfo_call_dtor", "NRT_decref", "NRT_incref", "numba_do_raise",
    "numba_gil_ensure", "numba_gil_release", "numba_runtime_build_excinfo_struct", "numba_unpickle",
)  # fmt: skip

_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _unexpected(_: object) -> None:
    raise SystemError("a compiled kernel called into Numba's runtime")


class _Jit:
    """The process's one ORC session."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self.session = llvm.create_lljit_compiler(machine, use_jit_link=False, suppress_errors=True)
        self.loaded = 0


@cache
def _jit() -> _Jit:
    return _Jit()


@cache
def machine_name() -> str:
    """What object code depends on: the processor with its features, and LLVM."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    version, triple = llvm.llvm_version_info, llvm.get_default_triple()
    return f"{llvm.get_host_cpu_name()} {features} {version} {triple}"


class LinkedCode:
    """Object code in memory, linked to addresses by name; freed when it is dropped."""

    def __init__(self, data: bytes, symbol: str, names: Mapping[str, int]) -> None:
        import llvmlite.binding as llvm

        jit = _jit()
        library = llvm.JITLibraryBuilder().add_object_img(data).add_current_process()
        library.export_symbol(symbol)
        for name, address in names.items():
            library.import_symbol(name, address)
        jit.loaded += 1
        self._tracker = library.link(jit.session, f"code_{jit.loaded}")
        self.address: int = self._tracker[symbol]


class MachineCode(LinkedCode):
    """A kernel with its entry point `entry(buffers, sizes, lo, hi)`."""

    def __init__(self, data: bytes, symbol: str) -> None:
        never = ctypes.cast(_unexpected, ctypes.c_void_p).value or 0
        super().__init__(data, symbol, dict.fromkeys(_NEVER_CALLED, never))
        self.entry: Any = _ENTRY(self.address)


def object_code(text: str) -> bytes:
    """LLVM IR compiled for this processor."""
    import llvmlite.binding as llvm

    _jit()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), opt=2, reloc="pic", codemodel="default"
    )
    data: bytes = machine.emit_object(module)
    return data
