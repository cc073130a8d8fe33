"""The floor: the same request laid out beforehand, token and all, written to one socket, its answer read and not parsed."""

import json
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.peers.loop import serve
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.signing import Signer
from tests.rig_keys import key_of

ORDERS = "/api/v3/brokerage/orders"


def main(address: str, key_file: str) -> None:
    host = address.removeprefix("http://")
    name, secret = key_of(Path(key_file).read_text(encoding="ascii"))
    signer = Signer(from_values(name, Secret(secret)), host)
    sock = socket.create_connection((host.partition(":")[0], int(host.partition(":")[2])))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def prepare(client_order_id: str) -> bytes:
        terms = {"base_size": "1", "limit_price": "50000", "post_only": True}
        body = json.dumps(
            {
                "client_order_id": client_order_id,
                "product_id": "BIP-20DEC30-CDE",
                "side": "BUY",
                "order_configuration": {"limit_limit_gtc": terms},
            }
        ).encode()
        token = signer.token("POST", ORDERS, now=datetime.now(UTC), ttl=timedelta(seconds=20), nonce="0" * 64)
        head = (
            f"POST {ORDERS} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def create(request: object) -> None:
        assert isinstance(request, bytes)
        sock.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < length:
            body += sock.recv(65536)
        if b'"success":true' not in body:
            raise SystemExit(f"not accepted: {body[:300]!r}")

    serve(create, prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
