"""Vectorised elementary functions: accuracy against mpmath, special values, vector registers."""

import re

import mpmath
import numba
import numpy as np
import pytest

import jitgraph
from jitgraph_codegen import loop_math

FUNCTIONS = {
    "exp": (mpmath.exp, -104, 89, -745, 710),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), -1e38, 1e38, -8e307, 8e307),
    "exp2": (lambda x: mpmath.mpf(2) ** x, -149, 128, -1074, 1024),
    "expm1": (mpmath.expm1, -20, 88, -40, 709), "log": (mpmath.log, 1e-40, 1e38, 1e-300, 1e308),
    "log2": (lambda x: mpmath.log(x, 2), 1e-40, 1e38, 1e-300, 1e308),
    "log10": (mpmath.log10, 1e-40, 1e38, 1e-300, 1e308),
    "log1p": (mpmath.log1p, -0.999, 1e30, -0.999, 1e300),
    "sin": (mpmath.sin, -3e38, 3e38, -8e307, 8e307),
    "cos": (mpmath.cos, -3e38, 3e38, -8e307, 8e307),
    "tan": (mpmath.tan, -3e38, 3e38, -8e307, 8e307), "arctan": (mpmath.atan, -1e6, 1e6, -1e9, 1e9),
    "sinh": (mpmath.sinh, -88, 88, -709, 709), "cosh": (mpmath.cosh, -88, 88, -709, 709),
    "tanh": (mpmath.tanh, -10, 10, -22, 22), "erf": (mpmath.erf, -4, 4, -6, 6),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), -87, 20, -708, 40),
}  # fmt: skip
ULP = {"f4": 2.0, "f8": 2.0}


def vectorised(name: str):
    function = getattr(loop_math, name)

    @numba.njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return loop


def values(name: str, dtype: str, count: int = 400) -> np.ndarray:
    """Over the range, near zero, and spread over the exponents."""
    _, *ranges = FUNCTIONS[name]
    low, high = ranges[:2] if dtype == "f4" else ranges[2:]
    rng = np.random.default_rng(1)
    spread = np.exp(rng.uniform(np.log(1e-6), np.log(min(high, 1e30)), count))
    spread = spread if low > 0 else spread * rng.choice([-1, 1], count)
    picked = np.concatenate([rng.uniform(low, high, count), np.clip(spread, low, high)])
    return picked.astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_in_units_in_the_last_place(name: str, dtype: str) -> None:
    x = values(name, dtype)
    got = np.empty_like(x)
    loop = vectorised(name)
    loop(x, got)
    exact = FUNCTIONS[name][0]
    with mpmath.workprec(2200 if name in ("sin", "cos", "tan") else 200):
        errors = [
            abs(mpmath.mpf(float(g)) - exact(mpmath.mpf(float(v))))
            / mpmath.mpf(float(np.spacing(abs(g))))
            for v, g in zip(x, got, strict=True)
            if np.isfinite(g) and g != 0
        ]
    assert len(errors) > 0.9 * len(x) and max(errors) <= ULP[dtype]
    assembly = "\n".join(loop.inspect_asm().values())
    assert re.search(r"%[yz]mm", assembly) or "ymm" not in _machine(), "the loop was not vectorised"


def _machine() -> str:
    """What the widest registers of this machine are called, if it is an x86-64 with AVX2."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return "ymm" if features.get("avx2") else ""


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values_are_numpys(name: str, dtype: str) -> None:
    info = np.finfo(dtype)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, info.max, -info.max]
    special += [info.tiny, -info.tiny, info.smallest_subnormal, -info.smallest_subnormal]
    x = np.array(special, dtype)
    got = np.empty_like(x)
    vectorised(name)(x, got)
    with np.errstate(all="ignore"):
        expected = getattr(np, name, getattr(jitgraph, name, None))(x)
    np.testing.assert_allclose(got, expected, rtol=4 * info.eps, atol=0)
    assert np.array_equal(
        np.signbit(got)[~np.isnan(got)], np.signbit(expected)[~np.isnan(expected)]
    )


def test_functions_run_in_the_interpreter() -> None:
    """So that generated code can be stepped through."""
    assert (
        loop_math.exp(0.0) == 1
        and loop_math.maximum(1.0, 2.0) == 2
        and loop_math.select(True, 3, 4) == 3
    )
    assert loop_math.add_reassoc(1, 2) == 3 and loop_math.float_fmod(-5.0, 3.0) == -2
    loop_math.assume(True)


@pytest.mark.parametrize("name", ["add_reassoc", "maximum"])
def test_reductions_use_several_vector_accumulators(name: str) -> None:
    function = getattr(loop_math, name)

    @numba.njit(error_model="numpy")
    def reduce(x):
        total = x[0]
        for i in range(1, x.size):
            total = function(total, x[i])
        return total

    x = np.arange(1000, dtype="f4")
    assert reduce(x) == (x.sum() if name == "add_reassoc" else x.max())
    if _machine():
        operation = "vaddps" if name == "add_reassoc" else "vmaxps"
        lines = [
            line
            for line in reduce.inspect_asm(reduce.signatures[0]).splitlines()
            if operation in line
        ]
        assert len({line.split(",")[-1] for line in lines if re.search("[yz]mm", line)}) >= 2
