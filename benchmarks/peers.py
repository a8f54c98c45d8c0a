"""How each peer runs a workload: its inputs and its compiled callable."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

from .workloads import Workload

Call = Callable[[], Any]  # runs once and waits for the result
MODULES = {
    "jitgraph": "jitgraph", "numpy": "numpy", "numba": "numba", "torch": "torch", "jax": "jax",
    "pytensor": "pytensor", "numexpr": "numexpr",
}  # fmt: skip


def installed() -> list[str]:
    return [name for name, module in MODULES.items() if find_spec(module) is not None]


def prepare(peer: str, work: Workload, inputs: tuple[np.ndarray, ...]) -> Call | None:
    """The workload on a peer; None where the peer has no form of it."""
    maker: Callable[..., Call | None] = globals()[f"_{peer}"]
    return maker(work, inputs)


def _numpy(work: Workload, inputs: tuple[np.ndarray, ...]) -> Call:
    return lambda: work.function(np, *inputs)


def _jitgraph(work: Workload, inputs: tuple[np.ndarray, ...]) -> Call:
    import jitgraph

    function = jitgraph.compile(_positional(work, np, len(inputs)), strict=True)
    return lambda: function(*inputs)


def _positional(work: Workload, xp: Any, count: int) -> Callable[..., Any]:
    """A function of just the arrays, as a user would have written it."""
    return {
        1: lambda a: work.function(xp, a),
        2: lambda a, b: work.function(xp, a, b),
        3: lambda a, b, c: work.function(xp, a, b, c),
        5: lambda a, b, c, d, e: work.function(xp, a, b, c, d, e),
    }[count]


def _torch(work: Workload, inputs: tuple[np.ndarray, ...]) -> Call:
    import torch

    xp = SimpleNamespace(
        tanh=torch.tanh, exp=torch.exp, sqrt=torch.sqrt, abs=torch.abs, where=torch.where,
        log=torch.log, sum=torch.sum, mean=torch.mean, clip=torch.clip, arange=torch.arange,
        cumsum=torch.cumsum, matmul=torch.matmul, swapaxes=torch.swapaxes,
        maximum=lambda x, y: torch.clamp_min(x, y),
        argmin=lambda x, axis: torch.argmin(x, dim=axis),
        max=lambda x, axis, keepdims: torch.amax(x, dim=axis, keepdim=keepdims),
    )  # fmt: skip
    tensors = [torch.from_numpy(a) for a in inputs]
    function = torch.compile(_positional(work, xp, len(inputs)))
    return lambda: function(*tensors)


def _jax(work: Workload, inputs: tuple[np.ndarray, ...]) -> Call:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    arrays = [jnp.asarray(a) for a in inputs]
    function = jax.jit(_positional(work, jnp, len(inputs)))
    return lambda: function(*arrays).block_until_ready()


def _pytensor(work: Workload, inputs: tuple[np.ndarray, ...]) -> Call:
    import pytensor
    import pytensor.tensor as pt

    pytensor.config.floatX = str(inputs[0].dtype)
    variables = [pt.tensor(dtype=a.dtype, shape=(None,) * a.ndim) for a in inputs]
    function = pytensor.function(variables, work.function(pt, *variables))
    return lambda: function(*inputs)


def _numexpr(work: Workload, inputs: tuple[np.ndarray, ...]) -> Call | None:
    import numexpr

    if work.name == "gelu":
        x, b = inputs
        text = "0.5*(x+b)*(1+tanh(0.79788456*((x+b)+0.044715*(x+b)**3)))"
        return lambda: numexpr.evaluate(text, {"x": x, "b": b}, truediv=True)
    if work.name in ("tiny", "small"):
        a, b = inputs
        return lambda: numexpr.evaluate("a*b+1", {"a": a, "b": b})
    return None


def _numba(work: Workload, inputs: tuple[np.ndarray, ...]) -> Call | None:
    """What a user who knows Numba writes by hand."""
    import numba

    kernels = _numba_kernels(numba)
    if work.name not in kernels:
        return None
    kernel = kernels[work.name]
    return lambda: kernel(*inputs)


def _numba_kernels(numba: Any) -> dict[str, Callable[..., Any]]:
    parallel = numba.njit(parallel=True, fastmath=True)
    f4 = np.float32

    @parallel
    def gelu(x, b):
        out = np.empty_like(x)
        for i in numba.prange(x.shape[0]):
            for j in range(x.shape[1]):
                h = x[i, j] + b[j]
                t = math.tanh(f4(0.79788456) * (h + f4(0.044715) * h**3))
                out[i, j] = f4(0.5) * h * (f4(1) + t)
        return out

    @parallel
    def softmax(x):
        out = np.empty_like(x)
        for i in numba.prange(x.shape[0]):
            top = x[i].max()
            total = f4(0)
            for j in range(x.shape[1]):
                out[i, j] = math.exp(x[i, j] - top)
                total += out[i, j]
            for j in range(x.shape[1]):
                out[i, j] /= total
        return out

    @parallel
    def layernorm(x, weight, bias):
        out = np.empty_like(x)
        n = f4(x.shape[1])
        for i in numba.prange(x.shape[0]):
            mean = x[i].sum() / n
            total = f4(0)
            for j in range(x.shape[1]):
                total += (x[i, j] - mean) ** 2
            scale = f4(1) / math.sqrt(total / n + f4(1e-5))
            for j in range(x.shape[1]):
                out[i, j] = (x[i, j] - mean) * scale * weight[j] + bias[j]
        return out

    @parallel
    def stencil(x):
        n, m = x.shape
        out = np.empty((n - 2, m - 2), x.dtype)
        for i in numba.prange(1, n - 1):
            for j in range(1, m - 1):
                around = x[i - 1, j] + x[i + 1, j] + x[i, j - 1] + x[i, j + 1]
                out[i - 1, j - 1] = f4(0.2) * (x[i, j] + around)
        return out

    @parallel
    def kmeans(points, centers):
        out = np.empty(len(points), np.int64)
        for i in numba.prange(len(points)):
            best, at = f4(np.inf), 0
            for k in range(len(centers)):
                total = f4(0)
                for d in range(points.shape[1]):
                    total += (points[i, d] - centers[k, d]) ** 2
                if total < best:
                    best, at = total, k
            out[i] = at
        return out

    @numba.njit
    def tiny(a, b):
        return a * b + f4(1)

    return {
        "gelu": gelu, "softmax": softmax, "layernorm": layernorm, "stencil": stencil,
        "kmeans": kmeans, "tiny": tiny, "small": tiny,
    }  # fmt: skip
