"""What transforms take and give: containers, numbers, kinds of functions, errors."""

import numpy as np
import pytest

import jitgraph
from jitgraph import GradientError, ShapeError, Tensor, grad, jvp, value_and_grad, vjp
from support import assert_same

X = np.linspace(0.1, 1.0, 5)


def total(x):
    return (np.sin(x) * x**2).sum()


def slope(x):
    return np.cos(x) * x**2 + 2 * x * np.sin(x)


def test_of_arrays_tensors_and_in_compiled_functions() -> None:
    assert_same(grad(total)(X), slope(X))
    of_tensors = grad(total)(Tensor(X))
    assert isinstance(of_tensors, Tensor) and not of_tensors.requires_grad
    assert_same(of_tensors.data, slope(X))
    assert_same(jitgraph.compile(grad(total), strict=True)(X), slope(X))
    assert_same(grad(jitgraph.compile(total))(X), slope(X))
    assert_same(jitgraph.compile(lambda x: x - grad(total)(x))(X), X - slope(X))


def test_derivatives_of_any_order() -> None:
    function = np.sin
    for order in range(1, 5):
        function = (lambda f: grad(lambda x: f(x).sum()))(function)
        expected = np.sin(X + order * np.pi / 2)
        np.testing.assert_allclose(function(X), expected, rtol=1e-12)
        np.testing.assert_allclose(function(Tensor(X)).data, expected, rtol=1e-12)


def test_containers_have_gradients_of_their_structure() -> None:
    def loss(parameters, x, scale=1.0):
        return ((parameters["w"] * x + parameters["b"][0]) ** 2).sum() * scale

    parameters = {"w": X, "b": [X * 2, 3]}
    found = grad(loss, argnums=0)({"w": X, "b": [X * 2]}, X, scale=2.0)
    both = X * X + X * 2
    assert_same(found["w"], 4 * both * X)
    assert_same(found["b"][0], 4 * both)
    by_both = grad(loss, argnums=(0, 1))({"w": X, "b": [X * 2]}, X)
    assert isinstance(by_both, tuple)
    assert_same(by_both[1], 2 * both * X)
    with pytest.raises(GradientError, match="one is int"):
        grad(loss)(parameters, X)


def test_value_gradient_and_what_comes_with_it() -> None:
    def function(x):
        return (x**2).sum(), {"twice": x * 2}

    (value, aux), gradient = value_and_grad(function, has_aux=True)(X)
    assert_same(value, (X**2).sum())
    assert_same(aux["twice"], X * 2)
    assert_same(gradient, 2 * X)
    gradient, aux = grad(function, has_aux=True)(Tensor(X))
    assert_same(gradient.data, 2 * X)
    value, pullback, aux = vjp(function, X, has_aux=True)
    assert_same(aux["twice"], X * 2)
    assert_same(pullback(1.0)[0], 2 * X)


def test_python_numbers_are_float64() -> None:
    assert grad(lambda a: a**2 * 3.0)(2.0) == 12.0
    assert grad(grad(lambda a: a**2 * 3.0))(2.0) == 6.0
    value, tangent = jvp(lambda a: a**3, (2.0,), (1.0,))
    assert (value, tangent) == (8.0, 12.0)


def test_writes_and_loops_of_the_function() -> None:
    def function(x):
        y = np.zeros(5)
        y[1:] = x[:-1] ** 2
        y[0] = x[0]
        for k in range(4):
            y = y * x + k
        return y.sum()

    expected = [
        (function(X + e) - function(X - e)) / 2e-6 for e in np.eye(5) * 1e-6
    ]  # fmt: skip
    np.testing.assert_allclose(grad(function)(X), expected, rtol=1e-7)
    x = X.copy()
    assert_same(grad(lambda a: overwritten(a))(x), np.array([0.0, 2.0, 2.0, 2.0, 2.0]))
    assert_same(x, X)


def overwritten(x):
    x[0] = 1.0
    x *= 2
    return x.sum()


def test_branches_run_by_the_tape() -> None:
    def function(x):
        return (x**2).sum() if x.sum() > 0 else (x**3).sum()

    for x in (X, -X):
        assert_same(grad(function)(x), 2 * x if x is X else 3 * x**2)


def test_a_new_size_compiles_nothing() -> None:
    gradient = jitgraph.compile(grad(total), strict=True)
    for n in (5, 9, 17):
        x = np.linspace(0.0, 1.0, n)
        assert_same(gradient(x), slope(x), atol=1e-15)
    assert gradient.cache_info().captures == 1


def test_nothing_comes_from_the_side_of_where_that_is_not_taken() -> None:
    def roots(x):
        return np.where(x > 0, np.sqrt(x) * 3 + np.log(x), x**2)

    x = np.array([-1.0, 0.0, 4.0])
    expected = np.array([-2.0, 0.0, 1.0])
    for given in (x, Tensor(x)):
        found = grad(lambda a: roots(a).sum())(given)
        assert_same(getattr(found, "data", found), expected)
        _, tangent = jvp(roots, (given,), (np.ones(3),))
        assert_same(getattr(tangent, "data", tangent), expected)

    def of_a_part(x):
        inside = np.where(x[1:] > 0, x[1:], 1.0)
        return np.where(x[1:] > 0, np.log(x[1:]) / inside, 0.0).sum() + (1 / x[0])

    assert_same(grad(of_a_part)(x), np.array([-1.0, 0.0, (1 - np.log(4.0)) / 16]))


def test_tensors_of_the_surroundings_collect_no_gradients() -> None:
    w = Tensor(X, requires_grad=True)
    gradient = grad(lambda x: (x * w).sum())(Tensor(X * 2))
    assert w.grad is None
    gradient.sum().backward()
    assert_same(w.grad.data, np.ones(5))


ERRORS = {
    "no number": (lambda: grad(lambda x: x * 2)(X), GradientError, r"gives shape \(5,\)"),
    "integers": (lambda: grad(total)(np.arange(3)), GradientError, "one is int64"),
    "no such argument": (lambda: grad(total, 2)(X), GradientError, "argument 2"),
    "no pair": (lambda: grad(total, has_aux=True)(X), TypeError, "give a pair"),
    "a library's": (lambda: grad(lambda x: np.partition(x, 1)[0])(X), GradientError, "partition"),
    "shape": (lambda: vjp(np.sin, X)[1](np.ones(3)), ShapeError, r"\(3,\) is given for .* \(5,\)"),
    "structure": (lambda: vjp(np.sin, X)[1]((X, X)), GradientError, "another structure"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do(name) -> None:
    call, kind, match = ERRORS[name]
    with pytest.raises(kind, match=match):
        call()


EDGES = {
    "what is written over": (
        lambda x: np.sqrt(np.abs(_first_zeroed(x))).sum(), [4.0, 1.0], [0.0, 0.5]
    ),
    "to the power of 0": (lambda x: (x ** np.array([0.0, 1.0])).sum(), [0.0, 0.0], [0.0, 1.0]),
    "to the constant power of 0": (lambda x: (x**0.0).sum(), [0.0, 2.0], [0.0, 0.0]),
    "fmax of NaN": (lambda x: np.fmax(x, np.nan).sum(), [0.0, 2.0], [1.0, 1.0]),
    "fmin of NaN": (lambda x: np.fmin(np.nan, x).sum(), [0.0, 2.0], [1.0, 1.0]),
}  # fmt: skip


def _first_zeroed(x):
    y = x.copy()
    y[0] = 0.0
    return y


@pytest.mark.parametrize("name", EDGES)
def test_at_the_edges_of_domains(name) -> None:
    function, x, expected = EDGES[name]
    assert grad(function)(np.array(x)).tolist() == expected
    if name != "what is written over":  # Tensors that have gradients aren't written to
        assert grad(function)(Tensor(np.array(x))).tolist() == expected


def test_all_of_a_result_that_is_also_selected_from() -> None:
    def two(x):
        y = np.exp(x)
        return y, np.where(x > 0, y, 0.0)

    x, ones = np.array([0.5, -0.7]), np.ones(2)
    expected = np.exp(x) * [2, 1]
    for run in (lambda f: f, jitgraph.compile):
        (found,) = run(lambda x: vjp(two, x)[1]((ones, ones)))(x)
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_number_that_an_array_gave_has_no_gradient() -> None:
    def function(x):
        total = x.sum()
        while total < 10:
            total = total * 2
        return total * float(x[0])

    with pytest.raises(GradientError, match=r"a number computed from an array.*item\(\)"):
        grad(function)(X)
    assert float(Tensor(2.0, requires_grad=True)) == 2.0


def test_derivatives_of_what_a_function_closes_over() -> None:
    x = np.array([1.0, 2.0])
    pushed = grad(lambda w: jvp(lambda y: (y * w).sum(), (x,), (x,))[1])
    pulled = grad(lambda w: vjp(lambda y: y * w, x)[1](x)[0].sum())
    for of_tensor in (pushed, pulled):
        assert_same(of_tensor(Tensor(x + 1)).data, x)
    assert grad(lambda a: a * grad(lambda b: a * b)(1.0))(2.0) == 4.0


def test_an_error_on_the_tape_says_why_there_is_no_graph() -> None:
    def function(x):
        u = x * 1
        while u.sum() < 10:
            u[0] = u[0] + 1
        return u.sum()

    with pytest.raises(GradientError, match="written in place") as raised:
        grad(function)(X)
    (note,) = raised.value.__notes__
    assert "there is no graph of it" in note and "needs the value of a traced array" in note
