"""Machine code of many kernels: compiled side by side, once each, with a bar if it takes long."""

import dataclasses
import re
import sys

import numpy as np
import pytest

import jitgraph
from jitgraph import progress
from jitgraph_codegen import kernels
from jitgraph_codegen.source import KernelSource


def sources(count: int) -> list[KernelSource]:
    """Kernels that add a number of their own to the elements of an array."""
    text = (
        "import math\n\nimport numpy as np\n\n"
        '@entry_point(error_model="numpy")\n'
        "def entry(buffers, sizes, lo, hi):\n"
        "    x = array_view(buffers, 0, np.float64, (sizes[0], ))\n"
        "    for i in range(lo, hi):\n"
        "        x[i] = x[i] + {}.0\n"
    )
    return [KernelSource(f"add_{k}", "", text.format(k), 1, 0, 1) for k in range(count)]


@pytest.fixture
def cold(tmp_path, monkeypatch) -> None:
    """Nothing in memory or on disk."""
    monkeypatch.setenv("JITGRAPH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernels, "_loaded", {})


def added(codes) -> list[float]:
    """What each kernel adds to zero."""
    x, sizes = np.zeros(1), np.ones(1, np.int64)
    pointers = np.array([x.ctypes.data])
    found = []
    for code in codes:
        x[0] = 0.0
        code.entry(pointers.ctypes.data, sizes.ctypes.data, 0, 1)
        found.append(x[0])
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("cold")
def test_many_kernels(threads: int) -> None:
    before = jitgraph.get_num_threads()
    count, told = kernels.MANY + 2, []
    made = sources(count)
    compiled = kernels.counters.compiled
    jitgraph.set_num_threads(threads)
    try:
        codes = kernels.machine_codes([*made, made[0]], lambda *state: told.append(state))
    finally:
        jitgraph.set_num_threads(before)
    assert added(codes) == [*range(count), 0]
    assert kernels.counters.compiled == compiled + count
    assert told[0] == (0, count) and told[-1] == (count, count)

    kernels._loaded.clear()
    loaded = kernels.counters.loaded
    assert added(kernels.machine_codes(made)) == [*range(count)]
    assert kernels.counters.loaded == loaded + count


@pytest.mark.usefixtures("cold")
def test_kernels_that_differ_in_names_alone_are_compiled_once() -> None:
    (made,) = sources(1)
    renamed = dataclasses.replace(made, entry=re.sub(r"\bx\b", "weight", made.entry))
    compiled = kernels.counters.compiled
    assert added(kernels.machine_codes([made, renamed])) == [0.0, 0.0]
    assert kernels.counters.compiled == compiled + 1


@pytest.mark.parametrize("executable", ["/nowhere/python", "false"])
@pytest.mark.usefixtures("cold")
def test_without_a_second_process(executable: str, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    count = kernels.MANY + 1
    assert added(kernels.machine_codes(sources(count))) == [*range(count)]


@pytest.mark.parametrize("setting", ["0", "1"])
def test_a_bar_is_shown_once_it_takes_long(setting: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("JITGRAPH_PROGRESS", setting)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.CompileProgress("simulate") as bar:
        for done in range(5):
            bar(done, 4)
    assert ("jitgraph compiles simulate" in capsys.readouterr().err) == (setting == "1")
