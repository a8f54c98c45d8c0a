"""Functions made of functions: derivatives of any order, and functions of batches.

A transformed function does what it is asked where it is called: on Tensors by the tape, in a
function that is being captured by writing down the nodes of the derivative after those of the
function.  Called on arrays, it is captured and compiled itself.
"""

from .batches import vmap
from .forward import hvp, jvp
from .jacobians import hessian, jacobian
from .reverse import grad, value_and_grad, vjp
from .rules import CustomVjp, checkpoint, custom_vjp, stop_gradient

__all__ = [
    "CustomVjp", "checkpoint", "custom_vjp", "grad", "hessian", "hvp", "jacobian", "jvp",
    "stop_gradient", "value_and_grad", "vjp", "vmap",
]  # fmt: skip
