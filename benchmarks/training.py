"""`jitgraph bench --training`: steps of training.

Each peer trains the same model from the same parameters on the same batches, in a process of its
own and with as many threads as asked for; rounds are interleaved, the best step counts.  Losses of
the first steps are compared.  The models are written once, over PyTorch's `nn` and ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .harness import ROOT, readable
from .tables import show

PEERS = ("jitgraph", "jitgraph op by op", "torch", "torch.compile")
COMPARED = 30  # steps whose losses are
ROUND = 1.0  # seconds of steps in one round
WIDTH, HEADS, LAYERS, CONTEXT, LETTERS = 128, 4, 4, 64, 65

Array = np.ndarray[Any, Any]
Batches = list[tuple[Array, Array]]


def gpt(nn: Any, array: Callable[[Array], Any]) -> Any:
    """A transformer over letters; array: what the library takes for an array."""

    class GPT(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.letters, self.places = nn.Embedding(LETTERS, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.ModuleList([
                nn.TransformerEncoderLayer(
                    WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(LAYERS)
            ])  # fmt: skip
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LETTERS, bias=False)
            self.positions = array(np.arange(CONTEXT))
            self.mask = array(np.triu(np.full((CONTEXT, CONTEXT), -np.inf, "f4"), 1))

        def forward(self, x: Any) -> Any:
            h = self.letters(x) + self.places(self.positions)
            for block in self.blocks:
                h = block(h, src_mask=self.mask, is_causal=True)
            return self.head(self.norm(h)).reshape(-1, LETTERS)

    return GPT()


def perceptron(nn: Any, array: Callable[[Array], Any]) -> Any:
    """Two layers on pictures of 8 x 8 pixels."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def of_letters(rng: np.random.Generator) -> Batches:
    """Each letter decides the next but for some noise."""
    found = []
    for _ in range(8):
        x = rng.integers(0, LETTERS, (12, CONTEXT))
        found.append((x, np.where(rng.random(x.shape) < 0.9, (3 * x + 1) % LETTERS, x).ravel()))
    return found


def of_pictures(rng: np.random.Generator) -> Batches:
    weights = rng.standard_normal((64, 10))
    pictures = [rng.standard_normal((64, 64)).astype("f4") for _ in range(8)]
    return [(x, (x @ weights).argmax(axis=1)) for x in pictures]


MODELS: dict[str, tuple[Callable[..., Any], Callable[[np.random.Generator], Batches]]] = {
    "perceptron, batch 64": (perceptron, of_pictures), "GPT, batch 12": (gpt, of_letters),
}  # fmt: skip


def _with_jitgraph(model_of: Any, start: Path, compiled: bool) -> Callable[[Array, Array], Any]:
    import jitgraph
    from jitgraph import nn, optim

    model = model_of(nn, lambda a: a)
    model.load_state_dict(dict(np.load(start)))
    optimizer = optim.AdamW(model.parameters(), 1e-3)

    def step(x: Array, y: Array) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return jitgraph.compile(step, strict=True) if compiled else step


def _with_torch(model_of: Any, start: Path, compiled: bool) -> Callable[[Array, Array], Any]:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = model_of(torch.nn, torch.from_numpy)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in np.load(start).items()})
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def loss_of(x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(model(x), y)

    forward = torch.compile(loss_of) if compiled else loss_of
    update = torch.compile(optimizer.step) if compiled else optimizer.step

    def step(x: Array, y: Array) -> Any:
        optimizer.zero_grad()
        loss = forward(torch.from_numpy(x), torch.from_numpy(y))
        loss.backward()
        update()
        return loss

    return step


def work(peer: str, name: str, start: Path) -> None:
    """A peer: the losses of the first steps, and a round of steps for each line it reads."""
    model_of, batches_of = MODELS[name]
    batches = batches_of(np.random.default_rng(0))
    maker = _with_torch if peer.startswith("torch") else _with_jitgraph
    step = maker(model_of, start, peer in ("jitgraph", "torch.compile"))
    losses = [float(step(*batches[k % len(batches)]).item()) for k in range(COMPARED)]
    print("\n" + json.dumps(losses), flush=True)
    for _ in sys.stdin:
        best, until = float("inf"), time.perf_counter() + ROUND
        while time.perf_counter() < until:
            for x, y in batches:
                began = time.perf_counter()
                step(x, y)
                best = min(best, time.perf_counter() - began)
        print("\n" + json.dumps(best), flush=True)


class _Worker:
    def __init__(self, peer: str, name: str, start: Path, threads: int) -> None:
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "JITGRAPH_NUM_THREADS")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training", peer, name, str(start)],
            cwd=ROOT, env={**os.environ, **dict.fromkeys(variables, str(threads))},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def answer(self) -> Any:
        """None where the process has ended."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line[0] in "[0123456789":
                return json.loads(line)
        return None

    def ask(self) -> Any:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(name: str, peers: Sequence[str], rounds: int, threads: int) -> list[str]:
    """A row: the best step of each peer, our lead over the better of PyTorch's, and how far our
    losses are from its, relative to them.
    """
    import jitgraph
    from jitgraph import nn

    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start.npz"
        jitgraph.manual_seed(0)
        np.savez(start, **MODELS[name][0](nn, lambda a: a).state_dict())
        workers = [_Worker(peer, name, start, threads) for peer in peers]
        losses = dict(zip(peers, [w.answer() for w in workers], strict=True))
        best = dict.fromkeys(peers, float("inf"))
        for _ in range(rounds):
            for peer, worker in zip(peers, workers, strict=True):
                best[peer] = min(best[peer], worker.ask() or float("inf"))
        for worker in workers:
            worker.close()
    cells = [readable(best[p]) if best[p] < float("inf") else "-" for p in peers]
    rivals = [best[p] for p in peers if p.startswith("torch")]
    if not rivals or losses.get("torch") is None or losses.get("jitgraph") is None:
        return [name, *cells, "", ""]
    ours, theirs = (np.array(losses[p]) for p in ("jitgraph", "torch"))
    apart = float(np.max(np.abs(ours - theirs) / theirs))
    return [name, *cells, f"{min(rivals) / best['jitgraph']:.2f}", f"{apart:.1e}"]


def main(rounds: int, threads: int, markdown: Path | None) -> int:
    """Measure and print."""
    from importlib.util import find_spec

    peers = [p for p in PEERS if find_spec("torch") is not None or not p.startswith("torch")]
    rows = [measure(name, peers, rounds, threads) for name in MODELS]
    header = ["step", *peers, "ahead of PyTorch", "losses apart"]
    show(f"a step of training, AdamW, {threads} thread(s)", header, rows, markdown)
    return 0


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
