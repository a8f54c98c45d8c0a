"""Random functions of nested loops, branches, early exits, writes, aliases and swaps do what plain
Python does.
"""

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

import jitgraph

ARRAYS, NUMBERS = ("x", "y", "z"), ("s", "r")
NUMERIC = (
    "{s} = {s} * 0.5 + {a}.mean()", "{s} += 0.25", "{s} = {a}[2] * 0.5", "{s} = {s} + {i}",
    "{s} = np.abs({a}).max() * 0.5", "{s}, {r} = {r}, {s} * 0.5",
    "{s} = {s} + 1.0 if {test} else {s} * 0.5",
)  # fmt: skip
BINDING = (
    "{a} = {a} * 0.5 + {b}", "{a} = 0.25 * ({b} - {c}) + {s}", "{a} = {b}.copy()",
    "{a} = {a} * {i} / 40", "{a} = np.tanh({a} + {b})", "{a} = {b} * 0.5 if {test} else {c} + 1.0",
)  # fmt: skip
IN_PLACE = (
    "{a}[1:] += 0.5 * {b}[:-1]", "{a}[...] = {b} * 0.75", "{a}[:-1] = {a}[1:]",
    "{a} += {b} * 0.125", "{a}[{i}] = {b}[{i}] + {s}", "{a}[0] = {s}", "{a} *= {s} * 0.25",
    "{a}[{i}] *= 0.5", "{a}[...] = {b} * 0.5 if {test} else {c} + 1.0",
)  # fmt: skip
ALIASING = (
    "{a} = {b}", "{a}, {b} = {b}, {a}", "view = {a}[1:]", "{a} = {b} if {test} else {c}",
    "view[...] = {s}", "{b}[1:] = view * 0.5",
)  # fmt: skip
STYLES = (
    (*NUMERIC, *BINDING), (*NUMERIC, *IN_PLACE), (*NUMERIC, *BINDING, *IN_PLACE, *ALIASING),
)  # fmt: skip
CONDITIONS = (  # odd numbers, so that rounding decides nothing
    "{s} > {a}.mean() + 0.0137", "{a}[0] > {b}[1] + 0.0171 and {s} < 3.017", "{s} > {r} + 0.0153",
    "not {a}.max() > 2.0193", "0.0113 < {s} < 2.0117", "{a}.sum() > {b}.sum() - 0.0137",
    "{i} % 3 == 1", "n > 18", "{a}[{i}] > 0.0091",
)  # fmt: skip


def branch(
    rng: random.Random,
    style: tuple[str, ...],
    depth: int,
    indices: list[str],
    place: dict[str, str],
) -> list[str]:
    lines = [f"if {place['test']}:"]
    if indices and rng.random() < 0.35:
        before = [rng.choice(style).format(**place)] if rng.random() < 0.4 else []
        return [*lines, *(f"    {line}" for line in (*before, rng.choice(["break", "continue"])))]
    if not depth and rng.random() < 0.15:
        return [*lines, "    return x, y, z, s, r, view"]
    lines += [f"    {line}" for line in body(rng, style, depth + 1, indices, rng.randint(1, 3))]
    if rng.random() < 0.3:
        lines.append(f"elif {rng.choice(CONDITIONS).format(**place)}:")
        lines += [f"    {line}" for line in body(rng, style, depth + 1, indices, rng.randint(1, 2))]
    if rng.random() < 0.6:
        lines.append("else:")
        lines += [f"    {line}" for line in body(rng, style, depth + 1, indices, rng.randint(1, 2))]
    return lines


def body(
    rng: random.Random, style: tuple[str, ...], depth: int, indices: list[str], size: int
) -> list[str]:
    lines: list[str] = []
    for _ in range(size):
        kind = rng.random()
        a, b, c = (rng.choice(ARRAYS) for _ in range(3))
        s, r = rng.sample(NUMBERS, 2)
        place = {"a": a, "b": b, "c": c, "s": s, "r": r, "i": rng.choice([*indices, "3"])}
        place["test"] = rng.choice(CONDITIONS).format(**place)
        if depth < 2 and kind < 0.25:
            index = f"i{depth}_{rng.randrange(100)}"
            bounds = rng.choice(["12", "1, n - 1", "n", "14, 2, -1", "3", "0, 20, 2"])
            lines.append(f"for {index} in range({bounds}):")
            inner = body(rng, style, depth + 1, [*indices, index], rng.randint(1, 4))
            lines += [f"    {line}" for line in inner]
        elif depth < 2 and kind < 0.35:
            count = f"k{depth}_{rng.randrange(1000)}"
            limit = rng.choice(["{s} < 50.0 and ", "not ({a}.max() > 1e6) and ", ""])
            test = limit.format(s=rng.choice(NUMBERS), a=rng.choice(ARRAYS))
            lines += [f"{count} = 0", f"while {test}{count} < 11:", f"    {count} += 1"]
            lines += [
                f"    {line}" for line in body(rng, style, depth + 1, indices, rng.randint(1, 3))
            ]
        elif depth < 3 and kind < 0.55:
            lines += branch(rng, style, depth, indices, place)
        else:
            lines.append(rng.choice(style).format(**place))
    return lines


def function_of(seed: int, folder: Path):
    rng = random.Random(seed)
    lines = [
        "s, r = x[0] * 0.5, y[0] + 1.5",
        "z = x * 0.5",
        "view = z[1:]",
        *body(rng, rng.choice(STYLES), 0, [], 4),
    ]
    lines.append("return x, y, z, s, r, view")
    text = "import numpy as np\n\n\ndef f(x, y, n):\n" + "".join(f"    {line}\n" for line in lines)
    path = folder / f"random_control_flow_{seed}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.f, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("random_control_flow")


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(seed=st.integers(0, 10**9))
def test_random_control_flow(seed: int, folder: Path) -> None:
    try:
        check(seed, folder)
    except jitgraph.CaptureError:
        reject()  # no graph: what becomes of those is tested elsewhere


def check(seed: int, folder: Path) -> jitgraph.CompiledFunction:
    f, text = function_of(seed, folder)
    compiled = jitgraph.compile(f, strict=True)
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
