"""A second process that compiles kernels.

It reads a kernel as a line of JSON and answers with a line of JSON, the name of its symbol and how
many bytes of object code follow.  It ends when its input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import Any

from .numba_compile import ObjectCode, compile_source
from .source import Source


class CompileProcess:
    """The process as the one that uses it sees it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CompileProcess:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-c", f"import {__name__} as process; process.serve()"]
        try:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError:  # no interpreter to start: this process compiles alone
            self._process = None
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended already, with a request unread
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def compiled(self, source: Source) -> ObjectCode | None:
        """The object code of a kernel; None if the process can't."""
        if self._process is None:
            return None
        assert self._process.stdin is not None and self._process.stdout is not None
        request = json.dumps({"name": source.name, "module": "", "entry": source.entry})
        try:
            self._process.stdin.write(request.encode() + b"\n")
            self._process.stdin.flush()
            header = self._process.stdout.readline()
            if not header:
                return None
            fields = json.loads(header)
            data = self._process.stdout.read(fields["bytes"])
        except (OSError, ValueError):
            return None
        return ObjectCode(data, fields["symbol"]) if len(data) == fields["bytes"] else None


def serve() -> None:
    """Compile what comes on standard input."""
    output: Any = sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may come between the answers
    for line in sys.stdin.buffer:
        made = compile_source(Source(**json.loads(line)))
        header = json.dumps({"symbol": made.symbol, "bytes": len(made.data)})
        output.write(header.encode() + b"\n" + made.data)
        output.flush()
