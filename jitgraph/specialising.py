"""From a function and the arguments of a call to a specialisation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import config, interpreter
from .autodiff import pulled_back
from .binding import Bound
from .calling import lifted_arrays, lifted_entries, tensor_of
from .capture import (
    TRACERS,
    Argument,
    Captured,
    ControlPolicy,
    RefusedError,
    Tracer,
    capture,
    captured_through,
)
from .checking import checks
from .errors import CaptureError, GradientError, JitgraphError, located
from .interpreter import is_recording
from .ops import Kind
from .ops.control import COND, LOOP
from .options import Options
from .program import Fixed, Specialisation
from .signature import ALIAS, INTEGER, Arguments, array_spec, is_input, is_number, layout_of
from .spec import is_inexact
from .symbolic import ShapeEnv, is_known_before
from .symbolic_int import SymbolicInt, user_int
from .tensor import Tensor
from .tree import Tree, flatten

_FIXED = (str, bytes, int, float, complex, np.generic, np.ndarray, np.dtype, SymbolicInt)


@dataclass(frozen=True)
class _Alias:
    """A leaf that is the array at an earlier position."""

    position: int


_TRACED = object()  # a leaf that the function is given as a tracer


def specialise(
    function: Callable[..., Any],
    name: str,
    signature: inspect.Signature,
    options: Options,
    bound: Bound,
    arguments: Arguments,
    donated: Collection[str],
    of_numbers: bool = True,
) -> Specialisation:
    """Capture a function for the arguments of a call.

    donated: parameters whose memory it may use.  of_numbers: whether to write out loops that
    compute a number at a time, instead of raising `OfNumbersError`.  Raises `CaptureError` for what
    no graph holds, and NumPy's errors for wrong shapes and dtypes.
    """
    allowed = options.target == "cpu"
    policy = ControlPolicy(allowed=allowed, of_numbers=of_numbers)
    while True:
        try:
            return _specialised(
                function, name, signature, options, bound, arguments, donated, policy
            )
        except RefusedError as refused:
            config.log("fallbacks", f"{name}: left to Python: {refused.reason}")
            if refused.key:
                policy.refused[refused.key] = refused.reason
        except CaptureError as error:
            reasons = [r for r in policy.refused.values() if r not in str(error)]
            if not reasons:
                raise
            raise type(error)(
                f"{error}; a loop or a branch there was left to Python: {'; '.join(reasons)}"
            ) from None


def _specialised(
    function: Callable[..., Any],
    name: str,
    signature: inspect.Signature,
    options: Options,
    bound: Bound,
    arguments: Arguments,
    donated: Collection[str],
    policy: ControlPolicy,
) -> Specialisation:
    env = ShapeEnv()
    inputs, fixed, origins = _inputs(signature, bound, arguments, env)
    traced = _Traced(function, signature, bound, fixed)
    if policy.trains and any(t is not None and t.requires_grad for t in arguments.tensors):
        raise CaptureError(
            "an argument is to collect gradients in a function that trains; let the function find "
            "the Tensor around it, in a model or a name"
        )
    captured = _captured(name, traced, inputs, env, arguments.any_tensor, policy)
    lifted = captured.lifted
    everything = [*arguments.tensors, *[tensor_of(t.value) for t in lifted]]
    wanted = tuple(
        k for k, t in enumerate(everything) if t is not None and t.requires_grad and is_recording()
    )
    wanted = () if policy.trains else wanted
    if donated and any(map(checks, captured.graph.effects)):
        raise CaptureError("it asserts something of an array's value, and uses up an argument")
    layouts = {
        str(node.attrs["name"]): layout_of(array)
        for node, array in zip(
            captured.graph.inputs, [*arguments.arrays, *lifted_arrays(captured)], strict=True
        )
    }
    made = Specialisation(
        captured, layouts, options, traced.tree, tuple(traced.results),
        wanted if _is_differentiable(captured, wanted) else (), lifted_entries(captured), origins,
        () if arguments.any_tensor else _donated(inputs, donated),
        captured.makes_tensors or any(t is not None for t in everything), tuple(traced.gradients),
    )  # fmt: skip
    if made.wanted and any(n.op in (COND, LOOP) for n in captured.graph.nodes):
        try:
            made.differentiated  # noqa: B018
        except GradientError as error:  # of what is not followed in a loop or a branch
            policy.allowed = False
            raise RefusedError("", str(error)) from None
    return made


class _Traced:
    """The function as the capture calls it, on tracers; it gives what the program is to compute.

    results: for each leaf of its value which of that it is, or a `Fixed`.  gradients: Tensors whose
    `.grad` it sets, with which of that they are.
    """

    def __init__(
        self, function: Callable[..., Any], signature: inspect.Signature, bound: Bound,
        leaves: Sequence[Any],
    ) -> None:  # fmt: skip
        self.function, self.signature, self.bound, self.leaves = function, signature, bound, leaves
        self.results: list[int | Fixed] = []
        self.gradients: list[tuple[Tensor, int | None]] = []
        self.tree: Tree

    def __call__(self, tracers: Sequence[Tracer]) -> list[Any]:
        trace = interpreter.current_trace()
        trace.training.pulled_back = pulled_back
        rest = iter(tracers)
        leaves = [next(rest) if v is _TRACED else v for v in self.leaves]
        leaves = [leaves[v.position] if isinstance(v, _Alias) else v for v in leaves]
        through = captured_through(trace, self.function)
        flat, self.tree = flatten(self.bound.call(through, self.signature, leaves))
        outputs: list[Any] = []
        for leaf in flat:
            if type(leaf) is np.ndarray and leaf.dtype != object:
                leaf = trace.literal_array(leaf)
            self.results.append(_result(leaf, outputs))
        for tensor, gradient in trace.training.left():
            self.gradients.append((tensor, None if gradient is None else len(outputs)))
            outputs += [] if gradient is None else [gradient]
        return outputs


def _result(leaf: Any, outputs: list[Any]) -> int | Fixed:
    """What a leaf of a function's value is: one of the outputs, which it joins, or fixed."""
    unknown = isinstance(leaf, SymbolicInt) and not is_known_before(leaf.dim)
    if type(leaf) in (*TRACERS, Tensor) or unknown:
        position = next((k for k, o in enumerate(outputs) if o is leaf), len(outputs))
        if position == len(outputs):
            outputs.append(leaf)
        return position
    if isinstance(leaf, _FIXED):
        return Fixed(leaf)
    raise CaptureError(f"it returns a value of type {type(leaf).__name__}, which is not captured")


def _donated(inputs: Sequence[Argument], parameters: Collection[str]) -> tuple[int, ...]:
    """Positions of the arrays in these parameters, which may be containers."""
    return tuple(
        k
        for k, argument in enumerate(inputs)
        if argument.mutable
        and any(re.fullmatch(rf"{re.escape(p)}(_\d+)?", argument.name) for p in parameters)
    )


def _inputs(
    signature: inspect.Signature, bound: Bound, arguments: Arguments, env: ShapeEnv
) -> tuple[list[Argument], list[Any], dict[str, str]]:
    """The graph's inputs; for each leaf what the function is given, `_TRACED` for those; and
    what each size stands for.
    """
    inputs: list[Argument] = []
    fixed: list[Any] = []
    origins: dict[str, str] = {}
    names = iter(bound.leaf_names(signature, arguments.entries))
    rest = iter(zip(arguments.arrays, arguments.mutable, strict=True))
    for leaf, entry in zip(bound.leaves, arguments.entries, strict=True):
        if entry == INTEGER:
            size = env.fresh(leaf)
            origins[str(size)] = next(names)
            fixed.append(user_int(size, env))
        elif is_input(entry):
            array, mutable = next(rest)
            spec = array_spec(array, env, is_number(entry))
            order = "C" if array.flags.c_contiguous else "?"
            name = next(names)
            origins |= {str(d): f"{name}.shape[{k}]" for k, d in enumerate(spec.shape)}
            inputs.append(Argument(name, spec, array, order, mutable))
            fixed.append(_TRACED)
        elif isinstance(entry, tuple) and entry[0] == ALIAS:
            next(names)
            fixed.append(_Alias(entry[1]))
        else:
            fixed.append(leaf)
    return inputs, fixed, origins


def _captured(
    name: str,
    traced: Callable[..., Any],
    inputs: Sequence[Argument],
    env: ShapeEnv,
    of_tensors: bool,
    policy: ControlPolicy,
) -> Captured:
    try:
        return capture(traced, inputs, env, name.strip("<>"), of_tensors, policy)
    except JitgraphError as error:
        raise located(error) from None
    except (TypeError, AttributeError) as error:
        raise CaptureError(
            f"{name} could not be captured: {type(error).__name__}: {error}"
        ) from error


def _is_differentiable(captured: Captured, wanted: Sequence[int]) -> bool:
    """Whether any floating-point output depends on a wanted input."""
    active = {captured.graph.inputs[k] for k in wanted}
    for node in captured.graph.nodes:
        passes = node.op.differentiable or node.kind is Kind.CONTROL
        if passes and any(i in active for i in node.inputs):
            active.add(node)
    return any(o in active and is_inexact(o.spec.dtype) for o in captured.graph.outputs)
