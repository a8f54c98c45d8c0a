"""Neural network building blocks with PyTorch's names, defaults and parameter layouts."""

from . import functional
from .layers import Linear, ReLU, Sequential, Tanh
from .module import Module, Parameter

__all__ = ["Linear", "Module", "Parameter", "ReLU", "Sequential", "Tanh", "functional"]
