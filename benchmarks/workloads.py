"""The work that is timed: functions with inputs, over a namespace `xp` for peers with their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """`function(xp, *inputs)`; tolerance is relative to the largest result of float64 NumPy."""

    name: str
    function: Callable[..., Any]
    inputs: Callable[[], tuple[np.ndarray, ...]]
    tolerance: float = 1e-5


def gelu(xp: Any, x: Any, b: Any) -> Any:
    h = x + b
    return 0.5 * h * (1 + xp.tanh(0.79788456 * (h + 0.044715 * h**3)))


def softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def layernorm(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    mean = xp.mean(x, axis=-1, keepdims=True)
    variance = xp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) / xp.sqrt(variance + 1e-5) * weight + bias


def normal_cdf(xp: Any, d: Any) -> Any:
    """Abramowitz and Stegun 26.2.17."""
    k = 1 / (1 + 0.2316419 * xp.abs(d))
    series = k * (
        0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429)))
    )
    tail = 0.39894228 * xp.exp(-0.5 * d * d) * series
    return xp.where(d > 0, 1 - tail, tail)


def black_scholes(xp: Any, spot: Any, strike: Any, years: Any) -> Any:
    rate, volatility = 0.02, 0.3
    root = xp.sqrt(years)
    d1 = (xp.log(spot / strike) + (rate + 0.5 * volatility**2) * years) / (volatility * root)
    d2 = d1 - volatility * root
    return spot * normal_cdf(xp, d1) - strike * xp.exp(-rate * years) * normal_cdf(xp, d2)


def stencil(xp: Any, x: Any) -> Any:
    return 0.2 * (x[1:-1, 1:-1] + x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:])


def kmeans(xp: Any, points: Any, centers: Any) -> Any:
    difference = points[:, None, :] - centers[None, :, :]
    return xp.argmin(xp.sum(difference * difference, axis=2), axis=1)


def cross_entropy(xp: Any, logits: Any, labels: Any) -> Any:
    top = xp.max(logits, axis=-1, keepdims=True)
    log_sum = xp.log(xp.sum(xp.exp(logits - top), axis=-1)) + top[:, 0]
    return xp.mean(log_sum - logits[xp.arange(logits.shape[0]), labels])


def clipped_sum(xp: Any, x: Any, mask: Any) -> Any:
    return xp.sum(xp.where(mask, xp.clip(x, -1, 1), 0))


def standardise(xp: Any, x: Any) -> Any:
    centred = x - xp.mean(x, axis=0, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=0, keepdims=True) + 1e-6)


def forces(xp: Any, positions: Any, masses: Any) -> Any:
    towards = positions[None, :, :] - positions[:, None, :]
    square = xp.sum(towards * towards, axis=2) + 1e-3
    pull = masses[None, :] / (square * xp.sqrt(square))
    return xp.sum(towards * pull[:, :, None], axis=1)


def transposed_sum(xp: Any, x: Any, y: Any) -> Any:
    return x + y.T


def cumulative_share(xp: Any, x: Any) -> Any:
    total = xp.cumsum(x, axis=1)
    return total / total[:, -1:]


def perceptron(xp: Any, x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> Any:
    return xp.maximum(x @ w1 + b1, 0) @ w2 + b2


def attention(xp: Any, q: Any, k: Any, v: Any) -> Any:
    scores = xp.matmul(q, xp.swapaxes(k, 1, 2)) * 0.125
    e = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    return xp.matmul(e / xp.sum(e, axis=-1, keepdims=True), v)


def tiny(xp: Any, a: Any, b: Any) -> Any:
    return a * b + 1


def _normal(*shape: int, dtype: str = "f4") -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def _options() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.uniform(low, high, 1_000_000) for low, high in ((5, 30), (1, 100), (0.25, 10)))


def _mask() -> np.ndarray:
    return _normal(4096, 1024) > 0


def _labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, 4096)


def _layers() -> tuple[np.ndarray, ...]:
    weights = _normal(512, 1024) / 20, _normal(1024), _normal(1024, 64) / 30, _normal(64)
    return (_normal(1024, 512), *[w.astype("f4") for w in weights])


WORKLOADS = {
    w.name: w
    for w in (
        Workload("gelu", gelu, lambda: (_normal(4096, 1024), _normal(1024))),
        Workload("softmax", softmax, lambda: (_normal(4096, 1024),)),
        Workload(
            "layernorm", layernorm, lambda: (_normal(4096, 1024), _normal(1024), _normal(1024))
        ),
        Workload("black_scholes", black_scholes, _options, 1e-12),
        Workload("stencil", stencil, lambda: (_normal(2048, 2048),)),
        Workload("kmeans", kmeans, lambda: (_normal(20_000, 8), _normal(32, 8))),
        Workload("cross_entropy", cross_entropy, lambda: (_normal(4096, 1000), _labels())),
        Workload(
            "clipped_sum", clipped_sum, lambda: (_normal(4096, 1024), _normal(4096, 1024) > 0)
        ),
        Workload("standardise", standardise, lambda: (_normal(4096, 1024),)),
        Workload("forces", forces, lambda: (_normal(2000, 3), _normal(2000) ** 2), 1e-4),
        Workload(
            "transposed_sum", transposed_sum, lambda: (_normal(2048, 2048), _normal(2048, 2048))
        ),
        Workload("cumulative_share", cumulative_share, lambda: (_normal(4096, 1024) ** 2,), 1e-4),
        Workload("tiny", tiny, lambda: (_normal(16), _normal(16))),
        Workload("small", tiny, lambda: (_normal(1000), _normal(1000))),
        Workload("perceptron", perceptron, _layers, 1e-4),
        Workload(
            "attention", attention, lambda: tuple(_normal(8, 256, 64) for _ in range(3)), 1e-4
        ),
    )
}
