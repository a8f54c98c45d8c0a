"""The oracle: a function run by NumPy, compiled, and on Tensors gives the same values, dtypes and
shapes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import jitgraph
from jitgraph import prepared

ULPS = 4.0
DOMAINS = {  # where ufuncs are differentiated, by name
    "arcsin": (-0.9, 0.9), "arccos": (-0.9, 0.9), "arctanh": (-0.9, 0.9), "arccosh": (1.1, 4),
    "log": (0.2, 4), "log2": (0.2, 4), "log10": (0.2, 4), "log1p": (-0.5, 4), "sqrt": (0.2, 4),
    "cbrt": (0.2, 4), "power": (0.3, 3), "tan": (-1.2, 1.2),
}  # fmt: skip


def assert_same(
    got: Any, expected: Any, what: str = "", ulps: float = ULPS, atol: float = 0.0
) -> None:
    """Equal dtype and shape, and values within `ulps` (floats) or exactly (all else)."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype, f"{what}: dtype {got.dtype}, NumPy gives {expected.dtype}"
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, NumPy gives {expected.shape}"
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected, err_msg=what)
        return
    rtol = ulps * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol, err_msg=what)


def check(function: Callable[..., Any], *args: Any, ulps: float = ULPS, atol: float = 0.0) -> None:
    """Compare NumPy with the compiled function (which must be captured) and with Tensors."""
    with np.errstate(all="ignore"):
        expected = function(*args)
        compiled = jitgraph.compile(function, strict=True)(*args)
        dynamic = function(*[jitgraph.Tensor(a) if isinstance(a, np.ndarray) else a for a in args])
    many = isinstance(expected, (tuple, list))
    for want, got, eager in zip(
        expected if many else [expected],
        compiled if many else [compiled],
        dynamic if many else [dynamic],
        strict=True,
    ):
        assert_same(got, want, "compiled", ulps, atol)
        assert_same(
            eager.data if isinstance(eager, jitgraph.Tensor) else eager, want, "dynamic", ulps, atol
        )


@contextmanager
def prepared_at_once() -> Iterator[Counter]:
    """While functions on Tensors and gradient rules are prepared when they are first met; counts
    what was done by prepared functions, and how often one "raised".
    """
    before = prepared.OFTEN, dict(prepared._prepared), dict(prepared._makers)
    done: Counter = Counter()

    def counted(make: Callable) -> Callable:
        def maker(what: Any, *rest: Any) -> Callable | None:
            made = make(what, *rest)

            def run(*values: Any) -> Any:
                try:
                    result = made(*values)
                except Exception:
                    done["raised"] += 1
                    raise
                done[getattr(what, "__name__", None) or what.name] += 1
                return result

            return None if made is None else run

        return maker

    prepared.OFTEN = 1
    prepared._prepared.clear()
    prepared.register(*map(counted, prepared._makers.values()))
    try:
        yield done
    finally:
        prepared.OFTEN = before[0]
        prepared._prepared.clear()
        prepared._prepared.update(before[1])
        prepared.register(**before[2])


def directional(
    function: Callable[..., Any],
    args: tuple[np.ndarray, ...],
    rng: np.random.Generator,
    step: float = 1e-6,
) -> tuple[float, float]:
    """<gradient, direction> by the tape and by a central difference, along a random direction."""
    tensors = [jitgraph.Tensor(a, requires_grad=a.dtype.kind == "f") for a in args]
    directions = [
        rng.standard_normal(a.shape) if a.dtype.kind == "f" else np.zeros(a.shape) for a in args
    ]
    out = function(*tensors)
    weight = rng.standard_normal(out.shape)
    (out * weight).sum().backward()
    by_tape = sum(
        float((t.grad.data * d).sum())
        for t, d in zip(tensors, directions, strict=True)
        if t.grad is not None
    )
    ahead, behind = (
        function(*[a + (s * step * d).astype(a.dtype) if a.dtype.kind == "f" else a
                   for a, d in zip(args, directions, strict=True)])
        for s in (1.0, -1.0)
    )  # fmt: skip
    return by_tape, float(((np.asarray(ahead) - np.asarray(behind)) * weight).sum() / (2 * step))
