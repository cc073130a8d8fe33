"""Processes of the real command line with a watched disk, forked from one that has the imports behind it.

`python -m tests.disk.zygote` reads one JSON line per process from stdin (`argv`, `environ`, `out`, `err`, `plan`), forks, runs
`perpsctl` in the child as its entry point would, and answers with one JSON line: exit code, or the signal it died of. A fork
saves the half second of imports, nothing else: the child opens its own files, sockets and journal, and ends like any process.
"""

import importlib
import json
import os
import sys
from typing import Any

WARM = (
    "perpsctl.commands.app",
    "perpsctl.bootstrap",
    "perpsctl.engine.parts",
    "perpsctl.engine.killswitch",
    "perpsctl.engine.supervisor",
    "perpsctl.engine.strategies",
    "perpsctl.exchange.advanced_trade",
    "perpsctl.exchange.global_derivatives",
    "perpsctl.journal.opening",
    "perpsctl.journal.backup",
    "perpsctl.render.operations",
    "perpsctl.render.orders",
    "perpsctl.settings",
)


def main() -> None:
    for name in WARM:
        importlib.import_module(name)
    answers = os.dup(1)
    os.dup2(2, 1)
    os.write(answers, b'{"ready": true}\n')
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            os.close(answers)
            _become(wanted)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os.write(answers, json.dumps({"code": code}).encode() + b"\n")


def _become(wanted: dict[str, Any]) -> None:
    """This process is that command line; never returns."""
    from perpsctl.commands import app
    from tests.disk import shim

    os.environ.clear()
    os.environ.update(wanted["environ"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, path in ((1, wanted["out"]), (2, wanted["err"])):
        held = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        os.dup2(held, number)
        os.close(held)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the process's own
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["perpsctl", *wanted["argv"]]
    watch = None
    if wanted["plan"] is not None:
        told = dict(wanted["plan"])
        fail = told.pop("fail", None)
        plan = shim.Plan(**told, fail=None if fail is None else shim.Failure(**fail))
        watch = shim.install(plan)
    try:
        app.main()
    finally:
        if watch is not None:
            watch.closing()


if __name__ == "__main__":
    main()
