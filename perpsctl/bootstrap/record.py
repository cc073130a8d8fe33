"""The durable record of one profile: the journal, the kill switch's latch, the gate senders share, and the lease."""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from perpsctl import places
from perpsctl.bootstrap.venue import VenueParts
from perpsctl.domain.errors import ConfigError, JournalUnavailable
from perpsctl.domain.ports import Gate, Halts, Integrity, Journal
from perpsctl.latch import Latch
from perpsctl.settings import Profile

if TYPE_CHECKING:  # the journal's library is the slowest to load, and market reads need none
    from perpsctl.domain.audits import AuditExported
    from perpsctl.journal.anchor import AnchorFile
    from perpsctl.journal.auditing import Audit
    from perpsctl.journal.backup import BackedUp
    from perpsctl.journal.info import JournalInfo
    from perpsctl.journal.lease import RowLease
    from perpsctl.journal.locks import SendersHeld
    from perpsctl.journal.migrate import Migrated
    from perpsctl.journal.spool import Spool
    from perpsctl.journal.store import SqlJournal


class RecordParts(VenueParts):
    """The journal and the latch. `way_out` lets cancels, exits and the switch go on without a journal."""

    def __init__(self, profile: Profile, *, verbose: bool, way_out: bool) -> None:
        super().__init__(profile, verbose=verbose)
        self._way_out = way_out
        self._store: SqlJournal | None = None
        self._no_store: JournalUnavailable | None = None
        self._senders_held: SendersHeld | None = None

    @cached_property
    def journal(self) -> Journal:
        """The durable record. On the way out a journal that cannot be opened is replaced by one that says so."""
        try:
            return self.store
        except JournalUnavailable as broken:
            if not self._way_out:
                raise
            from perpsctl.engine.broken_journal import BrokenJournal

            self.diagnostics.alarm("journal_broken", problem=broken.message)
            return BrokenJournal(self.account, broken)

    @property
    def store(self) -> "SqlJournal":
        """The journal itself; JournalUnavailable when it cannot be opened."""
        if self._store is None and self._no_store is not None:
            raise self._no_store
        if self._store is None:
            _own_folder(self.profile.folder)
            from perpsctl.journal.opening import open_journal

            try:
                self._store = open_journal(
                    self.profile.folder, self.account, clock=self.clock, ids=self.ids, url=self._journal_url(),
                    anchors=self._anchors(),
                )  # fmt: skip
            except JournalUnavailable as refused:
                if self._way_out:  # a database that says nothing is waited for once, not at every part of the way out
                    self._no_store = refused
                raise
        return self._store

    @cached_property
    def latch(self) -> Latch:
        """The kill switch's latch of this profile."""
        return Latch.of(self.profile.name)

    @cached_property
    def halts(self) -> Halts:
        """The switch as the desk sees it; needs no healthy journal."""
        from perpsctl.journal.halts import CombinedHalts

        try:
            return CombinedHalts(self.latch, self.store, self._shared_gate())
        except JournalUnavailable as broken:
            return CombinedHalts(self.latch, broken)

    def _shared_gate(self) -> Callable[[Gate], Gate] | None:
        """The gate that senders of several hosts share; None for a journal of this host's own."""
        if self.profile.journal is None:
            return None
        from perpsctl.journal.senders import SharedGate, shared_database

        store = self.store
        database = shared_database(store)
        return None if database is None else lambda local: SharedGate(local, store, database)

    def _senders_elsewhere(self) -> tuple[str, ...]:
        """Who may still be sending on another host after the halt was recorded."""
        if self.profile.journal is None:
            return ()
        from perpsctl.journal.senders import wait_for_senders

        self._let_senders_go()  # the halt stands now: whoever was held looks again, and sees it
        return wait_for_senders(self.store)

    def hold_senders(self) -> None:
        """Senders of every host that shares the journal stand still from here until the halt is recorded.

        The first thing an engage does after its latch: what it has to load to record the halt takes longer. Never raises.
        """
        if self.profile.journal is None or find_spec("psycopg") is None:
            return
        from perpsctl.journal.locks import SendersHeld

        with suppress(JournalUnavailable):
            self._senders_held = SendersHeld(self._journal_url() or "")
            self._closing.callback(self._let_senders_go)

    def _let_senders_go(self) -> None:
        if self._senders_held is not None:
            self._senders_held.let_go()

    def _journal_url(self) -> str | None:
        """The shared journal's address with its secret; JournalUnavailable where it is not to be had."""
        if self.profile.journal is None:
            return None
        try:
            return self.profile.journal.address(os.environ)
        except ConfigError as wrong:
            raise JournalUnavailable(wrong.message, fix=wrong.fix) from None

    def journal_info(self) -> "JournalInfo":
        """What `journal info` shows."""
        from perpsctl.journal.info import journal_info

        return journal_info(self.store, self.profile.folder, self.clock)

    def journal_check(self) -> Integrity:
        """The verdict on the whole journal, also when it is too damaged to open."""
        from perpsctl.journal.info import check_journal

        return check_journal(
            self.profile.folder, self.account, clock=self.clock, ids=self.ids, full=True, url=self._journal_url(),
            anchors=self._anchors(),
        )  # fmt: skip

    @cached_property
    def audit(self) -> "Audit":
        """The audit of the journal, which asks neither venue nor account; also of one that does not open."""
        from perpsctl.journal.auditing import Audit

        profile = self.profile
        return Audit(
            profile=profile.name, folder=profile.folder, url=self._journal_url(), anchors=profile.anchors, clock=self.clock
        )  # fmt: skip

    def audit_export(self, file: Path) -> "AuditExported":
        """The whole journal with the verdict on it in `file`, for an outsider."""
        from perpsctl.journal.export import export

        return export(self.audit, file)

    def _anchors(self) -> "AnchorFile":
        from perpsctl.journal.anchor import AnchorFile

        return AnchorFile(self.profile.anchors, self.profile.name)

    def journal_backup(self, file: Path) -> "BackedUp":
        """A proven copy of the journal in `file`."""
        from perpsctl.journal.backup import back_up

        return back_up(self.store.log, file)

    def journal_migrate(self) -> "Migrated":
        """The journal has this version's schema; an older one was kept aside."""
        from perpsctl.journal.migrate import migrate

        return migrate(self.profile.folder, self.account, clock=self.clock, ids=self.ids, url=self._journal_url())

    def lease(self) -> "RowLease":
        """The lease of this portfolio, as this process would hold it."""
        from perpsctl.journal.lease import Holder, RowLease

        return RowLease(self.store, Holder.this_process(self.ids))

    @cached_property
    def spool(self) -> "Spool":
        """Where exits are kept while the journal is broken."""
        from perpsctl.journal.spool import Spool

        return Spool(self.profile.folder, self.account, self.clock)

    def close(self) -> None:
        """Connections and the journal are closed, each whatever becomes of the others."""
        with ExitStack() as closing:
            if self._store is not None:
                closing.callback(self._store.close)
            closing.callback(super().close)


def _own_folder(folder: Path) -> None:
    """The profile's folder stands, ours alone; JournalUnavailable where it cannot: the way out goes on without it."""
    try:
        places.private_folder(folder)
    except ConfigError as wrong:
        raise JournalUnavailable(wrong.message, fix=wrong.fix) from None
    except OSError as refused:
        raise JournalUnavailable(
            f"the profile's state folder cannot be made: {refused.strerror}",
            fix="make PERPSCTL_HOME a folder you can write to",
        ) from None
