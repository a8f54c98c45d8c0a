"""Operations over shapes (zeros and ones too), layouts and kinds of scalars, against NumPy."""

import warnings
from typing import Any

import numpy as np
import pytest

import jitgraph
from support import assert_same

UFUNCS = [
    np.add, np.divide, np.floor_divide, np.power, np.maximum, np.less, np.bitwise_xor,
    np.arctan2, np.negative, np.sqrt, np.conjugate,
]  # fmt: skip
REDUCTIONS = [np.sum, np.prod, np.max, np.mean, np.any, np.argmin]
SHAPES = [(), (0,), (1,), (3,), (2, 0), (1, 3), (2, 3)]
SCALARS = [2, 3.5, True, np.float32(1.5), np.int8(3), np.float64(2), np.array(2.0), 1 + 2j]


def array(shape: tuple[int, ...], dtype: str, layout: str = "C") -> np.ndarray:
    x = (np.arange(np.prod(shape, dtype=int)).reshape(shape) + 1).astype(dtype)
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.zeros((*shape[:-1], 2 * shape[-1]), dtype) if shape else np.zeros((), dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return np.flip(x) if layout == "reversed" else x


def outcome(function: Any, *args: Any) -> Any:
    """The result, or the class of the error NumPy documents for it."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args)
    except (TypeError, ValueError, OverflowError) as error:
        return next(k for k in (OverflowError, TypeError, ValueError) if isinstance(error, k))


def compare(function: Any, calls: list[tuple[Any, ...]]) -> None:
    """Each call on its own, for its class of error; all good ones in one compiled function."""
    good = []
    for args in calls:
        expected = outcome(function, *args)
        if isinstance(expected, type):
            got = outcome(jitgraph.compile(lambda *a: function(*a), strict=True), *args)
            assert got is expected, (args, got)
        else:
            good.append((args, expected))
    flat = [a for args, _ in good for a in args]

    def every(*values: Any) -> list[Any]:
        left = iter(values)
        return [function(*[next(left) for _ in args]) for args, _ in good]

    results = outcome(jitgraph.compile(every, strict=True), *flat)
    assert not isinstance(results, type), results
    for got, (args, expected) in zip(results, good, strict=True):
        assert type(got) is type(expected), args
        assert_same(got, expected, repr(args), ulps=8)


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda u: u.__name__)
def test_shapes(ufunc: np.ufunc) -> None:
    if ufunc.nin == 1:
        compare(lambda x: ufunc(x), [(array(s, d),) for s in SHAPES for d in ("f4", "i4")])
    else:
        pairs = [(a, b) for a in SHAPES for b in SHAPES if len(a) >= len(b)]
        compare(lambda x, y: ufunc(x, y), [(array(a, "f8"), array(b, "f8")) for a, b in pairs])


@pytest.mark.parametrize("ufunc", [u for u in UFUNCS if u.nin == 2], ids=lambda u: u.__name__)
def test_scalars(ufunc: np.ufunc) -> None:
    arrays = [array((3,), d) for d in ("f4", "i2", "u1", "?")]
    compare(lambda x, y: ufunc(x, y), [(a, s) for a in arrays for s in SCALARS])
    compare(lambda x, y: ufunc(x, y), [(s, a) for a in arrays[:2] for s in SCALARS])


@pytest.mark.parametrize("ufunc", UFUNCS[:2] + UFUNCS[-2:], ids=lambda u: u.__name__)
def test_layouts(ufunc: np.ufunc) -> None:
    arrays = [array((3, 4), "f4", layout) for layout in ("C", "F", "strided", "reversed")]
    if ufunc.nin == 1:
        compare(lambda x: ufunc(x), [(a,) for a in arrays])
    else:
        compare(lambda x, y: ufunc(x, y), [(a, b) for a in arrays for b in arrays])


@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda f: f.__name__)
def test_reductions(function: Any) -> None:
    for axis in (None, 0, -1, (0, 1), 5):
        shapes = [(1, 3), (2, 3), (2, 0), (0, 3), (3,)]
        compare(
            lambda x, axis=axis: function(x, axis=axis),
            [(array(s, d),) for s in shapes for d in ("f4", "i1", "?")],
        )


def refused(dtype: Any) -> np.ndarray:
    return np.zeros(3, dtype)


@pytest.mark.parametrize("dtype", ["O", "S3", "U3", "M8[s]", "m8[s]", "f2", "g", [("a", "f4")]])
def test_other_dtypes_run_as_numpy_does_or_are_refused_by_name(dtype: Any) -> None:
    x = refused(dtype)
    if x.dtype == np.float16:
        assert_same(jitgraph.compile(lambda x: x + 1, strict=True)(x), x + 1)
        return
    with pytest.raises(jitgraph.DTypeError, match="argument has dtype"):
        jitgraph.compile(lambda x: x + 1)(x)


def test_subclasses_run_in_numpy() -> None:
    masked = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    f = jitgraph.compile(lambda x: x * 2)
    assert isinstance(f(masked), np.ma.MaskedArray) and f(masked)[1] is np.ma.masked
    matrix = np.asmatrix(np.eye(2))
    assert isinstance(jitgraph.compile(lambda x: x @ x)(matrix), np.matrix)
    assert "MaskedArray" in f.explain(masked)
