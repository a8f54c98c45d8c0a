"""Vectorised elementary functions: accuracy against mpmath, special values, vector registers."""

import re
from contextlib import nullcontext
from pathlib import Path

import mpmath
import numba
import numpy as np
import pytest
from llvmlite import ir

import jitgraph
from jitgraph_codegen import lanes, loop_math
from jitgraph_codegen.formulas import (
    error_function,
    exponential,
    hyperbolic,
    inverse_trigonometric,
    pairs,
    roots,
    trigonometric,
)
from jitgraph_codegen.ir_values import DOUBLE, SINGLE, Value
from jitgraph_codegen.kernel_library import compiling_kernels

# the exact function, and the range of arguments in single and in double precision
FUNCTIONS = {
    "exp": (mpmath.exp, -104, 89, -745, 710),
    "exp2": (lambda x: mpmath.mpf(2) ** x, -149, 128, -1074, 1024),
    "expm1": (mpmath.expm1, -20, 88, -40, 709),
    "log": (mpmath.log, 1e-40, 1e38, 1e-300, 1e308),
    "log2": (lambda x: mpmath.log(x, 2), 1e-40, 1e38, 1e-300, 1e308),
    "log10": (lambda x: mpmath.log(x, 10), 1e-40, 1e38, 1e-300, 1e308),
    "log1p": (mpmath.log1p, -0.999, 1e30, -0.999, 1e300),
    "sin": (mpmath.sin, -3e38, 3e38, -8e307, 8e307),
    "cos": (mpmath.cos, -3e38, 3e38, -8e307, 8e307),
    "tan": (mpmath.tan, -3e38, 3e38, -8e307, 8e307),
    "sin_moderate": (mpmath.sin, -32768, 32768, -1e6, 1e6),
    "cos_moderate": (mpmath.cos, -32768, 32768, -1e6, 1e6),
    "tan_moderate": (mpmath.tan, -32768, 32768, -1e6, 1e6),
    "arcsin": (mpmath.asin, -1, 1, -1, 1),
    "arccos": (mpmath.acos, -1, 1, -1, 1),
    "arctan": (mpmath.atan, -1e6, 1e6, -1e9, 1e9),
    "sinh": (mpmath.sinh, -88, 88, -709, 709),
    "cosh": (mpmath.cosh, -88, 88, -709, 709),
    "tanh": (mpmath.tanh, -10, 10, -22, 22),
    "one_plus_tanh": (lambda x: 2 / (1 + mpmath.exp(-2 * x)), -43, 10, -350, 22),
    "arcsinh": (mpmath.asinh, -1e38, 1e38, -1e300, 1e300),
    "arccosh": (mpmath.acosh, 1, 1e38, 1, 1e300),
    "arctanh": (mpmath.atanh, -0.9999, 0.9999, -0.999999, 0.999999),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), -1e38, 1e38, -8e307, 8e307),
    "erf": (mpmath.erf, -4, 4, -6, 6),
    "erfc": (mpmath.erfc, -4, 9, -6, 26),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), -87, 20, -708, 40),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), -87, 80, -708, 700),
    "arctan2": (mpmath.atan2, -1e6, 1e6, -1e9, 1e9),
    "hypot": (mpmath.hypot, -1e30, 1e30, -1e200, 1e200),
    "pow": (mpmath.power, 1e-3, 50.0, 1e-3, 50.0),
}  # fmt: skip
OF_TWO = ("arctan2", "hypot", "pow")
ULP = {"f4": 2.0, "f8": 1.0}
ANGULAR = ("sin", "cos", "tan")


@pytest.fixture(params=["anywhere", "in a kernel"])
def way(request):
    """Loops of a user's own Numba functions, and those of kernels, which may use AVX-512."""
    with compiling_kernels() if request.param == "in a kernel" else nullcontext():
        yield


def vectorised(name: str):
    function = getattr(loop_math, name)
    if name in OF_TWO:

        @numba.njit(error_model="numpy", fastmath={"contract"})
        def loop(x, y, out):
            for i in range(x.size):
                out[i] = function(x[i], y[i])

    else:

        @numba.njit(error_model="numpy", fastmath={"contract"})
        def loop(x, out):
            for i in range(x.size):
                out[i] = function(x[i])

    return loop


def arguments(name: str, dtype: str, count: int = 400) -> tuple[np.ndarray, ...]:
    """Over the range, near zero and one, and spread over the exponents."""
    _, *ranges = FUNCTIONS[name]
    low, high = ranges[:2] if dtype == "f4" else ranges[2:]
    rng = np.random.default_rng(1)
    spread = np.exp(rng.uniform(np.log(1e-6), np.log(min(high, 1e30)), count))
    spread = spread if low > 0 else spread * rng.choice([-1, 1], count)
    near_one = 1 + rng.choice([-1, 1], count) * np.exp2(rng.uniform(-20, 0, count))
    picked = np.concatenate([rng.uniform(low, high, count), spread, near_one, -near_one])
    x = np.clip(picked, low, high).astype(dtype)
    if name == "pow":
        return x, rng.permutation(np.clip(picked, -20, 20)).astype(dtype)
    return (x, rng.permutation(x)) if name in OF_TWO else (x,)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_in_units_in_the_last_place(name: str, dtype: str, way) -> None:
    given = arguments(name, dtype)
    found = errors(name, *given)
    assert len(found) > 0.5 * len(given[0]) and max(found) <= ULP[dtype]


def errors(name: str, *given: np.ndarray) -> list[float]:
    """In units in the last place, where the result is neither zero nor infinite."""
    got = np.empty_like(given[0])
    vectorised(name)(*given, got)
    exact = FUNCTIONS[name][0]
    found = []
    with mpmath.workprec(2200 if name.startswith(ANGULAR) else 200):
        for *values, g in zip(*given, got, strict=True):
            if np.isfinite(g) and g != 0:
                wanted = exact(*[mpmath.mpf(float(v)) for v in values])
                error = abs(mpmath.mpf(float(g)) - wanted)
                found.append(float(error / mpmath.mpf(float(np.spacing(abs(g))))))
    return found


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", [f"{a}{b}" for a in ANGULAR for b in ("", "_moderate")])
def test_next_to_where_a_sine_or_cosine_is_zero(name: str, dtype: str, way) -> None:
    """There nearly all digits of an angle cancel."""
    most = 2**15 if dtype == "f4" else 2**20
    rng = np.random.default_rng(2)
    with mpmath.workprec(200):
        sixteenths = rng.integers(-5 * most, 5 * most, 500)
        angles = np.array([float(int(k) * mpmath.pi / 16) for k in sixteenths])
    x = (angles * (1 + rng.integers(-2, 3, 500) * np.finfo(dtype).eps)).astype(dtype)
    assert max(errors(name, x)) <= ULP[dtype]


VALIDATION = Path(np.__file__).parent / "_core" / "tests" / "data"


@pytest.mark.parametrize(
    "path", sorted(VALIDATION.glob("umath-validation-set-*.csv")), ids=lambda p: p.stem
)
def test_numpys_validation_sets(path: Path, way) -> None:
    """Hard cases that NumPy collects, subnormal numbers among them."""
    rows = [line.split(",") for line in path.read_text().splitlines() if line.startswith("np.")]
    name = path.stem.rsplit("-", 1)[1]
    for dtype, unsigned in (("f4", np.uint32), ("f8", np.uint64)):
        own = [r for r in rows if r[0] == f"np.float{8 * np.dtype(dtype).itemsize}"]
        x, wanted = (np.array([int(r[k], 16) for r in own], unsigned).view(dtype) for k in (1, 2))
        got = np.empty_like(x)
        vectorised(name)(x, got)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        known = np.isfinite(wanted)
        np.testing.assert_array_equal(got[~known], wanted[~known])
        np.testing.assert_array_max_ulp(got[known], wanted[known], maxulp=int(ULP[dtype]))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if "_" not in n])
def test_special_values_are_numpys(name: str, dtype: str, way) -> None:
    info = np.finfo(dtype)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.0, -3.0, info.max, -info.max]
    special += [info.tiny, -info.tiny, info.smallest_subnormal, -info.smallest_subnormal]
    x = np.array(special, dtype)
    given = (x,)
    if name in OF_TWO:
        given = tuple(a.ravel() for a in np.meshgrid(x, x))
    got = np.empty_like(given[0])
    vectorised(name)(*given, got)
    reference = {"pow": np.power}.get(name) or getattr(np, name, None) or getattr(jitgraph, name)
    with np.errstate(all="ignore"):
        expected = reference(*given)
    np.testing.assert_allclose(got, expected, rtol=4 * info.eps, atol=0)
    assert np.array_equal(
        np.signbit(got)[~np.isnan(got)], np.signbit(expected)[~np.isnan(expected)]
    )


TARGETS = {  # triple, processor, and what one of its widest registers is called
    "avx512": ("x86_64-unknown-linux-gnu", "znver4", r"%zmm\d"),
    "avx2": ("x86_64-unknown-linux-gnu", "haswell", r"%ymm\d"),
    "neon": ("aarch64-unknown-linux-gnu", "neoverse-n1", r"\bv\d+\.(4s|2d)"),
}
MODULES = {
    **dict.fromkeys(("erf", "erfc"), error_function),
    **dict.fromkeys(("cbrt", "hypot"), roots),
    **dict.fromkeys(("arcsin", "arccos", "arctan", "arctan2"), inverse_trigonometric),
    **dict.fromkeys(("sin", "cos", "tan"), trigonometric),
    **dict.fromkeys(("sin_moderate", "cos_moderate", "tan_moderate"), trigonometric),
    **dict.fromkeys(
        ("sinh", "cosh", "tanh", "one_plus_tanh", "arcsinh", "arccosh", "arctanh"), hyperbolic
    ),
}


def formula(name: str):
    if name in ("log2", "log10"):
        return exponential.log_of_base(int(name[3:]))
    return getattr(MODULES.get(name, exponential), name)


def assembly(name: str, real, triple: str, processor: str) -> str:
    """A loop over a formula, compiled for another processor."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module("loops")
    module.triple = triple
    pointer, size = real.type.as_pointer(), ir.IntType(64)
    arity = 2 if name in OF_TWO else 1
    kind = ir.FunctionType(ir.VoidType(), [pointer] * (arity + 1) + [size])
    function = ir.Function(module, kind, "loop")
    for argument in function.args[:-1]:
        argument.add_attribute("noalias")
    start, body, end = (function.append_basic_block(n) for n in ("start", "body", "end"))
    builder = ir.IRBuilder(start)
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(size)
    given = [builder.load(builder.gep(a, [index])) for a in function.args[:arity]]
    result = formula(name)(*[Value(builder, v) for v in given])
    builder.store(result.ir, builder.gep(function.args[arity], [index]))
    following = builder.add(index, ir.Constant(size, 1))
    index.add_incoming(ir.Constant(size, 0), start)
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_unsigned("<", following, function.args[-1]), body, end)
    builder.position_at_end(end)
    builder.ret_void()
    parsed = llvm.parse_assembly(str(module))
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, opt=3)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    return machine.emit_assembly(lanes.inline(parsed, machine))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["sin_moderate", "tan_moderate"])
def test_zeros_keep_their_signs(name: str, dtype: str, way) -> None:
    x = np.array([0.0, -0.0] * 20, dtype)
    got = np.empty_like(x)
    vectorised(name)(x, got)
    np.testing.assert_array_equal(got, x)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(x))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_fill_the_widest_registers(name: str, target: str, monkeypatch) -> None:
    triple, processor, register = TARGETS[target]
    for module in (pairs, trigonometric):
        monkeypatch.setattr(module, "has_fma", lambda: True)
    monkeypatch.setattr(lanes, "_has_avx512", lambda: target == "avx512")
    for real in (SINGLE, DOUBLE):
        with lanes.in_use():
            lines = assembly(name, real, triple, processor).splitlines()
        wide = [
            line for line in lines
            if re.search(register, line) and re.search(r"\bv?f?n?m?(mul|add|sub|fma|mla)", line)
        ]  # fmt: skip
        assert len(wide) >= 5, f"{real.type} is not vectorised"
        assert not any(re.match(r"\s*(callq?|bl)\s", line) for line in lines)


def test_functions_run_in_the_interpreter() -> None:
    """So that generated code can be stepped through."""
    assert (
        loop_math.exp(0.0) == 1
        and loop_math.maximum(1.0, 2.0) == 2
        and loop_math.select(True, 3, 4) == 3
    )
    assert loop_math.add_reassoc(1, 2) == 3 and loop_math.float_fmod(-5.0, 3.0) == -2
    loop_math.assume(True)


def _machine() -> str:
    """What the widest registers of this machine are called, if it is an x86-64 with AVX2."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return "ymm" if features.get("avx2") else ""


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
