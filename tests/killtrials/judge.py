"""The judge of the kill trials: what left after the switch was engaged, by the senders' clocks and the exchange's own record.

Standard library only. All instants are nanoseconds of this machine's wall clock, which every process of a trial shares.
What is kept grows by three whole numbers a trial; each line and each request is looked at once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ACCEPTED, REFUSED = "accepted", "refused"
ANSWERED = frozenset({ACCEPTED, REFUSED, "rejected"})
WRITES = {"create_order": "create", "edit_order": "edit"}


def nanoseconds(text: str) -> int:
    """Of an RFC 3339 instant."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) * 1000


def quantile(values: Sequence[int], per_mille: int) -> int:
    """The smallest value that at least so many of a thousand do not exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * per_mille // 1000) - 1)] if ordered else 0


@dataclass(slots=True, kw_only=True)
class Window:
    """One engagement: from the call, over the latch step's end on its host, to the end of engage; then until the release."""

    number: int
    host: int  # where it was engaged
    by_command: bool
    called: int
    latched: int  # the latch step returned: nothing leaves its host any more
    returned: int  # engage returned: nothing leaves any host any more
    released: int | None = None
    last_sent: int = 0  # after the call, 0 when nothing left any more
    last_received: int = 0
    last_elsewhere: int = 0  # sent on another host, counted from the latch step's end
    under_way: set[int] = field(default_factory=set)  # placers in an attempt when engage was called
    in_the_gate: bool = False  # a send was past its last look then

    def boundary(self, host: int) -> int:
        """From when on nothing may leave a host."""
        return self.latched if host == self.host else self.returned

    def reaches(self, began: int, ended: int, since: int) -> bool:
        """True when the span [began, ended] touches what lies between `since` and the release."""
        return ended > since and (self.released is None or began < self.released)


class Judge:
    """Hears every attempt and every request once; what is wrong stands in `violations`."""

    def __init__(self, hosts: Sequence[int]) -> None:
        self._hosts = hosts  # of each placer
        self._windows: list[Window] = []  # the newest two: an attempt may be told of after the release it outlived
        self._untold: Counter[tuple[str, str]] = Counter()  # at the exchange, and in no placer's line yet
        self._unanswered: set[tuple[str, str]] = set()  # sent, and nobody knows whether they arrived
        self.sequence = 0  # of the newest request seen
        self.violations: list[str] = []
        self.late = 0
        self.late_elsewhere = 0
        self.first_late: int | None = None  # trials until then
        self.first_late_elsewhere: int | None = None
        self.told: Counter[tuple[str, str]] = Counter()  # (kind, ending)
        self.others: Counter[str] = Counter()
        self.between = 0  # left another host after the latch stood and before engage returned
        self.in_flight = 0  # handed over before, received after the boundary
        self.in_flight_longest = 0
        self.accepted_since_release = [0] * len(hosts)
        self._refused = [(0, 0)] * len(hosts)  # the newest refused attempt of each placer
        self.by_latch: list[tuple[int, int]] = []  # engage to last send, to last receipt
        self.by_command: list[tuple[int, int]] = []
        self.elsewhere_by_latch: list[int] = []  # the latch step's end to the last send of another host
        self.elsewhere_by_command: list[int] = []
        self.under_way = 0
        self.in_the_gate = 0
        self.latch_took: list[int] = []
        self.command_latched: list[int] = []  # from the start of its process to its own word that it is latched
        self.engage_took: list[int] = []

    # --- what is heard -------------------------------------------------------------------------------------

    def heard(self, placer: int, line: Mapping[str, Any]) -> None:
        """One attempt of one placer."""
        kind, told = str(line["kind"]), str(line["told"])
        self.told[kind, told] += 1
        if told == REFUSED:
            self._refused[placer] = (int(line["began"]), int(line["ended"]))
        elif told == ACCEPTED:
            if not self._windows or self._windows[-1].released is not None:
                self.accepted_since_release[placer] += 1
        elif (kind, told) != ("edit", "rejected"):  # the kill command had cancelled the order
            self.others[f"{kind} {told}: {str(line['why'])[:120]}"] += 1
        for window in self._windows:
            if int(line["began"]) <= window.called <= int(line["ended"]):
                window.under_way.add(placer)
        if line["sends"] and told not in ANSWERED:
            self._unanswered.add((kind, str(line["key"])))
        for began, ended in line["sends"]:
            self._untold[kind, str(line["key"])] -= 1
            for window in self._windows:
                self._sent(window, placer, began, ended, line)

    def _sent(self, window: Window, placer: int, began: int, ended: int, line: Mapping[str, Any]) -> None:
        host = self._hosts[placer]
        if window.reaches(began, ended, window.called):
            window.last_sent = max(window.last_sent, ended - window.called)
            window.in_the_gate |= began <= window.called
        if host != window.host and window.reaches(began, ended, window.latched):
            window.last_elsewhere = max(window.last_elsewhere, ended - window.latched)
            self.between += ended <= window.returned
        if window.reaches(began, ended, window.boundary(host)):
            self._late(window, placer, began, ended, line)

    def _late(self, window: Window, placer: int, began: int, ended: int, line: Mapping[str, Any]) -> None:
        self.late += 1
        self.first_late = self.first_late or window.number
        if self._hosts[placer] != window.host:
            self.late_elsewhere += 1
            self.first_late_elsewhere = self.first_late_elsewhere or window.number
        since = window.boundary(self._hosts[placer])
        self.violation(
            f"trial {window.number}: placer {placer + 1} sent {line['kind']} {line['key']} from "
            f"{(began - since) // 1000} us to {(ended - since) // 1000} us after engage had returned"
        )

    def requests(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """The new part of the exchange's own record."""
        for row in rows:
            self.sequence = max(self.sequence, int(row["sequence"]))
            kind = WRITES.get(str(row["operation"]))
            if kind is None:
                continue
            key = str(row["client_order_id"]) if kind == "create" else str(row["order_ids"][0])
            self._untold[kind, key] += 1
            received = nanoseconds(str(row["received_at"]))
            for window in self._windows:
                if window.reaches(received, received, window.called):
                    window.last_received = max(window.last_received, received - window.called)
                if window.reaches(received, received, window.returned):
                    self.in_flight += 1
                    self.in_flight_longest = max(self.in_flight_longest, received - window.returned)

    # --- a trial's course ------------------------------------------------------------------------------------

    def engaged(self, window: Window) -> None:
        """Engage returned; lines told since its call may not have been read yet."""
        self._windows = [*self._windows[-1:], window]

    def refused_by_all(self) -> bool:
        """Every placer was refused after engage was called, and waits, or tries what can only be refused again."""
        return all(ended > self._windows[-1].called for _, ended in self._refused)

    def refused_anew_by_all(self) -> bool:
        """Every placer was refused in an attempt that it began after engage had returned."""
        return all(began > self._windows[-1].returned for began, _ in self._refused)

    def closed(self, released: int) -> bool:
        """The trial's verdict, when every placer was refused and the record was read; False when it proves nothing.

        At this moment no send is untold: each placer's lines come in order, and after its refusal it can send nothing. Were
        the switch broken, it could: the windows are kept for one more trial to catch that.
        """
        window = self._windows[-1]
        window.released = released
        for (kind, key), count in self._untold.items():
            if count > 0:
                self.violation(f"trial {window.number}: the exchange holds {kind} {key}, which no placer told of")
            if count < 0 and (kind, key) not in self._unanswered:
                self.violation(f"trial {window.number}: {kind} {key} was sent and never reached the exchange")
        self._untold.clear()
        self._unanswered.clear()
        self.accepted_since_release = [0] * len(self._hosts)
        if not window.under_way:
            return False
        (self.by_command if window.by_command else self.by_latch).append((window.last_sent, window.last_received))
        self.under_way += len(window.under_way)
        self.in_the_gate += window.in_the_gate
        (self.elsewhere_by_command if window.by_command else self.elsewhere_by_latch).append(window.last_elsewhere)
        if window.by_command:
            self.command_latched.append(window.latched - window.called)
        else:
            self.latch_took.append(window.latched - window.called)
            self.engage_took.append(window.returned - window.called)
        return True

    def violation(self, words: str) -> None:
        """Noted."""
        self.violations.append(words)

    # --- figures ---------------------------------------------------------------------------------------------

    def count(self, kind: str, told: str) -> int:
        """Attempts of a kind that ended so."""
        return self.told[kind, told]

    def in_words(self) -> str:
        """`N orders accepted (and M edits), R refused`."""
        refused = self.count("create", REFUSED) + self.count("edit", REFUSED)
        return f"{self.count('create', ACCEPTED)} orders and {self.count('edit', ACCEPTED)} edits accepted, {refused} refused"


def milliseconds(nanos: int) -> str:
    """To the tenth."""
    return f"{nanos // 1_000_000}.{nanos // 100_000 % 10} ms"


def spread(values: Sequence[int]) -> str:
    """p50, p99, p99.9 and the largest."""
    named = [
        f"{name} {milliseconds(quantile(values, at))}" for name, at in (("p50", 500), ("p99", 990), ("p99.9", 999))
    ]
    return ", ".join([*named, f"max {milliseconds(max(values, default=0))}"])
