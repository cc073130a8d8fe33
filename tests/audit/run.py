"""`make auditflips`: everything one can do to a journal of 200 records without the key, and 10,000 opens of clean ones.

Progress goes to stderr, figures to stdout. The last line says how many tamperings were tried, how many were missed and how
many false alarms there were; exit code 1 where any was.
"""

import argparse
import ctypes
import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from perpsctl.domain.errors import JournalUnavailable
from perpsctl.journal.audit import KEY_FILE, read_key
from perpsctl.journal.head import HEAD_FILE
from tests.audit import edits, opens
from tests.audit.flips import HEADER, Found, Held, Tally, flip_file, flip_header, flip_records
from tests.audit.journals import RECORDS, audit_of, filled

CHUNK = 256  # bytes of the file that one task flips
EXPLAINED_EVERY = 500
PR_SET_PDEATHSIG = 1  # linux/prctl.h
OPENERS = 10  # parts the clean opens are done in, each with journals of its own
FAST = Path("/dev/shm")
TOLD_EVERY_S = 15

_held: Held | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One part of the work: which, and of which places."""

    part: str
    places: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a worker found."""

    part: str
    tally: Tally
    tried: int = 0
    misjudged: tuple[str, ...] = ()
    opened: tuple[tuple[str, int], ...] = ()
    alarms: tuple[str, ...] = ()
    seconds: float = 0.0


def begin(folder: Path) -> None:
    """A worker has the journal in memory."""
    global _held  # noqa: PLW0603 - one a worker
    if sys.platform == "linux":  # a worker ends with whoever started it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _held = Held(folder)


def work(task: Task) -> Result:
    """One part."""
    assert _held is not None
    if task.part == "records":
        return Result(part=task.part, tally=flip_records(_held, task.places, explain_each=EXPLAINED_EVERY))
    if task.part == "file":
        return Result(part=task.part, tally=flip_file(_held, task.places))
    if task.part == "header":
        with _folder() as place:
            return Result(part=task.part, tally=flip_header(_held, task.places, place))
    if task.part == "beside":
        return Result(part=task.part, tally=_flip_beside(_held))
    if task.part == "opens":
        with _folder() as place:
            found = opens.opened(place, task.places[0], seed=task.places[1])
        opened = tuple(found.counts.items())
        return Result(part=task.part, tally=Tally(), opened=opened, alarms=tuple(found.alarms), seconds=found.seconds)
    tried, wrong = 0, []
    for number, edit in enumerate(edits.ALL[task.part](tuple(_held.rows))):
        if number % task.places[1] == task.places[0]:
            tried += 1
            problem = edits.misjudged(_held.chain, edit, _held.head)
            wrong.extend([] if problem is None else [problem])
    return Result(part=task.part, tally=Tally(), tried=tried, misjudged=tuple(wrong))


def _flip_beside(held: Held) -> Tally:
    """Each bit of the audit key and of the noted head: another key is refused or proves nothing, a note accuses nobody."""
    tally = Tally()
    with _folder() as place:
        for name in (KEY_FILE, HEAD_FILE):
            text = (held.folder / name).read_bytes()
            for offset in range(len(text)):
                for bit in range(8):
                    shutil.rmtree(place)
                    shutil.copytree(held.folder, place)
                    changed = bytearray(text)
                    changed[offset] ^= 1 << bit
                    (place / name).write_bytes(bytes(changed))
                    tally.add(_beside(place, name), f"{name} byte {offset} bit {bit}")
    return tally


def _beside(place: Path, name: str) -> Found:
    try:
        verdict = audit_of(place).verify()
    except JournalUnavailable:
        return Found.REFUSED if name == KEY_FILE else Found.MISSED
    sound = verdict.sound and verdict.completeness.sound
    if name == HEAD_FILE:
        return Found.UNSEEN if sound else Found.MISSED
    if sound:  # the same 32 bytes, written otherwise: hexadecimal letters have two cases, and blanks end it
        return Found.UNSEEN if read_key(place) == read_key(_held_folder()) else Found.MISSED
    return Found.NAMED if verdict.damage is not None and verdict.damage.row == 1 else Found.MISSED


def _held_folder() -> Path:
    assert _held is not None
    return _held.folder


@contextmanager
def _folder() -> Iterator[Path]:
    where = Path(tempfile.mkdtemp(prefix="perpsctl-audit-", dir=FAST if FAST.is_dir() else None))
    try:
        yield where
    finally:
        opens.clear(where)


def tasks(held: Held, *, every: int, seed: int, opened: int) -> list[Task]:
    """The whole work in parts, most in an order by chance, so that an end before the end is a fair sample."""
    places = [
        Task(part="records", places=tuple(range(at, min(at + 4, len(held.rows))))) for at in range(0, len(held.rows), 4)
    ]
    places += [Task(part="header", places=tuple(range(at, min(at + 10, HEADER)))) for at in range(0, HEADER, 10)]
    places += [Task(part="beside")]
    shares = [opened // OPENERS + (at < opened % OPENERS) for at in range(OPENERS)]
    opening = [Task(part="opens", places=(share, seed + at)) for at, share in enumerate(shares) if share]
    rest = list(range(HEADER, len(held.whole)))
    chunks = [Task(part="file", places=tuple(rest[at : at + CHUNK])) for at in range(0, len(rest), CHUNK)]
    random.Random(seed).shuffle(chunks)
    rest_of = [
        *(Task(part=part, places=(at, 16)) for part in edits.ALL for at in range(16)),
        *opening,
        *chunks[::every],
    ]
    random.Random(seed).shuffle(rest_of)
    return places + rest_of


@dataclass(slots=True)
class Figures:
    """Everything that was found."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    edited: Counter[str] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    opening_s: float = 0.0
    seconds: float = 0.0
    whole: bool = False

    def add(self, result: Result) -> None:
        """One part's."""
        self.tallies.setdefault(result.part, Tally()).join(result.tally)
        self.edited[result.part] += result.tried
        self.opened.update(dict(result.opened))
        self.wrong.extend([*result.misjudged, *result.tally.missed])
        self.alarms.extend(result.alarms)
        self.opening_s += result.seconds

    @property
    def tried(self) -> int:
        return sum(tally.flips for tally in self.tallies.values()) + sum(self.edited.values())


def done(folder: Path, todo: list[Task], *, jobs: int, minutes: int | None) -> Figures:
    """The parts done by several processes; those that time did not allow are left out, and `whole` says so."""
    figures, finished = Figures(), 0
    began = told = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(jobs, begin, (folder,)) as pool:
        for result in pool.imap_unordered(work, todo):
            finished += 1
            figures.add(result)
            if time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                print(f"{finished} of {len(todo)} parts, {told - began:.0f} s", file=sys.stderr)
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                pool.terminate()
                break
    figures.seconds, figures.whole = time.monotonic() - began, finished == len(todo)
    return figures


def _tell(part: str, tally: Tally) -> None:
    print(f"{part}: {tally.flips} bits flipped")
    for found, count in sorted(tally.counts.items(), key=lambda each: -each[1]):
        print(f"  {count:>9}  {found.value}")


def main() -> int:
    """Run and answer with the exit code."""
    options = argparse.ArgumentParser(prog="make auditflips", description=__doc__)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--opens", type=int, default=10_000)
    options.add_argument("--every", type=int, default=1, help="flip one in so many chunks of the file")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--minutes", type=int, default=None, help="stop after so long; what was done is told")
    wanted = options.parse_args()
    with _folder() as place:
        filled(place / "sim", RECORDS, seed=wanted.seed)
        held = Held(place / "sim")
        todo = tasks(held, every=wanted.every, seed=wanted.seed, opened=wanted.opens)
        figures = done(place / "sim", todo, jobs=wanted.jobs, minutes=wanted.minutes)
    print(
        f"a journal of {len(held.rows)} records in {len(held.image)} bytes; {figures.seconds:.0f} s, {wanted.jobs} jobs"
    )
    for part in ("records", "header", "file", "beside"):
        _tell(part, figures.tallies.get(part, Tally()))
    for part in edits.ALL:
        print(f"{part}: {figures.edited[part]} edits")
    opened = sum(figures.opened.values())
    kinds = ", ".join(f"{name} {count}" for name, count in figures.opened.items())
    print(f"clean opens: {opened} in {figures.opening_s:.0f} s of one process ({kinds})")
    for each in figures.wrong[:50]:
        print(f"  WRONG {each}")
    for each in figures.alarms[:50]:
        print(f"  FALSE ALARM {each}")
    scope = "all" if figures.whole and wanted.every == 1 else "a part"
    print(
        f"{figures.tried} tamperings ({scope}, seed {wanted.seed}), {len(figures.wrong)} missed or misnamed; "
        f"{opened} clean opens, {len(figures.alarms)} false alarms"
    )
    return 1 if figures.wrong or figures.alarms else 0


if __name__ == "__main__":
    sys.exit(main())
