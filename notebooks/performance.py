# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Dynamic, compiled, NumPy, and Numba by hand
#
# The same functions four ways: on `jitgraph.Tensor` one operation at a time, compiled by
# `@jitgraph.compile`, on NumPy, and as loops written by hand for Numba. All times are the best of
# several calls on the machine that ran this notebook.

# %%
import math
import time

import matplotlib.pyplot as plt
import numba
import numpy as np

import jitgraph
from jitgraph.demo import train


def best(call, seconds=0.2):
    """Best time of a call in milliseconds."""
    call()
    found, spent = math.inf, 0.0
    while spent < seconds:
        start = time.perf_counter()
        call()
        took = time.perf_counter() - start
        found, spent = min(found, took), spent + took
    return 1e3 * found


rng = np.random.default_rng(0)

# %% [markdown]
# ## What the compiler sees and makes
#
# Capture writes down the static graph; fusion puts all of it into one kernel; the kernel is Python
# that anyone can read.


# %%
@jitgraph.compile
def gelu(x, b):
    h = x + b
    return 0.5 * h * (1 + np.tanh(0.79788456 * (h + 0.044715 * h**3)))


x = rng.standard_normal((1024, 1024)).astype(np.float32)
b = rng.standard_normal(1024).astype(np.float32)
print(gelu.graph(x, b))
print(gelu.source(x, b))
print(gelu.explain(x, b))

# %% [markdown]
# ## Three functions, four ways


# %%
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def standardise(x):
    return (x - x.mean(axis=-1, keepdims=True)) / (x.std(axis=-1, keepdims=True) + 1e-5)


@numba.njit(parallel=True)
def gelu_loops(x, b):
    out = np.empty_like(x)
    for i in numba.prange(x.shape[0]):
        for j in range(x.shape[1]):
            h = x[i, j] + b[j]
            t = math.tanh(np.float32(0.79788456) * (h + np.float32(0.044715) * h * h * h))
            out[i, j] = np.float32(0.5) * h * (np.float32(1) + t)
    return out


@numba.njit(parallel=True)
def softmax_loops(x):
    out = np.empty_like(x)
    for i in numba.prange(x.shape[0]):
        top, total = x[i].max(), np.float32(0)
        for j in range(x.shape[1]):
            out[i, j] = math.exp(x[i, j] - top)
            total += out[i, j]
        for j in range(x.shape[1]):
            out[i, j] /= total
    return out


@numba.njit(parallel=True)
def standardise_loops(x):
    out = np.empty_like(x)
    n = np.float32(x.shape[1])
    for i in numba.prange(x.shape[0]):
        mean, square = x[i].sum() / n, np.float32(0)
        for j in range(x.shape[1]):
            square += (x[i, j] - mean) ** 2
        scale = np.float32(1) / (math.sqrt(square / n) + np.float32(1e-5))
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean) * scale
    return out


cases = {
    "gelu": (gelu.__wrapped__, gelu_loops, (x, b)),
    "softmax": (softmax, softmax_loops, (x,)),
    "standardise": (standardise, standardise_loops, (x,)),
}
times = {}
for name, (function, loops, args) in cases.items():
    compiled = jitgraph.compile(function, strict=True)
    tensors = [jitgraph.Tensor(a) for a in args]
    assert np.allclose(compiled(*args), function(*args), rtol=1e-4, atol=1e-5)
    times[name] = {
        "dynamic": best(lambda: function(*tensors)),
        "NumPy": best(lambda: function(*args)),
        "Numba by hand": best(lambda: loops(*args)),
        "compiled": best(lambda: compiled(*args)),
    }
for name, row in times.items():
    print(f"{name:12}", "   ".join(f"{way} {ms:7.2f} ms" for way, ms in row.items()))

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for axis, (name, row) in zip(axes, times.items(), strict=True):
    axis.barh(list(row), list(row.values()), color=["C0", "C7", "C2", "C1"])
    axis.set(title=name, xlabel="ms a call")
plt.show()

# %% [markdown]
# ## Cost by size
#
# Small arrays show what a call costs, large ones what memory costs: the steps are those of the
# caches. New sizes compile nothing.

# %%
sizes = [10**k for k in range(1, 9)]
curve = {"NumPy": [], "dynamic": [], "compiled": []}
compiled = jitgraph.compile(lambda a, b: np.sqrt(a * a + b * b) * 0.5)
for n in sizes:
    a, c = rng.random((2, n), dtype=np.float32)
    t, u = jitgraph.Tensor(a), jitgraph.Tensor(c)
    curve["NumPy"].append(best(lambda: np.sqrt(a * a + c * c) * 0.5, 0.05))
    curve["dynamic"].append(best(lambda: jitgraph.sqrt(t * t + u * u) * 0.5, 0.05))
    curve["compiled"].append(best(lambda: compiled(a, c), 0.05))
print(compiled.cache_info())
for name, row in curve.items():
    plt.loglog(sizes, [1e6 * ms / n for ms, n in zip(row, sizes, strict=True)], "o-", label=name)
plt.xlabel("elements")
plt.ylabel("ns an element")
plt.legend()
plt.show()

# %% [markdown]
# ## A model that trains
#
# The same network and the same loss; in compiled mode forward and backward are two programs, and
# the whole function is one node on the tape.

# %%
runs = [train(mode, epochs=12) for mode in ("dynamic", "static")]
for run in runs:
    print(
        f"{run.mode:8} {1e3 * run.seconds_an_epoch:6.1f} ms an epoch, accuracy {run.accuracy:.3f}"
    )
    plt.semilogy(run.losses, label=run.mode)
plt.xlabel("epoch")
plt.ylabel("loss")
plt.legend()
plt.show()
