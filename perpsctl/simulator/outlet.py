"""What leaves one socket connection of either venue: here the faults of sockets strike, and the judge is told.

It knows bytes, channels and numbers, no protocol. Whether a fault strikes is decided in `faults`; what a channel says, in
the faces.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from perpsctl.simulator.faults import Effect, EffectKind, Faults, Value
from perpsctl.simulator.stream_judge import Connection, Flood

FLOOD_BACKLOG = timedelta(milliseconds=100)  # a flood that is held up longer than this goes on without what it missed
_TEXT, _BINARY = 0x81, 0x82
_COMPRESSED = 0xC1  # a text frame that says it is compressed
_BOMB_BYTES = 50_000_000


class SocketName(StrEnum):
    """The sockets there are, and the word faults name one by."""

    US_MARKET = "us_market"
    US_USER = "us_user"
    GLOBAL_TRADING = "global_trading"
    GLOBAL_STREAMS = "global_streams"


# A word means the same on both venues.
_ALIASES = {
    "level2": "book",
    "l2_data": "book",
    "market_trades": "trades",
    "heartbeat": "heartbeats",
}


class WireFrame(bytes):
    """Bytes as they go over the wire, frame header included: what no websocket library would send (W11, W6)."""

    form: str = ""

    @classmethod
    def of(cls, form: str, data: bytes) -> "WireFrame":
        """The bytes and what is wrong with them."""
        made = cls(data)
        made.form = form
        return made

    @property
    def payload(self) -> bytes:
        """What a frame of it carries, its header taken off."""
        long = {126: 4, 127: 10}
        return bytes(self[long.get(self[1], 2) :])


@dataclass(frozen=True, slots=True)
class Closing:
    """How the socket is to be closed; CUT: reset, without a close frame."""

    code: int
    reason: str


CUT = 0


def framed(payload: bytes) -> bytes:
    """One unmasked text frame, as a server sends it."""
    return frame_head(len(payload)) + payload


def frame_head(size: int, first: int = _TEXT) -> bytes:
    """The header of a server's frame."""
    if size < 126:
        return struct.pack("!BB", first, size)
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


class Outlet:
    """The way out of one connection."""

    def __init__(self, faults: Faults, name: SocketName, record: Connection) -> None:
        self.name = name
        self.record = record
        self.closing: Closing | None = None
        self._faults = faults
        self._held: list[bytes] = []
        self._stalled_until: datetime | None = None
        self._flood: _Running | None = None

    # --- before a message is made -------------------------------------------------------------------------

    def mute(self, channel: str, product_id: str) -> bool:
        """True while the channel says nothing (W5)."""
        holds = self._faults.lasts(
            EffectKind.CHANNEL_MUTE,
            self.name,
            lambda params: _on_channel(params, channel) and params["product"] in {"any", product_id},
        )
        if holds is None:
            return False
        self.record.mutes[channel] = self.record.mutes.get(channel, 0) + 1
        return True

    def old_enough(self, now: datetime) -> None:
        """Cuts a connection that reached the age it is cut at (W6)."""
        age = now - self.record.opened_at
        cut = self._faults.strike(
            EffectKind.STREAM_DISCONNECT,
            self.name,
            lambda params: params["when"] == "age" and age >= timedelta(seconds=int(params["seconds"])),
        )
        if cut is not None:
            self._cut(cut, now, "", None)

    def cut_at_subscribe(self, channel: str, now: datetime) -> bool:
        """True when the connection ends as a subscribe arrives (W6)."""
        cut = self._struck_when("subscribe", channel)
        if cut is not None:
            self._cut(cut, now, channel, None)
        return cut is not None

    def subscribe_fault(self, channel: str, now: datetime) -> str | None:
        """What happens to a subscribe instead of what was asked: refused, ignored, wrong_product (W7)."""
        found = self._faults.strike(EffectKind.SUBSCRIBE_FAULTY, self.name, lambda params: _on_channel(params, channel))
        if found is None:
            return None
        how = str(found.params["how"])
        self.record.refused_subscribes += 1
        self.record.strike(now, found.fault, how, channel)
        return how

    def token_late_by(self, now: datetime) -> timedelta:
        """How much later than now a token is read (W12)."""
        found = self._faults.strike(EffectKind.LATE_READING, self.name)
        if found is None:
            return timedelta(0)
        self.record.strike(now, found.fault, "token_expires")
        return timedelta(seconds=int(found.params["seconds"]))

    def replay(self, channel: str, now: datetime) -> int:
        """How many old updates come again after this subscribe (W8)."""
        found = self._faults.strike(EffectKind.STREAM_REPLAY, self.name, lambda params: _on_channel(params, channel))
        if found is None:
            return 0
        self.record.strike(now, found.fault, "replay", channel)
        return int(found.params["messages"])

    def bad_book(self, product_id: str, now: datetime, number: int | None) -> Effect | None:
        """How the next book message is wrong (W9)."""
        found = self._faults.strike(EffectKind.BAD_BOOK, self.name)
        if found is not None:
            self.record.bad_books += 1
            self.record.strike(now, found.fault, str(found.params["form"]), product_id, number)
        return found

    # --- floods --------------------------------------------------------------------------------------------

    def flood_due(self, now: datetime) -> int:
        """How many messages of a flood are to leave now; one begins here if it is time for it (W10)."""
        if self._flood is None:
            age = now - self.record.opened_at
            found = self._faults.strike(
                EffectKind.STREAM_FLOOD,
                self.name,
                lambda params: age >= timedelta(seconds=int(params["after_seconds"])),
            )
            if found is None:
                return 0
            tally = Flood(asked_per_second=int(found.params["per_second"]))
            self.record.flood = tally
            self.record.strike(now, found.fault, "flood")
            self._flood = _Running(tally, now, now, timedelta(seconds=int(found.params["seconds"])))
        return self._flood_share(self._flood, now)

    def _flood_share(self, flood: "_Running", now: datetime) -> int:
        tally, last = flood.tally, min(now, flood.begun + flood.lasts)
        flood.last = last
        fallen_due = (last - flood.begun) * tally.asked_per_second // timedelta(seconds=1)
        waiting = fallen_due - tally.sent - tally.skipped
        count = min(waiting, FLOOD_BACKLOG * tally.asked_per_second // timedelta(seconds=1))
        tally.sent += count
        tally.skipped += waiting - count
        flood.tally.took_us = (flood.last - flood.begun) // timedelta(microseconds=1)
        if flood.last >= flood.begun + flood.lasts:
            self._flood = None
        return count

    def spared(self, numbers: Sequence[int], channel: str, now: datetime) -> Sequence[int]:
        """Of the messages of a flood those that leave, told to the judge; a lost one has used up its number (W1)."""
        lost = self._faults.strikes(
            EffectKind.STREAM_GAP, self.name, len(numbers), lambda params: _on_channel(params, channel)
        )
        for place, effect in lost.items():
            self.record.gaps += 1
            self.record.strike(now, effect.fault, effect.kind.value, channel, numbers[place])
        left = [number for place, number in enumerate(numbers) if place not in lost] if lost else numbers
        if left:
            self.record.told(channel, left[-1], len(left))
        return left

    @property
    def flooding(self) -> bool:
        """True while a flood runs."""
        return self._flood is not None

    # --- the message ---------------------------------------------------------------------------------------

    def leave(
        self, frame: bytes, *, channel: str, number: int | None, now: datetime, snapshot: bool = False
    ) -> list[bytes]:
        """What goes out in place of one message, in order."""
        if self.closing is not None:
            return []
        if self._stalled(now):
            self.record.stalled_messages += 1
            return []
        cut = self._struck_when("snapshot" if snapshot else "data", channel)
        if cut is not None:
            self._cut(cut, now, channel, number)
            half = (frame_head(len(frame)) + frame)[: len(frame) // 2]
            return [WireFrame.of("partial", half)] if snapshot else []
        if self._strike(EffectKind.STREAM_GAP, channel, now, number) is not None:
            self.record.gaps += 1
            return []
        told = [*self._bad_frame(channel, now), frame]
        self.record.told(channel, number)
        if self._strike(EffectKind.STREAM_DUPLICATE, channel, now, number) is not None:
            self.record.duplicates += 1
            told.append(frame)
        if not self._held and self._strike(EffectKind.STREAM_REORDER, channel, now, number) is not None:
            self.record.reorders += 1
            self._held = told
            return []
        told, self._held = [*told, *self._held], []
        return told

    def stalled(self, now: datetime) -> bool:
        """True while nothing may leave, acknowledgements neither (W4)."""
        return self._stalled_until is not None and now < self._stalled_until

    def _stalled(self, now: datetime) -> bool:
        if self._stalled_until is not None and now >= self._stalled_until:
            self._stalled_until = None
        if self._stalled_until is None:
            found = self._faults.strike(EffectKind.STREAM_STALL, self.name)
            if found is None:
                return False
            self.record.stalls += 1
            self.record.strike(now, found.fault, "stall")
            self._stalled_until = now + timedelta(seconds=int(found.params["seconds"]))
        return True

    def _strike(self, kind: EffectKind, channel: str, now: datetime, number: int | None) -> Effect | None:
        found = self._faults.strike(kind, self.name, lambda params: _on_channel(params, channel))
        if found is not None:
            self.record.strike(now, found.fault, kind.value, channel, number)
        return found

    def _struck_when(self, when: str, channel: str) -> Effect | None:
        return self._faults.strike(
            EffectKind.STREAM_DISCONNECT,
            self.name,
            lambda params: params["when"] == when and _on_channel(params, channel),
        )

    def _cut(self, cut: Effect, now: datetime, channel: str, number: int | None) -> None:
        self.record.strike(now, cut.fault, f"disconnect at {cut.params['when']}", channel, number)
        self.closing = Closing(int(cut.params["code"]), "")
        self.record.closed_by = "fault"

    def _bad_frame(self, channel: str, now: datetime) -> list[bytes]:
        found = self._strike(EffectKind.BAD_FRAME, channel, now, None)
        if found is None:
            return []
        self.record.bad_frames += 1
        return [bad_frame(str(found.params["form"]), int(found.params["bytes"]))]


@dataclass(slots=True)
class _Running:
    tally: Flood
    begun: datetime
    last: datetime
    lasts: timedelta


def bad_frame(form: str, size: int) -> bytes:
    """One frame that a client must survive (W11). What it says is nobody's truth."""
    match form:
        case "oversize":
            padding = b" " * max(0, size - 2)
            return WireFrame.of(form, frame_head(len(padding) + 2) + b"{" + padding + b"}")
        case "invalid_utf8":
            return WireFrame.of(form, framed(b'{"channel":"\xff\xfe\xfd"}'))
        case "bomb":
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            squeezed = deflate.compress(bytes(_BOMB_BYTES)) + deflate.flush(zlib.Z_SYNC_FLUSH)
            return WireFrame.of(form, frame_head(len(squeezed), _COMPRESSED) + squeezed)
        case "binary":
            return WireFrame.of(form, frame_head(4, _BINARY) + b"\x00\x01\x02\x03")
        case "not_json":
            return b"<html>503 Service Temporarily Unavailable</html>"
        case _:
            return b'{"channel":"moonbeams","client_id":"","timestamp":"","sequence_num":-1,"events":[{"type":"x"}]}'


def _on_channel(params: Mapping[str, Value], channel: str) -> bool:
    wanted = str(params.get("channel", "any"))
    return wanted in {"any", channel} or _ALIASES.get(wanted, wanted) == _ALIASES.get(channel, channel)
