"""What a program depends on besides its graph and the layouts of its arguments."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """See `jitgraph.compile`."""

    target: str = "cpu"
    parallel: bool = True
    precise: bool = False
