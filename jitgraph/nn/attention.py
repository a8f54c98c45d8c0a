"""Attention and transformers, with PyTorch's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functions as F
from . import functional, init
from .layers import Dropout, LayerNorm, Linear
from .module import Module, Parameter


class MultiheadAttention(Module):
    """Attention of several heads side by side (Vaswani et al. 2017).

    Inputs are of shape (length, n, embed_dim), or (n, length, embed_dim) with batch_first=True.
    in_proj_weight: (3 * embed_dim, embed_dim), of queries, keys and values; uniform of Glorot's
    variance at first, biases zero.
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
        batch_first: bool = False, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        if embed_dim % num_heads:
            raise ValueError(f"a width of {embed_dim} is no {num_heads} equal heads")
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.batch_first = batch_first
        self.in_proj_weight = Parameter(np.zeros((3 * embed_dim, embed_dim), dtype))
        init.xavier_uniform_(self.in_proj_weight)
        self.in_proj_bias = Parameter(np.zeros(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None,
        need_weights: bool = True, attn_mask: Any = None, is_causal: bool = False,
    ) -> tuple[Any, Any]:  # fmt: skip
        """The result, and the mean of the heads' weights, or None.

        key_padding_mask: (n, keys), True for keys that nobody sees.  attn_mask: (queries, keys) or
        (n * num_heads, queries, keys), True where a query does not see a key, or numbers that are
        added.  is_causal: queries see no keys behind them.
        """
        if not self.batch_first:
            query, key, value = (F.swapaxes(x, 0, 1) for x in (query, key, value))
        heads = [self._heads(x, k) for k, x in enumerate((query, key, value))]
        scores = F.matmul(heads[0], F.swapaxes(heads[1], -1, -2))
        scores = scores * (1 / math.sqrt(self.embed_dim // self.num_heads))
        if is_causal:
            rows, columns = np.arange(int(scores.shape[-2])), np.arange(int(scores.shape[-1]))
            scores = F.where(rows[:, None] >= columns, scores, -np.inf)
        if attn_mask is not None:
            scores = _masked(scores, self._mask(attn_mask, scores))
        if key_padding_mask is not None:
            scores = _masked(scores, F.expand_dims(key_padding_mask, (1, 2)))
        weights = F.softmax(scores, axis=-1)
        dropped = functional.dropout(weights, self.dropout, self.training)
        joined = F.swapaxes(F.matmul(dropped, heads[2]), 1, 2)
        result = self.out_proj(F.reshape(joined, (*joined.shape[:2], self.embed_dim)))
        result = result if self.batch_first else F.swapaxes(result, 0, 1)
        return result, F.mean(weights, axis=1) if need_weights else None

    def _heads(self, x: Any, number: int) -> Any:
        """Queries, keys or values of all heads: (n, heads, length, width)."""
        part = slice(number * self.embed_dim, (number + 1) * self.embed_dim)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[part]
        made = functional.linear(x, self.in_proj_weight[part], bias)
        width = self.embed_dim // self.num_heads
        return F.swapaxes(F.reshape(made, (*made.shape[:2], self.num_heads, width)), 1, 2)

    def _mask(self, mask: Any, scores: Any) -> Any:
        return mask if mask.ndim == 2 else F.reshape(mask, scores.shape)

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}"


def _masked(scores: Any, mask: Any) -> Any:
    hidden = np.dtype(mask.dtype) == np.bool_
    return F.where(mask, -np.inf, scores) if hidden else scores + mask


class TransformerEncoderLayer(Module):
    """Attention of a sequence to itself and a network of two layers, each added to what it is given
    (Vaswani et al. 2017); norm_first: normalised before them, not after.
    """

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu", layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        known = {"relu": functional.relu, "gelu": functional.gelu}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first, dtype)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.norm_first = norm_first
        self.activation = known[activation] if isinstance(activation, str) else activation

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:  # fmt: skip
        masks = (src_mask, src_key_padding_mask, is_causal)
        if self.norm_first:
            x = src + self._attended(self.norm1(src), *masks)
            return x + self._fed(self.norm2(x))
        x = self.norm1(src + self._attended(src, *masks))
        return self.norm2(x + self._fed(x))

    def _attended(self, x: Any, mask: Any, padding: Any, is_causal: bool) -> Any:
        made, _ = self.self_attn(x, x, x, padding, False, mask, is_causal)
        return self.dropout1(made)

    def _fed(self, x: Any) -> Any:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))
