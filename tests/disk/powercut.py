"""Power cuts under the real commands: what was acknowledged is there after any torn image of the disk, and no order exists twice.

`python -m tests.disk.powercut --n N [--seed S] [--jobs J] [--venue us|global|both]`. One trial: commands run one after the other
from an empty profile with their disk recorded; the last is killed at a drawn step of it (or lives to its end) and the power
goes. From the record, images of the disk are drawn: un-synced writes dropped, kept in part, reordered between files, torn.
Every image is read by the standard library; one is put in place of the profile's folder and the real commands go on with it.
The judge is the exchange's own book and `tests.dst.judge`'s reading of the file. Exits 1 on any violation, 2 where this
machine cannot be watched.
"""

import argparse
import json
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from tests.disk.images import Disk, real
from tests.disk.lab import Ended, Lab, lab
from tests.disk.shim import Unwatchable
from tests.dst import judge

READ_IMAGES = 12  # images of each cut that are read besides the one the commands go on with
LYING_IMAGES = 4  # images of the same cut on a disk that forgets its syncs
FINAL = judge.FINAL
PLACE = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01")
REST = (*PLACE, "--price", "59000", "--post-only")
TAKE = (*PLACE, "--type", "market", "--again")
ENGAGE = ("killswitch", "engage", "--reason", "drill")
ANOTHER = "11111111-2222-4333-8444-555555555555"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Commands that end, and the one under which the power goes; `steps` is about how many it takes."""

    name: str
    before: tuple[tuple[str, ...], ...] = ()
    cut: tuple[str, ...]
    steps: int
    lost_reply: bool = False  # the last command before is killed the moment its order is sent
    broken: bool = False  # the journal is destroyed before the last command: it spools
    weight: int = 1


ID = "{intent}"  # of the first command
FILE = "{file}"
STORIES = (
    Story(name="first place", cut=(*REST, "--client-order-id", ANOTHER), steps=200, weight=3),
    Story(name="place", before=(REST,), cut=(*REST, "--again", "--client-order-id", ANOTHER), steps=130, weight=3),
    Story(name="take", before=(REST,), cut=(*TAKE, "--client-order-id", ANOTHER), steps=150, weight=2),
    Story(name="cancel", before=(REST,), cut=("order", "cancel", ID), steps=110, weight=2),
    Story(name="edit", before=(REST,), cut=("order", "edit", ID, "--price", "58900"), steps=130, weight=2),
    Story(name="close", before=(TAKE,), cut=("order", "close", "--product", "BTC-PERP"), steps=160),
    Story(name="flatten", before=(TAKE, REST), cut=(*ENGAGE, "--flatten"), steps=200, weight=2),
    Story(name="engage", before=(REST,), cut=ENGAGE, steps=110, weight=2),
    Story(name="first engage", cut=ENGAGE, steps=200),
    Story(name="release", before=(REST, ENGAGE), cut=("killswitch", "release", "--ack", "over", "--yes"), steps=75),
    Story(name="run", cut=("run", "--strategy", "canary", "--ticks", "3", "--interval", "200ms"), steps=450, weight=3),
    Story(name="reconcile", before=(REST,), cut=("reconcile",), steps=90, lost_reply=True, weight=2),
    Story(name="spool", before=(TAKE,), cut=("order", "close", "--product", "BTC-PERP"), steps=60, broken=True),
    Story(name="backup", before=(REST,), cut=("journal", "backup", FILE), steps=160),
)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the trials came to."""

    trials: int = 0
    killed: int = 0
    images: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubles: int = 0
    without_sync: int = 0  # images of a disk that lies about its syncs in which something acknowledged is missing
    lying_images: int = 0
    stories: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in ("trials", "killed", "images", "acknowledged", "lost", "doubles", "without_sync", "lying_images"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.stories += other.stories
        self.violations += other.violations


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What was acknowledged before the power went."""

    rows: tuple[tuple[int, str], ...]  # number and hash
    intents: tuple[str, ...]  # of orders that reached the exchange
    latched: bool | None  # None: either way
    backup: bool  # told as done
    spooled: bool  # intents may stand in the spool instead


class Trial:
    """One cut."""

    def __init__(self, place: Lab, story: Story, seed: int, tally: Tally) -> None:
        self._lab = place
        self._story = story
        self._seed = seed
        self._tally = tally
        self._chance = Random(seed)
        self._scratch = place.home.path / "images"
        self._kept: bytes = b""

    def run(self) -> None:
        story, place = self._story, self._lab
        self._tally.trials += 1
        self._tally.stories[story.name] += 1
        place.fresh()
        known, latched = self._prepare()
        die_at = self._chance.randrange(1, int(story.steps * 1.2))
        cut = place.run(*(self._filled(word, known) for word in story.cut), die_at=die_at)
        if cut.code == 0 or cut.code > 0:
            self._say_if(70, cut)
        self._tally.killed += cut.code == -9
        promised = self._promised(cut, latched)
        events = place.events()
        self._require_whole_record(events)
        honest = Disk(events)
        for _ in range(READ_IMAGES):
            honest.image(self._chance, self._scratch)
            self._tally.images += 1
            self._report(self._missing(promised))
        lying = Disk(events, syncs=False)
        for _ in range(LYING_IMAGES):
            lying.image(self._chance, self._scratch)
            self._tally.lying_images += 1
            self._tally.without_sync += bool(self._missing(promised))
        self._recover(honest, promised, known)

    # --- before the cut ------------------------------------------------------------------------------------------

    def _prepare(self) -> tuple[str, bool]:
        story, place = self._story, self._lab
        known, latched = "", False
        for number, line in enumerate(story.before):
            lost = story.lost_reply and number == len(story.before) - 1
            done = place.run(*line, die_on="sent" if lost else None)
            if done.code != (-9 if lost else 0):
                raise RuntimeError(f"{line}: {done.code} {done.out} {done.err}")
            known = known or str((done.data or {}).get("intent_id", ""))
            latched = latched or line[:2] == ENGAGE[:2]
        if story.broken:
            self._kept = (place.folder / "journal.db").read_bytes()
            self._destroy()
        return known, latched

    def _destroy(self) -> None:
        """The journal's file is garbage from here on, durably; the record is told."""
        rubbish = Random(self._seed).randbytes(len(self._kept))
        path = self._lab.folder / "journal.db"
        path.write_bytes(rubbish)
        name = str(path.relative_to(self._lab.state))
        inode = path.stat().st_ino
        from base64 import b64encode

        told = (
            {"op": "write", "path": name, "ino": inode, "off": 0, "data": b64encode(rubbish).decode()},
            {"op": "sync", "path": name, "ino": inode},
        )
        with self._lab.trace.open("a") as trace:
            trace.writelines(json.dumps(each) + "\n" for each in told)

    def _filled(self, word: str, known: str) -> str:
        return word.replace(ID, known).replace(FILE, str(self._lab.folder / "copy.db"))

    def _promised(self, cut: Ended, latched: bool) -> Promised:
        """Rows of commands that ended, and of this one if it did; orders at the exchange; the latch once it was told."""
        story = self._story
        ended = cut.code >= 0
        releasing = story.cut[:2] == ("killswitch", "release")
        state: bool | None = latched or None
        if story.cut[:2] == ENGAGE[:2] and (ended or "latched" in cut.err or self._cancelled()):
            state = True
        if releasing:
            state = False if cut.code == 0 else None
        if not latched and story.cut[:2] != ENGAGE[:2]:
            state = False
        rows = () if story.broken else self._rows_now(ended)
        self._tally.acknowledged += len(rows)
        ids = tuple(sorted({str(o["client_order_id"]) for o in self._ours()}))
        self._tally.acknowledged += len(ids)
        return Promised(
            rows=rows,
            intents=ids,
            latched=state,
            backup=cut.code == 0 and story.name == "backup",
            spooled=story.broken,
        )

    def _cancelled(self) -> bool:
        events = self._lab.events()
        died = next((n for n, e in enumerate(events) if e["op"] == "died"), len(events))
        ends = [n for n, e in enumerate(events[:died]) if e["op"] == "end"]
        return any(e["op"] == "send" for e in events[(ends[-1] if ends else 0) : died])

    def _rows_now(self, ended: bool) -> tuple[tuple[int, str], ...]:
        """All rows when the last command ended, else those that stood when it began."""
        events = self._lab.events()
        if not ended:
            ends = [number for number, event in enumerate(events) if event["op"] == "end"]
            events = events[: ends[-1] + 1] if ends else []
        seen = Disk(events).whole()
        folder = self._scratch
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in seen.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return tuple((row.seq, row.hash) for row in _rows(folder / self._lab.folder.name))

    def _require_whole_record(self, events: Sequence[dict[str, Any]]) -> None:
        """With every write kept, the images are what is really on the disk: nothing went past the watch."""
        seen, there = Disk(events).whole(), real(self._lab.state)
        apart = sorted(name for name in seen.keys() | there.keys() if seen.get(name) != there.get(name))
        if apart:
            self._say(f"HARNESS the record and the disk differ in {', '.join(apart)}")

    def _ours(self) -> list[dict[str, Any]]:
        return [o for o in self._lab.book() if o["client_order_id"] and not str(o["client_order_id"]).startswith("out")]

    # --- the images ------------------------------------------------------------------------------------------------

    def _missing(self, promised: Promised) -> list[str]:
        """What an image lacks of what was promised, or contradicts."""
        folder = self._scratch / self._lab.folder.name
        found: list[str] = []
        latched = (folder / "killswitch.latch").exists()
        if promised.latched is not None and latched is not promised.latched:
            found.append(f"R2 the latch is {'there' if latched else 'gone'}")
        if promised.backup and not _sound(folder / "copy.db"):
            found.append("J1 a backup that was told as done is not whole")
        if promised.spooled:
            spool = "".join(each.read_text(errors="replace") for each in sorted((folder / "spool").glob("*")))
            before = self._kept_intents()
            return [*found, *(f"I2 {i} is at the exchange and not spooled" for i in promised.intents if i not in before and i not in spool)]  # fmt: skip
        try:
            rows = _rows(folder)
        except sqlite3.Error as trouble:
            return [*found, f"J1 the journal cannot be read: {trouble}"]
        there = {(row.seq, row.hash) for row in rows}
        lost = [seq for seq, seal in promised.rows if (seq, seal) not in there]
        if lost:
            found.append(f"J1 {len(lost)} acknowledged rows are lost, from row {min(lost)}")
        decided = {row.intent_id for row in rows if row.kind in ("intent", "edit")}
        found += [
            f"I2 {intent} is at the exchange and not in the journal"
            for intent in promised.intents
            if intent not in decided
        ]
        if rows:
            found += judge._chain(rows, folder) if (folder / "audit.key").exists() else ["J1 the audit key is lost"]
        return found

    def _kept_intents(self) -> set[str]:
        folder = self._scratch.with_name("kept")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "journal.db").write_bytes(self._kept)
        return {str(row.intent_id) for row in _rows(folder)}

    # --- going on -----------------------------------------------------------------------------------------------------

    def _recover(self, disk: Disk, promised: Promised, known: str) -> None:
        """One image takes the profile's place, and the real commands go on with it."""
        place = self._lab
        disk.image(self._chance, self._scratch)
        self._tally.images += 1
        self._report(self._missing(promised))
        shutil.rmtree(place.folder, ignore_errors=True)
        drawn = self._scratch / place.folder.name
        if drawn.exists():
            shutil.copytree(drawn, place.folder)
        if self._story.broken:  # the backup is put back; exits that were spooled meanwhile are taken in from it
            for name in ("journal.db-wal", "journal.db-shm"):
                (place.folder / name).unlink(missing_ok=True)
            (place.folder / "journal.db").write_bytes(self._kept)
        first = self._fresh("reconcile")
        checked = place.run("journal", "check", watched=False)
        second = place.run("reconcile", watched=False)
        for each, allowed in ((first, (0, 1, 5, 10)), (second, (0, 1, 5, 10)), (checked, (0,))):
            self._say_if(70, each)
            if each.code not in allowed:
                self._say(f"L1 after the cut a command ended with {each.code}: {each.out[:300]} {each.err[:300]}")
        if second.code == 0 and second.data["breaks"]:
            self._say(f"I6 a second reconcile still finds {second.data['breaks']}")
        if promised.latched is not None:
            told = place.run("killswitch", "status", watched=False)
            engaged = bool((told.data or {}).get("state", "") != "released") if told.document else None
            if engaged is not promised.latched:
                self._say(f"R2 the switch is told as {told.data}, latched was {promised.latched}")
        if ANOTHER in self._story.cut:
            again = place.run(*(self._filled(word, known) for word in self._story.cut), watched=False)
            self._say_if(70, again)
        self._judge(promised)

    def _fresh(self, *line: str) -> Ended:
        """The same as anybody's process: started, not forked."""
        from tests.disk.lab import PROFILES

        done = self._lab.home.perpsctl(*line, "--profile", PROFILES[self._lab.venue], timeout=600)
        key = "data" if done.code in (0, 1, 3, 4, 5, 10) else "error"
        return Ended(code=done.code, out=json.dumps({key: done.data}), err=done.stderr)

    def _judge(self, promised: Promised) -> None:
        """The book: at most one order of each intent, each known to the journal, each with the state it has there."""
        ours = self._ours()
        counts = Counter(str(o["client_order_id"]) for o in ours)
        for intent, count in counts.items():
            if count > 1:
                self._tally.doubles += 1
                self._say(f"I1 {count} orders of intent {intent}")
        rows = _rows_of_copy(self._lab.folder, self._scratch)
        decided = {row.intent_id for row in rows if row.kind in ("intent", "edit")}
        states: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row.kind == "order":
                order = row.told["order"]
                states[order["venue_order_id"]] = order
            if row.kind == "outcome" and row.told["outcome"].get("order"):
                order = row.told["outcome"]["order"]
                states.setdefault(order["venue_order_id"], order)
        for order in ours:
            if str(order["client_order_id"]) not in decided:
                self._say(f"I2 order {order['order_id']} has no intent after recovery")
            booked = states.get(order["order_id"])
            if booked is None:
                self._say(f"I6 order {order['order_id']} is not booked after reconcile")
            elif (order["status"] in FINAL) is not (booked["status"] in judge.OUR_FINAL):
                self._say(f"I6 order {order['order_id']} is {order['status']} and booked as {booked['status']}")
        self._report(judge._chain(rows, self._lab.folder))

    def _say_if(self, code: int, ended: Ended) -> None:
        if ended.code == code or "Traceback" in ended.err:
            self._say(f"BUG exit {ended.code}: {ended.out[:300]} {ended.err[:600]}")

    def _report(self, found: Iterable[str]) -> None:
        for each in found:
            self._tally.lost += each.startswith(("J1", "I2", "R2"))
            self._say(each)

    def _say(self, what: str) -> None:
        self._tally.violations.append(f"seed {self._seed} {self._lab.venue} {self._story.name}: {what}")


def _rows(folder: Path) -> tuple[judge.Row, ...]:
    """The rows of a journal that nobody has open; sqlite3.Error where SQLite finds it damaged, nothing where there is none."""
    path = folder / "journal.db"
    if not path.exists():
        return ()
    connection = sqlite3.connect(path)
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"integrity_check: {verdict}")
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'events'").fetchall():
            return ()
        found = connection.execute(f"SELECT {judge._COLUMNS} FROM events ORDER BY seq").fetchall()
    finally:
        connection.close()
    return tuple(judge.Row(*each) for each in found)


def _rows_of_copy(folder: Path, scratch: Path) -> tuple[judge.Row, ...]:
    """The same without touching the files the next process will open."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(folder, scratch)
    return _rows(scratch)


def _sound(path: Path) -> bool:
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT count(*) FROM events").fetchone()[0]
            return bool(rows) and connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        finally:
            connection.close()
    except sqlite3.Error:
        return False


def drawn_story(seed: int) -> Story:
    """The story of a seed."""
    return Random(seed * 7919 + 1).choices(STORIES, [each.weight for each in STORIES])[0]


def trials(venue: str, seeds: Sequence[int], told: Callable[[str], None]) -> Tally:
    """The trials of these seeds, one after the other in one home."""
    tally = Tally()
    folder = Path(mkdtemp(prefix="perpsctl-powercut-"))
    try:
        with lab(folder / "home", venue) as place:
            for seed in seeds:
                before = len(tally.violations)
                Trial(place, drawn_story(seed), seed, tally).run()
                for violation in tally.violations[before:]:
                    told(violation)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def shares(venues: Sequence[str], seeds: range, jobs: int) -> list[tuple[str, list[int]]]:
    """Which home plays which seeds: the venues take turns, each home is of one venue."""
    homes = [(venue, [seed for n, seed in enumerate(seeds) if venues[n % len(venues)] == venue]) for venue in venues]
    per_venue = max(1, jobs // len(venues))
    return [(venue, mine[start::per_venue]) for venue, mine in homes for start in range(per_venue) if mine[start:]]


def report(tally: Tally, seconds: float, seed: int, what: str) -> int:
    """Prints the figures; the exit code."""
    print(f"{what}: {dict(sorted(tally.stories.items()))}")
    print(
        f"{tally.trials} power cuts (seeds {seed} to {seed + tally.trials - 1}), {tally.killed} in the middle of a command, "
        f"{tally.images} torn images, {tally.acknowledged} acknowledged records, {seconds:.0f} s; the same cuts on a disk "
        f"that lies about its syncs lose records in {tally.without_sync} of {tally.lying_images} images"
    )
    blind = tally.trials >= 4 and not tally.without_sync
    if blind:
        print("these trials cannot fail: without syncs nothing was lost either")
    print(
        f"{tally.lost} lost acknowledged records, {tally.doubles} double orders, {len(tally.violations)} violations",
        flush=True,
    )
    return 1 if tally.violations or blind else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.disk.powercut", description=__doc__)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--venue", choices=("us", "global", "both"), default="both")
    given = parser.parse_args(arguments)
    venues = ("us", "global") if given.venue == "both" else (given.venue,)
    begun = time.monotonic()
    total = Tally()
    work = shares(venues, range(given.seed, given.seed + given.n), given.jobs)
    with ThreadPoolExecutor(len(work)) as pool:
        for tally in pool.map(lambda each: trials(each[0], each[1], lambda line: print(line, flush=True)), work):
            total.add(tally)
    return report(total, time.monotonic() - begun, given.seed, "stories")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unwatchable as why:
        print(f"nothing was tried: {why}", flush=True)
        sys.exit(2)
