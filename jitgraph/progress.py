"""A progress bar for compilations that take a while."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from . import config

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 1.0  # seconds without a bar


class CompileProgress:
    """Called with the number of kernels that are compiled and of all; shows a bar on a terminal and
    in a notebook once that takes over a second.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._start = time.perf_counter()
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> CompileProgress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None and not self._is_due(done, total):
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(
                console=Console(stderr=True, force_terminal=config.asks_for_progress() or None),
                transient=True,
            )
            self._task = self._bar.add_task(f"jitgraph compiles {self.name}", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def _is_due(self, done: int, total: int) -> bool:
        late = time.perf_counter() - self._start > PATIENCE
        return late and done < total and config.shows_progress(sys.stderr.isatty())
