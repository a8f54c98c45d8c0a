"""The generated source of a few functions; `--update-golden` writes tests/golden anew."""

from pathlib import Path

import numpy as np
import pytest

import jitgraph

FOLDER = Path(__file__).parent.parent / "golden"


def gelu(x, b):
    h = x + b
    return 0.5 * h * (1 + np.tanh(0.79788456 * (h + 0.044715 * h**3)))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layernorm(x, weight, bias):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5) * weight + bias


def laplace(x):
    return 0.25 * (x[1:-1, :-2] + x[1:-1, 2:] + x[:-2, 1:-1] + x[2:, 1:-1])


def nearest(points, centers):
    return ((points[:, None] - centers) ** 2).sum(axis=-1).argmin(axis=1)


def wrap(a, b):
    return (a + b) // 3 & 7


F, N = "f4", "i4"
CASES = {
    gelu: ((6, 5, F), (5, F)),
    softmax: ((6, 5, F),),
    layernorm: ((6, 5, F), (5, F), (5, F)),
    laplace: ((6, 5, F),),
    nearest: ((6, 2, F), (4, 2, F)),
    wrap: ((6, 5, N), (6, 5, N)),
}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_generated_source(function, target: str, request: pytest.FixtureRequest) -> None:
    if target == "cuda" and function in (nearest, wrap):
        pytest.skip("position reductions and integer division have no CUDA form yet")
    args = [np.ones(shape, dtype) for *shape, dtype in CASES[function]]
    text = _text(function, args, target)
    path = FOLDER / f"{function.__name__}_{target}.py"
    if request.config.getoption("--update-golden"):
        path.write_text(text)
    assert text == path.read_text(), f"differs from {path.name}; --update-golden writes it anew"


def _text(function, args: list[np.ndarray], target: str) -> str:
    """Kernels and driver, without compiling them (a GPU's would need one)."""
    from jitgraph.build import build
    from jitgraph.options import Options

    compiled = jitgraph.compile(function, strict=True)
    graph = compiled.graph(*args)
    sizes = [f"s{k}" for k in range(sum(d > 1 for a in args for d in a.shape))]
    source = build(graph, {}, sizes, Options(target))
    return "\n\n".join([*[k.module for k in source.kernels], source.driver])
