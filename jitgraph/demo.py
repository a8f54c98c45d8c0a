"""`jitgraph demo`: one network, trained op by op and compiled, side by side."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from . import nn
from .compile import compile
from .creation import manual_seed
from .data import DataLoader, TensorDataset, load_digits
from .data.digits import split
from .optim import Adam
from .tape import no_grad
from .tensor import Tensor


@dataclass
class Run:
    """What one mode's training gave; times in seconds."""

    mode: str
    losses: list[float] = field(default_factory=list)  # mean of each epoch
    seconds: list[float] = field(default_factory=list)  # of each epoch
    first_call: float = 0.0
    accuracy: float = 0.0

    @property
    def seconds_an_epoch(self) -> float:
        """The median epoch after the first, which compiles."""
        return float(np.median(self.seconds[1:] or self.seconds))


def train(mode: str, epochs: int, progress: Any = None, hidden: int = 128, seed: int = 0) -> Run:
    """Train a two-layer network on the digits. mode: "dynamic" or "static"."""
    manual_seed(seed)
    images, labels, test_images, test_labels = split(*load_digits(), seed=seed)
    model = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    optimizer = Adam(model.parameters(), lr=2e-3)
    loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True, seed=seed)

    @compile(mode=mode)
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = Run(mode)
    task = progress.add_task(f"{mode:8}", total=epochs) if progress else None
    for _ in range(epochs):
        start, total = time.perf_counter(), 0.0
        for x, y in loader:
            before = time.perf_counter()
            total += step(x, y).item()
            run.first_call = run.first_call or time.perf_counter() - before
        run.losses.append(total / len(loader))
        run.seconds.append(time.perf_counter() - start)
        if progress:
            progress.update(task, advance=1, description=f"{mode:8} loss {run.losses[-1]:.4f}")
    with no_grad():
        guesses = model(Tensor(test_images)).argmax(axis=1)
    run.accuracy = float((guesses.data == test_labels).mean())
    return run


def plot(runs: list[Run], path: Path) -> None:
    """Loss by epoch, and seconds an epoch, of each mode."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for run in runs:
        left.semilogy(range(1, len(run.losses) + 1), run.losses, label=run.mode)
    left.set(xlabel="epoch", ylabel="training loss", title="Loss")
    left.legend()
    right.bar([r.mode for r in runs], [1e3 * r.seconds_an_epoch for r in runs], color=["C0", "C1"])
    right.set(ylabel="ms an epoch", title="Time")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(epochs: int, output: Path) -> int:
    """Train in both modes, print a table, write a plot; 1 if a mode misses 97 % accuracy."""
    console = Console()
    console.print("Training a 64-128-10 network on 1797 handwritten digits, op by op and compiled.")
    with Progress(console=console) as progress:
        runs = [train(mode, epochs, progress) for mode in ("dynamic", "static")]
    table = Table("mode", "s an epoch", "test accuracy", "first call, s", title="Digits")
    for run in runs:
        table.add_row(
            run.mode,
            f"{run.seconds_an_epoch:.4f}",
            f"{100 * run.accuracy:.1f} %",
            f"{run.first_call:.3f}",
        )
    console.print(table)
    plot(runs, output)
    console.print(f"Loss and time are plotted in {output}")
    return 0 if min(r.accuracy for r in runs) >= 0.97 else 1
