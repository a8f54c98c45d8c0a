"""`vmap`: what a function does for one, for a batch; and the derivatives that are batches."""

import numpy as np
import pytest

import jitgraph
from jitgraph import CaptureError, ShapeError, Tensor, grad, hessian, jacobian, vmap

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((4, 3))
MATRIX = RNG.standard_normal((3, 3))
POSITIONS = np.array([2, 0])


def written(a):
    y = np.zeros(3)
    y[1:] = a[:-1] * 2
    y[0] = a.sum()
    return y * a


FUNCTIONS = {
    "elementwise": lambda a: np.sin(a) * a.sum() + a[0] - MATRIX,
    "reductions": lambda a: np.stack([a.max(), a.min(), a.prod(), a.std()]),
    "argmax": lambda a: a[a.argmax()] + a.argmin(),
    "scan": lambda a: np.cumsum(a[::-1]) * np.cumsum(np.outer(a, a), axis=1),
    "views": lambda a: np.broadcast_to(a[None, :, None].T, (2, 3, 5)).reshape(6, 5).T,
    "roll": lambda a: np.roll(a, 1) - np.flip(a),
    "concatenate": lambda a: np.concatenate([a, MATRIX[0], a * 2]),
    "matrix by vector": lambda a: MATRIX @ a + a @ MATRIX,
    "inner product": lambda a: a @ a,
    "matrices": lambda a: np.outer(a, a) @ MATRIX @ np.stack([a, a, a, a], axis=1),
    "gather": lambda a: a[POSITIONS] + MATRIX[:2, POSITIONS] @ a[POSITIONS],
    "where": lambda a: np.where(a > 0, a, MATRIX),
    "softmax": lambda a: jitgraph.softmax(a) + jitgraph.logsumexp(a),
    "einsum": lambda a: np.einsum("i,ij,j->", a, MATRIX, a),
    "a constant": lambda a: MATRIX * 1.0,
    "containers": lambda a: {"twice": a * 2, "parts": (a[0], a[1:])},
}


def leaves(value):
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in leaves(v)]
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", [np.asarray, Tensor], ids=["arrays", "tensors"])
def test_a_batch_is_its_elements(name, kind) -> None:
    function = FUNCTIONS[name]
    each = [leaves(function(row)) for row in ROWS]
    found = leaves(vmap(function)(kind(ROWS)))
    for got, *wanted in zip(found, *each, strict=True):
        got = got.data if isinstance(got, Tensor) else got
        np.testing.assert_allclose(got, np.stack(wanted), rtol=1e-12, atol=1e-12)


def test_new_arrays_may_be_written_in_compiled_functions() -> None:
    expected = np.stack([written(row) for row in ROWS])
    np.testing.assert_allclose(vmap(written)(ROWS), expected, rtol=1e-14)


def test_gradients_of_functions_that_write() -> None:
    found = vmap(grad(lambda a: (written(a) ** 2).sum()))(ROWS)
    expected = [grad(lambda a: (written(a) ** 2).sum())(row) for row in ROWS]
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-13)


def test_axes_of_arguments_and_results() -> None:
    def function(a, matrix, pair):
        return matrix @ a + pair["scale"]

    pair = {"scale": np.arange(4.0)}
    expected = np.stack([MATRIX @ r + k for k, r in enumerate(ROWS)])
    axes = (1, None, 0)
    np.testing.assert_allclose(vmap(function, axes)(ROWS.T, MATRIX, pair), expected, rtol=1e-14)
    found = vmap(function, axes, out_axes=1)(ROWS.T, MATRIX, pair)
    np.testing.assert_allclose(found, expected.T, rtol=1e-14)


def test_batches_of_batches() -> None:
    x, y = np.arange(3.0), np.arange(5.0)
    outer = vmap(vmap(lambda a, b: a * b + a, (0, None)), (None, 0))
    np.testing.assert_array_equal(outer(x, y), np.add.outer(y, np.ones(3)) * x)


def weighted(w, a):
    return np.tanh(w @ a).sum()


@pytest.mark.parametrize("kind", [np.asarray, Tensor], ids=["arrays", "tensors"])
def test_gradients_of_each_element(kind) -> None:
    found = vmap(grad(weighted), (None, 0))(kind(MATRIX), kind(ROWS))
    expected = np.stack([grad(weighted)(MATRIX, row) for row in ROWS])
    np.testing.assert_allclose(getattr(found, "data", found), expected, rtol=1e-12)


def test_a_new_batch_size_compiles_nothing() -> None:
    gradients = jitgraph.compile(vmap(grad(weighted), (None, 0)), strict=True)
    for n in (4, 7, 12):
        assert gradients(MATRIX, RNG.standard_normal((n, 3))).shape == (n, 3, 3)
    assert gradients.cache_info().captures == 1


def curved(a):
    return np.stack([a[0] * a[1], a[1] ** 2, np.sin(a[2]) * a[0], a.sum()])


CURVED = ROWS[1]
JACOBIAN = np.array([
    [CURVED[1], CURVED[0], 0],
    [0, 2 * CURVED[1], 0],
    [np.sin(CURVED[2]), 0, np.cos(CURVED[2]) * CURVED[0]],
    [1, 1, 1],
])  # fmt: skip


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("kind", [np.asarray, Tensor], ids=["arrays", "tensors"])
def test_jacobians(mode, kind) -> None:
    found = jacobian(curved, mode=mode)(kind(CURVED))
    np.testing.assert_allclose(getattr(found, "data", found), JACOBIAN, rtol=1e-13, atol=1e-14)
    by_matrix = jacobian(lambda w, a: w @ a, mode=mode)(MATRIX, CURVED)
    assert by_matrix.shape == (3, 3, 3)
    np.testing.assert_allclose(by_matrix[1, 1], CURVED, rtol=1e-14)
    of_pair = jacobian(lambda p: p["a"] * p["b"][0], mode=mode)({"a": CURVED, "b": (CURVED,)})
    np.testing.assert_allclose(of_pair["b"][0], np.diag(CURVED), rtol=1e-14)


def test_hessians() -> None:
    def function(a):
        return (a**3).sum() * a[0]

    found = hessian(function)(CURVED)
    step = 1e-5 * np.eye(3)
    expected = [(grad(function)(CURVED + e) - grad(function)(CURVED - e)) / 2e-5 for e in step]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)
    of_all = vmap(hessian(lambda a: (a**3).sum()))(ROWS)
    np.testing.assert_allclose(of_all, np.stack([np.diag(6 * r) for r in ROWS]), rtol=1e-14)


ERRORS = {
    "sizes": (lambda: vmap(np.add)(ROWS, MATRIX), ShapeError, r"sizes \(4, 3\)"),
    "axes": (lambda: vmap(np.add, (0,))(ROWS, ROWS), ShapeError, "1 arguments, the call has 2"),
    "no batch": (lambda: vmap(np.sin, None)(ROWS), ShapeError, "no argument has an axis"),
    "a branch": (
        lambda: vmap(lambda a: a if a.sum() > 0 else -a)(ROWS), CaptureError, "use np.where"
    ),
    "a mode": (lambda: jacobian(np.sin, mode="both"), ValueError, "mode 'both'"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do(name) -> None:
    call, kind, match = ERRORS[name]
    with pytest.raises(kind, match=match):
        call()


@pytest.mark.parametrize("stack", [(2,), (4, 3)])
def test_stacks_of_systems(stack) -> None:
    a = RNG.standard_normal((*stack[:1], *stack, 2, 2))
    b = RNG.standard_normal((*stack[:1], 2, 2))
    expected = np.stack([np.linalg.solve(p, q) for p, q in zip(a, b, strict=True)])
    np.testing.assert_allclose(vmap(np.linalg.solve)(a, b), expected, rtol=1e-9, atol=1e-12)


def test_what_is_written_may_have_more_axes_than_what_is_read() -> None:
    def rows(a):
        both = np.zeros((2, 3))
        both[...] = a
        both[..., 1] = a[0]
        return both

    np.testing.assert_array_equal(vmap(rows)(ROWS), np.stack([rows(a) for a in ROWS]))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_derivatives_of_what_does_not_depend_on_it(mode) -> None:
    x = ROWS[0]
    assert not jacobian(np.floor, mode=mode)(x).any()
    assert not hessian(np.sum)(x).any()
    of_one = jacobian(lambda p: p["a"] * 2, mode=mode)({"a": x, "b": x})
    np.testing.assert_array_equal(of_one["a"], 2 * np.eye(3))
    assert of_one["b"].shape == (3, 3) and not of_one["b"].any()


def halved_or_moved(x):
    return jitgraph.cond(x.sum() > 0, lambda x: {"a": x / 2}, lambda x: {"a": x - 1}, x)["a"]


def steps_until_small(x):
    return jitgraph.while_loop(
        lambda state: np.abs(state[0]).max() > 0.1,
        lambda state: (state[0] * 0.5, state[1] + 1),
        (x, x[0] * 0),
    )


@pytest.mark.parametrize("of", [lambda f: f, jitgraph.compile], ids=["at once", "compiled"])
def test_conditions_of_each_element(of) -> None:
    rows = np.array([[1.0, 2, 3], [-1, -2, 0.5], [0.01, 0.02, 0], [8, -9, 2]])
    chosen = of(vmap(halved_or_moved))(rows)
    np.testing.assert_allclose(chosen, np.stack([halved_or_moved(r) for r in rows]))
    slopes = of(vmap(grad(lambda x: halved_or_moved(x).sum())))(rows)
    np.testing.assert_allclose(slopes, np.where(rows.sum(1) > 0, 0.5, 1.0)[:, None] + 0 * rows)
    values, counts = of(vmap(steps_until_small))(rows)
    for row, value, count in zip(rows, values, counts, strict=True):
        expected = steps_until_small(row)
        np.testing.assert_allclose(value, expected[0])
        assert count == expected[1]


def test_sides_of_a_batch_have_one_structure() -> None:
    with pytest.raises(ShapeError, match="different structures"):
        vmap(lambda x: jitgraph.cond(x > 0, lambda x: (x, x), lambda x: x, x))(np.ones(3))


def by_another_name(x):
    y = x * 2
    part = y[1:]
    part *= 3
    return y


def handed_on(x):
    y = np.zeros(3)
    z = y
    y += x
    y[:2] -= x[1:]
    return z


def of_rows(x):
    y = np.outer(x, x)
    for row in y:
        row += x
    return y


def at_a_mask(x):
    y = np.zeros(3)
    y[1:] = x[:-1]
    y[y < 0.5] = -1
    return y


def at_positions(x):
    y = np.zeros((3, 3))
    y[POSITIONS] = x
    y[np.arange(3), np.arange(3)] += x * 2
    y[:, 1:][:, [0, 0]] = x[:2]
    return y


IN_PLACE = (by_another_name, handed_on, of_rows, at_a_mask, at_positions)


@pytest.mark.parametrize("function", IN_PLACE, ids=lambda f: f.__name__)
def test_writes_are_seen_by_all_names(function) -> None:
    expected = np.stack([function(row) for row in ROWS])
    np.testing.assert_allclose(vmap(function)(ROWS), expected)
    np.testing.assert_allclose(jitgraph.compile(vmap(function), strict=True)(ROWS), expected)

    def number(x):
        return (function(x) ** 2).sum()

    expected = np.stack([grad(number)(row) for row in ROWS])
    np.testing.assert_allclose(vmap(grad(number))(ROWS), expected)


def test_an_argument_changes_in_place_as_in_a_loop() -> None:
    def centred(x):
        x -= x.mean()
        return x

    rows, expected = ROWS.copy(), ROWS - ROWS.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(vmap(centred)(rows), expected)
    np.testing.assert_allclose(rows, expected)


def test_each_element_is_written_at_a_position_of_its_own() -> None:
    def function(x, k):
        y = np.zeros(3)
        y[k] = 1.0
        return y * x

    positions = np.array([2, 0, 1, 1])
    expected = np.stack([function(x, k) for x, k in zip(ROWS, positions, strict=True)])
    np.testing.assert_allclose(vmap(function)(ROWS, positions), expected)


def test_a_batch_does_not_go_into_what_is_the_same_for_all() -> None:
    def function(x, shared):
        shared += x
        return shared

    with pytest.raises(CaptureError, match=r"the same for all|writes in place"):
        jitgraph.compile(vmap(function, (0, None)), strict=True)(ROWS, np.zeros(3))
