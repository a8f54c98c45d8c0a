"""Modules: named parameters in a tree of submodules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..tensor import Tensor


def Parameter(data: Any) -> Tensor:
    """A Tensor that a module trains: it requires grad."""
    return Tensor(data, requires_grad=True)


class Module:
    """Base of layers and models; parameters and submodules are found among the attributes.

    Subclasses define `forward`; calling the module runs it.
    """

    training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def children(self) -> Iterator[tuple[str, Module]]:
        """Direct submodules by name."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """All parameters with dotted names, in the order they were assigned."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and value.requires_grad:
                yield prefix + name, value
            elif isinstance(value, Module):
                yield from value.named_parameters(f"{prefix}{name}.")

    def parameters(self) -> Iterator[Tensor]:
        """All parameters."""
        for _, parameter in self.named_parameters():
            yield parameter

    def zero_grad(self) -> None:
        """Forget all collected gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> Module:
        """Switch to training (or evaluation) behaviour, submodules too."""
        self.training = mode
        for _, child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Module:
        """Switch to evaluation behaviour."""
        return self.train(False)

    def __repr__(self) -> str:
        inner = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()
        ]
        body = "\n".join(["", *inner, ""]) if inner else self.extra_repr()
        return f"{type(self).__name__}({body})"

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses of a layer without submodules."""
        return ""
