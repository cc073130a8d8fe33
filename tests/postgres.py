"""A PostgreSQL server of the tests' own: real, on a socket and on loopback, in memory where there is some, gone with them.

The server refuses to run as root, so there it runs as the user `postgres` in a folder made for it.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest

OWNER = "postgres"
PASSWORD = "correct-horse-battery"  # made up here, and looked for in everything that is printed
OLDEST = 15


def binaries() -> Path | None:
    """Where the newest installed server of version 15 or later keeps its programs; None where there is none."""
    found = {int(each.name): each / "bin" for each in Path("/usr/lib/postgresql").glob("*") if each.name.isdecimal()}
    for version in sorted(found, reverse=True):
        if version >= OLDEST and (found[version] / "initdb").exists():
            return found[version]
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).parent


class Server:
    """One cluster; each test takes a database of its own in it."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._serial = count(1)
        self._as_owner = []
        if os.geteuid() == 0:
            self._as_owner = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups"]
            shutil.chown(folder, OWNER, OWNER)

    def make(self) -> None:
        """The cluster: whoever may open its folder's socket needs no password, loopback takes one."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n", encoding="ascii")
        if self._as_owner:
            shutil.chown(secret, OWNER, OWNER)
        self._run("initdb", "-D", str(self.data), "-U", OWNER, "--encoding=UTF8", "--locale=C", "--no-sync",
                  "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}")  # fmt: skip

    def start(self) -> None:
        """Running, and answering."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "40",
            "shared_buffers": "16MB",
            "autovacuum": "off",
            "log_min_messages": "fatal",
            "max_wal_size": "128MB",
        }
        line = [str(self._programs / "postgres"), "-D", str(self.data)]
        line += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        guard = ["setpriv", "--pdeathsig", "QUIT"] if not self._as_owner else [*self._as_owner, "--pdeathsig", "QUIT"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, *line], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        for _ in range(200):
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    break
                signal.sigtimedwait([], 0.05)
        raise RuntimeError((self.folder / "log").read_text(encoding="utf-8", errors="replace")[-2000:])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Not running: SIGINT ends sessions and writes everything, SIGQUIT stops like a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stopped and started again; every session is lost."""
        self.stop(how)
        self.start()

    def url(self, database: str) -> str:
        """Over the socket."""
        return f"postgresql://{OWNER}@/{database}?host={self.folder}&port={self.port}"

    def url_over_tcp(self, database: str, password: str = PASSWORD) -> str:
        """Over loopback, with the password."""
        return f"postgresql://{OWNER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The name of an empty database."""
        name = f"journal_{next(self._serial)}"
        self.run("postgres", f"CREATE DATABASE {name}")
        return name

    def run(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """What a statement answers, past perpsctl."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return [] if cursor.description is None else cursor.fetchall()

    def _run(self, program: str, *line: str) -> None:
        done = subprocess.run(
            [*self._as_owner, str(self._programs / program), *line],
            cwd=self.folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr[-2000:]}")


@contextmanager
def running_server() -> Iterator[Server]:
    """A server while the block runs; skips, saying so, where PostgreSQL is not installed and this is not CI."""
    programs = binaries()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("CI proves the journal on PostgreSQL: install the server (postgresql, 15 or newer)")
        pytest.skip("needs PostgreSQL 15 or newer on this machine (package postgresql)")
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="perpsctl-pg-", dir=memory if memory.is_dir() else None))
    server = Server(programs, folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of a folder; started by the first that asks."""
    with running_server() as server:
        yield server


class Wire:
    """A cable between a client and the server on loopback, that can be cut where it hurts."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.swallow_requests = False  # nothing the client says arrives
        self.cut_at_answer = False  # what the client says arrives, and the line is cut when the server answers
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database: str) -> str:
        """Through the wire."""
        return (
            self._server.url_over_tcp(database).replace(f":{self._server.port}/", f":{self.port}/") + "?sslmode=disable"
        )

    def cut(self) -> None:
        """Every connection ends now."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def hear_nobody(self) -> None:
        """New connections are refused; those there are go on."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def close(self) -> None:
        """Gone."""
        self.hear_nobody()
        self.cut()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._server.port))
                self._ends += [client, server]
                threading.Thread(target=self._carry, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, False), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if asks and self.swallow_requests:
                    continue
                if not asks and self.cut_at_answer:
                    self.cut_at_answer = False
                    break
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
