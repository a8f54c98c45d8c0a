"""States of models in files of the safetensors format, which PyTorch reads and writes as well.

jitgraph.save("model.safetensors", model.state_dict())
model.load_state_dict(jitgraph.load("model.safetensors"))
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError
from .tensor import Tensor

Name = str | os.PathLike[str]


def save(path: Name, state: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays (or Tensors) by name; metadata: texts by name, to go with them.

    The file is written aside and then takes its place, so that a reader sees the old one or the new
    one, whole.  Raises TypeError for what is no array of numbers.
    """
    from safetensors.numpy import save as to_bytes

    arrays = {name: _array(name, value) for name, value in state.items()}
    data = to_bytes(arrays, None if metadata is None else dict(metadata))
    target = Path(path)
    handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, target)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _array(name: str, value: Any) -> np.ndarray[Any, Any]:
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name!r} of dtype {array.dtype} can't be saved")
    return np.ascontiguousarray(array).reshape(array.shape)  # the former makes axes of numbers


def load(path: Name) -> dict[str, Tensor]:
    """The arrays of a file by name.

    Raises `CheckpointError`, with the reason, for a file that is torn or of another kind, and
    FileNotFoundError where there is none.
    """
    return _read(path)[0]


def load_metadata(path: Name) -> dict[str, str]:
    """The texts that were saved with the arrays.  Raises as `load`."""
    return _read(path)[1]


def _read(path: Name) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            arrays = {name: Tensor(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except (SafetensorError, OverflowError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{os.fspath(path)} is no whole safetensors file of arrays that NumPy knows: {error}"
        ) from error
