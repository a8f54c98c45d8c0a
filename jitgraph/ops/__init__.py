"""The table of operations: one row per operation, read by every interpreter."""

from . import (
    control,
    elementwise,
    fft,
    host,
    indexing,
    library,
    linalg,
    reductions,
    scalars,
    scans,
    views,
)
from .op import TABLE, UFUNCS, Kind, Op

__all__ = [
    "TABLE",
    "UFUNCS",
    "Kind",
    "Op",
    "control",
    "elementwise",
    "fft",
    "host",
    "indexing",
    "library",
    "linalg",
    "reductions",
    "scalars",
    "scans",
    "views",
]
