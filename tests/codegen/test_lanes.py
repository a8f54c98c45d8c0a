"""Operations on whole registers: what NumPy says, in vectors of every width and one by one."""

import numba
import numpy as np
import pytest
from numba.core import types
from numba.extending import lower_builtin, type_callable

from jitgraph_codegen import lanes
from jitgraph_codegen.ir_values import SINGLE, Value
from jitgraph_codegen.kernel_library import compiling_kernels

pytestmark = pytest.mark.skipif(not lanes._has_avx512(), reason="this processor has no AVX-512")
TABLE = [float(k * k) for k in range(32)]
SPECIAL = [0.0, -0.0, 1.0, 0.75, 1.5, -3.0, np.inf, -np.inf, np.nan, 1e-40, 5e-45, 3e38]


def lowered(operation, arity: int):
    """A function for Numba that is one of these operations."""

    def of_one(x): ...

    def of_two(x, y): ...

    function = of_one if arity == 1 else of_two
    typer = (lambda x: x) if arity == 1 else (lambda x, y: x)
    type_callable(function)(lambda context: typer)

    def lower(context, builder, signature, operands):
        return operation(*(Value(builder, o) for o in operands)).ir

    for real in (types.float32, types.float64):
        lower_builtin(function, *[real] * arity)(lower)
    return function


SCALED = lowered(lanes.scaled, 2)
EXPONENT = lowered(lanes.exponent_of, 1)
SIGNIFICAND = lowered(lanes.significand_of, 1)


def looked_up(x: Value) -> Value:
    """The entry for the leading bits of a significand: five in float32, four in float64."""
    bits = 5 if x.real is SINGLE else 4
    return lanes.entry_of(TABLE[: 1 << bits], x.bits() >> (x.real.mantissa - bits), "squares")


LOOKED_UP = lowered(looked_up, 1)


def run(function, *arrays):
    """In a loop that is vectorised, with some elements left over."""
    with compiling_kernels():
        if len(arrays) == 1:

            @numba.njit
            def loop(x, out):
                for i in range(x.size):
                    out[i] = function(x[i])

        else:

            @numba.njit
            def loop(x, y, out):
                for i in range(x.size):
                    out[i] = function(x[i], y[i])

        out = np.empty_like(arrays[0])
        loop(*arrays, out)
    return out


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("count", [1, 7, 64, 109])
def test_scaled_is_ldexp(dtype: str, count: int) -> None:
    rng = np.random.default_rng(count)
    x = rng.standard_normal(count).astype(dtype)
    n = rng.integers(-1100, 1100, count).astype(dtype)
    n[0] = np.inf
    with np.errstate(all="ignore"):
        wanted = np.ldexp(x, np.clip(n, -3000, 3000).astype(int))
    np.testing.assert_array_equal(run(SCALED, x, n), wanted)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_exponents_and_significands_multiply_to_the_number(dtype: str) -> None:
    x = np.array([*SPECIAL, *np.exp(np.linspace(-80, 80, 100))], dtype)
    exponent, significand = run(EXPONENT, x), run(SIGNIFICAND, x)
    finite = np.isfinite(x) & (x > 0)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(exponent[finite], np.floor(np.log2(x[finite])))
    assert (significand[finite] >= 0.75).all() and (significand[finite] < 1.5).all()
    powers = exponent[finite] - run(EXPONENT, significand[finite])
    np.testing.assert_array_equal(np.ldexp(significand[finite], powers.astype(int)), x[finite])
    zero, infinite = x == 0, x == np.inf
    assert (exponent[zero] == -np.inf).all() and (significand[zero] == 1).all()
    assert (exponent[infinite] == np.inf).all() and (significand[infinite] == 1).all()
    assert np.isnan(significand[x < 0]).all() and np.isnan(significand[np.isnan(x)]).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("count", [3, 16, 45])
def test_tables_are_looked_up_by_the_low_bits(dtype: str, count: int) -> None:
    entries = 32 if dtype == "f4" else 16
    k = np.arange(count) % entries
    x = (1 + k / entries).astype(dtype)
    np.testing.assert_array_equal(run(LOOKED_UP, x), np.array(TABLE)[k])


def test_elsewhere_formulas_do_without() -> None:
    assert not lanes.available()
    with compiling_kernels():
        assert lanes.available()
