"""Sizes inside a captured function are Python's integers, and stay symbolic wherever they can."""

import math

import numpy as np
import pytest

import jitgraph

SYMBOLIC = {
    "arithmetic": lambda x: (len(x) + 1, 2 * x.size - 3, -x.shape[0], len(x) ** 2, len(x) % 2),
    "a root": lambda x: (x / np.sqrt(x.shape[0]), x / math.sqrt(x.shape[0]), np.sqrt(len(x))),
    "a mean": lambda x: (x.sum() / x.shape[0], x.sum() / (x.size - 1), x * (1 / len(x))),
    "numpy's functions": lambda x: (np.add(len(x), 1), np.maximum(len(x), 3), np.exp(-len(x))),
    "comparisons": lambda x: (x.shape[0] > 3, len(x) == 2.5, 1 < x.size < 100, bool(len(x))),
    "conversions": lambda x: (float(len(x)), np.float32(len(x)), np.int64(len(x))),
    "types": lambda x: (isinstance(len(x), int), isinstance(len(x), float), type(len(x)).__name__),
    "extremes": lambda x: (min(len(x), 1000), max(len(x), x.size, 3)),
}  # fmt: skip

BY_VALUE = {
    "bits": lambda x: (len(x) & 1, len(x) | 8, len(x) ^ 3, ~len(x), len(x) << 1, len(x) >> 1),
    "rounding": lambda x: (round(len(x) / 2), int(0.7 * len(x)), round(len(x), -1), abs(-len(x))),
    "parts": lambda x: (x[: int(len(x) * 0.5)], np.zeros(math.ceil(len(x) / 2)), x[: len(x) // 3]),
    "text": lambda x: (f"{len(x):03d}", str(x.shape[0]), f"{len(x) / 4:.2f}"),
    "keys": lambda x: ({len(x): 1}, {len(x) / 2: 2}, len(x) in (7, 9), [0] * len(x)),
    "loops": lambda x: list(range(int(len(x) ** 0.5))),
}


def identical(got, expected) -> None:
    """Equal values of the same types."""
    if isinstance(expected, (tuple, list)):
        assert type(got) is type(expected) and len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            identical(g, e)
        return
    assert type(got) is type(expected)
    if isinstance(expected, (np.ndarray, float, np.floating)):
        np.testing.assert_allclose(got, expected, rtol=1e-15)
    else:
        assert got == expected


@pytest.mark.parametrize("name", SYMBOLIC)
def test_new_sizes_capture_nothing(name: str) -> None:
    function = SYMBOLIC[name]
    compiled = jitgraph.compile(function, strict=True)
    for n in (7, 12, 31):
        x = np.linspace(1, 2, n)
        identical(compiled(x), function(x))
    assert compiled.cache_info().captures == 1


@pytest.mark.parametrize("name", BY_VALUE)
def test_what_needs_the_number_is_specialised_on_it(name: str) -> None:
    function = BY_VALUE[name]
    compiled = jitgraph.compile(function, strict=True)
    for n in (7, 12, 7, 12):
        x = np.linspace(1, 2, n)
        identical(compiled(x), function(x))
    assert compiled.cache_info().captures == 2
