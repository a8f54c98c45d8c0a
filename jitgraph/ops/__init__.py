"""The table of operations: one row per operation, read by every interpreter."""

from . import elementwise, library, reductions, scalars, views
from .op import TABLE, UFUNCS, Kind, Op

__all__ = [
    "TABLE",
    "UFUNCS",
    "Kind",
    "Op",
    "elementwise",
    "library",
    "reductions",
    "scalars",
    "views",
]
