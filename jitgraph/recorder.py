"""The steps of a program as the entry stub takes them, written down beside the driver's text.

What is no kernel and no matrix product becomes a small Python function that the stub calls:

    def call0(a0, t2, s0):
        t5 = transpose(a0, axes=(1, 0))
        return asarray(concatenate(t5, t2, axis=0), order="C")
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from jitgraph_codegen.native import (
    Branch,
    Call,
    Copy,
    Drop,
    Expect,
    Loop,
    Make,
    NativeProgram,
    Product,
    Run,
    Same,
    Step,
)

from .spec import Spec

_VARIABLE = re.compile(r"[atsu]\d+")
_LEAVING = re.compile(r"\b(ensure|host\d+|scalar_power)\(")  # what may raise `DeoptimisedError`


class Recorder:
    """objects: variables the stub has as arrays; data: those whose memory it knows to be contiguous
    or a parameter's; views: expressions of variables that are made where they are needed.
    """

    def __init__(
        self, parameters: Iterable[str], contiguous: Iterable[str], scalars: Iterable[str]
    ) -> None:
        self.steps: list[Step] = []
        self.functions: list[str] = []
        self.objects = set(parameters)
        self.data = set(self.objects)
        self.contiguous = set(contiguous)
        self.scalars = set(scalars)  # which may come as Python's numbers
        self.views: dict[str, str] = {}

    def inner(self) -> Recorder:
        """For the steps of a loop or a side, which know all that is known around it."""
        made = Recorder((), (), ())
        made.functions, made.objects, made.data = self.functions, self.objects, self.data
        made.contiguous, made.scalars, made.views = self.contiguous, self.scalars, self.views
        return made

    def loop(
        self,
        index: str,
        count: str,
        test: Recorder | None,
        flag: str,
        body: Recorder,
        carried: Sequence[tuple[str, str]],
        last: Sequence[str],
    ) -> None:
        """A loop of steps; carried: variables with what a step makes for the next one."""
        before = () if test is None else tuple(_with_drops(test.steps, {flag}))
        steps = tuple(_with_drops(body.steps, {new for _, new in carried}))
        self.steps.append(Loop(index, count, before, flag, steps, tuple(carried), tuple(last)))
        self._given(last)

    def branch(
        self,
        flag: str,
        taken: Recorder,
        otherwise: Recorder,
        results: Sequence[tuple[str, str, str]],
    ) -> None:
        """Two sides; results: variables, each with what the sides make for it."""
        first = tuple(_with_drops(taken.steps, {a for _, a, _ in results}))
        second = tuple(_with_drops(otherwise.steps, {b for _, _, b in results}))
        self.steps.append(Branch(flag, first, second, tuple(results)))
        self._given([name for name, _, _ in results])

    def _given(self, names: Sequence[str]) -> None:
        """Arrays that a loop or a branch leaves behind."""
        self.objects.update(names)
        self.data.update(names)
        self.contiguous.update(names)

    def make(self, name: str, spec: Spec, zeros: bool = False) -> None:
        shape = tuple(map(str, spec.shape))
        self._add(Make(name, spec.dtype.name, shape, zeros))

    def run(self, step: Run) -> None:
        self._check(step.buffers)
        self.steps.append(step)

    def product(self, step: Product, spec: Spec) -> None:
        self.make(step.result, spec)
        self.steps.append(step)

    def copy(self, step: Copy) -> None:
        self.steps.append(step)

    def view(self, name: str, expression: str) -> None:
        self.views[name] = expression

    def reshaped(self, name: str, source: str, expression: str) -> None:
        """The memory of a contiguous array for other sizes."""
        self.steps.append(Same(name, source))
        self.data.add(name)
        self.contiguous.add(name)
        self.views[name] = expression

    def call(
        self,
        name: str,
        expression: str,
        lines: Sequence[str] = (),
        array: bool = True,
        sizes: Sequence[tuple[int, str]] = (),
    ) -> None:
        """A variable that Python computes, after other lines.

        array: whether it is one, in C order; sizes: names of sizes that its axes bring.  Lines that
        call `ensure` and their like may leave the program for plain Python.
        """
        lines = [*lines, f"return {expression}"]
        function, arrays, known = self._function(lines, sizes)
        checked = any(map(_LEAVING.search, lines))
        self._add(Call(name, function, arrays, known, array, tuple(sizes), checked), array)

    def effect(self, line: str) -> None:
        """A statement for what it does to memory."""
        function, arrays, known = self._function([line], ())
        self.steps.append(Call("", function, arrays, known, False, (), False))

    def expect_false(self, name: str) -> None:
        """Go on if this flag is not set."""
        self._check([name])
        self.steps.append(Expect(name))

    def returned(self, name: str) -> str:
        """The variable as an array that can be handed out."""
        if name not in self.objects:
            self.call(name, self.views.pop(name))
        return name

    def program(
        self, guards: Sequence[str], written: Sequence[str], returned: Sequence[str]
    ) -> NativeProgram:
        steps = _with_drops(self.steps, set(returned))
        return NativeProgram(
            tuple(guards), tuple(steps), tuple(written), tuple(returned), "\n".join(self.functions)
        )

    def _add(self, step: Make | Call, array: bool = True) -> None:
        self.steps.append(step)
        self.objects.add(step.name)
        if array:
            self.data.add(step.name)
            self.contiguous.add(step.name)

    def _check(self, names: Iterable[str]) -> None:
        unknown = set(names) - self.data
        if unknown:
            raise AssertionError(f"{sorted(unknown)} have no memory")

    def _function(
        self, lines: Sequence[str], brought: Sequence[tuple[int, str]]
    ) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """Lines as a function: its name, and the arrays and the sizes that it is called with."""
        made = {line.split(" = ")[0] for line in lines if " = " in line}
        inside = made | {name for _, name in brought}
        arrays: dict[str, None] = {}
        sizes: dict[str, None] = {}
        first: dict[str, str] = {}

        def need(text: str) -> None:
            for name in _variables(text):
                if name in inside or name in first:
                    continue
                if name in self.objects:
                    arrays[name] = None
                elif name in self.views:
                    need(self.views[name])
                    first[name] = f"{name} = {self.views[name]}"
                else:
                    sizes[name] = None

        for line in lines:
            need(line)
        name = f"call{len(self.functions)}"
        body = [f"{a} = asarray({a})" for a in arrays if a in self.scalars]
        body += [*first.values(), *lines]
        if any(map(_LEAVING.search, lines)):
            body = ["try:", *(f"    {line}" for line in body)]
            body += ["except Deoptimised as error:", "    return str(error)"]
        head = f"def {name}({', '.join([*arrays, *sizes])}):"
        self.functions.append("\n".join([head, *(f"    {line}" for line in body)]) + "\n")
        return name, tuple(arrays), tuple(sizes)


def _variables(text: str) -> list[str]:
    names = [n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)]
    return [name for name in names if _VARIABLE.fullmatch(name)]


def _with_drops(steps: Sequence[Step], returned: set[str]) -> list[Step]:
    """The steps, each made array let go after the last one that reads it."""
    made = {name for step in steps for name in _made(step)} - {"", *returned}
    owner: dict[str, str] = {}
    last: dict[str, int] = {}
    for k, step in enumerate(steps):
        if isinstance(step, Same):
            owner[step.name] = owner.get(step.array, step.array)
        last |= dict.fromkeys(_made(step), k)  # if nothing ever reads it
        last |= {owner.get(name, name): k for name in _read(step)}
    found: list[Step] = []
    for k, step in enumerate(steps):
        found.append(step)
        found += [Drop(name) for name, at in last.items() if at == k and name in made]
    return found


def _made(step: Step) -> tuple[str, ...]:
    """The variables that a step makes."""
    match step:
        case Make() | Call():
            return (step.name,)
        case Loop():
            return step.last
        case Branch():
            return tuple(name for name, _, _ in step.results)
    return ()


def _read(step: Step) -> tuple[str, ...]:
    """The variables that must live until a step is done."""
    match step:
        case Run():
            return step.buffers
        case Product():
            return step.x.array, step.y.array, step.result
        case Call():
            return step.name, *step.arrays
        case Copy():
            return step.target.array, step.source.array
        case Expect():
            return (step.flag,)
        case Same():
            return (step.array,)
        case Loop():
            inner = [name for s in (*step.test, *step.steps) for name in _read(s)]
            return (*inner, *(old for old, _ in step.carried))
        case Branch():
            inner = [name for s in (*step.taken, *step.otherwise) for name in _read(s)]
            return (*inner, step.flag, *(name for name, _, _ in step.results))
    return ()
