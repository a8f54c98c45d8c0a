"""Generated code as text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Generated code: the readable module, and the adapter that puts it behind the kernel ABI."""

    name: str
    module: str
    adapter: str
