"""Modules: named parameters and buffers in a tree of submodules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from ..tensor import Tensor

M = TypeVar("M", bound="Module")


def Parameter(data: Any, requires_grad: bool = True) -> Tensor:
    """A Tensor that a module trains."""
    return Tensor(data, requires_grad=requires_grad)


class Hook:
    """A function that a module calls; `remove` ends that."""

    def __init__(self, hooks: list[Callable[..., Any]], function: Callable[..., Any]) -> None:
        self._hooks, self._function = hooks, function
        hooks.append(function)

    def remove(self) -> None:
        """Do not call it any more."""
        if self._function in self._hooks:
            self._hooks.remove(self._function)


class Module:
    """Base of layers and models; parameters, buffers and submodules are found among the attributes.

    Subclasses define `forward`; calling the module runs it.  A Tensor attribute is a parameter, one
    that `register_buffer` has set is none, but saved with them.
    """

    training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before, after = self._hooks()
        for hook in before:
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        result = self.forward(*args, **kwargs)
        for hook in after:
            changed = hook(self, args, result)
            result = result if changed is None else changed
        return result

    def _hooks(self) -> tuple[list[Any], list[Any]]:
        found: tuple[list[Any], list[Any]] = vars(self).get("_own_hooks", ([], []))
        return found

    def _own(self) -> tuple[list[Any], list[Any]]:
        found: tuple[list[Any], list[Any]] = vars(self).setdefault("_own_hooks", ([], []))
        return found

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, args)` before `forward`; what it gives, if not None, are the arguments
        instead.
        """
        return Hook(self._own()[0], hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Hook:
        """Call `hook(module, args, result)` after `forward`; what it gives, if not None, is the
        result instead.
        """
        return Hook(self._own()[1], hook)

    def register_buffer(self, name: str, value: Any) -> None:
        """Set an attribute that is saved with the parameters, and not trained."""
        names = vars(self).setdefault("_buffer_names", [])
        if name not in names:
            names.append(name)
        setattr(self, name, value)

    # what is in it

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Direct submodules by name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """Direct submodules."""
        for _, child in self.named_children():
            yield child

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all in it, by dotted names."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This module and all in it."""
        for _, module in self.named_modules():
            yield module

    def _own_tensors(self, buffers: bool) -> Iterator[tuple[str, Tensor]]:
        names = vars(self).get("_buffer_names", ())
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and (name in names) == buffers:
                yield name, value

    def _named(self, buffers: bool, prefix: str) -> Iterator[tuple[str, Tensor]]:
        start = f"{prefix}." if prefix else ""
        seen: set[Tensor] = set()  # a parameter may be at two places
        for path, module in self.named_modules():
            for name, value in module._own_tensors(buffers):
                if value not in seen:
                    seen.add(value)
                    yield start + (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """All parameters with dotted names, a module's own before those of its submodules."""
        yield from self._named(False, prefix)

    def parameters(self) -> Iterator[Tensor]:
        """All parameters."""
        for _, parameter in self.named_parameters():
            yield parameter

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names."""
        yield from self._named(True, prefix)

    def buffers(self) -> Iterator[Tensor]:
        """All buffers."""
        for _, buffer in self.named_buffers():
            yield buffer

    # what is done with all of it

    def apply(self: M, function: Callable[[Module], Any]) -> M:
        """Call a function with each module, submodules first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def zero_grad(self) -> None:
        """Forget all collected gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Switch the collection of gradients on or off for all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self: M, dtype: Any) -> M:
        """Convert parameters and buffers of floats, in place."""
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.dtype.kind == "f":
                tensor.data = tensor.data.astype(dtype, copy=False)
                tensor.grad = None if tensor.grad is None else tensor.grad.to(dtype)
        return self

    def float(self: M) -> M:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Convert to float64."""
        return self.to(np.float64)

    def train(self: M, mode: bool = True) -> M:
        """Switch to training (or evaluation) behaviour, submodules too."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Switch to evaluation behaviour."""
        return self.train(False)

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by dotted names, on their own memory, without history."""
        found: dict[str, Tensor] = {}
        for path, module in self.named_modules():
            for buffers in (False, True):
                for name, value in module._own_tensors(buffers):
                    found[f"{path}.{name}" if path else name] = value.detach()
        return found

    def load_state_dict(self, found: Mapping[str, Any], strict: bool = True) -> None:
        """Copy values into parameters and buffers of the same names.

        Raises ValueError where names (unless strict=False) or shapes differ; nothing is changed
        then.
        """
        own = self.state_dict()
        missing, unknown = own.keys() - found.keys(), found.keys() - own.keys()
        if strict and (missing or unknown):
            lacking = f"it lacks {sorted(missing)}" if missing else ""
            extra = f"it has {sorted(unknown)}, which the model has not" if unknown else ""
            what = "; ".join(filter(None, (lacking, extra)))
            raise ValueError(f"the state is another model's: {what}")
        values = {
            name: found[name].data if isinstance(found[name], Tensor) else np.asarray(found[name])
            for name in own if name in found
        }  # fmt: skip
        for name, value in values.items():
            if value.shape != own[name].shape:
                raise ValueError(f"{name} is of shape {value.shape}, not {own[name].shape}")
        for name, value in values.items():
            own[name].data[...] = value

    def __repr__(self) -> str:
        inner = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        body = "\n".join(["", *inner, ""]) if inner else self.extra_repr()
        return f"{type(self).__name__}({body})"

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses of a layer without submodules."""
        return ""


class Sequential(Module):
    """Modules applied one after the other; named "0", "1", ... as in PyTorch."""

    def __init__(self, *modules: Module) -> None:
        for k, module in enumerate(modules):
            setattr(self, str(k), module)

    def forward(self, x: Any) -> Any:
        for module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, k: int) -> Module:
        return list(self.children())[k]

    def append(self, module: Module) -> Sequential:
        """One more at the end."""
        setattr(self, str(len(self)), module)
        return self


class ModuleList(Sequential):
    """Modules in a list; how they are used is the owner's affair."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(*modules)

    def forward(self, x: Any) -> Any:
        raise NotImplementedError("ModuleList has no forward method; call its modules")


class ModuleDict(Module):
    """Modules by names of the owner's."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not name.isidentifier() or hasattr(type(self), name):
            raise ValueError(f"{name!r} can't be a module's name")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        return dict(self.named_children())[name]

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.named_children()]

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(self.named_children())

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children())
