"""Kernels for a GPU, through `numba.cuda` (the extra `cuda`); on Numba's simulator with
NUMBA_ENABLE_CUDASIM=1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .cuda_printer import print_kernel
from .loop_ir import Kernel
from .source import KernelSource, register_source

LARGEST_GRID = 65_535


def _module(text: str, name: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": f"jitgraph_generated.{name}"}
    filename = f"<jitgraph cuda {name}>"
    register_source(filename, text)
    exec(compile(text, filename, "exec"), namespace)
    return namespace


def launcher(source: KernelSource) -> Callable[..., None]:
    """The callable of a kernel: arrays go to the device, results come back."""
    from numba import cuda

    module = _module(source.module, source.name)
    kernel, threads = module[source.name], module["THREADS"]

    def launch(
        arrays: Sequence[np.ndarray[Any, Any]], sizes: Sequence[int], extent: int, elements: int
    ) -> None:
        shapes = module["shapes"](*sizes)
        given = [np.ascontiguousarray(a).reshape(s) for a, s in zip(arrays, shapes, strict=True)]
        on_device = [cuda.to_device(a) for a in given]
        blocks = extent if module["LAUNCH"] == "rows" else -(-extent // threads)
        numbers = [sizes[k] for k in module["ARGUMENTS"]]
        with warnings.catch_warnings():  # of a GPU that a small array leaves idle
            warnings.filterwarnings("ignore", message=".*Grid size")
            kernel[min(blocks, LARGEST_GRID), threads](*on_device, *numbers, extent)
        for array, device in list(zip(arrays, on_device, strict=True))[-source.outputs :]:
            array[...] = device.copy_to_host().reshape(array.shape)

    return launch


def ptx(kernel: Kernel, capability: tuple[int, int] = (9, 0)) -> str:
    """The kernel's PTX for a compute capability; needs CUDA's compiler but no GPU."""
    from numba import cuda, types
    from numba.np.numpy_support import from_dtype

    source = print_kernel(kernel, kernel.name)
    function = _module(source.module, kernel.name)[kernel.name].py_func
    arrays = [types.Array(from_dtype(np.dtype(b.dtype)), len(b.shape), "C") for b in kernel.buffers]
    numbers = [types.int64] * (len(kernel.arguments_of_function) + 1)
    text, _ = cuda.compile_ptx(function, (*arrays, *numbers), cc=capability)
    return str(text)
