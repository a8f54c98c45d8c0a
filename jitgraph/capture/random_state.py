"""Generators of random numbers: what a capture draws from them is put back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


def random_state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def set_random_state(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def generator_of(function: Callable[..., Any]) -> Any:
    """The generator that a function draws from; None where it draws from none."""
    if any(function is f for f in _OF_THE_GLOBAL_ONE):
        return np.random.mtrand._rand
    owner = getattr(function, "__self__", None)
    return owner if isinstance(owner, GENERATORS) else None


_OF_THE_GLOBAL_ONE = (np.random.seed, np.random.sample, np.random.ranf)
