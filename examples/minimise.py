"""The shape of a hanging chain: energy minimised by SciPy, with gradients by jitgraph.

python examples/minimise.py --output chain.png
"""

from __future__ import annotations

import argparse

import numpy as np
from matplotlib.figure import Figure
from rich.progress import Progress
from scipy.optimize import OptimizeResult, minimize

import jitgraph


def energy(flat, ends, stiffness):
    """Of masses on springs between two fixed ends: their heights, and what stretches the springs.

    flat: x and y of each mass in turn.
    """
    places = np.concatenate([ends[:1], flat.reshape(-1, 2), ends[1:]])
    lengths = np.sqrt(((places[1:] - places[:-1]) ** 2).sum(axis=1))
    natural = 1.2 / lengths.shape[0]
    return places[:, 1].sum() / lengths.shape[0] + stiffness * ((lengths - natural) ** 2).sum()


def main(arguments: list[str] | None = None) -> OptimizeResult:
    """Minimise, print how it went and draw the chain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masses", type=int, default=40)
    parser.add_argument("--stiffness", type=float, default=2000.0)
    parser.add_argument("--output", default="chain.png")
    options = parser.parse_args(arguments)
    ends = np.array([[0.0, 0.0], [1.0, 0.0]])
    start = np.linspace(*ends, options.masses + 2)[1:-1]
    both = jitgraph.value_and_grad(energy)
    values: list[float] = []
    with Progress() as progress:
        task = progress.add_task("hanging", total=None)

        def seen(intermediate_result: OptimizeResult) -> None:
            values.append(float(intermediate_result.fun))
            progress.update(task, description=f"energy {values[-1]:.6f}", advance=1)

        result = minimize(
            both, start.ravel(), (ends, options.stiffness), method="L-BFGS-B", jac=True,
            callback=seen, options={"maxiter": 5000, "maxfun": 20000},
        )  # fmt: skip
    print(f"energy {result.fun:.6f} after {result.nit} iterations, {result.nfev} gradients")
    chain = np.concatenate([ends[:1], result.x.reshape(-1, 2), ends[1:]])
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(*chain.T, ".-")
    left.set_aspect("equal")
    right.plot(values)
    right.set(xlabel="iteration", ylabel="energy")
    figure.savefig(options.output)
    return result


if __name__ == "__main__":
    main()
