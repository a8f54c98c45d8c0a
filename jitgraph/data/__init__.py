"""Data for training: datasets, the order they are read in, loaders, and handwritten digits."""

from .datasets import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from .digits import load_digits
from .loader import DataLoader, collate
from .samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "IterableDataset", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset",
    "WeightedRandomSampler", "collate", "load_digits", "random_split",
]  # fmt: skip
