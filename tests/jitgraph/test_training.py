"""nn, optim and data: against formulas, and together."""

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor, manual_seed, nn
from jitgraph.data import DataLoader, TensorDataset, load_digits
from jitgraph.demo import train
from jitgraph.optim import SGD, Adam


def test_modules_find_their_parameters() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    assert [n for n, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.weight"]
    assert "Linear(in_features=4, out_features=3, bias=True)" in repr(model)
    model(jitgraph.ones(5, 4)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    assert not model.eval().training and not model[0].training
    with pytest.raises(NotImplementedError, match="no forward"):
        nn.Module()(1)


def test_cross_entropy_is_the_mean_negative_log_likelihood(rng: np.random.Generator) -> None:
    logits, target = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(shares[np.arange(6), target]).mean()
    assert nn.functional.cross_entropy(Tensor(logits), target).item() == pytest.approx(expected)
    with pytest.raises(TypeError, match="integer classes"):
        nn.functional.cross_entropy(Tensor(logits), logits)


def _path(make, steps: int = 4) -> np.ndarray:
    x = jitgraph.tensor([1.0, -2.0], dtype="f8", requires_grad=True)
    optimizer = make([x])
    for _ in range(steps):
        optimizer.zero_grad()
        (x**4).sum().backward()
        optimizer.step()
    return x.data


def test_sgd_with_momentum_by_its_recurrence() -> None:
    x, v = np.array([1.0, -2.0]), 0.0
    for _ in range(4):
        g = 4 * x**3 + 0.1 * x
        v = 0.9 * v + g
        x = x - 0.01 * (g + 0.9 * v)
    got = _path(lambda p: SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1, nesterov=True))
    np.testing.assert_allclose(got, x, rtol=1e-12)


def test_adam_by_its_recurrence() -> None:
    x, m, s = np.array([1.0, -2.0]), 0.0, 0.0
    for t in range(1, 5):
        g = 4 * x**3
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        x = x - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(_path(lambda p: Adam(p, lr=0.1)), x, rtol=1e-10)


def test_bad_optimiser_arguments() -> None:
    for make in (lambda: SGD([]), lambda: Adam([jitgraph.ones(1)], lr=-1), lambda: Adam([1])):
        with pytest.raises((ValueError, TypeError)):
            make()


def test_loaders_cut_shuffle_and_repeat() -> None:
    data = TensorDataset(np.arange(10.0), np.arange(10))
    batches = list(DataLoader(data, batch_size=4))
    assert [len(x) for x, _ in batches] == [4, 4, 2] and len(
        DataLoader(data, 4, drop_last=True)
    ) == 2
    first, again = (
        [y.tolist() for _, y in DataLoader(data, 3, shuffle=True, seed=5)] for _ in range(2)
    )
    order = [k for batch in first for k in batch]
    assert first == again and sorted(order) == list(range(10)) != order
    loader = DataLoader(data, 10, shuffle=True, seed=5)
    assert [y.tolist() for _, y in loader] != [y.tolist() for _, y in loader]
    pairs = [(np.ones(2) * k, k) for k in range(5)]
    assert [x.shape for x, _ in DataLoader(pairs, 2)] == [(2, 2), (2, 2), (1, 2)]
    with pytest.raises(ValueError, match="lengths"):
        TensorDataset(np.ones(2), np.ones(3))


def test_the_digits_are_all_there() -> None:
    images, labels = load_digits()
    assert images.shape == (1797, 64) and images.dtype == np.float32 and images.max() == 1
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_training_compiled_is_training_dynamic() -> None:
    dynamic, static = (train(mode, epochs=3) for mode in ("dynamic", "static"))
    np.testing.assert_allclose(dynamic.losses, static.losses, rtol=1e-3)
    assert static.losses[-1] < 0.4 * static.losses[0]


def test_a_smaller_last_batch_compiles_nothing() -> None:
    manual_seed(0)
    layer = nn.Linear(4, 2)
    loss = jitgraph.compile(lambda x: (layer(x) ** 2).mean(), strict=True)
    for n in (8, 3, 5):
        loss(jitgraph.rand(n, 4)).backward()
    assert loss.cache_info().captures == 1
