"""Texts with values in them that are known when the program runs.

    print(f"step {i}: {error:.3f}")

Such a text stands for the function that makes it and for what that is given; a function that the
program calls with it gets it made from the values of the time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

from ..errors import CaptureError, user_line

_CONVERSIONS: dict[int, Callable[[Any], Any]] = {ord("r"): repr, ord("s"): str, ord("a"): ascii}


class Text:
    """`function(*args, **kwargs)`; whatever needs its characters ends the capture."""

    def __init__(self, function: Callable[..., str], *args: Any, **kwargs: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs

    def __add__(self, other: Any) -> Text:
        return Text(operator.add, self, other)

    def __radd__(self, other: Any) -> Text:
        return Text(operator.add, other, self)

    def _used(self, *others: Any) -> NoReturn:
        raise CaptureError(
            f"a text with the value of a traced array in it is used ({user_line()}); print() it, "
            "or return the value"
        )

    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __mul__ = __mod__ = _used
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _used
    __str__ = __repr__ = __format__ = _used

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._used()


def joined(*parts: Any) -> str:
    """An f-string: strings, and values with their conversions (-1 for none) and formats."""
    return "".join(part if isinstance(part, str) else _formatted(*part) for part in parts)


def _formatted(value: Any, conversion: int, spec: str) -> str:
    return format(_CONVERSIONS.get(conversion, lambda v: v)(value), spec)
