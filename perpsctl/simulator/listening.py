"""What a face needs to be served on a loopback socket: the socket, its TLS, the HTTP server over it, and the access log.

Binds loopback and nothing else. No query, header, token, key or body reaches the log.
"""

import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_address
from logging.handlers import RotatingFileHandler
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Scope

from perpsctl.domain.errors import UsageError
from perpsctl.domain.text import shown
from perpsctl.simulator import ws
from perpsctl.simulator.faces.messages import Request
from perpsctl.simulator.faces.spelling import stamp
from perpsctl.simulator.identity import replace_private_file
from perpsctl.simulator.sockets import Connection

HOST = "127.0.0.1"
_LOG_BYTES = 1_000_000


class QuietServer(uvicorn.Server):
    """All of them share one loop; signals are the process's matter."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AccessLog:
    """Time, method, path, status, microseconds. Never a query, a header or a body."""

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler

    def line(self, request: Request, status: int, took_us: int) -> None:
        """One answered request."""
        text = (
            f"{stamp(request.received_at)} {shown(request.method, 10)} {shown(request.path, 200)} {status} {took_us}us"
        )
        self._handler.emit(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))

    def close(self) -> None:
        """The file is closed."""
        self._handler.close()


def access_log(path: Path) -> AccessLog:
    """The log in this file, readable by its owner only and turned over before it grows large."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    return AccessLog(RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8"))


def server_config(
    app: ASGIApp, protocol: type[Connection], tls: ssl.SSLContext | None = None, *, sockets: bool = False
) -> uvicorn.Config:
    """How one application is served: by `protocol`, with sockets only where they are asked for."""
    config = uvicorn.Config(
        app,
        http=protocol,
        interface="asgi3",
        **(ws.UVICORN if sockets else {"ws": "none"}),
        proxy_headers=False,
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        date_header=False,  # the face tells the venue's time, which fault A1 may shift
        server_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.ssl = tls
    return config


def tls_context(folder: Path, chain: bytes, key: bytes) -> ssl.SSLContext:
    """The ssl module reads files only: they exist for as long as it takes."""
    chain_file, key_file = folder / ".chain.pem", folder / ".key.pem"
    try:
        replace_private_file(chain_file, chain)
        replace_private_file(key_file, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # No session tickets: nobody resumes a session here, and TLS 1.3 sends them after the handshake, where they meet
        # the first bytes a client writes. A client that reads and writes one socket from two threads then loses what it
        # wrote (OpenSSL allows one thread at a time, CPython guards nothing: python/cpython#137588, openssl#20446).
        # Measured 2026-11-22 with websockets 13.1, the official SDK's: 6 of 300 upgrades hung with, 0 of 5000 without.
        context.num_tickets = 0
        context.load_cert_chain(chain_file, key_file)
        return context
    finally:
        chain_file.unlink(missing_ok=True)
        key_file.unlink(missing_ok=True)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; UsageError when the port is taken."""
    assert ip_address(HOST).is_loopback
    # asyncio switches Nagle off only where the protocol is named; else each answer waits 40 ms for an acknowledgement
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except OSError as refused:
        sock.close()
        raise UsageError(f"port {port} cannot be used: {refused.strerror}", fix="choose another or none") from None
    return sock


def request_of(scope: Scope, body: bytes, received_at: datetime) -> Request:
    """The request as the faces read it, with the host the client really reached."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    server_host, server_port = scope["server"]
    here = {f"{name}:{server_port}" for name in (server_host, "localhost")}
    named = headers.get("host", "")
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["raw_path"].decode("ascii", "replace"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        received_at=received_at,
        connected_host=named if named in here else f"{server_host}:{server_port}",
        client_ip=client[0] if client else HOST,
    )
