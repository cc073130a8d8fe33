"""Forks commands for a test process that has threads of its own: `python -m tests.crash.zygote DESCRIPTOR`.

It imports everything once, has one thread and opens nothing. Each command is orphaned on purpose: it falls to whoever asked,
who made itself the reaper of orphans, and collects it as its own child.
"""

import ctypes
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.crash.parent import end_with_parent

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_LARGEST = 1 << 17
Outputs = tuple[Path, Path]


class Zygote:
    """The forking process, from the asker's side."""

    def __init__(self, environ: dict[str, str]) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.zygote", str(its.fileno())],
                pass_fds=(its.fileno(),), stdin=subprocess.DEVNULL, env=environ,
            )  # fmt: skip
        self._line = mine
        _reap_orphans(True)

    def forked(self, spec: dict[str, Any], outputs: Outputs, pipe: int) -> int:
        """The number of a new process that runs this specification, writes there and tells its steps into `pipe`."""
        asked = {"spec": spec, "outputs": [str(each) for each in outputs]}
        socket.send_fds(self._line, [json.dumps(asked).encode()], [pipe])
        return int(self._line.recv(_LARGEST))

    def load(self, modules: Iterable[str]) -> None:
        """The next fork finds these modules loaded."""
        self._line.send(json.dumps({"load": sorted(modules)}).encode())
        self._line.recv(_LARGEST)

    def close(self) -> None:
        """It has ended."""
        self._line.close()
        self._process.wait(10)
        _reap_orphans(False)


def _reap_orphans(wanted: bool) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(wanted))


def main(run: Callable[[dict[str, Any], Outputs], int]) -> None:
    """Forks as asked until the asker is gone."""
    end_with_parent()
    with socket.socket(fileno=int(sys.argv[1])) as line:
        while True:
            text, descriptors, _, _ = socket.recv_fds(line, _LARGEST, 1)
            if not text:
                return
            asked = json.loads(text)
            for name in asked.get("load", ()):
                with suppress(ImportError):
                    importlib.import_module(name)
            if "load" in asked:
                line.send(b"1")
                continue
            (pipe,) = descriptors
            line.send(str(_orphaned(line, asked, pipe, run)).encode())
            os.close(pipe)


def _orphaned(
    line: socket.socket, asked: dict[str, Any], pipe: int, run: Callable[[dict[str, Any], Outputs], int]
) -> int:
    """The grandchild's number: its parent between us is gone when this is answered."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child:
            os.write(writing, str(child).encode())
            os._exit(0)
        os.close(reading)
        os.close(writing)
        line.close()
        outputs = (Path(asked["outputs"][0]), Path(asked["outputs"][1]))
        os._exit(run({**asked["spec"], "pipe": pipe}, outputs))
    os.close(writing)
    os.waitpid(between, 0)
    number = int(os.read(reading, 32))
    os.close(reading)
    return number


if __name__ == "__main__":
    from tests.crash.lab import run_in_child

    main(run_in_child)
