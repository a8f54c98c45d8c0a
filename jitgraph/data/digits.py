"""Data sets that ship with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def load_digits() -> tuple[Array, Array]:
    """1797 handwritten digits: images (1797, 64) float32 in [0, 1], labels (1797,) int64.

    The test set of the Optical Recognition of Handwritten Digits data (E. Alpaydin, C. Kaynak,
    1998, UCI Machine Learning Repository, CC BY 4.0): 8 x 8 images of 17 grey levels.
    """
    with files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file) as stored:
        return stored["images"].astype(np.float32) / 16, stored["labels"].astype(np.int64)


def split(
    images: Array, labels: Array, test: float = 0.2, seed: int = 0
) -> tuple[Array, Array, Array, Array]:
    """Shuffled training and test parts: (train images, train labels, test images, test labels)."""
    order = np.random.default_rng(seed).permutation(len(images))
    cut = round(len(images) * (1 - test))
    train, rest = order[:cut], order[cut:]
    return images[train], labels[train], images[rest], labels[rest]
