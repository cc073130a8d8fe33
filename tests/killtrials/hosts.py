"""What the trials run on: one host with its own journal, or three hosts - three state folders - on one PostgreSQL.

A host is a home of its own; what hosts share is the database and the exchange, whose record of requests is the judge.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perpsctl import places
from perpsctl.domain.ids import AccountKey
from perpsctl.journal.audit import KEY_FILE
from perpsctl.journal.opening import open_journal
from perpsctl.journal.store import SqlJournal
from perpsctl.latch import Latch
from perpsctl.simulator import launcher
from perpsctl.systemports import SystemClock, SystemIds
from tests.postgres import running_server
from tests.scenarios.homes import GENEROUS, REPOSITORY, Home

SQLITE, POSTGRESQL = "sqlite", "postgresql"
BACK_ENDS = (SQLITE, POSTGRESQL)
PLACERS = 3
READY_WITHIN_S = 60
# Nothing but the switch may refuse: neither a rate nor the age of what was read, on however busy a machine.
LIMITS = f"{GENEROUS}mark_age_max_s = 60\nbook_age_max_s = 60\naccount_age_max_s = 300\n"


@dataclass(frozen=True, slots=True)
class Hosts:
    """Homes that trade one account of one exchange. `of_placer`: on which of them each placer runs."""

    homes: tuple[Home, ...]
    of_placer: tuple[int, ...]
    url: str | None

    def latch(self, host: int) -> Latch:
        """Of a host."""
        return Latch.of("sim", self.homes[host].environ)

    def journal(self, host: int) -> SqlJournal:
        """The journal as a process of that host opens it; the caller closes it."""
        running = launcher.status(self.homes[0].folder)
        if running is None:
            raise RuntimeError("the exchange has ended")
        folder = places.profile_folder("sim", self.homes[host].environ)
        account = AccountKey(f"us:sim:{running.portfolio}")
        return open_journal(folder, account, clock=SystemClock(), ids=SystemIds(), url=self.url)


@contextmanager
def running_exchange(home: Home) -> Iterator[None]:
    """Its lists are short and it does not limit our rate; it ends with the block."""
    home.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    line = [sys.executable, "-m", "tests.killtrials.exchange", "--folder", str(home.folder), "--idle-minutes", "0"]
    process = subprocess.Popen(line, cwd=REPOSITORY, env=home.environ, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while launcher.status(home.folder) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the exchange did not start")
            time.sleep(0.05)
        home.control("POST", "/state/switches", {"rate_limits": False})
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Hosts]:
    """Three placers of one home."""
    home = Home(folder / "host", LIMITS)
    with running_exchange(home):
        _make_journal(home)
        yield Hosts((home,), (0,) * PLACERS, None)


@contextmanager
def on_postgresql(folder: Path, url: str) -> Iterator[Hosts]:
    """Three homes, a placer on each, one database at `url`."""
    config = f"[profile.sim]\njournal = 'env:JOURNAL_URL'\n{LIMITS}"
    homes = tuple(Home(folder / f"host-{name}", config) for name in "abc")
    for home in homes:
        home.environ["JOURNAL_URL"] = url
    with running_exchange(homes[0]):
        _make_journal(homes[0])
        for home in homes[1:]:
            home.folder.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            home.folder.symlink_to(homes[0].folder)  # the venue is one for all
            state = places.profile_folder("sim", home.environ)
            state.mkdir(mode=0o700)
            shutil.copy(places.profile_folder("sim", homes[0].environ) / KEY_FILE, state / KEY_FILE)
        yield Hosts(homes, tuple(range(PLACERS)), url)


def _make_journal(home: Home) -> None:
    made = home.perpsctl("journal", "info")
    if made.code:
        raise RuntimeError(str(made))


@contextmanager
def hosts_on(back_end: str) -> Iterator[Hosts]:
    """In a folder of their own, gone with the block: where TMPDIR says, else in memory where there is some."""
    memory = Path("/dev/shm") if "TMPDIR" not in os.environ and os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="perpsctl-killtrials-", dir=memory) as made:
        if back_end == SQLITE:
            with on_sqlite(Path(made)) as hosts:
                yield hosts
            return
        with running_server() as server, on_postgresql(Path(made), server.url_over_tcp(server.new_database())) as hosts:
            yield hosts
