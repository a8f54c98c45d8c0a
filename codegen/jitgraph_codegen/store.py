"""The disk cache: machine code and programs under content hashes.

One key, one file: `<key>.<kind>`, in a folder only its owner can read.  A file is a JSON header, a
newline, and a payload whose SHA-256 the header holds; it is written aside and renamed, so a reader
sees all of it or nothing. No pickle: nothing in the cache is ever executed but the machine code
whose hash was checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FORMAT = 1


def folder() -> Path:
    """`JITGRAPH_CACHE_DIR`, or the user's cache folder; created for the owner alone."""
    given = os.environ.get("JITGRAPH_CACHE_DIR")
    if given:
        path = Path(given).expanduser()
    else:
        from platformdirs import user_cache_path

        path = user_cache_path("jitgraph")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


KINDS = (".kernel", ".program", ".entry", ".threads", ".product")


def key(*parts: str) -> str:
    """The content hash of some texts; their boundaries count."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def fingerprint(folder: Path, patterns: Sequence[str]) -> str:
    """The content hash of source files: what they generate may change when they do."""
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return key(*[path.read_text(encoding="utf-8") for path in files])


def read(name: str, kind: str) -> tuple[dict[str, Any], bytes] | None:
    """Header and payload of an entry; None where it is absent, torn or of another format.

    A torn entry is removed, so that the next write replaces it.
    """
    try:
        path = folder() / f"{name}.{kind}"
        data = path.read_bytes()
    except OSError:
        return None
    line, _, payload = data.partition(b"\n")
    try:
        header = json.loads(line)
        intact = (
            isinstance(header, dict)
            and header["format"] == FORMAT
            and header["sha256"] == hashlib.sha256(payload).hexdigest()
        )
    except (ValueError, KeyError):
        intact = False
    if not intact:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return header, payload


def write(name: str, kind: str, header: Mapping[str, Any], payload: bytes) -> bool:
    """Keep an entry; False where the disk does not take it (full, read-only), which costs speed
    only.
    """
    full = {**header, "format": FORMAT, "sha256": hashlib.sha256(payload).hexdigest()}
    try:
        import tempfile

        target = folder()
        handle, aside = tempfile.mkstemp(prefix=f".{name[:16]}.", dir=target)
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(full).encode() + b"\n" + payload)
        os.replace(aside, target / f"{name}.{kind}")
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        return False
    return True


def clear() -> int:
    """Remove all entries; the number of files removed."""
    removed = 0
    for path in folder().iterdir():
        if path.suffix in (".kernel", ".program", ".entry", ".threads") or path.name.startswith(
            "."
        ):
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
    return removed
