"""What `explain` and `profile` say, as text, as data and in a notebook."""

import numpy as np
import pytest

import jitgraph


@jitgraph.compile
def normalise(x):
    y = np.exp(x - x.max(axis=1, keepdims=True))
    return np.partition(y / y.sum(axis=1, keepdims=True), 3, axis=1)


def test_the_text_has_its_facts_as_a_dict(rng) -> None:
    x = rng.standard_normal((30, 40))
    told = normalise.explain(x)
    assert told.details["name"] == "normalise" and told.details["target"] == "cpu"
    kernel, partition = told.details["steps"]
    assert kernel["kind"] == "kernel" and kernel["domain"] == ["s0", "s1"]
    assert kernel["reduced"] == [1] and kernel["bytes"] == 2 * x.nbytes
    assert [len(names) for names in kernel["operations"].values()] == [3, 2]
    assert partition["kind"] == "Python" and partition["name"] in told
    assert "seconds" not in kernel


def shifted(x):
    y = np.zeros_like(x)
    y[1:] = x[:-1]
    return y


@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        (lambda x: x + 1, 1),
        (lambda x: ((x @ x) @ x) @ x, 2),  # the first product is let go before the third
        (lambda x: x.__iadd__(1), 0),
        (shifted, 1),
    ],
)
def test_the_most_memory_that_a_call_takes(function, arrays: int) -> None:
    x = np.ones((100, 100))
    told = jitgraph.compile(function, strict=True).explain(x)
    assert told.details["peak_bytes"] == arrays * x.nbytes
    assert ("of arrays at a time" in told) == (arrays > 0)


def test_profile_measures_each_step(rng) -> None:
    x = rng.standard_normal((300, 400))
    told = normalise.profile(x)
    for step in told.details["steps"]:
        assert step["seconds"] > 0
    assert told.details["steps"][0]["bandwidth"] > 0
    assert "of a copy's bandwidth" in told and "FLOP/s" in told


def test_profile_leaves_arguments_alone() -> None:
    @jitgraph.compile
    def grow(x):
        x += 1

    x = np.zeros(10)
    grow.profile(x)
    assert not x.any()


def test_profile_needs_a_graph() -> None:
    with pytest.raises(jitgraph.CaptureError, match="branch"):
        jitgraph.compile(lambda x: x if x.sum() > 0 else x[1:]).profile(np.ones(3))


def test_notebooks_show_a_table(rng) -> None:
    page = normalise.profile(rng.standard_normal((30, 40)))._repr_html_()
    assert page.count("<tr>") == 3 and "<td>kernel</td>" in page and "us" in page


def test_what_keeps_loops_from_whole_registers(rng) -> None:
    def mixed(x, k):
        return np.cumsum(x, axis=1) * 2.0, k // 3

    x, k = rng.standard_normal((8, 20)), np.arange(40)[::2]
    thirds, totals = jitgraph.compile(mixed).explain(x, k).details["steps"]
    assert [text.split(" (")[0] for text in totals["narrow"]] == ["cumsum"]
    strided, division = thirds["narrow"]
    assert strided.startswith("the elements of k do not lie side by side")
    assert division.startswith("floor_divide")

    told = jitgraph.compile(lambda x: x / np.arange(20)).explain(x.astype(np.float32))
    assert "is of float64, where the arrays in memory have elements of at most 4 bytes" not in told
    told = jitgraph.compile(lambda x: (x.astype(float) ** 2).sum(1).astype("f4")).explain(
        x.astype(np.float32)
    )
    assert "narrow: cast" in told and "of at most 4 bytes" in told


@pytest.mark.parametrize(
    ("function", "vectors"),
    [
        (lambda x: x * x + 1, True),
        (lambda x: np.tanh(x).sum(axis=1), True),
        (lambda x: x[:, ::2] > 0, True),
        (lambda x: np.cumsum(x, axis=1), False),
    ],
)
@pytest.mark.parametrize("layout", ["whole", "rows", "strided"])
def test_profile_tells_the_width_of_registers(function, vectors: bool, layout: str, rng) -> None:
    base = rng.standard_normal((64, 128)).astype(np.float32)
    x = {"whole": base, "rows": base[:, 1:-1], "strided": base[:, ::2]}[layout]
    told = jitgraph.compile(function).profile(x)
    (step,) = told.details["steps"]
    assert (step["vector_bits"] >= 128) == vectors
    assert ("no vectors" in told) != vectors
