"""The table of operations against NumPy: values, dtypes, shapes, errors, compiled and dynamic."""

import numpy as np
import pytest

import jitgraph
from jitgraph.ops import UFUNCS
from support import assert_same, check

FLOATS, INTEGERS = "fd", "bBhHiIlL"
SOME_DTYPES = "?BilLfd"


def sample(dtype: str, count: int = 37) -> np.ndarray:
    """Numbers of a dtype with its special values first."""
    rng = np.random.default_rng(ord(dtype))
    if dtype == "?":
        return rng.integers(0, 2, count).astype(bool)
    if dtype in FLOATS:
        values = (3 * rng.standard_normal(count)).astype(dtype)
        values[:12] = [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, 0.5, -0.5, 1e30, 1e-30]
        return values
    info = np.iinfo(dtype)
    values = rng.integers(max(info.min, -100), min(info.max, 100), count).astype(dtype)
    values[:8] = [0, 1, info.max, info.min, 0, 0, 1, info.max]
    return values


def operands(ufunc: np.ufunc, dtype: str) -> tuple[np.ndarray, ...]:
    first = sample(dtype)
    return (first,) if ufunc.nin == 1 else (first, np.roll(first, 3))


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_elementwise_operations_are_numpys(ufunc: np.ufunc) -> None:
    """All dtypes of one operation in one function: one capture, one kernel per dtype."""
    accepted = [d for d in SOME_DTYPES if _accepts(ufunc, d)]
    groups = [operands(ufunc, d) for d in accepted]
    # log(exp(x) + exp(y)) near 0 cancels, in NumPy as well as here
    atol = 1e-16 if ufunc is np.logaddexp else 0.0
    flat = [a for group in groups for a in group]
    check(
        lambda *a: [ufunc(*a[k : k + ufunc.nin]) for k in range(0, len(a), ufunc.nin)],
        *flat,
        atol=atol,
    )


def _accepts(ufunc: np.ufunc, dtype: str) -> bool:
    try:
        with np.errstate(all="ignore"):
            ufunc(*operands(ufunc, dtype))
    except (TypeError, ValueError):
        return False
    return True


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_dtypes_that_numpy_refuses_raise_the_same_class(ufunc: np.ufunc) -> None:
    for dtype in SOME_DTYPES:
        args = operands(ufunc, dtype)
        try:
            with np.errstate(all="ignore"):
                ufunc(*args)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            with pytest.raises(kind, match=ufunc.__name__ if kind is TypeError else None):
                jitgraph.compile(lambda *a: ufunc(*a), strict=True)(*args)


@pytest.mark.parametrize("first", SOME_DTYPES)
def test_promotion_is_numpys(first: str) -> None:
    """Every pair of dtypes, and Python scalars, which do not widen."""
    x = np.ones(3, first)
    others = [np.ones(3, d) for d in SOME_DTYPES]

    def promoted(x, *others):
        results = (
            [np.add(x, y) for y in others]
            + [np.divide(x, y) for y in others]
            + [x * 2.0, x + True, x == 1]
        )
        return results if x.dtype == bool else [*results, x + 1, x * 3]

    check(promoted, x, *others)


def test_where_cast_and_clip(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 5, 7)).astype("f4")
    n = rng.integers(-9, 9, (5, 7)).astype("i4")
    check(lambda x, y: np.where(x > y, x, 0.0), x, y)
    check(lambda x, n: (np.where(x > 0, x, n), np.where(n, 1, 2), np.where(n > 0, True, n)), x, n)
    check(lambda x: (np.clip(x, -1, 1), np.clip(x, None, 0.5), x.clip(0)), x)
    check(lambda x, n: (x.astype(np.float64), n.astype(bool), x.astype("i8"), n.astype("u1")), x, n)
    check(lambda x: (np.round(x), np.round(x, 2), np.nan_to_num(x)), x)
    check(lambda n: (np.round(n, 1), np.round(n, -1)), n)
    with pytest.raises(TypeError, match="decimal places"):
        jitgraph.compile(lambda b: np.round(b, 1), strict=True)(n > 0)


def test_functions_numpy_lacks(rng: np.random.Generator) -> None:
    x = np.concatenate([rng.standard_normal(30) * 9, [np.inf, -np.inf, np.nan, 0.0, 800, -800]])
    for values in (x, x.astype("f4"), np.arange(-5, 5)):
        check(lambda x: (jitgraph.erf(x), jitgraph.sigmoid(x)), values)


def test_powers_follow_numpys_operator(rng: np.random.Generator) -> None:
    x = rng.uniform(0.1, 3, 50)
    check(lambda x: (x**2, x**0.5, x**-1, x**3, x**2.7, 2.0**x, x**x, x**0, x**-2), x)
    check(lambda x: (x**2, x**1), np.arange(-5, 5))
    check(lambda x: x**2, np.array([True, False]))
    check(lambda x, y: x**y, np.arange(1, 9), np.arange(8))


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
@pytest.mark.parametrize("dtype", "fi")
def test_elementwise_operations_over_shapes_layouts_and_scalars(ufunc, dtype: str) -> None:
    """Empty axes, axes of one, no axes; Fortran order, strides, reversed; scalars of both kinds."""
    if not _accepts(ufunc, dtype):
        pytest.skip("NumPy has no such loop")
    x = sample(dtype)[:24].reshape(4, 6)
    arrays = [
        np.asfortranarray(x), x[::2, ::3], x[::-1, ::-1], x[:1], x[:, :1], x[0, 0], x[:0],
        x[3].copy(),
    ]  # fmt: skip
    if ufunc.nin == 1:
        check(lambda *arrays: [ufunc(a) for a in arrays], *arrays)
        return
    scalars = [x[3, 1], 3 if dtype == "i" else 2.5]
    pairs = [(a, arrays[-1][: a.shape[-1]] if a.ndim else a) for a in arrays]
    pairs += [p for s in scalars for p in ((x, s), (s, x))]
    check(
        lambda pairs: [ufunc(a, b) for a, b in pairs],
        pairs,
        atol=1e-7 if ufunc is np.logaddexp else 0.0,
    )


SHAPES = [(), (6,), (1, 4), (2, 3, 4)]
REDUCTIONS = ["sum", "prod", "mean", "var", "std", "min", "max", "any", "all"]


AXES = {0: [None], 1: [None, 0], 2: [None, 0, -1], 3: [None, 0, 1, -1, (0, 2), (1, 2)]}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dtype", "?if")
def test_reductions_over_any_axes(name: str, dtype: str) -> None:
    numpy_function = getattr(np, name)
    for shape in SHAPES:
        x = np.resize(sample(dtype, 40)[12:], shape).astype(dtype)
        axes = AXES[len(shape)]
        check(
            lambda x, axes=axes: [numpy_function(x, axis=a, keepdims=a == 0) for a in axes],
            x,
            ulps=32,
            atol=1e-6 if dtype == "f" else 1e-14,
        )


def test_signed_and_unsigned_integers_compare_exactly() -> None:
    u = np.array([0, 2**63 + 1, 2**64 - 1, 2**62 + 1, 2**63 - 1, 5], "u8")
    q = np.array([0, -1, -1, 2**62, 2**63 - 1, 5], "i8")
    check(lambda u, q: (u == q, u != q, u < q, u <= q, q < u, q > u, u >= q), u, q)


def test_sums_in_a_dtype_of_choice() -> None:
    n = np.arange(250, 256, dtype="u1")
    check(lambda n: (n.sum(), n.sum(dtype=np.int32), n.sum(dtype="u1"), n.mean(dtype="f4")), n)
    check(lambda n: (n * 0.5).sum(dtype=np.float32), n)


@pytest.mark.parametrize("name", ["argmin", "argmax"])
def test_argument_reductions(name: str, rng: np.random.Generator) -> None:
    function = getattr(np, name)
    x = rng.integers(0, 4, (3, 4, 5)).astype("f8")
    x[1, 2, 3] = x[2, 0, 0] = np.nan
    check(lambda x: [function(x, axis=a) for a in (None, 0, 1, 2, -1)], x)
    check(
        lambda x: (function(x, axis=1, keepdims=True), function(x[:, 0]), x.argmax()),
        np.nan_to_num(x).astype("i4"),
    )
    check(lambda x: function(x, axis=0), np.full((3, 2), -np.inf if name == "argmax" else np.inf))


def test_nan_goes_through_max_and_min() -> None:
    x = np.array([[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]], "f4")
    check(lambda x: (x.max(axis=1), x.min(axis=1), np.maximum(x, 2.0), x.max(), np.fmin(x, 2.0)), x)


VIEWS = {
    "transpose": lambda x: (x.T, x.transpose(2, 0, 1), np.swapaxes(x, 0, 2), np.moveaxis(x, 0, -1)),
    "reshape": lambda x: (x.reshape(-1), x.reshape(4, 6), x.reshape(2, -1, 2), np.ravel(x)),
    "slice": lambda x: (
        x[1:],
        x[:, ::2],
        x[..., -1],
        x[0, 1:3, ::-1],
        x[1, 2, 3],
        x[-1:, 5:],
        x[:, -2:-9:-1],
    ),
    "axes": lambda x: (
        x[None],
        x[:, None, :, None],
        np.expand_dims(x, (0, 2)),
        np.squeeze(x[:1]),
        x[..., None],
    ),
    "flip": lambda x: (np.flip(x), np.flip(x, 1), np.flip(x, (0, 2))),
    "broadcast": lambda x: (np.broadcast_to(x[:, :1], (2, 3, 4)), np.broadcast_to(x, (5, 2, 3, 4))),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name: str, rng: np.random.Generator) -> None:
    """As results, and between elementwise operations, where they become index maps."""
    x = rng.standard_normal((2, 3, 4))
    view = VIEWS[name]
    check(view, x)
    check(lambda x: tuple(2 * v + 1 for v in view(x * x)), x)
    check(lambda x: tuple(np.exp(v).sum() for v in view(x)), x)


def test_views_of_compiled_functions_share_memory_as_numpys_do() -> None:
    x = np.zeros((2, 3))
    assert jitgraph.compile(lambda x: x.T)(x).base is x
    assert jitgraph.compile(lambda x: x)(x) is x
    for same in (lambda x: x[:], lambda x: x[...], lambda x: x.T.T, lambda x: x.reshape(2, 3)):
        view = jitgraph.compile(same, strict=True)(x)
        assert view is not x and view.base is x
    for function in (
        lambda x: x * 1,
        lambda x: x.astype(np.float64),
        lambda x: np.clip(x, None, None),
        lambda x: x.sum(axis=()),
        lambda x: x.max(axis=()),
    ):
        assert not np.shares_memory(jitgraph.compile(function, strict=True)(x), x)


def test_slices_at_divided_sizes() -> None:
    for n in (4, 5, 7):
        check(
            lambda x: (x[x.shape[0] // 2 :] * 1, x[: x.shape[0] // 2 * 2].reshape(-1, 2).sum(1)),
            np.arange(float(n)),
        )


def test_copies_are_copies() -> None:
    x = np.ones((2, 3))
    for function in (lambda x: x.copy(), lambda x: x.flatten(), lambda x: x.copy()[::-1]):
        assert not np.shares_memory(jitgraph.compile(function, strict=True)(x), x)


def test_variance_with_more_degrees_than_elements() -> None:
    check(lambda x: x.var(axis=0, ddof=9), np.arange(12.0).reshape(3, 4))


def test_joining(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 3, 4))
    check(
        lambda x, y: (
            np.concatenate([x, y]),
            np.concatenate([x, 2 * y], axis=-1),
            np.stack([x, y], 1),
        ),
        x,
        y,
    )
    check(lambda x, y: np.concatenate([x, y[:2]], axis=0) * 2, x, y)
    check(lambda x, y: np.concatenate([x, y], axis=None), x, y)
    check(lambda x, y: (np.vstack([x, y[0]]), np.hstack([x, y]), np.hstack([x[0], y[0]])), x, y)
    check(lambda x, y: np.outer(x, y[0]), x, y)


MATMULS = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 1)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
]


@pytest.mark.parametrize("shapes", MATMULS, ids=str)
def test_matmul_by_numpys_rules(shapes: tuple, rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(s) for s in shapes)
    check(lambda x, y: (x @ y, np.matmul(x, y) + 1, (2 * x) @ y), x, y, ulps=64)


EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("i,j->ij", (2,), (3,)),
    ("i,i", (3,), (3,)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)),
    ("ij,ij->i", (2, 3), (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,kj->ik", (2, 3), (4, 3)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=lambda c: c[0])
def test_einsum(case: tuple, rng: np.random.Generator) -> None:
    subscripts, *shapes = case
    arrays = [rng.standard_normal(s) for s in shapes]
    check(lambda *a: np.einsum(subscripts, *a), *arrays, ulps=64, atol=1e-14)


def test_einsum_sums_in_its_operands_dtype() -> None:
    n = np.full((2, 2), 100, "i1")
    check(lambda n, b: (np.einsum("ij->j", n), np.einsum("ij->j", b)), n, n > 100)


def test_take_along_the_first_axis(rng: np.random.Generator) -> None:
    x, index = rng.standard_normal((5, 3)), np.array([[4, 0], [-1, 2]])
    check(lambda x, i: (x[i], np.take(x, i, axis=1), np.take(x, i)), x, index % 3)
    check(lambda x, i: 2 * x[i], x, index)
    check(lambda x: x[np.array([-1, -2])] + x[[0, 1]], x)


@pytest.mark.parametrize("dtype", "fd")
def test_zero_size_arrays(dtype: str) -> None:
    x = np.zeros((0, 3), dtype)
    check(
        lambda x: (
            x + 1,
            x.sum(),
            x.sum(axis=0),
            x.prod(axis=1),
            np.tanh(x),
            x.any(),
            x @ x.T[:, :0],
        ),
        x,
    )
    with pytest.raises(ValueError, match="no identity"):
        jitgraph.compile(lambda x: x.max(axis=0), strict=True)(x)


@pytest.mark.parametrize(
    "layout", ["fortran", "rows", "upside down", "strided", "reversed", "broadcast", "transposed"]
)
def test_layouts_of_arguments(layout: str, rng: np.random.Generator) -> None:
    base = rng.standard_normal((6, 8))
    x = {
        "fortran": np.asfortranarray(base),
        "rows": base[:, 2:7],
        "upside down": base[::-2, 3:],
        "strided": base[::2, 1::3],
        "reversed": base[::-1, ::-1],
        "broadcast": np.broadcast_to(base[0], (6, 8)),
        "transposed": base.T,
    }[layout]
    check(
        lambda x: (x * 2 + x.sum(axis=-1, keepdims=True), x.sum(axis=0), x.T + 1, x[1:, :-1]),
        x,
        ulps=16,
    )


def test_swapped_and_unaligned_arguments() -> None:
    swapped = np.arange(5, dtype=">f4")
    unaligned = np.frombuffer(b"\0" + np.arange(5, dtype="f4").tobytes(), np.uint8)[1:].view("f4")
    f = jitgraph.compile(lambda x: x * 2, strict=True)
    assert_same(f(swapped), np.arange(5, dtype="f4") * 2)
    assert_same(f(unaligned), np.arange(5, dtype="f4") * 2)


def test_products_over_an_inner_size_of_one_are_elementwise(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((5, 4, 1)), rng.standard_normal((1, 3))
    check(lambda x, y: (x @ y, x[0] @ y, x @ y[None], np.exp(x @ y)), x, y)
    assert "matmul" not in str(jitgraph.compile(lambda x, y: x @ y).graph(x, y))
    check(lambda x, y: (x @ y, y @ x), np.arange(3)[:, None], np.arange(4)[None, :3])


def test_stacks_by_one_matrix(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((6, 5, 4, 3)), rng.standard_normal((3, 7))
    check(
        lambda x, y: (x @ y, x[:, ::2, 1:] @ y, x[:0] @ y, x.transpose(1, 0, 2, 3) @ y),
        x,
        y,
        ulps=64,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_norms(dtype: str, rng: np.random.Generator) -> None:
    x = (rng.standard_normal((6, 5)) * 4).astype(dtype)
    check(
        lambda x: (
            np.linalg.norm(x),
            np.linalg.norm(x, axis=1),
            np.linalg.norm(x, "fro", keepdims=True),
            np.linalg.norm(x[0], 1),
            np.linalg.norm(x, np.inf, axis=0, keepdims=True),
            np.linalg.norm(x[:, 1], -np.inf),
            np.linalg.norm(x, 0, axis=-1),
            np.linalg.norm(x.T, axis=(0, 1)),
        ),
        x,
        ulps=16,
    )


def test_norms_that_are_numpys(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 4))
    compiled = jitgraph.compile(lambda x: (np.linalg.norm(x, 2), np.linalg.norm(x, 3, axis=0)))
    np.testing.assert_allclose(compiled(x)[0], np.linalg.norm(x, 2))
    np.testing.assert_allclose(compiled(x)[1], np.linalg.norm(x, 3, axis=0))
    with pytest.raises(ValueError, match="dimensions"):
        jitgraph.compile(lambda x: np.linalg.norm(x, axis=(0, 1, 2)))(x[None])


def test_outer_by_a_ufunc(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((3, 4)), rng.standard_normal(5)
    check(lambda x, y: (np.add.outer(x, y), np.maximum.outer(y, x[0]), np.less.outer(y, 0.5)), x, y)


@pytest.mark.parametrize("name", ["erf", "erfc", "expit"])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "i8"])
def test_functions_of_scipy_that_are_operations(name: str, dtype: str) -> None:
    function = getattr(pytest.importorskip("scipy.special"), name)
    x = np.linspace(-3, 3, 50).astype(dtype)
    compiled = jitgraph.compile(lambda x: function(x) * 2, strict=True)
    want = function(x) * 2
    assert_same(compiled(x), want)
    assert_same((function(jitgraph.Tensor(x)) * 2).data, want)
    assert "called" not in compiled.explain(x)
    if dtype == "f8":
        t = jitgraph.tensor(x, requires_grad=True)
        function(t).sum().backward()
        slope = (function(x + 1e-6) - function(x - 1e-6)) / 2e-6
        np.testing.assert_allclose(t.grad.data, slope, rtol=1e-7, atol=1e-9)
