"""How a loop or a branch tells that it is no part of a graph."""

from __future__ import annotations

from ..errors import CaptureError


class RefusedError(Exception):
    """A loop or a branch that is no part of a graph.

    key: where it is; reason: for those who look.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key, self.reason = key, reason


class EndedError(CaptureError):
    """A capture that ends, whatever graph within a graph it is in."""


class OfNumbersError(EndedError):
    """A loop that computes a number at a time, which is not worth a graph."""
