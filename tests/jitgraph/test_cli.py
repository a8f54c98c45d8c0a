"""The command line, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from jitgraph.cli import main


def test_demo_trains_both_modes_and_writes_a_plot(tmp_path: Path, capsys) -> None:
    output = tmp_path / "plot.png"
    assert main(["demo", "--epochs", "20", "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert ("dynamic" in printed and "static" in printed and "97" in printed) or "98" in printed
    assert output.read_bytes().startswith(b"\x89PNG")


def test_bench_prints_a_checked_table() -> None:
    command = [sys.executable, "-m", "jitgraph.cli", "bench", "tiny", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--peers", "jitgraph,numpy"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "tiny" in done.stdout and "wrong" not in done.stdout


def test_cache_and_mistakes(capsys) -> None:
    assert main(["cache", "info"]) == 0 and "files" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["demo", "--epochs", "0"])
    with pytest.raises(SystemExit):
        main([])
