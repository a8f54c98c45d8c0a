"""Which loops take several registers of elements at a time, and that their values stay the same."""

import re

import llvmlite.binding as llvm
import numpy as np
import pytest

import jitgraph
from jitgraph_codegen.interleaving import interleaved

CARRIED = "%total = phi {0} [ 0.0, %start ], [ %y{1}, %loop ]"


def loop(products: int, real: str = "double", line: str = "", nested: bool = False) -> str:
    """The IR of a loop that multiplies each element by itself so many times."""
    chain = "\n".join(f"  %y{k + 1} = fmul {real} %y{k}, %x" for k in range(products))
    end = "br i1 %again, label %start, label %exit" if nested else "br label %exit"
    return f"""
define void @f(ptr %p, i64 %n, i1 %again) {{
entry:
  br label %start
start:
  br label %loop
loop:
  %i = phi i64 [ 0, %start ], [ %next, %loop ]
  {line.format(real, products)}
  %at = getelementptr {real}, ptr %p, i64 %i
  %x = load {real}, ptr %at
  %y0 = fadd {real} %x, %x
{chain}
  store {real} %y{products}, ptr %at
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %end
end:
  {end}
exit:
  ret void
}}
"""


def registers(text: str) -> int:
    """How many a loop takes at a time, as the vectoriser is told."""
    found = re.findall(r'"llvm.loop.interleave.count", i32 (\d+)', text)
    return int(found[0]) if found else 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (loop(30), 4),
        (loop(30, "float"), 2),
        (loop(5), 1),
        (loop(30, line=CARRIED), 1),
        (loop(30, nested=True), 1),
    ],
    ids=["doubles", "singles", "few operations", "a sum", "inside a loop"],
)
def test_what_is_interleaved(text: str, expected: int) -> None:
    module = interleaved(llvm.parse_assembly(text))
    module.verify()
    assert registers(str(module)) == expected


def test_two_loops_of_a_module_are_told_apart() -> None:
    second = loop(30, "float").replace("@f(", "@g(")
    text = str(interleaved(llvm.parse_assembly(loop(30) + second)))
    assert sorted(re.findall(r"interleave.count\", i32 (\d)", text)) == ["2", "4"]
    assert len(set(re.findall(r"br i1 .*!llvm\.loop !(\d+)", text))) == 2


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_an_element_does_not_depend_on_its_place(dtype: str) -> None:
    """Whether it falls into a round of several registers, of one, or is left over."""
    compiled = jitgraph.compile(lambda x: np.tanh(x) * np.exp(x) + np.sin(x))
    x = np.linspace(-4, 4, 200).astype(dtype)
    whole = compiled(x)
    for count in (1, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 130):
        np.testing.assert_array_equal(compiled(x[:count]), whole[:count])
        np.testing.assert_array_equal(compiled(x[-count:]), whole[-count:])
