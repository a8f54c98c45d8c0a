"""Execute performance.py as a notebook.

python notebooks/build.py            run it and write performance.ipynb with its outputs
python notebooks/build.py --check    run it, and check that the committed notebook has its cells
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
TEXT, NOTEBOOK = FOLDER / "performance.py", FOLDER / "performance.ipynb"


def executed() -> nbformat.NotebookNode:
    notebook = jupytext.read(TEXT)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=str(FOLDER))
    return notebook


def main(check: bool) -> int:
    notebook = executed()
    if not check:
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{number}"  # stable, so that a new run changes outputs alone
        nbformat.write(notebook, NOTEBOOK)
        return 0
    committed = nbformat.read(NOTEBOOK, as_version=4)
    if [c.source for c in committed.cells] != [c.source for c in notebook.cells]:
        print(f"{NOTEBOOK.name} and {TEXT.name} differ; run: python notebooks/build.py")
        return 1
    if not any(c.get("outputs") for c in committed.cells):
        print(f"{NOTEBOOK.name} has no outputs; run: python notebooks/build.py")
        return 1
    print(f"{len(notebook.cells)} cells executed")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
