"""Where a value of a captured function's surroundings is found."""

from __future__ import annotations

from dataclasses import dataclass
from types import CellType
from typing import Any

MISSING = object()


@dataclass(frozen=True)
class Place:
    """A name in a module's globals, a closure's cell, or an object's attribute."""

    owner: Any
    name: str

    @property
    def key(self) -> tuple[int, str]:
        return id(self.owner), self.name

    def read(self) -> Any:
        owner = self.owner
        if type(owner) is dict:
            return owner.get(self.name, MISSING)
        if type(owner) is CellType:
            return owner.cell_contents
        return getattr(owner, self.name, MISSING)
