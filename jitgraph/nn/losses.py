"""Losses as modules."""

from __future__ import annotations

from typing import Any

from . import functional
from .module import Module


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction


class MSELoss(_Loss):
    """Squared differences."""

    def forward(self, prediction: Any, target: Any) -> Any:
        return functional.mse_loss(prediction, target, self.reduction)


class L1Loss(_Loss):
    """Magnitudes of differences."""

    def forward(self, prediction: Any, target: Any) -> Any:
        return functional.l1_loss(prediction, target, self.reduction)


class HuberLoss(_Loss):
    """Half the square of differences up to delta, a straight line beyond."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, prediction: Any, target: Any) -> Any:
        return functional.huber_loss(prediction, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """Huber's loss over beta."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, prediction: Any, target: Any) -> Any:
        return functional.smooth_l1_loss(prediction, target, self.reduction, self.beta)


class BCELoss(_Loss):
    """Of probabilities."""

    def forward(self, shares: Any, target: Any) -> Any:
        return functional.binary_cross_entropy(shares, target, None, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Of probabilities by their logits."""

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.weight, self.pos_weight = weight, pos_weight

    def forward(self, logits: Any, target: Any) -> Any:
        return functional.binary_cross_entropy_with_logits(
            logits, target, self.weight, self.reduction, self.pos_weight
        )


class KLDivLoss(_Loss):
    """target * (log(target) - log_shares)."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, log_shares: Any, target: Any) -> Any:
        return functional.kl_div(log_shares, target, self.reduction, self.log_target)


class NLLLoss(_Loss):
    """-log_shares[target]."""

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.weight, self.ignore_index = weight, ignore_index

    def forward(self, log_shares: Any, target: Any) -> Any:
        return functional.nll_loss(
            log_shares, target, self.weight, self.ignore_index, self.reduction
        )


class CrossEntropyLoss(NLLLoss):
    """-log softmax(logits)[target]."""

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Any:
        return functional.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )
