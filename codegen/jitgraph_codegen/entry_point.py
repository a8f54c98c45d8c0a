"""A chain of entry stubs behind one callable: the newest first, Python last."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from llvmlite import ir

from . import store, threads
from .entry import entry_module
from .machine_code import LinkedCode, machine_name, object_code
from .native import NativeProgram, Signature
from .process import addresses
from .program import generator
from .recycling import recycler
from .stub import ENTRY, I64

_FASTCALL_WITH_KEYWORDS = 0x80 | 0x02


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("method", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class EntryPoint:
    """`call` is a builtin function; what no stub takes it hands to the Python function `slow`."""

    def __init__(self, name: str, slow: Callable[..., Any]) -> None:
        self._recycled = recycler.empty  # an object of its own at every look
        self._held: list[Any] = [slow]
        self._code: list[LinkedCode] = []
        self._hits = ctypes.c_int64(0)
        names = {"slow_function": id(slow)}
        self._definition = _MethodDef(
            name.encode(), self._link(_slow_module, names), _FASTCALL_WITH_KEYWORDS, None
        )
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        # the function holds this object, whose memory it runs on
        self.call: Callable[..., Any] = make(ctypes.addressof(self._definition), self, None)

    @property
    def hits(self) -> int:
        """Calls that a stub has taken."""
        return self._hits.value

    def add(
        self,
        program: NativeProgram,
        signature: Signature,
        kernels: Sequence[LinkedCode],
        held: Mapping[str, Any],
        parallel: bool,
    ) -> None:
        """Put a stub for a program before the others.

        kernels: the program's, in memory; held: the objects its signature names.
        parallel: whether large kernels are shared among threads.
        """
        parallel = parallel and threads.is_supported()
        following = ctypes.c_int64(self._definition.method)
        names = {f"kernel{k}": code.address for k, code in enumerate(kernels)}
        names |= {name: id(value) for name, value in held.items()}
        names["next_stub"] = ctypes.addressof(following)
        names["hits"] = ctypes.addressof(self._hits)
        self._held += [following, held, kernels]
        names["recycled"] = id(self._recycled)
        if parallel:
            names |= {"pool": threads.pool_address(), "run_parts": threads.run_parts()}
        key = f"{program} {signature} {parallel}"
        text = partial(entry_module, program, signature, parallel)
        self._definition.method = self._link(text, names, key)

    def _link(self, text: Callable[[], str], names: Mapping[str, int], key: str = "slow") -> int:
        known = {**addresses(), **names}
        data = _kept(text, key)
        code = LinkedCode(data, "entry", known)
        self._code.append(code)
        return code.address


def _kept(text: Callable[[], str], key: str) -> bytes:
    """Object code of a stub, from disk where it was made before."""
    name = store.key("entry", key, machine_name(), generator())
    found = store.read(name, "entry")
    if found is not None:
        return found[1]
    data = object_code(text())
    store.write(name, "entry", {}, data)
    return data


def _slow_module() -> str:
    """`return PyObject_Vectorcall(slow_function, args, count, keywords)`."""
    module = ir.Module("slow")
    function = ir.Function(module, ENTRY, "entry")
    builder = ir.IRBuilder(function.append_basic_block("start"))
    symbols = [
        ir.GlobalVariable(module, ir.IntType(8), name)
        for name in ("slow_function", "PyObject_Vectorcall")
    ]
    slow, call = (builder.ptrtoint(s, I64) for s in symbols)
    _, args, count, keywords = function.args
    vectorcall = builder.inttoptr(call, ENTRY.as_pointer())
    builder.ret(builder.call(vectorcall, [slow, args, count, keywords]))
    return str(module)
