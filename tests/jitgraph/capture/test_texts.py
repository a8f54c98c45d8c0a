"""`print` and texts with traced values: the program shows what Python would, when it would."""

import re

import numpy as np
import pytest

import jitgraph


def shows_numbers(x):
    print("sum", x.sum(), x.shape, sep=" = ", end="!\n")
    return x * 2


def shows_arrays(x):
    print(x, x[:2] > 0, f"{x}")
    return x * 2


def formats(x):
    total = x.sum()
    print(f"{total:.3f} {total!r:>30} {x[0]:{'+'}.1e} {x.shape[0]:04d} {{}} {x.max() > 3!s:8}|")
    return total


def formats_as_c_does(x):
    print("%.2f of %d" % (x.mean(), x.size), "%s" % x.max())  # noqa: UP031 - what is tested
    return x


def formats_by_method(x):
    text = "{:.2f} {last:>8} ".format(x.mean(), last=x[-1])  # noqa: UP032 - what is tested
    print(text + ", ".join([str(x[0]), repr(x[1])]))
    return x


def adds_texts(x):
    text = "of " + str(x.size) + ": "
    for k in range(2):
        text = text + f"{x[k]:.1f} "
    print(text + "and so on")
    return x


def shows_steps(x, n):
    for i in range(n):
        x = np.sin(x) + 0.5
        print("step", i, round(float(x.max()), 3))
    return x


def shows_some_steps(x, n):
    for i in range(n):
        x = np.sin(x) + 0.5
        if i % 10 == 0:
            print(f"step {i}: {x.max():.3f}")
        elif x[0] > 1.2:
            print(i, "is large")
    return x


def shows_until_it_converges(x):
    steps, error = 0, 1.0
    while error > 1e-3:
        new = x * 0.5
        error = np.abs(new - x).max()
        x = new
        steps += 1
        print(f"{steps:3d} {error:.5f}")
    print("done after", steps)
    return x


def shows_around_loops(x, n):
    print("before", x[0])
    for i in range(n):
        x = x * 0.9
        print(i, end=" ")
    print("between", f"{x.sum():.3f}")
    for i in range(n):
        x = x + 0.1
        print(-i, end=" ")
    print("after", f"{x.sum():.3f}")
    return x


def shows_in_nested_loops(x, n):
    for i in range(n):
        print("row", i)
        for j in range(i, n):
            x = x + 0.25
            print("  ", i, j, x[0])
    return x


def shows_what_is_written(x, n):
    y = x.copy()
    for _ in range(n):
        print("old", y)
        y[1:] += y[:-1] * 0.5
        print("new", y[1])
    return y


def shows_what_was_there_before(x):
    x = x.copy()
    text = f"{x[:2]} {x[0]} " + str([x, x[::2]])
    x[:2] = 100
    print(text, x)
    return x


def tell(name, value):
    print(f"{name:>8}: {value:.3f}")
    return value


def shows_by_a_helper(x, n):
    for _ in range(n):
        x = x * tell("factor", 1 / (1 + x.mean()))
    return x


def shows_on_one_side(x):
    y = x * 2
    if x.sum() > 0:
        y = x + 1
        print("positive", y[0])
    return y - 1


X = np.array([0.5, -1.25, 3.75, 2.0])
PROGRAMS = [
    (shows_numbers, X), (shows_arrays, X), (formats, X), (formats_as_c_does, X),
    (formats_by_method, X), (adds_texts, X), (shows_steps, X, 12), (shows_some_steps, X, 23),
    (shows_until_it_converges, X), (shows_around_loops, X, 10), (shows_in_nested_loops, X, 10),
    (shows_what_is_written, X, 10), (shows_what_was_there_before, X), (shows_by_a_helper, X, 11),
    (shows_on_one_side, X), (shows_on_one_side, -X),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "args"), [(p, a) for p, *a in PROGRAMS], ids=lambda v: getattr(v, "__name__", "")
)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_program_shows_what_python_does(program, args, dtype: str, capsys) -> None:
    x, *rest = args
    x = x.astype(dtype)
    expected = program(x, *rest)
    shown = capsys.readouterr().out
    compiled = jitgraph.compile(program, strict=True)
    for _ in range(3):
        got = compiled(x, *rest)
        assert capsys.readouterr().out == shown
        np.testing.assert_allclose(got, expected, rtol=1e-6 if dtype == "f4" else 1e-14)


def test_one_program_for_any_number_of_steps(capsys) -> None:
    compiled = jitgraph.compile(shows_some_steps, strict=True)
    for n in (12, 40, 21):
        compiled(X, n)
        shown = capsys.readouterr().out
        shows_some_steps(X, n)
        assert capsys.readouterr().out == shown
    assert compiled.cache_info().captures == 1


def uses_characters(x):
    name = f"{x[0]:.1f}"
    return x * len(name)


def looks_up(x):
    return x * {"0.5": 2.0, "1.5": 3.0}[f"{x[0]}"]


def asks(x):
    return x + 1 if str(x.max()) == "3.75" else x


def cuts(x):
    print(f"{x.max():.3f}"[:3].upper())
    return x


def returns_it(x):
    return x, f"{x.max()}"


@pytest.mark.parametrize("program", [uses_characters, looks_up, asks, cuts, returns_it])
def test_a_text_that_is_used_otherwise_needs_python(program, capsys) -> None:
    expected = program(X)
    shown = capsys.readouterr().out
    compiled = jitgraph.compile(program)
    for _ in range(2):
        got = compiled(X)
        assert capsys.readouterr().out == shown
        assert repr(got) == repr(expected)
    assert re.search(
        "a text with the value of a traced array|of type Text", str(compiled.explain(X))
    )


def test_a_text_says_what_is_wrong_with_a_format() -> None:
    def program(x):
        print(f"{x:.3f}")
        return x

    with pytest.raises(TypeError, match="unsupported format string") as python:
        program(X)
    with pytest.raises(TypeError) as compiled:
        jitgraph.compile(program)(X)
    assert str(compiled.value) == str(python.value)


def test_the_gradient_of_a_loop_that_prints(capsys) -> None:
    def program(x):
        for i in range(10):
            x = np.sin(x)
            print(i)
        return x.sum()

    step = 1e-6
    expected = [(program(X + step * e) - program(X - step * e)) / (2 * step) for e in np.eye(4)]
    capsys.readouterr()
    got = jitgraph.grad(program)(X)
    assert capsys.readouterr().out == "".join(f"{i}\n" for i in range(10))
    np.testing.assert_allclose(got, expected, atol=1e-8)
