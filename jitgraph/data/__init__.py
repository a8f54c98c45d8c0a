"""Data for training: datasets, loaders, and the handwritten digits that ship with the package."""

from .datasets import load_digits
from .loader import DataLoader, TensorDataset

__all__ = ["DataLoader", "TensorDataset", "load_digits"]
