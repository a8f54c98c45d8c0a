"""This process as entry stubs see it: where objects have their fields, and where functions are."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from . import blas, matrix_kernel

# Byte offsets, checked against this interpreter and this NumPy by `is_supported`.
HEAD = object.__basicsize__  # the value of a float or NumPy scalar, and an array's data, follow it
TYPE = HEAD - 8
NDIM, DIMS, STRIDES, DESCR, FLAGS = HEAD + 8, HEAD + 16, HEAD + 24, HEAD + 40, HEAD + 48
CELL_CONTENTS = HEAD
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
NEW_FROM_DESCR, RETURN = 94, 76  # slots of NumPy's C API table

SCALARS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
           "float32", "float64", "complex64", "complex128")  # fmt: skip

_PYTHON = (
    "PyFloat_Type", "PyLong_Type", "PyUnicode_Type", "_Py_NoneStruct", "Py_IncRef", "Py_DecRef",
    "PyTuple_New", "PyTuple_SetItem", "PyTuple_GetItem", "PyTuple_Size",
    "_Py_TrueStruct", "PyDict_GetItemWithError", "PyLong_AsLongLongAndOverflow",
    "PyObject_GetAttr", "PyErr_Clear", "PyErr_CheckSignals", "PyErr_ExceptionMatches",
    "PyObject_Vectorcall", "PyLong_FromLongLong",
    "PyNumber_FloorDivide", "PyEval_SaveThread", "PyEval_RestoreThread",
)  # fmt: skip


@cache
def addresses() -> Mapping[str, int]:
    """Addresses of Python's and NumPy's objects and functions by the names the stubs use."""
    found = {
        name: ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name)) for name in _PYTHON
    }
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    table = ctypes.cast(get_pointer(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    found["PyArray_NewFromDescr"], found["PyArray_Return"] = table[NEW_FROM_DESCR], table[RETURN]
    found["PyArray_Type"] = id(np.ndarray)
    found["exception"] = id(Exception)
    found |= {**blas.addresses(), **matrix_kernel.addresses()}
    found["memmove"] = ctypes.cast(ctypes.memmove, ctypes.c_void_p).value or 0
    found["memset"] = ctypes.cast(ctypes.memset, ctypes.c_void_p).value or 0
    for name in SCALARS:
        found[f"dtype_{name}"] = id(np.dtype(name))
        found[f"scalar_{name}"] = id(np.dtype(name).type)
    return found


@cache
def is_supported() -> str:
    """Empty where objects are laid out as the stubs expect, else what is not."""
    import platform
    import sys

    if platform.python_implementation() != "CPython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return "this is no 64-bit CPython"
    if not sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else False:
        return "this Python has no global interpreter lock"

    def field(obj: Any, offset: int, kind: Any = ctypes.c_int64) -> Any:
        return kind.from_address(id(obj) + offset).value

    probe: Any = np.zeros((3, 4), np.float32)[1:, ::2]
    expected = [
        (field(probe, TYPE), id(np.ndarray)),
        (field(probe, HEAD), probe.__array_interface__["data"][0]),
        (field(probe, NDIM, ctypes.c_int32), 2),
        (field(probe, DESCR), id(np.dtype(np.float32))),
        (field(probe, FLAGS, ctypes.c_int32) & (ALIGNED | C_CONTIGUOUS | WRITEABLE),
         ALIGNED | WRITEABLE),
        (field(1.5, HEAD, ctypes.c_double), 1.5),
        (field(np.float64(2.5), HEAD, ctypes.c_double), 2.5),
        (field((lambda: probe).__closure__[0], CELL_CONTENTS), id(probe)),  # type: ignore[index]
    ]  # fmt: skip
    for pointer, values in ((DIMS, probe.shape), (STRIDES, probe.strides)):
        start = field(probe, pointer)
        expected += [
            (ctypes.c_int64.from_address(start + 8 * k).value, v) for k, v in enumerate(values)
        ]
    return "" if all(a == b for a, b in expected) else "objects are laid out in another way"
