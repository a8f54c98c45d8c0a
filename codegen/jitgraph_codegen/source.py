"""Generated code as text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A kernel twice: a module for people, and the same loops behind the kernel ABI for the compiler."""

    name: str
    module: str
    entry: str
