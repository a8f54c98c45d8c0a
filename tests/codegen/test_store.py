"""The disk cache: whole entries or none."""

import os
from pathlib import Path

import pytest

from jitgraph_codegen import store


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JITGRAPH_CACHE_DIR", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def test_entries_come_back(folder: Path) -> None:
    name = store.key("a", "b")
    assert store.read(name, "kernel") is None
    assert store.write(name, "kernel", {"symbol": "entry"}, b"\x00code\n")
    header, payload = store.read(name, "kernel")
    assert header["symbol"] == "entry" and payload == b"\x00code\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in folder.iterdir()] == [f"{name}.kernel"], "nothing is left beside it"


def test_keys_depend_on_every_part_and_their_boundaries() -> None:
    keys = {store.key("ab", "c"), store.key("a", "bc"), store.key("abc"), store.key("abc", "")}
    assert len(keys) == 4


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: b"x" + d, lambda d: b"", lambda d: d + b"!"]
)
def test_torn_entries_are_absent_and_removed(folder: Path, damage) -> None:
    store.write("k", "kernel", {}, b"payload")
    path = folder / "k.kernel"
    path.write_bytes(damage(path.read_bytes()))
    assert store.read("k", "kernel") is None and not path.exists()


def test_other_formats_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("k", "kernel", {}, b"payload")
    monkeypatch.setattr(store, "FORMAT", store.FORMAT + 1)
    assert store.read("k", "kernel") is None


def test_a_folder_that_takes_no_files_costs_only_speed(folder: Path, monkeypatch) -> None:
    folder.mkdir()
    monkeypatch.setattr(os, "replace", _fails)
    assert not store.write("k", "kernel", {}, b"payload")
    assert not list(folder.iterdir())


def _fails(*args: object) -> None:
    raise OSError("no space")


def test_clear() -> None:
    for k in range(3):
        store.write(f"k{k}", "program", {}, b"")
    assert store.clear() == 3 and store.read("k0", "program") is None
