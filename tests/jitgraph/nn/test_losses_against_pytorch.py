"""Losses give PyTorch's values and gradients."""

import numpy as np
import pytest

import jitgraph
from jitgraph import Tensor, nn

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((2, 6, 4))
SHARES = 1 / (1 + np.exp(-X))
WEIGHT = np.abs(RNG.standard_normal(4)) + 0.1
CLASSES = np.array([0, 3, 1, 1, 2, 0])
IMAGES, PIXELS = RNG.standard_normal((2, 4, 3, 5)), RNG.integers(0, 4, (2, 3, 5))
LOG_SHARES = np.log(np.exp(X) / np.exp(X).sum(axis=1, keepdims=True))
TARGETS = np.abs(Y) / np.abs(Y).sum(axis=1, keepdims=True)
TARGETS[0, 1] = 0.0

LOSSES = [
    ("MSELoss", {}, X, Y), ("L1Loss", {}, X, Y), ("HuberLoss", {"delta": 0.7}, X, Y),
    ("SmoothL1Loss", {"beta": 0.5}, X, Y), ("BCELoss", {}, SHARES, np.abs(Y) % 1),
    ("BCEWithLogitsLoss", {}, X * 3, np.abs(Y) % 1),
    ("BCEWithLogitsLoss", {"pos_weight": WEIGHT}, X, np.abs(Y) % 1),
    ("KLDivLoss", {}, LOG_SHARES, TARGETS), ("KLDivLoss", {"log_target": True}, LOG_SHARES, Y),
    ("NLLLoss", {}, LOG_SHARES, CLASSES), ("NLLLoss", {"weight": WEIGHT}, LOG_SHARES, CLASSES),
    ("CrossEntropyLoss", {}, X, CLASSES),
    ("CrossEntropyLoss", {"weight": WEIGHT, "label_smoothing": 0.2}, X, CLASSES),
    ("CrossEntropyLoss", {"ignore_index": 1}, X, CLASSES),
    ("CrossEntropyLoss", {"weight": WEIGHT, "ignore_index": 0}, IMAGES, PIXELS),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("name", "options", "x", "y"), LOSSES, ids=[f"{n} {sorted(o)}" for n, o, _, _ in LOSSES]
)
def test_values_and_gradients(name, options, x, y, reduction) -> None:
    mine = getattr(nn, name)(**options, reduction=reduction)
    pytorchs = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    theirs = getattr(torch.nn, name)(**pytorchs, reduction=reduction)
    own, given = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    result, wanted = mine(own, y), theirs(given, torch.tensor(y))
    compiled = jitgraph.compile(lambda a, b: mine(a, b), strict=True)(x, y)
    for got in (result.data, compiled):
        np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-10, atol=1e-12)
    result.sum().backward()
    wanted.sum().backward()
    np.testing.assert_allclose(own.grad.data, given.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_the_mean_over_the_batch() -> None:
    mine = nn.KLDivLoss(reduction="batchmean")(Tensor(LOG_SHARES), TARGETS)
    theirs = torch.nn.KLDivLoss(reduction="batchmean")(*map(torch.tensor, (LOG_SHARES, TARGETS)))
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-12)


def test_unknown_reductions_are_refused() -> None:
    with pytest.raises(ValueError, match="none of 'mean', 'sum' and 'none'"):
        nn.MSELoss(reduction="average")(Tensor(X), Y)
