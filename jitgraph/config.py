"""Settings from the environment.

JITGRAPH_LOG=fallbacks,recompiles,source   print these events to standard error as they happen
JITGRAPH_CACHE_DIR                         where machine code is kept (default: the user's cache
folder) JITGRAPH_NUM_THREADS                       threads of parallel kernels (default: the cores
there are)
"""

from __future__ import annotations

import os
import sys

TOPICS = frozenset(("fallbacks", "recompiles", "source"))


def log(topic: str, message: str) -> None:
    """Print an event if its topic is listed in `JITGRAPH_LOG`."""
    listed = os.environ.get("JITGRAPH_LOG", "")
    if listed and topic in {t.strip() for t in listed.split(",")}:
        print(f"jitgraph {topic}: {message}", file=sys.stderr)
