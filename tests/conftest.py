"""Shared fixtures: kernels compiled by one run are kept for the next, in pytest's own cache."""

import os

import numpy as np
import pytest


def pytest_configure(config: pytest.Config) -> None:
    if config.cache is not None:
        os.environ.setdefault("JITGRAPH_CACHE_DIR", str(config.cache.mkdir("kernels")))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden sources anew")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
