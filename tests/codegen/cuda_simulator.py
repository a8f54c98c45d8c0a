"""Run by test_cuda.py on the simulator: prints the name of each function that agrees with NumPy."""

import numpy as np

import jitgraph

rng = np.random.default_rng(0)
x, b = rng.standard_normal((3, 40)).astype("f4"), rng.standard_normal(40).astype("f4")


def gelu(x, b):
    h = x + b
    return 0.5 * h * (1 + np.tanh(0.79788456 * (h + 0.044715 * h**3)))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layernorm(x, b):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * b + b


def reductions(x):
    return (
        x.sum(),
        x.min(axis=1),
        (x > 2).any(axis=1),
        (x > -9).all(axis=1),
        np.abs(x[:, :2]).prod(axis=1),
    )


def views(x):
    return x.T[1:] * 2 + np.floor(x[0, 0]), x[::-1, ::2] + 1


def remainders(x):
    counts = (x * 10).astype(np.int64)
    bits = counts.astype(np.uint64) & np.uint64(0xFFFF)
    return (
        counts // 3, counts % -4, np.fmod(counts, 3), x % 0.7, x // -0.7,
        (bits << np.uint64(3)) >> np.uint64(5), counts >> 2,
    )  # fmt: skip


for function, args in (
    (gelu, (x, b)),
    (softmax, (x,)),
    (layernorm, (x, b)),
    (reductions, (x,)),
    (views, (x,)),
    (remainders, (x,)),
):
    got = jitgraph.compile(function, target="cuda", strict=True)(*args)
    expected = function(*args)
    for g, e in (
        zip(got, expected, strict=True) if isinstance(expected, tuple) else [(got, expected)]
    ):
        assert g.dtype == e.dtype and g.shape == e.shape, function.__name__
        np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-6)
    print(function.__name__)
