"""Optimisers, learning rates that change, and gradients that are clipped, as PyTorch has them."""

from .clipping import clip_grad_norm_, clip_grad_value_
from .optimizer import Optimizer
from .optimizers import SGD, Adagrad, Adam, AdamW, Lion, RMSprop
from .schedulers import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Scheduler,
    StepLR,
)

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "CosineAnnealingLR", "LinearLR", "Lion", "OneCycleLR",
    "Optimizer", "RMSprop", "ReduceLROnPlateau", "Scheduler", "StepLR", "clip_grad_norm_",
    "clip_grad_value_",
]  # fmt: skip
