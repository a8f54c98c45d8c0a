"""The loop IR: verification, passes, and the Python both printers make of it."""

from dataclasses import replace

import numpy as np
import pytest

from jitgraph_codegen.cpu_printer import print_kernel
from jitgraph_codegen.loop_ir import (
    INDEX,
    Accumulate,
    Accumulator,
    Apply,
    Buffer,
    Const,
    For,
    Kernel,
    Let,
    Load,
    Range,
    Store,
    Var,
)
from jitgraph_codegen.passes import collapse, inline_lets, optimise

ROW, COLUMN = Var("i", INDEX), Var("j", INDEX)
X = Buffer("x", "float32", ("n0", "n1"), "C", "in")
OUT = Buffer("out", "float32", ("n0", "n1"), "C", "out")


def doubled(x: Buffer = X) -> Kernel:
    """out = x + x, in two loops."""
    value = Apply("x + y", (Load(x, (ROW, COLUMN)), Load(x, (ROW, COLUMN))), "float32")
    body = (
        Range(
            "i",
            (For("j", "n1", (Let("t", value), Store(OUT, (ROW, COLUMN), Var("t", "float32")))),),
        ),
    )
    return Kernel("doubled", (x, OUT), ("n0", "n1"), "n0", body)


def row_sum() -> Kernel:
    out = Buffer("out", "float32", ("n0",), "C", "out")
    body = (
        Accumulator("s", "sum", "float32"),
        For("j", "n1", (Accumulate("s", "sum", Load(X, (ROW, COLUMN))),)),
        Store(out, (ROW,), Var("s", "float32")),
    )
    return Kernel("row_sum", (X, out), ("n0", "n1"), "n0", (Range("i", body),))


BROKEN = {
    "not defined": replace(doubled(), body=(Store(OUT, (ROW, COLUMN), Const(1.0, "float32")),)),
    "no size argument": replace(doubled(), sizes=("n0",)),
    "no declared buffer": replace(doubled(), buffers=(OUT,)),
    "is given float64": replace(
        doubled(), body=(Range("i", (Store(OUT, (ROW, ROW), Const(1.0, "float64")),)),)
    ),
    "has 2 axes": replace(
        doubled(), body=(Range("i", (Store(OUT, (ROW,), Const(1.0, "float32")),)),)
    ),
    "no output": replace(
        doubled(), body=(Range("i", (Store(X, (ROW, ROW), Const(1.0, "float32")),)),)
    ),
    "not declared": replace(
        row_sum(), body=(Range("i", (Accumulate("s", "sum", Const(1.0, "float32")),)),)
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_verify_refuses(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BROKEN[message].verify()


def test_collapse_joins_loops_over_contiguous_axes() -> None:
    kernel = collapse(doubled())
    kernel.verify()
    assert kernel.extent == "n0xn1" and kernel.sizes == ("n0xn1",)
    assert [b.shape for b in kernel.buffers] == [("n0xn1",), ("n0xn1",)]
    strided = collapse(doubled(replace(X, layout="A")))
    assert strided.extent == "n0", "strided axes are not adjacent in memory"
    assert collapse(row_sum()) == row_sum()


def test_lets_move_to_their_only_use() -> None:
    loop = inline_lets(doubled()).body[0].body[0]
    assert [type(s) for s in loop.body] == [Store]


@pytest.mark.parametrize("kernel", [doubled(), row_sum()], ids=lambda k: k.name)
def test_printed_source_is_plain_python(kernel: Kernel, monkeypatch) -> None:
    """Without its decorator the generated function runs in the interpreter, on NumPy arrays."""
    source = print_kernel(optimise(kernel), "for a test", precise=False)
    assert '"""for a test"""' in source.module
    namespace: dict = {}
    exec(
        source.module.replace('@njit(error_model="numpy", fastmath={"contract"})\n', ""), namespace
    )
    x = np.arange(6, dtype="f4").reshape(2, 3)
    if kernel.name == "doubled":
        out = np.zeros(6, "f4")
        namespace["doubled"](x.ravel(), out, 0, 6)
        assert np.array_equal(out, 2 * x.ravel())
    else:
        out = np.zeros(2, "f4")
        namespace["row_sum"](x, out, 3, 0, 2)
        assert np.array_equal(out, x.sum(axis=1))
