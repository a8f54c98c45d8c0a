"""Sizes of arrays as integer expressions, and the guards a captured graph depends on.

    dim  ::= int | Size                     a size that is known, or an expression
    Size ::= sum of coefficient * product of atoms
    atom ::= Symbol                         one axis of one argument, s0, s1, ...
           | FloorDiv(dim, dim)             what is no polynomial

Axes of size 0 and 1 are part of a signature, so a symbol always stands for a size of at least
2.  That alone proves most bounds: `x[1:-1]` of a symbolic axis needs no guard.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

SMALLEST = 2  # the least value of a symbol


@dataclass(frozen=True)
class Symbol:
    name: str

    def __str__(self) -> str:
        return self.name

    def value(self, sizes: Mapping[str, int]) -> int:
        return sizes[self.name]


@dataclass(frozen=True)
class FloorDiv:
    numerator: Dim
    denominator: Dim

    def __str__(self) -> str:
        return f"(({self.numerator})//({self.denominator}))"

    def value(self, sizes: Mapping[str, int]) -> int:
        return evaluate(self.numerator, sizes) // evaluate(self.denominator, sizes)


Atom = Symbol | FloorDiv
Monomial = tuple[Atom, ...]


@dataclass(frozen=True)
class Size:
    """A polynomial over atoms with integer coefficients; equal expressions compare equal."""

    terms: tuple[tuple[Monomial, int], ...]

    @cached_property
    def _text(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            factors = [str(atom) for atom in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+"
            product = "*".join(factors)
            text += f" {sign} {product}" if text else (f"-{product}" if sign == "-" else product)
        return text

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    @cached_property
    def symbols(self) -> frozenset[str]:
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                found |= _symbols_of(atom)
        return frozenset(found)


Dim = int | Size
Shape = tuple[Dim, ...]


def _symbols_of(atom: Atom) -> frozenset[str]:
    if isinstance(atom, Symbol):
        return frozenset((atom.name,))
    return symbols(atom.numerator) | symbols(atom.denominator)


def symbols(dim: Dim) -> frozenset[str]:
    """Names of the symbols an expression depends on."""
    return dim.symbols if isinstance(dim, Size) else frozenset()


def symbol(name: str) -> Size:
    return Size((((Symbol(name),), 1),))


def _terms(dim: Dim) -> dict[Monomial, int]:
    if isinstance(dim, Size):
        return dict(dim.terms)
    return {(): int(dim)} if dim else {}


def _from_terms(terms: Mapping[Monomial, int]) -> Dim:
    kept = {monomial: c for monomial, c in terms.items() if c}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    ordered = sorted(kept.items(), key=lambda item: (-len(item[0]), [str(a) for a in item[0]]))
    return Size(tuple(ordered))


def add(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    terms = _terms(a)
    for monomial, coefficient in _terms(b).items():
        terms[monomial] = terms.get(monomial, 0) + coefficient
    return _from_terms(terms)


def mul(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    terms: dict[Monomial, int] = {}
    for left, c in _terms(a).items():
        for right, d in _terms(b).items():
            monomial = tuple(sorted(left + right, key=str))
            terms[monomial] = terms.get(monomial, 0) + c * d
    return _from_terms(terms)


def sub(a: Dim, b: Dim) -> Dim:
    return add(a, mul(-1, b))


def floordiv(a: Dim, b: Dim) -> Dim:
    """`a // b`; exact division of polynomials is done, the rest stays an atom."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    exact = _divide_exactly(a, b)
    return exact if exact is not None else _from_terms({(FloorDiv(a, b),): 1})


def mod(a: Dim, b: Dim) -> Dim:
    return sub(a, mul(floordiv(a, b), b))


def _divide_exactly(a: Dim, b: Dim) -> Dim | None:
    divisor = _terms(b)
    if len(divisor) != 1:
        return 1 if a == b else None
    ((monomial, coefficient),) = divisor.items()
    quotient: dict[Monomial, int] = {}
    for other, c in _terms(a).items():
        rest = list(other)
        for atom in monomial:
            if atom not in rest:
                return None
            rest.remove(atom)
        if c % coefficient:
            return None
        quotient[tuple(rest)] = c // coefficient
    return _from_terms(quotient)


def product(dims: Iterable[Dim]) -> Dim:
    total: Dim = 1
    for dim in dims:
        total = mul(total, dim)
    return total


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The value of an expression where `sizes` gives each symbol."""
    if isinstance(dim, int):
        return dim
    total = 0
    for monomial, coefficient in dim.terms:
        for atom in monomial:
            coefficient *= atom.value(sizes)
        total += coefficient
    return total


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """The expression with symbols replaced by other expressions."""
    if isinstance(dim, int) or not (dim.symbols & values.keys()):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        factor: Dim = coefficient
        for atom in monomial:
            factor = mul(factor, _substitute_atom(atom, values))
        total = add(total, factor)
    return total


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    if isinstance(atom, Symbol):
        return values.get(atom.name, _from_terms({(atom,): 1}))
    return floordiv(substitute(atom.numerator, values), substitute(atom.denominator, values))


def _with_quotients(dim: Dim, known: Mapping[FloorDiv, Dim]) -> Dim:
    """The expression with quotients replaced by what they are known to be."""
    if isinstance(dim, int) or not known:
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        factor: Dim = coefficient
        for atom in monomial:
            value = known.get(atom) if isinstance(atom, FloorDiv) else None
            factor = mul(factor, _from_terms({(atom,): 1}) if value is None else value)
        total = add(total, factor)
    return total


def _with_products(dim: Dim, known: Mapping[Monomial, Dim]) -> Dim:
    """The expression with products of symbols replaced by what they are known to be.

    Each is the largest of its equality's in a lexicographic order, so this comes to an end.
    """
    if isinstance(dim, int) or not known:
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        factor: Dim = _from_terms({monomial: coefficient})
        for product_, value in known.items():
            rest = Counter(monomial)
            if Counter(product_) <= rest:
                rest.subtract(product_)
                others = tuple(sorted(rest.elements(), key=str))
                factor = mul(_from_terms({others: coefficient}), value)
                break
        total = add(total, factor)
    return total


def _youngest_first(monomial: Monomial) -> list[tuple[str, int]]:
    """The order of products: by their youngest symbols, then by the next ones."""
    names = (atom.name for atom in monomial if isinstance(atom, Symbol))
    return sorted(((name[0], int(name[1:])) for name in names), reverse=True)


def surely_nonnegative(dim: Dim) -> bool:
    """Whether the expression is at least 0 for all sizes a symbol can have."""
    if isinstance(dim, int):
        return dim >= 0
    names: dict[str, Dim] = {}
    for name in dim.symbols:  # s = SMALLEST + t with t >= 0; no coefficient may then be negative
        names[name] = add(symbol(name), SMALLEST)
    shifted = substitute(dim, names)
    if isinstance(shifted, int):
        return shifted >= 0
    return all(c >= 0 and all(map(_atom_nonnegative, m)) for m, c in shifted.terms)


def _atom_nonnegative(atom: Atom) -> bool:
    if isinstance(atom, Symbol):
        return True
    return surely_nonnegative(atom.numerator) and surely_nonnegative(atom.denominator)


def parse_dim(text: str) -> Dim:
    """The expression that `str` printed."""
    return _from_ast(ast.parse(text.strip(), mode="eval").body)


_AST_OPERATORS: dict[type[ast.operator], Callable[[Dim, Dim], Dim]] = {
    ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.FloorDiv: floordiv,
}  # fmt: skip


def _from_ast(tree: ast.expr) -> Dim:
    match tree:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return mul(-1, _from_ast(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _AST_OPERATORS:
            return _AST_OPERATORS[type(op)](_from_ast(left), _from_ast(right))
    raise ValueError(f"not a size: {ast.unparse(tree)}")


@dataclass(frozen=True)
class Guard:
    """`dim relation 0`, with relation one of `==`, `!=`, `>=`: what a captured graph relies on."""

    relation: str
    dim: Dim

    def __str__(self) -> str:
        return f"{self.dim} {self.relation} 0"

    def holds(self, sizes: Mapping[str, int]) -> bool:
        value = evaluate(self.dim, sizes)
        return {"==": value == 0, "!=": value != 0, ">=": value >= 0}[self.relation]


def is_known_before(dim: Dim) -> bool:
    """Whether an expression has none of the symbols that only the running program knows."""
    return not any(name.startswith("u") for name in symbols(dim))


class LoopIndexError(Exception):
    """The value of a loop's index decides something, which differs from step to step."""


def slope(dim: Dim, name: str) -> int | None:
    """The coefficient of a symbol in an expression that is linear in it."""
    if isinstance(dim, int):
        return 0
    slope = 0
    for monomial, coefficient in dim.terms:
        if monomial == (Symbol(name),):
            slope = coefficient
        elif any(name in _symbols_of(atom) for atom in monomial):
            return None
    return slope


class ShapeEnv:
    """The symbols of one capture: their values at capture time and the guards taken so far.

    Questions are answered with the sizes of the call that is being captured; each answer that other
    sizes could change is kept as a guard.
    """

    def __init__(self) -> None:
        self.hints: dict[str, int] = {}
        self.guards: list[Guard] = []
        self._known: dict[str, Dim] = {}
        self._quotients: dict[FloorDiv, Dim] = {}
        self._products: dict[Monomial, Dim] = {}
        self.largest: dict[str, Dim] = {}  # values of loops' indices, which start from SMALLEST

    def arithmetic(self, operation: str, a: Any, b: Any) -> Any:
        """Arithmetic of sizes that gives no size, as in `1 / n`: the running trace writes it
        down.
        """
        raise NotImplementedError

    def ufunc(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions of sizes: as `arithmetic`."""
        raise NotImplementedError

    def fresh(self, value: int, known: bool = True) -> Size:
        """A symbol for a size; `known=False` for one that only the running program knows."""
        name = f"{'s' if known else 'u'}{len(self.hints)}"
        self.hints[name] = value
        return symbol(name)

    def index(self, count: Dim) -> Size:
        """A symbol for the index of a loop, which runs from SMALLEST to count + SMALLEST - 1."""
        size = self.fresh(SMALLEST, known=False)
        self.largest[str(size)] = add(count, SMALLEST - 1)
        return size

    def has_index(self, dim: Dim) -> bool:
        """Whether an expression is another one at each step of a loop."""
        return bool(self.largest) and not symbols(dim).isdisjoint(self.largest)

    def _extremes(self, dim: Dim) -> tuple[Dim, Dim]:
        """The least and the largest value over all steps of loops."""
        low = high = dim
        for name, largest in self.largest.items():
            if name not in symbols(dim):
                continue
            rise = slope(dim, name)
            if rise is None:
                raise LoopIndexError(f"{dim} is asked for in a loop")
            ends = (SMALLEST, largest) if rise > 0 else (largest, SMALLEST)
            low, high = (
                substitute(x, {name: end}) for x, end in zip((low, high), ends, strict=True)
            )
        return low, high

    def _in_all_steps(self, difference: Dim) -> bool:
        """Whether a difference is at least 0 at each step; raises if it is so at some only."""
        low, high = self._extremes(difference)
        if self.hint(low) >= 0:
            return self.at_least(low, 0)
        if self.hint(high) < 0:
            return self.at_least(high, 0)
        raise LoopIndexError(f"the sign of {difference} changes in a loop")

    def shape(self, shape: Iterable[int], known: bool = True) -> Shape:
        """A symbol for each size but 0 and 1, which belong to the signature."""
        return tuple(d if d < SMALLEST else self.fresh(d, known) for d in shape)

    def canonical(self, dim: Dim) -> Dim:
        """The expression in the symbols that are left after all equalities found so far."""
        before = None
        while dim != before:
            before, dim = dim, _with_quotients(substitute(dim, self._known), self._quotients)
            dim = _with_products(dim, self._products)
        return dim

    def hint(self, dim: Dim) -> int:
        return evaluate(dim, self.hints)

    def shown(self, dim: Dim) -> Dim:
        """What an error message says of a size: its number."""
        return self.hint(dim)

    def same(self, a: Dim, b: Dim) -> bool:
        difference = self.canonical(sub(a, b))
        if isinstance(difference, int):
            return difference == 0
        if surely_nonnegative(sub(difference, 1)) or surely_nonnegative(sub(-1, difference)):
            return False
        if self.has_index(difference):
            low, high = self._extremes(difference)
            if self.hint(low) > 0 and self.at_least(low, 1):
                return False
            if self.hint(high) < 0 and not self.at_least(high, 0):
                return False
            raise LoopIndexError(f"{difference} may be 0 at one step of a loop")
        equal = self.hint(difference) == 0
        self._guard("==" if equal else "!=", difference)
        if equal:
            self._solve(difference)
        return equal

    def at_least(self, a: Dim, b: Dim) -> bool:
        """Whether a >= b."""
        difference = self.canonical(sub(a, b))
        if isinstance(difference, int):
            return difference >= 0
        if surely_nonnegative(difference):
            return True
        opposite = sub(-1, difference)
        if surely_nonnegative(opposite):
            return False
        if self.has_index(difference):
            return self._in_all_steps(difference)
        holds = self.hint(difference) >= 0
        self._guard(">=", difference if holds else opposite)
        return holds

    def is_positive(self, dim: Dim) -> bool:
        """Whether a size is known to be above zero, without a guard."""
        excess = self.canonical(sub(dim, 1))
        return excess >= 0 if isinstance(excess, int) else surely_nonnegative(excess)

    def value(self, dim: Dim) -> int:
        """The number itself: the graph is specialised on it."""
        number = self.hint(dim)
        if not self.same(dim, number):
            raise AssertionError("a size differs from its own value")
        return number

    def _guard(self, relation: str, dim: Dim) -> None:
        guard = Guard(relation, dim)
        if guard not in self.guards:
            self.guards.append(guard)

    def _solve(self, zero: Size) -> None:
        """Learn `symbol = expression` from `zero == 0`, where a symbol stands alone, or what a
        quotient or a product of symbols is.

        The youngest such symbol goes, so that results are named by the first arguments.
        """
        candidates: list[tuple[str, int, str, int]] = []
        for monomial, coefficient in zero.terms:
            if len(monomial) == 1 and isinstance(monomial[0], Symbol) and abs(coefficient) == 1:
                name = monomial[0].name
                rest = add(zero, mul(-coefficient, symbol(name)))
                if name not in symbols(rest):
                    candidates.append((name[0], int(name[1:]), name, coefficient))
        if candidates:
            _, _, name, coefficient = max(candidates)
            rest = add(zero, mul(-coefficient, symbol(name)))
            self._known[name] = mul(-coefficient, rest)
            return
        for monomial, coefficient in zero.terms:
            if len(monomial) == 1 and isinstance(monomial[0], FloorDiv) and abs(coefficient) == 1:
                rest = add(zero, _from_terms({monomial: -coefficient}))
                if isinstance(rest, int):
                    self._quotients[monomial[0]] = mul(-coefficient, rest)
                    return
        if not any(isinstance(atom, FloorDiv) for monomial, _ in zero.terms for atom in monomial):
            monomial, coefficient = max(zero.terms, key=lambda term: _youngest_first(term[0]))
            if abs(coefficient) == 1:
                rest = add(zero, _from_terms({monomial: -coefficient}))
                self._products[monomial] = mul(-coefficient, rest)
