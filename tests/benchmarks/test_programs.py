"""Programs as NumPy users write them run as a graph, or under Numba where they loop over elements
or until something holds, and leave what NumPy leaves.
"""

import sys
from pathlib import Path

import pytest

import jitgraph

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.program_table import copies, difference, main, rung
from benchmarks.programs import programs

SCALE = 0.01
UNDER_NUMBA = frozenset((
    "adaptive_euler", "adaptive_runge_kutta", "alternating_directions", "azimuthal_integration",
    "binomial_tree", "channel_flow", "cholesky", "contour_integral", "convolution", "crc16",
    "edge_filter", "escape_times", "fft_radix2", "gauss_seidel", "kmeans_until", "levinson_durbin",
    "lu", "lu_solve", "mandelbrot_shrinking", "nbody_until", "nussinov", "rank_k_update",
    "relaxation", "sparse_product", "triangular_solve",
))  # fmt: skip
PROGRAMS = programs()


def test_there_are_enough() -> None:
    assert len(PROGRAMS) >= 55 and PROGRAMS.keys() > UNDER_NUMBA


@pytest.mark.parametrize("name", sorted(UNDER_NUMBA))
def test_programs_of_loops(name: str) -> None:
    run, args = PROGRAMS[name].run, PROGRAMS[name].make(SCALE)
    compiled = jitgraph.compile(run)
    for _ in range(3):
        mine, numpys = copies(args), copies(args)
        assert difference((compiled(*mine), mine), (run(*numpys), numpys)) == ""
    assert rung(compiled, args).split(",")[0] in ("Numba", "graph")


@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - UNDER_NUMBA))
def test_programs(name: str) -> None:
    run, args = PROGRAMS[name].run, PROGRAMS[name].make(SCALE)
    compiled = jitgraph.compile(run)
    for _ in range(2):
        mine, numpys = copies(args), copies(args)
        assert difference((compiled(*mine), mine), (run(*numpys), numpys)) == ""
    assert rung(compiled, args).startswith("graph")
    assert compiled.cache_info().captures == 1 and compiled.cache_info().fallbacks == 0


def test_the_table_is_printed(capsys, tmp_path) -> None:
    table = tmp_path / "table.md"
    assert main(["jacobi_1d"], SCALE, table) == 0
    assert "jacobi_1d" in capsys.readouterr().out and "| jacobi_1d | graph |" in table.read_text()
    assert main(["nothing"], SCALE, None) == 2
