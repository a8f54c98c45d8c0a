"""Random functions of nested loops, writes, aliases and swaps do what plain Python does."""

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jitgraph

ARRAYS, NUMBERS = ("x", "y", "z"), ("s", "r")
SIMPLE = (
    "{a} = {a} * 0.5 + {b}", "{a} = 0.25 * ({b} - {c}) + {s}", "{a} = {b}", "{a} = {b}.copy()",
    "{a}[1:] += 0.5 * {b}[:-1]", "{a}[...] = {b} * 0.75", "{a}[:-1] = {a}[1:]",
    "{a} += {b} * 0.125", "{a}, {b} = {b}, {a}", "{s} = {s} * 0.5 + {a}.mean()", "{s} += 0.25",
    "{s} = {a}[2] * 0.5",
    "{a}[{i}] = {b}[{i}] + {s}", "{a}[0] = {s}", "{s} = {s} + {i}", "{a} = {a} * {i} / 40",
    "{s} = np.abs({a}).max() * 0.5", "{s}, {r} = {r}, {s} * 0.5", "{a} = np.tanh({a} + {b})",
    "view = {a}[1:]", "view[...] = {s}", "{b}[1:] = view * 0.5",
)  # fmt: skip


def body(rng: random.Random, depth: int, indices: list[str], size: int) -> list[str]:
    lines: list[str] = []
    for _ in range(size):
        kind = rng.random()
        if depth < 2 and kind < 0.25:
            index = f"i{depth}_{rng.randrange(100)}"
            bounds = rng.choice(["12", "1, n - 1", "n", "14, 2, -1", "3", "0, 20, 2"])
            lines.append(f"for {index} in range({bounds}):")
            inner = body(rng, depth + 1, [*indices, index], rng.randint(1, 4))
            lines += [f"    {line}" for line in inner]
        elif depth < 2 and kind < 0.35:
            count = f"k{depth}_{rng.randrange(1000)}"
            limit = rng.choice(["{s} < 50.0 and ", "not ({a}.max() > 1e6) and ", ""])
            test = limit.format(s=rng.choice(NUMBERS), a=rng.choice(ARRAYS))
            lines += [f"{count} = 0", f"while {test}{count} < 11:", f"    {count} += 1"]
            lines += [f"    {line}" for line in body(rng, depth + 1, indices, rng.randint(1, 3))]
        else:
            a, b, c = (rng.choice(ARRAYS) for _ in range(3))
            s, r = rng.sample(NUMBERS, 2)
            i = rng.choice([*indices, "3"])
            lines.append(rng.choice(SIMPLE).format(a=a, b=b, c=c, s=s, r=r, i=i))
    return lines


def function_of(seed: int, folder: Path):
    rng = random.Random(seed)
    lines = ["s, r = 0.5, 1.5", "z = x * 0.5", "view = z[1:]", *body(rng, 0, [], 5)]
    lines.append("return x, y, z, s, r, view")
    text = "import numpy as np\n\n\ndef f(x, y, n):\n" + "".join(f"    {line}\n" for line in lines)
    path = folder / f"random_loops_{seed}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.f, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("random_loops")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**9))
def test_random_loops(seed: int, folder: Path) -> None:
    check(seed, folder)


def check(seed: int, folder: Path) -> jitgraph.CompiledFunction:
    f, text = function_of(seed, folder)
    compiled = jitgraph.compile(f)
    for n in (17, 17, 23):
        rng = np.random.default_rng(n)
        mine = [rng.standard_normal(n), rng.standard_normal(n), n]
        numpys = [np.copy(a) if isinstance(a, np.ndarray) else a for a in mine]
        with np.errstate(all="ignore"):
            try:
                want = f(*numpys)
            except IndexError:
                with pytest.raises(IndexError):
                    compiled(*mine)
                continue
            got = compiled(*mine)
        for position, (g, w) in enumerate(zip([*got, *mine], [*want, *numpys], strict=True)):
            np.testing.assert_allclose(
                g, w, rtol=1e-9, atol=1e-9, err_msg=f"value {position} of\n{text}"
            )
    return compiled
