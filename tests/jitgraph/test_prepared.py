"""What is done often is prepared: it does the same as before, for the arguments it was made for."""

import inspect
import threading
from collections.abc import Callable

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor, jacobian, no_grad, prepared, vmap
from support import prepared_at_once

X = np.random.default_rng(0).random((3, 4))
MASK, PICKED = X > 0.5, np.array([2, 0, 2])

CALLS: dict[str, Callable] = {
    "argmax": lambda x: np.argmax(x, axis=1),
    "clip": lambda x: np.clip(x, 0.2, 0.7),
    "clip below": lambda x: x.clip(0.5),
    "concatenate": lambda x: np.concatenate([x, X, x[:1]], axis=0),
    "cumsum": lambda x: x.cumsum(axis=0),
    "diagonal": lambda x: np.diagonal(x, 1),
    "diff": lambda x: np.diff(x, axis=0),
    "dot": lambda x: np.dot(x, X.T),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "flip": np.flip,
    "inv": lambda x: np.linalg.inv(x @ x.T + np.eye(3)),
    "mean": lambda x: np.mean(x, axis=0, keepdims=True),
    "norm": np.linalg.norm,
    "outer": lambda x: np.outer(x[0], x[1]),
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=0.5),
    "product": lambda x: x.dot(x[0]),
    "repeat": lambda x: np.repeat(x, 2, axis=1),
    "roll": lambda x: np.roll(x, 1, axis=1),
    "named results": lambda x: np.linalg.slogdet(x @ x.T + np.eye(3)).logabsdet,
    "several results": lambda x: sum(part.sum() for part in np.split(x, 2, axis=1)),
    "sort": lambda x: np.sort(x, axis=0),
    "stack": lambda x: np.stack((x, x * x)),
    "std": lambda x: x.std(dim=0),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "take": lambda x: np.take(x, PICKED, axis=0),
    "trace": np.trace,
    "tril": np.tril,
    "var": lambda x: np.var(x, axis=1, ddof=1),
    "where": lambda x: np.where(MASK, x, 2.0),
    "zeros_like": np.zeros_like,
}


def results(function: Callable, wanted: bool) -> list:
    x = Tensor(X, requires_grad=wanted)
    y = function(x)
    found = [y.data, y.dtype, y.requires_grad]
    if y.requires_grad:
        (y * y).sum().backward()
        found.append(x.grad.data)
    return found


@pytest.mark.parametrize("wanted", [True, False], ids=["recorded", "not recorded"])
@pytest.mark.parametrize("name", CALLS)
def test_it_does_what_the_operations_do(name: str, wanted: bool) -> None:
    expected = results(CALLS[name], wanted)
    with prepared_at_once() as done:
        for _ in range(2):
            for got, want in zip(results(CALLS[name], wanted), expected, strict=True):
                np.testing.assert_array_equal(got, want)
                assert getattr(got, "shape", None) == getattr(want, "shape", None)
    assert done and not done["raised"]


def test_only_what_is_met_often_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_prepared", {})
    monkeypatch.setattr(prepared, "_met", {})
    x = Tensor(X)
    for _ in range(prepared.OFTEN - 1):
        np.sort(x)
    assert not prepared._prepared
    np.sort(x)
    assert len(prepared._prepared) == 1


DIFFERENT: dict[str, tuple[Callable, Callable]] = {
    "zeros of either sign": (
        lambda x: np.where(x > 9, x, 0.0), lambda x: np.where(x > 9, x, -0.0),
    ),
    "an integer and a float": (
        lambda x: np.where(x > 9, x.astype(int), 1), lambda x: np.where(x > 9, x.astype(int), 1.0),
    ),
    "zeros of complex numbers": (
        lambda x: np.where(x > 9, x, np.complex128(complex(1, 0.0))).imag,
        lambda x: np.where(x > 9, x, np.complex128(complex(1, -0.0))).imag,
    ),
    "dtypes": (np.sort, lambda x: np.sort(x.astype(np.float32))),
    "shapes": (np.mean, lambda x: np.mean(x[:2])),
    "axes": (lambda x: np.sum(x, axis=0), lambda x: np.sum(x, axis=1)),
    "names": (lambda x: np.sum(x, axis=0), lambda x: np.sum(x, keepdims=0)),
    "lists": (lambda x: np.stack([x, x]), lambda x: np.stack([x, x, x])),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_other_arguments_are_another_signature(name: str) -> None:
    x = Tensor(X)
    expected = [f(x).data for f in DIFFERENT[name]]
    with prepared_at_once():
        for _ in range(2):
            for function, want in zip(DIFFERENT[name], expected, strict=True):
                got = function(x).data
                np.testing.assert_array_equal(got, want)
                assert got.dtype == want.dtype and got.shape == want.shape
                assert np.array_equal(np.signbit(got), np.signbit(want))


def test_recording_is_a_part_of_the_signature() -> None:
    x = Tensor(X, requires_grad=True)
    with prepared_at_once():
        assert np.sort(x).requires_grad
        with no_grad():
            assert not np.sort(x).requires_grad
        assert not np.sort(x.detach()).requires_grad
        assert np.sort(x).requires_grad


def test_threads_record_on_their_own() -> None:
    found = []
    with no_grad():
        x = Tensor(X, requires_grad=True)
        thread = threading.Thread(target=lambda: found.append(np.sort(x).requires_grad))
        thread.start()
        thread.join()
        assert not np.sort(x).requires_grad
    assert found == [True]


def test_errors_are_those_of_the_function() -> None:
    x = Tensor(np.zeros((2, 2)))
    with prepared_at_once():
        for _ in range(2):
            with pytest.raises(np.linalg.LinAlgError):
                np.linalg.inv(x)
            with pytest.raises(jitgraph.AxisError, match="axis 5"):
                np.sort(x, axis=5)
            with pytest.raises(IndexError):
                np.take(x, np.array([7]), axis=0)
            with pytest.raises(jitgraph.GradientError, match="found nothing to differentiate"):
                np.argmax(Tensor(X, requires_grad=True)).backward()


def test_new_arrays_are_new_each_time() -> None:
    x = Tensor(X)
    with prepared_at_once():
        for _ in range(3):
            zeros = np.zeros_like(x)
            assert not zeros.data.any()
            zeros[0] = 1


def test_new_arrays_in_a_batch_are_of_the_batch() -> None:
    like = Tensor(np.zeros(3))

    def function(x):
        result = np.zeros_like(like)
        result[1] = x
        return result

    with prepared_at_once():
        np.zeros_like(like)
        found = vmap(function)(np.arange(4.0))
    np.testing.assert_array_equal(found[:, 1], np.arange(4.0))


def test_a_rule_goes_with_what_is_wanted() -> None:
    with prepared_at_once() as done:
        for wanted in ((True, True), (True, False), (False, True)):
            x, y = (Tensor(X, requires_grad=w) for w in wanted)
            np.maximum(x, y).sum().backward()
            for tensor, want in zip((x, y), wanted, strict=True):
                assert (tensor.grad is not None) == want
                assert not want or np.array_equal(tensor.grad.data, np.full(X.shape, 0.5))
    assert done["maximum"] == 3


def test_a_rule_does_not_serve_cotangents_of_other_dtypes() -> None:
    def through_real_numbers(x):
        return (np.real(x) / 1.7).sum()

    def beside_complex_numbers(x):
        joined = np.concatenate([np.real(x) / 1.7, np.array([1j])])
        return (joined * (1 + 2j)).real.sum()

    def gradient(function):
        x = Tensor(np.ones(2, "c16"), requires_grad=True)
        function(x).backward()
        return x.grad.data

    with prepared_at_once():
        gradient(through_real_numbers)
        np.testing.assert_allclose(gradient(beside_complex_numbers), [1 / 1.7, 1 / 1.7])


def test_a_tensor_on_a_numpy_number_is_no_constant() -> None:
    y = Tensor([1.0, 2.0], requires_grad=True)
    with prepared_at_once():
        (np.float32(2) * y).sum().backward()
        w = Tensor(2.0, requires_grad=True)
        w.data = w.data - np.float32(0)
        (w * y).sum().backward()
    assert w.grad.item() == 3


RESULTS: dict[str, Callable] = {
    "like a Tensor": lambda x: np.zeros(3, like=x),
    "of arrays as well": lambda x: np.atleast_3d(x, np.ones(2)),
    "of a list": lambda x: np.meshgrid(x[0], np.arange(2.0)),
    "named": np.linalg.qr,
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_tensors_before_and_after(name: str) -> None:
    def kinds() -> list:
        found = RESULTS[name](Tensor(X))
        return [type(found), *map(type, found if isinstance(found, (list, tuple)) else [])]

    before = kinds()
    assert Tensor in before and np.ndarray not in before
    with prepared_at_once():
        for _ in range(2):
            assert kinds() == before


def test_cotangents_of_a_batch_go_by_the_rules_themselves() -> None:
    def function(x):
        return np.sort(x.T * x[0, 0], axis=0).sum(axis=1)

    expected = jacobian(function)(X)
    with prepared_at_once():
        for _ in range(2):
            function(Tensor(X, requires_grad=True)).sum().backward()
            found = jacobian(function)(Tensor(X))
            np.testing.assert_allclose(found.data, expected, rtol=1e-14)


def test_second_derivatives_are_recorded_all_the_same() -> None:
    x = Tensor(2.0, requires_grad=True)
    with prepared_at_once():
        for _ in range(2):
            x.grad = None
            np.tanh(x).backward(create_graph=True)
            first, x.grad = x.grad, None
            first.backward()
    y = np.tanh(2.0)
    assert x.grad.item() == pytest.approx(-2 * y * (1 - y * y), rel=1e-6)


def test_people_can_read_it() -> None:
    x = Tensor(X, requires_grad=True)
    made = prepared._makers["calls"](np.linalg.norm, (x,), {})
    assert (
        inspect.getsource(made)
        == """def norm(a0):
    v0 = a0.data
    v1 = multiply(v0, v0)
    v2 = asarray(sum(v1, axis=(0, 1), keepdims=False))
    v3 = asarray(sqrt(v2))
    t2 = made_by(op, v1, (a0, a0,), [v0, v0], attrs)
    t3 = made_by(op1, v2, (t2,), [v1], attrs1)
    t4 = made_by(op2, v3, (t3,), [v2], attrs2)
    return t4"""
    )
