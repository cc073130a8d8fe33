"""What a process holds on to, read from the kernel, and the rule by which memory and descriptors are judged.

The rule: the median of minutes 5 to 8 against the median of the last three minutes before the faults end. Memory may have
grown by 5 %; descriptors may differ by one, and never by more than `SWING` from their lowest after minute 5: a socket that
is being opened anew is there twice for a moment.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Final

SETTLED_S: Final = 300
WINDOW_S: Final = 180
GROWTH_MAX: Final = Decimal(5)  # per cent
SWING: Final = 8
LEAST_MINUTES: Final = (SETTLED_S + 2 * WINDOW_S) // 60  # below that the two windows would be one


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One look at one process."""

    at_s: int  # since the soak began
    rss_kb: int
    pss_kb: int | None  # None where the kernel does not tell
    files: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """The rule's figures for one process."""

    memory: Decimal  # per cent
    files: int  # difference of the medians
    swing: int

    @property
    def memory_kept(self) -> bool:
        return self.memory <= GROWTH_MAX

    @property
    def flat(self) -> bool:
        return abs(self.files) <= 1 and self.swing <= SWING


def look(pid: int, at_s: int) -> Held | None:
    """What a process holds now; None when it is gone."""
    folder = Path(f"/proc/{pid}")
    try:
        facts = _facts(folder / "status")
        files = len(os.listdir(folder / "fd"))
    except OSError:
        return None
    try:
        pss: int | None = int(_facts(folder / "smaps_rollup")["Pss"].split()[0])
    except (OSError, KeyError):
        pss = None
    if "VmRSS" not in facts:  # it ended and is not collected yet
        return None
    return Held(
        at_s=at_s, rss_kb=int(facts["VmRSS"].split()[0]), pss_kb=pss, files=files, threads=int(facts["Threads"])
    )


def growth(seen: Sequence[Held], ends_s: int) -> Growth | None:
    """The rule over what was seen until the faults ended; None where it was too short to have two windows."""
    early = [each for each in seen if SETTLED_S <= each.at_s < SETTLED_S + WINDOW_S]
    late = [each for each in seen if ends_s - WINDOW_S <= each.at_s <= ends_s]
    if ends_s < LEAST_MINUTES * 60 or not early or not late:
        return None
    settled = [each.files for each in seen if SETTLED_S <= each.at_s <= ends_s]
    before, after = (int(median(each.rss_kb for each in window)) for window in (early, late))
    return Growth(
        memory=Decimal(100) * (after - before) / before,
        files=int(median(each.files for each in late)) - int(median(each.files for each in early)),
        swing=max(settled) - min(settled),
    )


def _facts(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
