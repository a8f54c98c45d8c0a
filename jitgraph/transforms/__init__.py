"""Functions made of functions: derivatives of any order.

A transformed function does what it is asked where it is called: on Tensors by the tape, in a
function that is being captured by writing down the nodes of the derivative after those of the
function.  Called on arrays, it is captured and compiled itself.
"""

from .forward import hvp, jvp
from .reverse import grad, value_and_grad, vjp
from .rules import CustomVjp, checkpoint, custom_vjp, stop_gradient

__all__ = [
    "CustomVjp", "checkpoint", "custom_vjp", "grad", "hvp", "jvp", "stop_gradient",
    "value_and_grad", "vjp",
]  # fmt: skip
