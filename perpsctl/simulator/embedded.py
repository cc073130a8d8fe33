"""One whole exchange with its faces and keys, whatever carries the requests: a socket server or the caller's process.

Every start and every reset is a new account with new keys; the old ones are worth nothing from then on.
"""

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from perpsctl.simulator.clock import Clock
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.faces.global_streams import Streams
from perpsctl.simulator.faces.global_venue import GlobalFace
from perpsctl.simulator.faces.global_ws import GlobalSocket
from perpsctl.simulator.faces.routes import Switches
from perpsctl.simulator.faces.us import UsFace
from perpsctl.simulator.faces.us_ws import UsSocket, UsSockets
from perpsctl.simulator.identity import KeyRing, ThrowAwayKey, throw_away_keys, write_key_files
from perpsctl.simulator.options import Options
from perpsctl.simulator.outlet import SocketName
from perpsctl.simulator.stream_judge import StreamJudge

KEYS_FOLDER = "keys"
_US_SOCKETS = frozenset({SocketName.US_MARKET, SocketName.US_USER})


class Embedded:
    """An exchange, its two faces and its throw-away keys. With `folder`, the key files stand in `folder/keys`."""

    def __init__(
        self, clock: Clock, options: Options | None = None, *, folder: Path | None = None, accounts_before: int = 0
    ) -> None:
        self.clock = clock
        # A home's earlier accounts are passed over, so that no id is ever seen twice.
        chosen = replace(Options() if options is None else options, first_account=accounts_before + 1)
        self.exchange = Exchange(clock, chosen)
        self.keys = KeyRing(())
        self.us = UsFace(self.exchange, self.keys)
        self.global_ = GlobalFace(self.exchange, self.keys, self.us.switches)
        self.judge = StreamJudge()
        self.us_sockets = UsSockets(self.us, self.judge)
        self._streams = Streams()
        self._socket_numbers = itertools.count(1)
        self.account = accounts_before + 1
        self.key_files: dict[str, Path] = {}
        self._folder = folder
        self._texts: Mapping[str, str] = {}
        self._lock = threading.Lock()
        self._new_keys()

    def key_text(self, role: str = "trade") -> str:
        """The content of a role's key file: for callers in this process, who need no file."""
        return self._texts[role]

    def admits_socket(self, name: SocketName, client_ip: str) -> bool:
        """Whether one more connection of an address may be opened now."""
        return name not in _US_SOCKETS or self.us_sockets.admits(client_ip)

    def open_socket(
        self, name: SocketName, client_ip: str = "127.0.0.1", *, heard: Callable[[], None] = lambda: None
    ) -> UsSocket | GlobalSocket:
        """A new connection to one of the sockets; `heard` is told of each frame that comes in."""
        heard()
        if name in _US_SOCKETS:
            return self.us_sockets.open(name, client_ip, heard=heard)
        streams = name is SocketName.GLOBAL_STREAMS
        session = Session(
            transport=Transport.STREAMS if streams else Transport.SOCKET,
            client_ip=client_ip,
            connection=f"socket-{self.account}-{next(self._socket_numbers)}",
        )
        market = self._streams if streams else None
        return GlobalSocket(self.global_, session, market=market, heard=heard, judge=self.judge)

    def reset(self, announce: Callable[[], None] = lambda: None) -> None:
        """A new account: empty book, new keys, no fault armed, no switch thrown; prices and calendar begin again now.

        `announce` runs when the account is the new one and no new key is written yet: who reads a new key finds it told.
        """
        with self._lock:
            self.keys.replace_all(())  # an old key never acts on the new account, whatever fails below
            self.exchange.faults.disarm()
            self.exchange.reset()
            self.us.switches = self.global_.switches = Switches()
            self.us.forget()
            self.global_.forget()
            self.judge.forget()
            self.account += 1
            announce()
            self._new_keys()

    def advance(self) -> None:
        """Brings the exchange up to its clock and handles what was deferred: what a ticker does ten times a second."""
        self.exchange.advance()
        self.us.advance()
        self.global_.advance()

    def _new_keys(self) -> None:
        keys: tuple[ThrowAwayKey, ...] = throw_away_keys()
        self._texts = {key.record.role.value: key.file_text() for key in keys}
        self.keys.replace_all(key.record for key in keys)
        if self._folder is not None:
            self.key_files = write_key_files(self._folder / KEYS_FOLDER, keys)
