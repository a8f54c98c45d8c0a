"""The `jitgraph` command."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from .version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status."""
    parser = argparse.ArgumentParser(
        prog="jitgraph", description="NumPy functions as compiled kernels"
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="train a network on handwritten digits, dynamic and compiled"
    )
    demo.add_argument("--epochs", type=int, default=30)
    demo.add_argument(
        "--output", type=Path, default=Path("jitgraph-demo.png"), help="where the plot goes"
    )
    bench = commands.add_parser("bench", help="time jitgraph against NumPy and installed peers")
    bench.add_argument("workloads", nargs="*", help="their names; all of them unless given")
    bench.add_argument("--peers", help="comma-separated; all installed ones unless given")
    bench.add_argument("--rounds", type=int, default=5)
    bench.add_argument(
        "--programs", action="store_true", help="whole NumPy programs against NumPy instead"
    )
    bench.add_argument(
        "--training", action="store_true", help="steps of training against PyTorch instead"
    )
    bench.add_argument(
        "--tensors", action="store_true", help="what dynamic mode costs over NumPy instead"
    )
    bench.add_argument("--threads", type=int, default=1, help="of the steps of training")
    bench.add_argument("--scale", type=float, default=1.0, help="size of the programs' arrays")
    bench.add_argument("--markdown", type=Path, help="write the table to this file as well")
    cache = commands.add_parser("cache", help="show or clear the machine code kept on disk")
    cache.add_argument("action", choices=["info", "clear"])
    options = parser.parse_args(argv)
    if options.command == "demo":
        return _demo(parser, options)
    if options.command == "bench":
        return _bench(options)
    return _cache(options.action)


def _demo(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from . import demo

    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    return demo.main(options.epochs, options.output)


def _bench(options: argparse.Namespace) -> int:
    module = "benchmarks.program_table" if options.programs else "benchmarks.harness"
    module = "benchmarks.training" if options.training else module
    module = "benchmarks.tensors" if options.tensors else module
    try:
        harness = importlib.import_module(module)
    except ModuleNotFoundError:
        print("jitgraph bench runs from the project's folder, where benchmarks/ lies")
        return 2
    if options.programs:
        return int(harness.main(options.workloads, options.scale, options.markdown))
    if options.tensors:
        return int(harness.main(options.markdown))
    if options.training:
        return int(harness.main(options.rounds, options.threads, options.markdown))
    peers = options.peers.split(",") if options.peers else None
    return int(harness.main(options.workloads, peers, options.rounds, options.markdown))


def _cache(action: str) -> int:
    from jitgraph_codegen import store

    if action == "clear":
        print(f"{store.clear()} files removed from {store.folder()}")
        return 0
    files = [p for p in store.folder().iterdir() if p.is_file()]
    size = sum(p.stat().st_size for p in files)
    print(f"{store.folder()}: {len(files)} files, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
