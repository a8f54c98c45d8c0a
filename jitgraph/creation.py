"""Making Tensors, with PyTorch's names and defaults (float32 for numbers with a point)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .random import Generator
from .tensor import Tensor

_generator = Generator()


def manual_seed(seed: int) -> None:
    """Make `rand`, `randn`, `randint`, dropout, shuffling and initial weights repeat from here, in
    compiled functions too.
    """
    _generator.manual_seed(seed)


def get_rng_state() -> dict[str, int]:
    """Where the generator of all random functions is."""
    return _generator.get_state()


def set_rng_state(state: Mapping[str, int]) -> None:
    """Go on from what `get_rng_state` gave."""
    _generator.set_state(state)


def generator() -> Generator:
    """The generator all random functions draw from."""
    return _generator


def _sizes(size: tuple[Any, ...]) -> tuple[int, ...]:
    given = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    return tuple(int(d) for d in given)


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of the data; Python floats become float32, integers int64."""
    made = Tensor(data, dtype)
    return Tensor(made.data.copy(), requires_grad=requires_grad)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A Tensor on the array's own memory and dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"from_numpy expects a NumPy array, not {type(array).__name__}; use tensor()"
        )
    return Tensor(array)


def zeros(*size: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Zeros of the given sizes."""
    return Tensor(np.zeros(_sizes(size), dtype), requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Ones of the given sizes."""
    return Tensor(np.ones(_sizes(size), dtype), requires_grad=requires_grad)


def full(size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value repeated; its dtype decides unless one is given."""
    shape = _sizes((size,))
    return Tensor(np.full(shape, Tensor(fill_value, dtype).data), requires_grad=requires_grad)


def arange(*args: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`arange([start,] stop[, step])`; integers unless an argument is a float."""
    array = np.arange(*args, dtype=dtype)
    if dtype is None and array.dtype == np.float64:
        array = array.astype(np.float32)
    return Tensor(array, requires_grad=requires_grad)


def linspace(
    start: float, end: float, steps: int, dtype: Any = np.float32, requires_grad: bool = False
) -> Tensor:
    """`steps` values from start to end, both included."""
    return Tensor(np.linspace(start, end, steps, dtype=dtype), requires_grad=requires_grad)


def eye(
    n: int, m: int | None = None, dtype: Any = np.float32, requires_grad: bool = False
) -> Tensor:
    """Ones on the diagonal of an n x m matrix."""
    return Tensor(np.eye(n, m, dtype=dtype), requires_grad=requires_grad)


def rand(*size: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Uniform random numbers in [0, 1)."""
    return Tensor(_generator.random(_sizes(size), dtype=dtype), requires_grad=requires_grad)


def randn(*size: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Standard normal random numbers."""
    return Tensor(
        _generator.standard_normal(_sizes(size), dtype=dtype), requires_grad=requires_grad
    )


def randint(low: int, high: int | None = None, size: Any = (), dtype: Any = np.int64) -> Tensor:
    """Random integers in [low, high), or [0, low) where high is left out."""
    return Tensor(_generator.integers(low, high, _sizes((size,))).astype(dtype))
