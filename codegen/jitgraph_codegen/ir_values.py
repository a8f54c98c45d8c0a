"""LLVM IR values of one lane that read like mathematics, and the constants of the formulas.

Every operation carries its own fast-math flag, so that the flags of a kernel neither speed up a
formula nor break it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from llvmlite import ir


def numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


@dataclass(frozen=True, eq=False)
class Real:
    """A floating-point format and the constants that the formulas take in it.

    The first part of a constant in two ends in enough zero bits for its product with any exponent
    to be exact.  Polynomials start from the highest power.
    """

    type: ir.Type
    integer: ir.IntType
    mantissa: int  # stored bits
    bias: int
    exp_limit: float  # beyond +-exp_limit, exp is certainly 0 or infinity
    erf_limit: float  # beyond erf_limit, erf is certainly 1
    tanh_limit: float  # beyond tanh_limit, tanh is certainly 1
    erfc_limit: float  # beyond erfc_limit, erfc is certainly 0
    split_mask: int  # clears the lower half of a word
    half_mask: int  # clears the lower half of the significand
    ln2: tuple[float, float]
    log_scale: dict[int, tuple[float, float]]  # 1/ln(base)
    log10_2: tuple[float, float]
    exp: Sequence[float]  # (e**r - 1 - r) / r**2 for abs(r) <= ln(2)/2
    log: Sequence[float]  # (log(1 + f) - f + f**2/2) / s - f**2/2 over s**2; s = f / (2 + f);
    # in single precision (log(1 + f) - f + f**2/2) / f**3 over f
    sin: Sequence[float]  # (sin(r) - r) / r**3 over r**2; abs(r) <= pi/4 (pi/2 in single)
    cos: Sequence[float]  # (cos(r) - 1 + r**2/2) / r**4 over r**2; abs(r) <= pi/4
    tan: Sequence[float]  # (tan(r) - r) / r**3 over r**2; abs(r) <= pi/4
    asin: Sequence[float]  # (asin(r) - r) / r**3 over r**2; abs(r) <= 1/2
    atan: Sequence[float]  # (atan(r) - r) / r**3 over r**2; abs(r) <= tan(pi/8)
    sinh: Sequence[float]  # (sinh(r) - r) / r**3 over r**2; abs(r) <= 1
    tanh: Sequence[float]  # (tanh(r) - r) / r**3 over r**2; abs(r) <= 5/8
    erf: Sequence[float]  # erf(r)/r - 1 over r**2; abs(r) <= 1
    erfcx: Sequence[float]  # exp(r**2) * erfc(r) over 1 / (r + 2) - 1/4; 1 <= r <= 6 (4 in single)
    erfcx_wide: Sequence[float]  # (1 + 2 * r) * erfcx(r) over (r - 3) / (r + 3); r >= 1/2

    @property
    def shifter(self) -> float:
        """Adding this number rounds a moderate number to an integer, found in the low bits."""
        return 1.5 * 2.0**self.mantissa

    @property
    def sign_mask(self) -> int:
        return 1 << self.mantissa + (2 * self.bias).bit_length()

    @property
    def epsilon(self) -> float:
        """The distance from 1 to the next number above."""
        return 2.0**-self.mantissa

    @property
    def largest(self) -> float:
        return (2.0 - self.epsilon) * 2.0**self.bias

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)


DOUBLE = Real(
    type=ir.DoubleType(),
    integer=ir.IntType(64),
    mantissa=52,
    bias=1023,
    exp_limit=800.0,
    erf_limit=6.0,
    tanh_limit=20.0,
    erfc_limit=27.5,
    split_mask=0xFFFFFFFF00000000,
    half_mask=0xFFFFFFFFF8000000,
    ln2=(6.93147180369123816490e-01, 1.90821492927058770002e-10),
    log_scale={
        2: (1.44269504072144627571e00, 1.67517131648865118353e-10),
        10: (4.34294481878168880939e-01, 2.50829467116452752298e-11),
    },
    log10_2=(3.01029995663611771306e-01, 3.69423907715893078616e-13),
    exp=numbers(
        """
        2.5000084324716704e-08 2.763024875870824e-07 2.7557586291068923e-06
        2.4801493097942647e-05 0.0001984126950668884 0.0013888888943630962 0.008333333333494399
        0.041666666666530155 0.16666666666666413 0.5000000000000011
        """
    ),
    log=numbers(
        """
        0.15368176325550476 0.15250190435156355 0.18186355975310392 0.22222138504081845
        0.2857142939525016 0.39999999996162033 0.6666666666667271
        """
    ),
    sin=numbers(
        """
        -7.578747744652494e-13 1.6058367615455108e-10 -2.5052104919195193e-08
        2.755731921421905e-06 -0.0001984126984125512 0.008333333333333323 -0.16666666666666666
        """
    ),
    cos=numbers(
        """
        -1.1359647827745044e-11 2.0875723274654536e-09 -2.755731435235087e-07
        2.4801587289482272e-05 -0.0013888888888874125 0.0416666666666666
        """
    ),
    tan=(),  # a quotient of sine and cosine
    asin=numbers(
        """
        0.03195895031376429 -0.0162940613271775 0.019573905045614147 0.0065108511934055665
        0.012173280429903365 0.013884598196160424 0.017359771145957024 0.022371753520131103
        0.03038195933138123 0.044642856823481125 0.0750000000034304 0.16666666666665383
        """
    ),
    atan=numbers(
        """
        0.015195459183909056 -0.033474783211675394 0.04503564531179897 -0.05218408374236848
        0.05877022459804086 -0.06666226829388613 0.07692282763846452 -0.0909090814477195
        0.11111111088184945 -0.1428571428538813 0.1999999999999767 -0.33333333333333326
        """
    ),
    sinh=numbers(
        """
        7.746178593018827e-13 1.6057679623801638e-10 2.5052117695907823e-08
        2.7557319191381816e-06 0.00019841269841324198 0.008333333333333299 0.16666666666666666
        """
    ),
    tanh=(),  # a quotient
    erf=numbers(
        """
        5.957176147748911e-11 -1.1372848856791674e-09 1.4659775274047436e-08
        -1.6350312701054695e-07 1.6461000484121368e-06 -1.4925595266831182e-05
        0.0001205533111164271 -0.000854832698083379 0.0052239776248180145
        -0.026866170645076792 0.11283791670954879 -0.3761263890318375 0.1283791670955126
        """
    ),
    erfcx=numbers(
        """
        472.2563130654199 1189.8237236917578 -122.44386314857935 -239.2646054349045
        115.80202698173585 28.911174121772017 -45.707263648962716 2.8542277324056022
        16.08870631145297 -3.469898189570894 -7.165400805918274 0.9556204548472703
        5.054629184991148 3.866531107879757 1.708743389655838 0.25539567631050575
        """
    ),
    erfcx_wide=numbers(
        """
        -3.988159247968659e-09 -1.1059164045788592e-08 3.3365352193732715e-08
        9.98710924933182e-08 -1.3337439030568225e-07 -6.159280289417678e-07
        3.521188745120977e-07 3.4724726116548607e-06 -7.298448837890006e-07
        -2.010072434562284e-05 4.949123803938529e-06 0.0001250994172938386
        -0.00010515975350769507 -0.0007798322860164428 0.0018886903558773573
        0.0025293918177524987 -0.02377051491851537 0.06830802734386812 -0.11927366341531209
        0.1296451587027639 -0.0475622943534507 -0.1356211061245812 1.2530080582697296
        """
    ),
)

SINGLE = Real(
    type=ir.FloatType(),
    integer=ir.IntType(32),
    mantissa=23,
    bias=127,
    exp_limit=120.0,
    erf_limit=4.0,
    tanh_limit=10.0,
    erfc_limit=10.1,
    split_mask=0xFFFFF000,
    half_mask=0xFFFFF000,
    ln2=(6.9313812256e-01, 9.0580006145e-06),
    log_scale={2: (1.4423828125, 0.00031222839606925845), 10: (0.4342041015625, 9.03803375e-05)},
    log10_2=(0.301025390625, 4.605039066518657e-06),
    exp=numbers(
        """
        0.0013926250394433737 0.00836323294788599 0.04166655242443085 0.16666576266288757 0.5
        """
    ),
    log=numbers(
        """
        -0.04507401359061976 0.1046289075082746 -0.13161130865433565 0.14478395364761992
        -0.1664731859948739 0.1999086203448044 -0.25000095684336326 0.3333344908941544
        """
    ),
    sin=numbers(
        """
        -2.4079236382590352e-08 2.753642320385552e-06 -0.00019841085304506123
        0.00833333283662796 -0.1666666716337204
        """
    ),
    cos=numbers("2.4547689463361166e-05 -0.0013888301327824593 0.0416666641831398"),
    tan=numbers(
        """
        0.009467660449445248 0.002970971167087555 0.024530425667762756 0.05338064581155777
        0.1333920806646347 0.3333314061164856
        """
    ),
    asin=numbers(
        """
        0.042218249291181564 0.024147789925336838 0.045477062463760376 0.07495242357254028
        0.16666753590106964
        """
    ),
    atan=numbers(
        """
        -0.06449835002422333 0.10743099451065063 -0.14263896644115448 0.19999538362026215
        -0.3333333134651184
        """
    ),
    sinh=numbers(
        """
        2.806280235745362e-06 0.00019838102161884308 0.008333339355885983 0.1666666716337204
        """
    ),
    tanh=numbers(
        """
        -0.005704974289983511 0.020639078691601753 -0.05373971536755562 0.13331441581249237
        -0.3333328068256378
        """
    ),
    erf=numbers(
        """
        7.875874871388078e-05 -0.000801686430349946 0.005189087241888046 -0.02685421146452427
        0.11283594369888306 -0.3761262595653534 0.12837916612625122
        """
    ),
    erfcx=numbers(
        """
        -3.7792742252349854 -6.978135108947754 0.9590848088264465 5.054002285003662
        3.8665218353271484 1.708743929862976 0.25539568066596985
        """
    ),
    erfcx_wide=numbers(
        """
        -0.0005265617510303855 0.0018375342478975654 0.0023903665132820606
        -0.023764437064528465 0.06833799183368683 -0.11927355080842972 0.12964263558387756
        -0.04756231978535652 -0.13562104105949402 1.2530080080032349
        """
    ),
)

PI_ERROR = 1.2246467991473532e-16  # pi - math.pi
# (atanh(s)/s - 1 - z/3) / z**2 over z = s**2; -1/7 <= s <= 1/5
LOG_SERIES = numbers(
    """
    0.06285571485903411 0.05796204495117687 0.06670570436259157 0.07692203391629808
    0.0909091076165658 0.11111111095638765 0.1428571428578858 0.19999999999999862
    """
)
THIRD = (0.3333333333333333, 1.850371707708594e-17)
LEAST_IN_TWO_CHAINS = 6  # coefficients
TINY_ANGLE = 2.0**-27  # below, sin(x) and tan(x) are x, and cos(x) is 1


@dataclass(frozen=True, eq=False)
class Table:
    """Constants that a formula looks up; a module has one copy of them."""

    name: str
    type: ir.Type
    numbers: Sequence[float]


@cache
def has_fma() -> bool:
    """Whether this processor multiplies and adds with one rounding."""
    import llvmlite.binding as llvm

    return bool(llvm.get_host_cpu_features().get("fma")) or platform.machine() == "aarch64"


Operator = Callable[["Value", "Value | float"], "Value"]


def _arithmetic(name: str) -> tuple[Operator, Operator]:
    def append(self: Value, left: ir.Value, right: ir.Value) -> Value:
        if isinstance(left.type, ir.IntType):
            return self._wrap(getattr(self.builder, name)(left, right))
        operation = getattr(self.builder, f"f{name}")
        return self._wrap(operation(left, right, flags=("contract",)))

    return (
        lambda self, other: append(self, self.ir, self._raw(other)),
        lambda self, other: append(self, self._raw(other), self.ir),
    )


def _bitwise(name: str) -> Operator:
    return lambda self, other: self._wrap(getattr(self.builder, name)(self.ir, self._raw(other)))


def _comparison(operator: str) -> Operator:
    def compare(self: Value, other: Value | float) -> Value:
        operands = operator, self.ir, self._raw(other)
        if isinstance(self.ir.type, ir.IntType):
            return self._wrap(self.builder.icmp_unsigned(*operands))
        ordered = self.builder.fcmp_unordered if operator == "!=" else self.builder.fcmp_ordered
        return self._wrap(ordered(*operands, flags=("arcp",)))

    return compare


class Value:
    """An LLVM value under construction; operators append instructions."""

    __slots__ = ("builder", "ir", "real")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder, self.ir = builder, value
        self.real = DOUBLE if value.type in (DOUBLE.type, DOUBLE.integer) else SINGLE

    def _wrap(self, value: ir.Value) -> Value:
        return Value(self.builder, value)

    def _raw(self, operand: Value | float) -> ir.Value:
        return operand.ir if isinstance(operand, Value) else ir.Constant(self.ir.type, operand)

    __add__, __radd__ = _arithmetic("add")
    __sub__, __rsub__ = _arithmetic("sub")
    __mul__, __rmul__ = _arithmetic("mul")
    __truediv__, __rtruediv__ = _arithmetic("div")
    __and__, __or__, __xor__ = _bitwise("and_"), _bitwise("or_"), _bitwise("xor")
    __lshift__, __rshift__ = _bitwise("shl"), _bitwise("lshr")  # AVX2 lacks the 64-bit ashr
    __lt__, __le__, __gt__, __ge__ = map(_comparison, ("<", "<=", ">", ">="))
    __eq__, __ne__ = map(_comparison, ("==", "!="))  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def __neg__(self) -> Value:
        return self._wrap(self.builder.fneg(self.ir, flags=("arcp",)))

    def where(self, condition: Value, otherwise: Value | float) -> Value:
        """This value where ``condition`` holds, and ``otherwise`` elsewhere."""
        raw = self._raw(otherwise)
        return self._wrap(self.builder.select(condition.ir, self.ir, raw))

    def constant(self, number: float) -> Value:
        return self._wrap(ir.Constant(self.ir.type, number))

    def clamp(self, low: float, high: float) -> Value:
        """Compares so that a NaN stays one, as one instruction of x86 each does."""
        bounded = self.constant(low).where(self < low, self)
        return bounded.constant(high).where(bounded > high, bounded)

    def nearest(self, parts: int = 1) -> tuple[Value, Value]:
        """The multiple of 1 / parts next to a moderate number, and how many of these it has; for
        a power of two.
        """
        shifter = self.real.shifter / parts
        shifted = self + shifter
        return shifted - shifter, shifted.bits() - pattern(self.real, shifter)

    def intrinsic(self, name: str, *others: Value | float) -> Value:
        operands = [self.ir, *map(self._raw, others)]
        function = self.builder.module.declare_intrinsic(
            name, [self.ir.type], ir.FunctionType(self.ir.type, [o.type for o in operands])
        )
        return self._wrap(self.builder.call(function, operands, fastmath=("arcp",)))

    def magnitude(self) -> Value:
        return self.intrinsic("llvm.fabs")

    def with_sign_of(self, other: Value) -> Value:
        return self.intrinsic("llvm.copysign", other)

    def times(self, other: Value) -> Value:
        """A product that no later sum may swallow."""
        return self._wrap(self.builder.fmul(self.ir, other.ir, flags=("arcp",)))

    def bits(self) -> Value:
        return self._wrap(self.builder.bitcast(self.ir, self.real.integer))

    def float_from_bits(self) -> Value:
        return self._wrap(self.builder.bitcast(self.ir, self.real.type))

    def fma(self, factor: Value, summand: Value) -> Value:
        """self * factor + summand, rounded once; slow where the processor has no such instruction,
        see `has_fma`.
        """
        return self.intrinsic("llvm.fma", factor, summand)

    def double(self) -> Value:
        if self.real is DOUBLE:
            return self
        return self._wrap(self.builder.fpext(self.ir, DOUBLE.type))

    def rounded_to(self, real: Real) -> Value:
        if self.real is real:
            return self
        return self._wrap(self.builder.fptrunc(self.ir, real.type))

    def entry_of(self, table: Table) -> Value:
        """The table's number at this index, which must be within its bounds."""
        module = self.builder.module
        kind = ir.ArrayType(table.type, len(table.numbers))
        variable = module.globals.get(table.name)
        if variable is None:
            variable = ir.GlobalVariable(module, kind, table.name)
            variable.linkage, variable.global_constant, variable.unnamed_addr = (
                "private",
                True,
                True,
            )
            variable.initializer = ir.Constant(kind, table.numbers)
        address = self.builder.gep(variable, [self.constant(0).ir, self.ir], inbounds=True)
        return self._wrap(self.builder.load(address))

    def polynomial(self, coefficients: Sequence[float]) -> Value:
        """Coefficients start from the highest power.  Of many, those of even and of odd powers are
        summed apart, so that they do not wait for each other; all but the last one, which rounds as
        it would in one chain.
        """
        *rest, last = coefficients
        if len(rest) < LEAST_IN_TWO_CHAINS:
            return self._chain(coefficients)
        even, odd = rest[::-1][::2][::-1], rest[::-1][1::2][::-1]
        square = self * self
        return (square._chain(even) + self * square._chain(odd)) * self + last

    def _chain(self, coefficients: Sequence[float]) -> Value:
        total = self.constant(coefficients[0])
        for coefficient in coefficients[1:]:
            total = total * self + coefficient
        return total


def pattern(real: Real, number: float) -> int:
    """The bits of a floating-point constant."""
    dtype = (np.float64, np.int64) if real is DOUBLE else (np.float32, np.int32)
    return int(dtype[0](number).view(dtype[1]))
