"""Saved states: what is written is read, by PyTorch too, and nothing else is."""

import stat
from pathlib import Path

import numpy as np
import pytest

import jitgraph
from jitgraph import CheckpointError, Tensor, nn


def model() -> nn.Module:
    return nn.Sequential(nn.Conv1d(3, 4, 2), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(16, 2))


X = np.random.default_rng(0).standard_normal((5, 3, 5)).astype(np.float32)


def test_a_model_is_itself_again(tmp_path) -> None:
    first, second = model(), model()
    first(Tensor(X))
    path = tmp_path / "model.safetensors"
    jitgraph.save(path, first.state_dict(), {"epoch": "3"})
    second.load_state_dict(jitgraph.load(path))
    np.testing.assert_array_equal(first.eval()(Tensor(X)).data, second.eval()(Tensor(X)).data)
    assert jitgraph.load_metadata(path) == {"epoch": "3"}
    assert second[1].num_batches_tracked.shape == ()


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "i4", "i8", "f2", "f4", "f8"])
def test_every_dtype(dtype, tmp_path) -> None:
    values = {"a": np.arange(6).astype(dtype).reshape(2, 3).T, "b": np.ones((), dtype)}
    jitgraph.save(tmp_path / "x", values)
    found = jitgraph.load(tmp_path / "x")
    for name, value in values.items():
        np.testing.assert_array_equal(found[name].data, value)
        assert found[name].dtype == value.dtype and found[name].shape == value.shape
    with pytest.raises(TypeError, match="'c' of dtype complex128"):
        jitgraph.save(tmp_path / "y", {"c": np.ones(2, complex)})
    assert not (tmp_path / "y").exists()


def test_pytorch_reads_and_writes_the_same_files(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    mine = model().eval()
    theirs = torch.nn.Sequential(
        torch.nn.Conv1d(3, 4, 2),
        torch.nn.BatchNorm1d(4),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 2),
    ).eval()
    save_file(theirs.state_dict(), tmp_path / "theirs")
    mine.load_state_dict(jitgraph.load(tmp_path / "theirs"))
    wanted = theirs(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(mine(Tensor(X)).data, wanted, rtol=1e-5, atol=1e-6)
    other = model().eval()
    jitgraph.save(tmp_path / "mine", other.state_dict())
    theirs.load_state_dict(load_file(tmp_path / "mine"))
    wanted = theirs(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(other(Tensor(X)).data, wanted, rtol=1e-5, atol=1e-6)


def test_torn_and_foreign_files_are_refused(tmp_path) -> None:
    path = tmp_path / "model"
    jitgraph.save(path, model().state_dict())
    whole = path.read_bytes()
    for name, data in {
        "torn": whole[:-10], "head": whole[:5], "empty": b"", "text": b"hello, world" * 9,
        "longer": whole + b"xx", "pickle": b"\x80\x04\x95" + whole,
    }.items():  # fmt: skip
        bad = tmp_path / name
        bad.write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{name} is no whole safetensors file"):
            jitgraph.load(bad)
    with pytest.raises(FileNotFoundError):
        jitgraph.load(tmp_path / "nothing")


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "model"
    jitgraph.save(path, {"a": np.ones(3)})

    def fail(*args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        jitgraph.save(path, {"a": np.zeros(3)})
    np.testing.assert_array_equal(jitgraph.load(path)["a"].data, np.ones(3))
    assert [p.name for p in Path(tmp_path).iterdir()] == ["model"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
