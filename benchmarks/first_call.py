"""A whole process, from start to the first result of a small gelu, for the harness to time."""

import sys

import numpy as np

from .peers import prepare
from .workloads import Workload, gelu

if __name__ == "__main__":
    inputs = (np.ones((64, 64), "f4"), np.ones(64, "f4"))
    call = prepare(sys.argv[1], Workload("gelu", gelu, lambda: inputs), inputs)
    assert call is not None
    call()
