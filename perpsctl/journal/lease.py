"""One `run` per portfolio: a row with a holder, an end and a fencing number that only grows (J5).

A lease is taken over when it ended by the journal's clock (this host's; the database's where several hosts share one, X8), or
when its holder is proven dead on this boot: same boot, same process namespace, and no process with its number and start time
(P2). The number is compared inside every deciding transaction, so a process that slept through a take-over commits nothing
(P3).
"""

import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Row, insert, select, update

from perpsctl.domain.errors import LeaseHeld
from perpsctl.domain.ids import Ids
from perpsctl.domain.text import shown
from perpsctl.journal.codec import dumps, moment, stamp
from perpsctl.journal.entries import Kind
from perpsctl.journal.schema import leases
from perpsctl.journal.store import SqlJournal

LEASE_TTL = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process as others can recognise it, or prove that it is gone."""

    host: str
    pid: int
    boot: str
    namespace: str
    started: str
    instance: str  # two leases in one process are two holders

    @classmethod
    def this_process(cls, ids: Ids) -> "Holder":
        """This process, with what the kernel tells of it; empty where it tells nothing."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            boot=_kernel_word("/proc/sys/kernel/random/boot_id"),
            namespace=_namespace(),
            started=_started(os.getpid()) or "",
            instance=ids.new(),
        )

    @classmethod
    def read(cls, text: str) -> "Holder | None":
        """The holder in a lease's row; None when it is not one of ours."""
        try:
            told = json.loads(text)
            return cls(**{**told, "pid": int(told["pid"])})
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def told(self) -> str:
        """Who, for the operator."""
        return f"process {self.pid} on {shown(self.host, 80)}"

    def proven_dead(self, here: "Holder") -> bool:
        """True only when its process number is free on this very boot, or belongs to a younger process."""
        comparable = self.boot and self.namespace and self.started
        if not comparable or (self.boot, self.namespace) != (here.boot, here.namespace):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        started = _started(self.pid)
        return started is not None and started != self.started


class RowLease:
    """The Lease port over the journal's own database; making one fences the journal's entries and edits on it."""

    def __init__(self, journal: SqlJournal, me: Holder, ttl: timedelta = LEASE_TTL) -> None:
        self._log = journal.log
        self._me = me
        self._ttl = ttl
        self._text = json.dumps(asdict(me), sort_keys=True)
        self._fence: int | None = None
        journal.fence_with(self)

    @property
    def fence(self) -> int | None:
        """Our fencing number, None while we hold nothing."""
        return self._fence

    def acquire(self) -> None:
        """Ours from now on, for `ttl` unless renewed; LeaseHeld names the holder otherwise."""
        self._fence = self._log.retried(self._acquire)

    def _acquire(self) -> int:
        with self._log.transaction() as batch:
            row = self._row()
            now = self._log.lease_time()
            ends = stamp(now + self._ttl)
            if row is not None and row.holder is not None and not self._may_take(row, stamp(now)):
                raise _held(row)
            fence = 1 if row is None else row.fence + 1
            values = {"holder": self._text, "fence": fence, "expires": ends}
            account = self._log.account
            if row is None:
                self._log.database.execute(insert(leases), {"account": account, **values})
            else:
                self._log.database.execute(update(leases).where(leases.c.account == account).values(**values))
            before = None if row is None else row.holder
            batch.add(
                Kind.LEASE,
                dumps({"act": "acquired", "fence": fence, "holder": self._text, "taken_from": before, "expires": ends}),
            )
        return fence

    def renew(self) -> None:
        """Ours for another `ttl`; LeaseHeld when another took it, and then it is lost for good."""
        self._log.retried(self._renew)

    def _renew(self) -> None:
        with self._log.transaction():
            self.require()
            ends = stamp(self._log.lease_time() + self._ttl)
            self._log.database.execute(update(leases).where(leases.c.account == self._log.account).values(expires=ends))

    def release(self) -> None:
        """Nobody's, when it was ours; nothing otherwise."""
        if self._fence is not None:
            self._log.retried(self._release)
            self._fence = None

    def _release(self) -> None:
        with self._log.transaction() as batch:
            row = self._row()
            if row is not None and row.fence == self._fence and row.holder == self._text:
                self._log.database.execute(
                    update(leases).where(leases.c.account == self._log.account).values(holder=None)
                )
                batch.add(Kind.LEASE, dumps({"act": "released", "fence": self._fence, "holder": self._text}))

    def holder(self) -> str | None:
        """Who holds it now, None when nobody does: free, ended, or its holder proven dead."""
        with self._log.database.reading():
            row = self._row()
        if row is None or row.holder is None:
            return None
        if row.holder != self._text and self._may_take(row, stamp(self._log.lease_time())):
            return None
        read = Holder.read(row.holder)
        return "somebody unreadable" if read is None else read.told

    def require(self) -> None:
        """Still ours, read in the caller's transaction; LeaseHeld otherwise."""
        row = self._row()
        if self._fence is None or row is None or row.fence != self._fence or row.holder != self._text:
            self._fence = None
            raise _held(row)

    def _may_take(self, row: Row[Any], now: str) -> bool:
        if row.expires <= now or row.holder == self._text:
            return True
        holder = Holder.read(row.holder)
        return holder is not None and holder.proven_dead(self._me)

    def _row(self) -> Row[Any] | None:
        found = self._log.database.rows(select(leases).where(leases.c.account == self._log.account))
        return found[0] if found else None


def _held(row: Row[Any] | None) -> LeaseHeld:
    if row is None or row.holder is None:
        return LeaseHeld("this process does not hold the portfolio's lease", fix="start `perpsctl run` again")
    holder = Holder.read(row.holder)
    who = "somebody unreadable" if holder is None else holder.told
    until = f"{moment(row.expires):%H:%M:%S} UTC"
    return LeaseHeld(
        f"another run holds this portfolio: {who}, until {until} unless renewed",
        fix="stop it first; cancels, closes and the kill switch need no lease",
    )


def _kernel_word(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """The kernel's start time of a process in ticks since boot; None when it does not tell."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = told.rpartition(")")[2].split()
    return words[19] if len(words) > 19 else None
