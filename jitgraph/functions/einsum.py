"""Einstein summation as matrix products, broadcast multiplication and sums.

`ij,jk->ik`: letters of both operands that the result lacks are contracted by one matmul, letters of
one operand alone are summed first, letters of both that the result keeps are batch axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from ..errors import ShapeError
from ..ops import library, views
from ..spec import dims
from ..symbolic_int import to_dim
from .reductions import sum
from .views import moveaxis, reshape


def contract(subscripts: str, operands: list[Any]) -> Any:
    terms, result = parse(subscripts, tuple([x.ndim for x in operands]))
    x, letters = _diagonals(operands[0], terms[0])
    for k, (other, other_letters) in enumerate(zip(operands[1:], terms[1:], strict=True), start=2):
        needed = set(result).union(*terms[k:])
        other, other_letters = _diagonals(other, other_letters)
        x, letters = _pair(x, letters, other, other_letters, needed)
    return _ordered(*_summed(x, letters, set(result)), result)


@cache
def parse(subscripts: str, ndims: tuple[int, ...]) -> tuple[Sequence[str], str]:
    """Terms and result as letters, with `...` spelled out in letters of its own."""
    text = subscripts.replace(" ", "")
    left, arrow, result = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ShapeError(
            f"einsum: {subscripts!r} names {len(terms)} operands, {len(ndims)} are given"
        )
    extra = max(
        (n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True) if "..." in t),
        default=0,
    )
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in text][: max(extra, 0)]
    spelled = []
    for term, ndim in zip(terms, ndims, strict=True):
        own = ndim - len(term.replace("...", ""))
        if own < 0 or (own and "..." not in term):
            raise ShapeError(
                f"einsum: the term {term!r} does not fit an operand of {ndim} dimensions"
            )
        spelled.append(term.replace("...", "".join(spare[len(spare) - own :])))
    if not arrow:
        joined = "".join(terms).replace("...", "")
        result = "..." + "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    result = result.replace("...", "".join(spare))
    if unknown := [c for c in result if c not in "".join(spelled)]:
        raise ShapeError(f"einsum: the result's letter {unknown[0]!r} is in no operand")
    if len(set(result)) != len(result):
        raise ShapeError(f"einsum: the result {result!r} repeats a letter")
    return tuple(spelled), result


def _diagonals(x: Any, letters: str) -> tuple[Any, str]:
    """A letter used twice by one operand takes the diagonal of its two axes."""
    for letter in sorted(set(letters)):
        while letters.count(letter) > 1:
            i = letters.index(letter)
            j = letters.index(letter, i + 1)
            n = int(x.shape[i])
            if n != int(x.shape[j]):
                raise ShapeError(
                    f"einsum: the letter {letter!r} stands for sizes {n} and {int(x.shape[j])}"
                )
            x = moveaxis(x, (i, j), (-2, -1))
            x = reshape(x, (*x.shape[:-2], n * int(x.shape[-1])))[..., :: n + 1]
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + letter
    return x, letters


def _summed(x: Any, letters: str, keep: set[str]) -> tuple[Any, str]:
    axes = tuple(k for k, c in enumerate(letters) if c not in keep)
    return (
        (sum(x, axis=axes, dtype=x.dtype), "".join(c for c in letters if c in keep))
        if axes
        else (x, letters)
    )


def _ordered(x: Any, letters: str, wanted: str) -> Any:
    order = tuple(letters.index(c) for c in wanted)
    return x if order == tuple(range(len(order))) else views.TRANSPOSE(x, axes=order)


def _pair(x: Any, a: str, y: Any, b: str, needed: set[str]) -> tuple[Any, str]:
    x, a = _summed(x, a, needed | set(b))
    y, b = _summed(y, b, needed | set(a))
    shared = [c for c in a if c in b]
    for c in shared:
        i, j = to_dim(x.shape[a.index(c)]), to_dim(y.shape[b.index(c)])
        if not dims.same(i, j):
            raise ShapeError(f"einsum: the letter {c!r} stands for sizes {dims.shown((i, j))}")
    contracted = "".join(c for c in shared if c not in needed)
    batch = "".join(c for c in shared if c in needed)
    rows = "".join(c for c in a if c not in b)
    columns = "".join(c for c in b if c not in a)
    letters = batch + rows + columns
    if not contracted:  # an outer or elementwise product: broadcasting does it, and it fuses
        left = _ordered(x, a, batch + rows)
        right = _ordered(y, b, batch + columns)
        left = left[(..., *[None] * len(columns))]
        right = right[(*[slice(None)] * len(batch), *[None] * len(rows), ...)]
        return left * right, letters
    size = dict(zip(a, x.shape, strict=True)) | dict(zip(b, y.shape, strict=True))
    left = _matrices(_ordered(x, a, batch + rows + contracted), batch, rows, contracted, size)
    right = _matrices(
        _ordered(y, b, batch + contracted + columns), batch, contracted, columns, size
    )
    joined = library.MATMUL(left, right)
    if len(rows) == len(columns) == 1:
        return joined, letters
    if not letters:
        return views.SQUEEZE(joined, axes=(0, 1)), letters
    return reshape(joined, [to_dim(size[c]) for c in letters]), letters


def _matrices(x: Any, batch: str, rows: str, columns: str, size: dict[str, Any]) -> Any:
    if len(rows) == len(columns) == 1:
        return x
    return reshape(
        x, [to_dim(size[c]) for c in batch] + [_product(rows, size), _product(columns, size)]
    )


def _product(letters: str, size: dict[str, Any]) -> Any:
    total: Any = 1
    for c in letters:
        total = total * size[c]
    return to_dim(total)
