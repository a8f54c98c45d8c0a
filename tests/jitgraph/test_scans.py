"""Running sums and products, fused with what feeds them and what they feed."""

import numpy as np
import pytest

import jitgraph
from support import check

ONE_KERNEL = {
    "plain": lambda x: np.cumsum(x, axis=-1),
    "shares": lambda x: np.cumsum(x, axis=1) / np.cumsum(x, axis=1)[:, -1:],
    "between": lambda x: np.exp(np.cumsum(x * 0.1, axis=1)) + x,
    "reduced": lambda x: np.cumsum(x, axis=1).max(axis=1),
    "twice": lambda x: np.cumsum(np.cumsum(x, axis=1), axis=1),
    "centred": lambda x: np.cumsum(x - x.mean(axis=1, keepdims=True), axis=1),
    "product": lambda x: np.cumprod(x, axis=1).sum(axis=1, keepdims=True) * x,
    "of conditions": lambda x: np.cumsum(x > 1, axis=1),
    "of a transpose": lambda x: np.cumsum(x.T, axis=1),
    "method": lambda x: x.cumsum(axis=1) * 2,
    "largest so far": lambda x: np.maximum.accumulate(x, axis=1) - x,
    "smallest so far": lambda x: np.minimum.accumulate(x > 1, axis=1),
    "ufuncs": lambda x: np.add.accumulate(x, 1) + np.multiply.accumulate(x, axis=1),
    "across": lambda x: np.cumsum(x, axis=0) * 2,
    "across, with neighbours": lambda x: np.exp(np.cumsum(x * x[0], axis=0) / 9) - x,
    "across, twice": lambda x: np.cumprod(np.cumsum(x, axis=0) / 50, axis=0),
    "across, two": lambda x: np.cumsum(x, 0) / np.maximum.accumulate(x, 0),
    "across, of conditions": lambda x: np.maximum.accumulate(x > 1, axis=0),
}
OTHERS = {
    "flat": lambda x: np.cumsum(x),
    "every axis": lambda x: np.cumsum(np.cumsum(x, axis=0), axis=1),
    "middle axis": lambda x: np.cumsum(x[:, None] * x, axis=1) + x,
    "far axis": lambda x: np.cumsum(x[:, None] * x, axis=0) + x,
    "across a reduction": lambda x: np.cumsum(x - x.mean(axis=0), axis=0),
    "reduced across": lambda x: np.cumsum(x, axis=0).sum(axis=0),
    "last across": lambda x: np.cumsum(x, axis=0)[-1] * 2,
    "transposed across": lambda x: np.cumsum(x.T, axis=0),
    "first axis of first": lambda x: np.cumsum(x[0], axis=0),
    "of one row": lambda x: np.cumsum(x[0]) / np.cumsum(x[0])[-1],
    "differences": lambda x: np.diff(np.cumsum(x, axis=1), axis=1),
    "dtypes": lambda x: (np.cumsum(x.astype("i1"), axis=1), np.cumsum(x, 1, dtype="f4")),
    "of no axes": lambda x: np.cumsum(x.sum()),
    "into": lambda x: np.cumsum(x, axis=1, out=np.zeros((x.shape[0], x.shape[1]))),
}


@pytest.mark.parametrize("name", ONE_KERNEL)
def test_scans_fuse_into_one_kernel(name: str, rng) -> None:
    function = ONE_KERNEL[name]
    for shape in ((5, 7), (40, 33)):
        check(function, rng.uniform(0.5, 1.5, shape), ulps=64, atol=1e-12)
    compiled = jitgraph.compile(function, strict=True)
    report = compiled.explain(rng.uniform(0.5, 1.5, shape))
    assert report.count("kernel ") == 1 and "NumPy" not in report


@pytest.mark.parametrize("name", OTHERS)
def test_scans_of_other_kinds(name: str, rng) -> None:
    compiled = jitgraph.compile(OTHERS[name], strict=True)
    for shape in ((5, 7), (40, 150), (1, 4), (3, 1), (0, 3)):
        if name not in ("of one row", "first axis of first", "last across") or shape[0]:
            x = rng.uniform(0.5, 1.5, shape)
            got, want = compiled(x), OTHERS[name](x)
            for g, w in zip(
                *[r if isinstance(r, tuple) else (r,) for r in (got, want)], strict=True
            ):
                assert g.dtype == w.dtype and g.shape == w.shape
                np.testing.assert_allclose(g, w, rtol=1e-6 if g.dtype == "f4" else 1e-12)


def test_gradients_of_running_sums(rng) -> None:
    x, weight = rng.standard_normal((2, 4, 5))
    expected = np.cumsum(weight[:, ::-1], axis=1)[:, ::-1]
    for function in (lambda t: t.cumsum(1), jitgraph.compile(lambda t: t.cumsum(1), strict=True)):
        t = jitgraph.Tensor(x, requires_grad=True)
        (function(t) * weight).sum().backward()
        np.testing.assert_allclose(t.grad.data, expected, rtol=1e-12)
