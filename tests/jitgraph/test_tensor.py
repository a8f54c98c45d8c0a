"""Dynamic mode: the tape, and the mistakes people make first."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor, manual_seed, no_grad, ones, randn, tensor
from support import assert_same


def test_the_four_lines_every_tutorial_opens_with() -> None:
    x = randn(3, 3)
    y = randn(3, 3)
    z = x + y
    with pytest.raises(jitgraph.GradientError, match=r"requires_grad=True.*test_tensor\.py"):
        z.backward()
    x, y = randn(3, 3, requires_grad=True), randn(3, 3, requires_grad=True)
    z = x + y
    with pytest.raises(jitgraph.GradientError, match=r"z\.sum\(\)\.backward\(\)"):
        z.backward()
    z.sum().backward()
    assert np.array_equal(x.grad.data, np.ones((3, 3))) and np.array_equal(
        y.grad.data, np.ones((3, 3))
    )


def test_gradients_add_up_until_they_are_cleared() -> None:
    x = tensor([2.0, 3.0], requires_grad=True)
    for total in (1, 2):
        (x * x).sum().backward()
        assert np.allclose(x.grad.data, total * 2 * x.data)
    x.zero_grad()
    assert x.grad is None


def test_a_value_used_twice_collects_both_gradients() -> None:
    x = tensor(3.0, requires_grad=True)
    y = x * x
    (y * y + y).backward()
    assert x.grad.item() == pytest.approx(4 * 27 + 6)


def test_broadcasting_sums_its_gradient() -> None:
    x, b = ones(4, 3, requires_grad=True), ones(3, requires_grad=True)
    ((x + b) * 2).sum().backward()
    assert x.grad.shape == (4, 3) and np.array_equal(b.grad.data, np.full(3, 8))


def test_second_derivatives() -> None:
    x = tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.item() == pytest.approx(12)


def test_no_grad_and_detach_stop_recording() -> None:
    x = ones(2, requires_grad=True)
    with no_grad():
        assert not (x * 2).requires_grad
    assert not (x.detach() * 2).requires_grad
    assert (x * 2).requires_grad

    @no_grad()
    def inference(x):
        return x * 2

    assert not inference(x).requires_grad


def test_no_grad_is_a_threads_own() -> None:
    seen = []
    with no_grad():
        thread = threading.Thread(
            target=lambda: seen.append((ones(1, requires_grad=True) * 2).requires_grad)
        )
        thread.start()
        thread.join()
    assert seen == [True]


def test_writes_are_refused_where_they_would_break_gradients() -> None:
    x = ones(3, requires_grad=True)
    with pytest.raises(jitgraph.GradientError, match="no_grad"):
        x[0] = 2
    with no_grad():
        x[0] = 2
    assert x.data[0] == 2
    with pytest.raises(jitgraph.GradientError, match="detach"):
        x.numpy()


def test_numpy_functions_and_methods_work_on_tensors() -> None:
    x = tensor([[1.0, 4.0], [9.0, 16.0]], requires_grad=True)
    for result in (np.sqrt(x), x.sqrt(), jitgraph.sqrt(x), x**0.5):
        assert isinstance(result, Tensor) and np.array_equal(result.data, np.sqrt(x.data))
    assert np.mean(x).item() == x.mean().item() == 7.5
    assert x.sum(dim=1, keepdim=True).shape == (2, 1)
    assert x.max().item() == 16 and x.T.shape == (2, 2) and x.unsqueeze(0).shape == (1, 2, 2)
    assert (np.ones((2, 2)) + x).requires_grad and (2 * x - 1).requires_grad
    assert x.view(4).tolist() == [1, 4, 9, 16] and len(x) == 2 and x.size == 4
    assert x.expand(3, -1, 2).shape == (3, 2, 2) and x.flatten().shape == (4,)


def test_indexing_by_masks_and_arrays_differentiates() -> None:
    x = tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    (x[x > 2].sum() + x[[0, 1], [0, 2]].sum() + x[0, 1:].sum()).backward()
    assert x.grad.tolist() == [[1, 1, 1], [1, 1, 2]]


def test_creation_follows_pytorch() -> None:
    manual_seed(7)
    first = randn(2, 3)
    manual_seed(7)
    assert np.array_equal(first.data, randn(2, 3).data) and first.dtype == np.float32
    assert tensor([1, 2]).dtype == np.int64 and tensor([1.0]).dtype == np.float32
    assert jitgraph.arange(3).tolist() == [0, 1, 2] and jitgraph.eye(2).tolist() == [[1, 0], [0, 1]]
    assert jitgraph.full((2,), 7).dtype == np.int64 and jitgraph.linspace(0, 1, 3).tolist() == [
        0,
        0.5,
        1,
    ]
    assert jitgraph.randint(0, 5, (4,)).shape == (4,) and jitgraph.rand(2).shape == (2,)
    shared = np.zeros(2)
    jitgraph.from_numpy(shared).data[0] = 1
    assert shared[0] == 1
    with pytest.raises(jitgraph.GradientError, match="floating-point"):
        tensor([1], requires_grad=True)
    assert tensor([1j], requires_grad=True).dtype == np.complex128


def test_errors_name_the_operation_and_the_line() -> None:
    with pytest.raises(ValueError, match=r"add of .*test_tensor\.py"):
        ones(3) + ones(4)


def test_functions_without_a_gradient_rule_run_on_the_data() -> None:
    x = tensor([3.0, 1.0, 2.0])
    assert np.partition(x, 1).tolist() == [1, 2, 3]
    assert isinstance(np.partition(x, 1), jitgraph.Tensor)
    assert np.unique(x, return_counts=True)[1].tolist() == [1, 1, 1]
    assert np.maximum.accumulate(x).tolist() == [3, 3, 3]
    x.requires_grad_()
    with pytest.raises(jitgraph.GradientError, match=r"np\.partition.*test_tensor\.py"):
        np.partition(x, 1)
    with jitgraph.no_grad():
        assert np.partition(x, 1).tolist() == [1, 2, 3]


def test_repr() -> None:
    assert repr(tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert "requires_grad=True" in repr(ones(1, requires_grad=True))
    assert "grad_fn=<multiply>" in repr(ones(1, requires_grad=True) * 2)


def test_a_write_that_would_lose_a_gradient_is_refused() -> None:
    x, y = ones(3, requires_grad=True), jitgraph.zeros(3)
    with pytest.raises(jitgraph.GradientError, match=r"written into another.*test_tensor\.py"):
        y[0] = x[0] * 2
    with no_grad():
        y[0] = x[0] * 2
    assert y.tolist() == [2, 0, 0]


def test_arrays_like_a_tensor_are_tensors() -> None:
    x = ones(2, 3, requires_grad=True)
    for like in (np.zeros_like, np.ones_like, np.empty_like):
        made = like(x)
        assert type(made) is Tensor and made.shape == (2, 3) and not made.requires_grad


def test_a_singular_matrix_is_numpys_error() -> None:
    with pytest.raises(np.linalg.LinAlgError, match=r"Singular.*test_tensor\.py"):
        np.linalg.inv(tensor(np.zeros((2, 2))))


def test_what_numpy_tells_of_arrays_needs_no_gradient() -> None:
    x = tensor([[3.0, 1.0], [2.0, 0.0]], requires_grad=True)
    assert np.shape(x) == (2, 2) and np.ndim(x) == 2 and np.size(x) == 4
    assert np.allclose(x, x) and np.array_equal(x, x.data) and not np.iscomplexobj(x)
    assert np.argsort(x, axis=1).tolist() == [[1, 0], [1, 0]]
    assert [k.tolist() for k in np.nonzero(x)] == [[0, 0, 1], [0, 1, 0]]
    with pytest.raises(jitgraph.GradientError, match=r"np\.unwrap has no gradient rule"):
        np.unwrap(x)
    with pytest.raises(jitgraph.GradientError, match=r"np\.bincount has no gradient rule"):
        np.bincount(np.array([0, 1]), weights=x[0])


ONE, TWO = np.array(1.0), np.array([1.5, 2.0])
AS_NUMPY: dict[str, Callable] = {
    "angle of flags": lambda t: np.angle(t(np.array([True, False]))),
    "array_split": lambda t: np.array_split(t(np.arange(10.0)), 4)[1],
    "array_split at the end": lambda t: np.array_split(t(np.arange(10.0)), 4)[3],
    "clip beyond the dtype": lambda t: np.clip(t(np.array([5, 200], "u1")), -1, 300),
    "clip below, of few bits": lambda t: np.clip(t(np.array([5, -100], "i1")), 0, 300),
    "column_stack of numbers": lambda t: np.column_stack([t(ONE), t(ONE)]),
    "cumsum of a number": lambda t: np.cumsum(t(ONE), axis=0),
    "cumsum along no axis": lambda t: np.cumsum(t(ONE), axis=1),
    "diag above": lambda t: np.diag(t(np.arange(9.0).reshape(3, 3)), k=1),
    "diag of a stack": lambda t: np.diag(t(np.ones((2, 2, 2)))),
    "diag of a vector": lambda t: np.diag(t(TWO)),
    "diagonal along no axis": lambda t: np.diagonal(t(np.eye(2)), 0, 2, 1),
    "diagonal along one axis twice": lambda t: np.diagonal(t(np.eye(2)), 0, 1, 1),
    "diagonal of a vector": lambda t: np.diagonal(t(TWO)),
    "einsum along other sizes": lambda t: np.einsum("ii->i", t(np.ones((2, 3)))),
    "mean as an integer": lambda t: np.mean(t(TWO), dtype=np.int32),
    "nan_to_num of complex": lambda t: np.nan_to_num(t(np.array([complex(np.nan, np.inf)]))),
    "nan_to_num of flags": lambda t: np.nan_to_num(t(np.array([True]))),
    "repeat of a number": lambda t: np.repeat(t(ONE), 2, axis=0),
    "roll along two axes": lambda t: np.roll(t(np.arange(6).reshape(2, 3)), [1], axis=(0, 1)),
    "var of integers": lambda t: np.var(t(np.array([1, 2, 4]))),
    "vstack of numbers": lambda t: np.vstack([t(ONE), t(ONE)]),
}


@pytest.mark.parametrize("name", AS_NUMPY)
def test_numpys_functions_give_what_numpy_gives(name: str) -> None:
    try:
        expected = AS_NUMPY[name](lambda a: a)
    except ValueError as error:
        with pytest.raises(ValueError) as caught:
            AS_NUMPY[name](Tensor)
        assert isinstance(caught.value, jitgraph.AxisError) or type(error) is ValueError
        return
    found = AS_NUMPY[name](Tensor)
    assert_same(found.data, expected)
