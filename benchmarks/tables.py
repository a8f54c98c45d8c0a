"""Tables that the benchmarks print, and write as Markdown for the docs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], markdown: Path | None = None
) -> None:
    """Print a table, and write it to a file where one is given."""
    table = Table(*header, title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
    if markdown is not None:
        lines = [" | ".join(r) for r in (header, ["---"] * len(header), *rows)]
        markdown.write_text("".join(f"| {line} |\n" for line in lines))
