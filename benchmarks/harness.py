"""`jitgraph bench`: jitgraph, NumPy and installed peers on the same work.

Each peer runs in a process of its own.  Rounds are interleaved (one round of each peer, then the
next), so that what else the machine does meets all of them; the best call counts.  Results are
checked against float64 NumPy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from .peers import installed
from .tables import show
from .workloads import WORKLOADS

ROOT = Path(__file__).parent.parent
LAST_ANSWER = 600  # lines a peer may print before its answer


class Peer:
    """A worker process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, workload: str) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(workload + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"skipped": "the process ended"}
        for _ in range(LAST_ANSWER):
            line = self.process.stdout.readline()
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
            if not line:
                break
        return {"skipped": "the process ended"}

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


Results = dict[str, dict[str, dict[str, Any]]]  # workload -> peer -> answer


def measure(workloads: Sequence[str], names: Sequence[str], rounds: int) -> Results:
    """Best seconds a call of each peer on each workload."""
    peers = [Peer(name) for name in names]
    results: Results = {w: {} for w in workloads}
    try:
        with Progress(transient=True) as progress:
            task = progress.add_task("timing", total=len(workloads) * rounds * len(peers))
            for workload in workloads:
                for _ in range(rounds):
                    for peer in peers:
                        progress.update(task, advance=1, description=f"{workload} {peer.name}")
                        _merge(results[workload], peer.name, peer.ask(workload))
    finally:
        for peer in peers:
            peer.close()
    return results


def _merge(results: dict[str, dict[str, Any]], peer: str, answer: dict[str, Any]) -> None:
    known = results.get(peer)
    if known is None or "skipped" in answer or "skipped" in known:
        results[peer] = answer if known is None or "skipped" in answer else known
    else:
        known["seconds"] = min(known["seconds"], answer["seconds"])


def first_calls(names: Sequence[str]) -> dict[str, list[float]]:
    """Seconds of a whole process to its first result: with an empty cache, and again."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        caches = ("JITGRAPH_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR")
        environment = {**os.environ, **{c: f"{folder}/{c}" for c in caches}}
        environment["PYTENSOR_FLAGS"] = f"base_compiledir={folder}/pytensor"
        for name in names:
            for _ in range(2):
                start = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.first_call", name],
                    cwd=ROOT, env=environment, capture_output=True, check=False,
                )  # fmt: skip
                if done.returncode == 0:
                    found.setdefault(name, []).append(time.perf_counter() - start)
    return found


def rows(results: Results, names: Sequence[str]) -> list[list[str]]:
    """A row per workload: each peer's time, and jitgraph's lead over the best of the others."""
    table = []
    for workload, answers in results.items():
        seconds = {p: a["seconds"] for p, a in answers.items() if "seconds" in a}
        cells = [_cell(answers.get(n, {}), WORKLOADS[workload].tolerance) for n in names]
        others = [s for p, s in seconds.items() if p != "jitgraph"]
        ratio = (
            f"{min(others) / seconds['jitgraph']:.2f}" if "jitgraph" in seconds and others else ""
        )
        table.append([workload, *cells, ratio])
    return table


def _cell(answer: dict[str, Any], tolerance: float) -> str:
    if "seconds" not in answer:
        return "-"
    return readable(answer["seconds"]) + ("" if answer["error"] <= tolerance else " (wrong)")


def readable(seconds: float) -> str:
    for scale, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def main(
    workloads: Sequence[str], peers: Sequence[str] | None, rounds: int, markdown: Path | None
) -> int:
    """Measure, print, and write the table where asked; 1 if jitgraph gave a wrong result."""
    if unknown := [w for w in workloads if w not in (*WORKLOADS, "first_call")]:
        print(f"unknown workload {unknown[0]!r}; there are {', '.join([*WORKLOADS, 'first_call'])}")
        return 2
    names = [n for n in installed() if peers is None or n in peers]
    chosen = [w for w in workloads if w in WORKLOADS] if workloads else list(WORKLOADS)
    results = measure(chosen, names, rounds)
    header = ["workload", *names, "ahead of the best other"]
    body = rows(results, names)
    if not workloads or "first_call" in workloads:
        timings = first_calls(names)
        for k, label in enumerate(("first call, empty cache", "first call, again")):
            body.append(
                [label, *[readable(timings[n][k]) if n in timings else "-" for n in names], ""]
            )
    show("time of a call, best of all rounds", header, body, markdown)
    _print_reasons(Console(), results)
    return 1 if any("(wrong)" in row[1 + names.index("jitgraph")] for row in body) else 0


def _print_reasons(console: Console, results: Results) -> None:
    for workload, answers in results.items():
        for peer, answer in answers.items():
            if "skipped" in answer and "no form" not in answer["skipped"]:
                console.print(f"{peer} {workload}: {answer['skipped']}", style="dim", markup=False)
