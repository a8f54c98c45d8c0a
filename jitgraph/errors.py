"""What can go wrong, one class per kind of mistake.

Each class also derives from the exception NumPy or PyTorch raises for the same mistake, so that
code written for those libraries catches it.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from types import CodeType, FrameType

_PACKAGE = str(Path(__file__).parent) + os.sep
_LIBRARIES = (_PACKAGE, os.sep + "numpy" + os.sep, "<__array_function__")


class JitgraphError(Exception):
    """Base of all errors that jitgraph raises itself."""


class ShapeError(JitgraphError, ValueError):
    """Shapes that do not fit: broadcasting `(3, 4)` with `(5,)`, a reshape that loses elements.

    Cure: print the shapes; insert axes with `x[:, None]` or `x.reshape(...)`.
    """


class AxisError(JitgraphError, ValueError, IndexError):
    """An axis that the array does not have: `x.sum(axis=2)` of a matrix."""


class BoundsError(JitgraphError, IndexError):
    """An index outside its axis: `x[5]` of an array with three rows, or one index too many."""


class DTypeError(JitgraphError, TypeError):
    """A dtype the operation is not defined for: `~` of floats, objects, complex input."""


class CaptureError(JitgraphError, TypeError):
    """Something the static graph can't hold: a branch on a traced value, an in-place write.

    Without `strict=True` the function runs in dynamic mode instead, and `explain` shows this text.
    """


class GradientError(JitgraphError, RuntimeError):
    """`backward()` where there is nothing to differentiate, or no scalar to start from."""


class CheckpointError(JitgraphError, ValueError):
    """A file of saved arrays that is torn, or of another kind."""


class GraphError(JitgraphError, ValueError):
    """A graph, or its text, that is not well formed."""


def user_line() -> str:
    """`file.py:12` of the innermost frame that belongs to neither jitgraph nor NumPy."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if not _is_library(frame.f_code):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def located(error: JitgraphError) -> JitgraphError:
    """The error with the user's line that led to it in its message, if none is there yet."""
    text = str(error)
    lines = [
        f"{Path(frame.f_code.co_filename).name}:{number}"
        for frame, number in traceback.walk_tb(error.__traceback__)
        if not _is_library(frame.f_code)
    ]
    if lines and ".py:" not in text and "<" not in lines[-1][:1]:
        text = f"{text} ({lines[-1]})"
    return type(error)(text)


def _is_library(code: CodeType) -> bool:
    name = code.co_filename
    return name.startswith(_PACKAGE) or any(part in name for part in _LIBRARIES[1:])
