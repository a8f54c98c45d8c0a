"""jitgraph turns NumPy functions into compiled kernels.

`@jitgraph.compile` captures a function of arrays as a static graph, fuses it, and runs it as
machine code; Tensors run the same operations one by one and record a dynamic graph for gradients.
"""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from jitgraph_codegen.threads import get_num_threads, set_num_threads

from . import functions as _functions
from . import prepared, random
from .checkpoints import load, load_metadata, save
from .compile import CacheInfo, CompiledFunction, RecompileWarning, compile
from .control import cond, fori_loop, map, scan, while_loop
from .creation import (
    arange,
    eye,
    from_numpy,
    full,
    get_rng_state,
    linspace,
    manual_seed,
    ones,
    rand,
    randint,
    randn,
    set_rng_state,
    tensor,
    zeros,
)  # fmt: skip
from .errors import (
    AxisError,
    BoundsError,
    CaptureError,
    CheckpointError,
    DTypeError,
    GradientError,
    GraphError,
    JitgraphError,
    ShapeError,
)  # fmt: skip
from .functions import *
from .graph import Graph, parse
from .tape import no_grad
from .tensor import Tensor
from .transforms import (
    checkpoint,
    custom_vjp,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)  # fmt: skip
from .version import __version__


def _preparing(name: str) -> Callable[..., Any]:
    """A function of `preparing`, which is imported when something is met often."""
    return lambda *what: getattr(importlib.import_module("jitgraph.preparing"), name)(*what)


prepared.register(_preparing("prepare_call"), _preparing("prepare_rule"))

_PARTS = ("data", "nn", "numpy", "optim")  # imported when they are asked for


def __getattr__(name: str) -> ModuleType:
    if name in _PARTS:
        return importlib.import_module(f"jitgraph.{name}")
    raise AttributeError(f"module 'jitgraph' has no attribute {name!r}")


__all__ = [
    "AxisError", "BoundsError", "CacheInfo", "CaptureError", "CheckpointError", "CompiledFunction",
    "DTypeError", "GradientError", "Graph", "GraphError", "JitgraphError", "RecompileWarning",
    "ShapeError", "Tensor", "__version__", "arange", "checkpoint", "compile", "cond", "custom_vjp",
    "eye", "fori_loop", "from_numpy", "full", "get_num_threads", "get_rng_state", "grad",
    "hessian", "hvp", "jacobian", "jvp", "linspace", "load", "load_metadata", "manual_seed", "map",
    "no_grad", "ones", "parse", "rand", "randint", "randn", "random", "save", "scan",
    "set_num_threads", "set_rng_state", "stop_gradient", "tensor", "value_and_grad", "vjp", "vmap",
    "while_loop", "zeros", *_functions.__all__,
]  # fmt: skip
