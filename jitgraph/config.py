"""Settings from the environment.

JITGRAPH_LOG           print events to standard error as they happen: fallbacks, recompiles, fusion,
                       cache, source; several with commas between
JITGRAPH_CACHE_DIR     where machine code is kept (default: the user's cache folder)
JITGRAPH_PROGRESS      0: no progress bars; 1: also where standard error is no terminal
JITGRAPH_NUM_THREADS   threads of parallel kernels (default: the cores there are)
"""

from __future__ import annotations

import os
import sys


def shows_progress(on_terminal: bool) -> bool:
    """Whether long compilations show a bar: on terminals and in notebooks unless told otherwise."""
    if os.environ.get("JITGRAPH_PROGRESS") == "0":
        return False
    return asks_for_progress() or on_terminal or "ipykernel" in sys.modules


def asks_for_progress() -> bool:
    """Whether bars are wanted wherever standard error goes."""
    return os.environ.get("JITGRAPH_PROGRESS") == "1"


def logs(topic: str) -> bool:
    """Whether a topic is listed in `JITGRAPH_LOG`."""
    listed = os.environ.get("JITGRAPH_LOG", "")
    return bool(listed) and topic in {t.strip() for t in listed.split(",")}


def log(topic: str, message: str) -> None:
    """Print an event if its topic is listed in `JITGRAPH_LOG`."""
    if logs(topic):
        print(f"jitgraph {topic}: {message}", file=sys.stderr)
