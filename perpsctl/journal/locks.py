"""Where a shared journal is, its advisory locks, and the one an engaging switch takes before anything slow is loaded.

The driver alone is imported here: a second of imports on a busy host is a second in which other hosts would still send.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import conninfo

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.domain.text import shown

APPLICATION_ID = 0x50455250  # "PERP"; schema.py holds the same number for the file's header (a test compares)
WRITERS = 1
SENDERS = 2
CONNECT_WITHIN = timedelta(seconds=2)
SENDERS_MAY_TAKE = timedelta(seconds=1)
LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})


def session_name() -> str:
    """How the server's lists name this process."""
    return f"perpsctl {socket.gethostname()} {os.getpid()}"[:63]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the journal is. `told` names it without its secret; nothing else of it is ever shown."""

    told: str
    parameters: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, url: str) -> "Address":
        """`postgresql://…` as libpq reads it; JournalUnavailable, without quoting it, when it cannot be read."""
        try:
            told = {name: str(value) for name, value in conninfo.conninfo_to_dict(url).items() if value is not None}
        except psycopg.Error:  # its words quote the address
            raise unusable("its address cannot be read", "write journal = 'postgresql://USER@HOST/DATABASE'") from None
        hosts = told.get("host", "")
        remote = any(each not in LOCAL and not each.startswith("/") for each in hosts.split(","))
        if remote and "sslmode" not in told:
            told["sslmode"] = "verify-full"  # libpq's own default would go on in clear text
        name = shown(f"{hosts or 'the local socket'}/{told.get('dbname', '')}", 120)
        return cls(told=f"PostgreSQL at {name}", parameters=told)

    def without_secret(self, words: str) -> str:
        """`words` on one line, without the password should it ever be in them."""
        secret = str(self.parameters.get("password", ""))
        return shown(words.replace(secret, "***") if secret else words, 200)


def unusable(what: str, fix: str) -> JournalUnavailable:
    """The journal on PostgreSQL cannot be used; nothing was sent."""
    return JournalUnavailable(f"the journal cannot be used: {what}", fix=fix)


class SendersHeld:
    """No sender of any host passes the shared gate while this is held; nothing is held where the database cannot be asked."""

    def __init__(self, url: str) -> None:
        self._session: psycopg.Connection[tuple[object, ...]] | None = None
        try:
            self._session = psycopg.connect(
                **{**Address.read(url).parameters, "connect_timeout": str(CONNECT_WITHIN // timedelta(seconds=1)),
                   "application_name": session_name()},
                autocommit=True,
            )  # fmt: skip
            wait = SENDERS_MAY_TAKE // timedelta(milliseconds=1)
            lock = f"SET lock_timeout = {wait}; SELECT pg_advisory_lock({APPLICATION_ID}, {SENDERS})"
            self._session.execute(lock.encode("ascii"), prepare=False)
        except psycopg.Error:  # the halt itself is recorded, and its failure told, by the road that follows
            self.let_go()

    @property
    def holds(self) -> bool:
        """True while every sender stands still."""
        return self._session is not None and not self._session.closed

    def let_go(self) -> None:
        """Senders may look again; they see what was recorded meanwhile."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
