"""Small programs as NumPy users write them: each a function `run` and a maker of its arguments.

`make(scale)` gives arguments for a run of about a millisecond in NumPy at scale 1; the tests use a
smaller one.  Nothing in these files knows of jitgraph.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def programs() -> dict[str, ModuleType]:
    """All programs by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}
