"""The journal's file as the soak follows it: read by itself, row by row, through a connection that is closed again at once."""

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Tally:
    """What the rows up to `seq` add up to."""

    seq: int = 0
    decided: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    rejected: int = 0
    not_sent: int = 0
    fills: int = 0
    open: set[str] = field(default_factory=set)  # intents without an outcome that is certain
    doubted: set[str] = field(default_factory=set)  # those that were told unknown at least once
    roads: dict[str, str] = field(default_factory=dict)  # of each intent


class Record:
    """Follows one journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tally = Tally()

    def follow(self) -> Tally:
        """What was committed since the last look is added."""
        path = self.folder / "journal.db"
        if not path.exists():
            return self.tally
        held = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=10)
        try:
            rows = held.execute(
                "SELECT seq, kind, intent_id, payload FROM events WHERE seq > ? ORDER BY seq", (self.tally.seq,)
            ).fetchall()
        except sqlite3.OperationalError as error:  # the file is there, its tables are not yet
            if "no such table" not in str(error):
                raise
            return self.tally
        finally:
            held.close()
        for seq, kind, ident, payload in rows:
            self.tally.seq = int(seq)
            self._take(str(kind), str(ident), str(payload))
        return self.tally

    def size_kb(self) -> int:
        """The journal's file with its log."""
        files = (self.folder / "journal.db", self.folder / "journal.db-wal")
        return sum(each.stat().st_size for each in files if each.exists()) // 1024

    def _take(self, kind: str, ident: str, payload: str) -> None:
        tally = self.tally
        if kind in ("intent", "edit"):
            told = json.loads(payload)
            tally.roads[ident] = str(told["intent"].get("road", "edit"))
            if told["denied"] is None:
                tally.decided += 1
                tally.open.add(ident)
            else:
                tally.denied.update(str(each["code"]) for each in told["denied"]["denials"])
        elif kind == "outcome":
            word = str(json.loads(payload)["outcome"]["is"])
            if word == "Unknown":
                tally.open.add(ident)
                tally.doubted.add(ident)
                return
            tally.open.discard(ident)
            tally.accepted += word == "Accepted"
            tally.rejected += word == "Rejected"
            tally.not_sent += word == "NotSent"
        elif kind == "fill":
            tally.fills += 1
