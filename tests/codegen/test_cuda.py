"""The CUDA target without a GPU: on Numba's simulator, and compiled to PTX."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jitgraph
from jitgraph.build import stage
from jitgraph.options import Options

pytest.importorskip("numba_cuda", reason="the extra 'cuda' is not installed")


def test_kernels_are_right_on_the_simulator() -> None:
    """In a process of its own: the simulator is chosen before Numba is imported."""
    script = Path(__file__).parent / "cuda_simulator.py"
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "gelu",
        "softmax",
        "layernorm",
        "reductions",
        "views",
        "remainders",
    ]


def gelu(x, b):
    h = x + b
    return 0.5 * h * (1 + np.tanh(0.79788456 * (h + 0.044715 * h**3)))


def any_of_a_row(x):
    return (x > 2).any(axis=1)


def all_of_a_row(x):
    return (x > 2).all(axis=1)


@pytest.mark.parametrize("function", [gelu, jitgraph.softmax, any_of_a_row, all_of_a_row])
def test_kernels_compile_to_ptx_in_single_precision(function) -> None:
    pytest.importorskip("cuda.bindings", reason="CUDA's compiler is not installed")
    from jitgraph_codegen.cuda_compile import ptx

    args = (np.ones((6, 5), "f4"), np.ones(5, "f4"))[: 2 if function is gelu else 1]
    graph = jitgraph.compile(function, strict=True).graph(*args)
    ((lowered,),) = stage(graph, {}, Options("cuda")).kernels.values()
    text = ptx(lowered.kernel, (9, 0))
    assert ".target sm_90" in text and ".visible .entry" in text
    assert ".f64" not in text, "a literal or a size crept in as float64"
    assert (re.search(r"\bbar(rier)?\.", text) is not None) == (function is not gelu), "by blocks"


def test_what_has_no_device_form_falls_back_by_name() -> None:
    x = np.ones((3, 4))
    f = jitgraph.compile(lambda x: x.argmax(axis=1), target="cuda")
    assert f(x).tolist() == [0, 0, 0] and "argmax has no CUDA form" in f.explain(x)
