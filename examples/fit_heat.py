"""Find how well a rod conducts heat from one noisy picture of its temperature.

The simulation is plain NumPy, with writes to slices and a loop over time; its gradient is that of
the whole loop, which keeps the states of some segments and computes the steps between them again.

    python examples/fit_heat.py --output heat.png
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from rich.progress import Progress

import jitgraph


def simulate(conductivity, start, steps, step=0.2):
    """The temperature after some explicit steps of the heat equation; the ends stay as they are."""
    u = np.zeros_like(start)
    u[:] = start
    for _ in range(steps):
        u[1:-1] = u[1:-1] + step * conductivity[1:-1] * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


def conductivity_of(parameters, x):
    """Two materials: which share of it is the first one, and how well both conduct."""
    first, second, place = parameters
    share = 1 / (1 + np.exp((x - place) / 0.02))
    return first * share + second * (1 - share)


@dataclass
class Fit:
    """What was found, and the misfit after each iteration."""

    parameters: np.ndarray
    losses: list[float] = field(default_factory=list)


def fit(x, start, picture, steps: int, iterations: int, first_guess) -> Fit:
    """Adam (Kingma and Ba 2015) on the mean square of the misfit."""

    def loss(parameters):
        found = simulate(conductivity_of(parameters, x), start, steps)
        return ((found - picture) ** 2).mean()

    both = jitgraph.value_and_grad(loss)
    found = Fit(np.array(first_guess))
    mean, square = np.zeros(3), np.zeros(3)
    with Progress() as progress:
        task = progress.add_task("fitting", total=iterations)
        for k in range(1, iterations + 1):
            value, gradient = both(found.parameters)
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            rate = 0.02 * (1 - 0.999**k) ** 0.5 / (1 - 0.9**k)
            found.parameters -= rate * mean / (np.sqrt(square) + 1e-12)
            found.losses.append(float(value))
            progress.update(task, advance=1, description=f"misfit {value:.2e}")
    return found


def main(arguments: list[str] | None = None) -> Fit:
    """Make a picture, fit it, print what was found and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--steps", type=int, default=1000, help="of time")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--output", default="heat.png")
    options = parser.parse_args(arguments)
    x = np.linspace(0, 1, options.points)
    start = np.exp(-((x - 0.3) ** 2) / 0.01) + np.exp(-((x - 0.7) ** 2) / 0.01)
    truth = np.array([0.9, 0.2, 0.5])
    noise = 1e-3 * np.random.default_rng(0).standard_normal(options.points)
    picture = simulate(conductivity_of(truth, x), start, options.steps) + noise
    guess = [0.5, 0.5, 0.4]
    found = fit(x, start, picture, options.steps, options.iterations, guess)
    print("conductivities and where they meet:", np.round(found.parameters, 3), "in truth", truth)
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(x, start, ":", label="at first")
    left.plot(x, picture, ".", label="the picture")
    left.plot(
        x, simulate(conductivity_of(found.parameters, x), start, options.steps), label="fitted"
    )
    left.legend()
    right.semilogy(found.losses)
    right.set(xlabel="iteration", ylabel="misfit")
    figure.savefig(options.output)
    return found


if __name__ == "__main__":
    main()
