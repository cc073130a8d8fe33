"""The official SDK, unmodified, in its own environment. It speaks https only: an adapter of ours carries it over http."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from coinbase.rest import RESTClient  # type: ignore[import-not-found]  # lives in an environment of its own
from loop import serve  # type: ignore[import-not-found]  # beside this file, without the project's packages
from requests.adapters import HTTPAdapter


class Plain(HTTPAdapter):
    """Sends what was meant for https over http; costs one replacement a request."""

    def send(self, request: Any, *arguments: Any, **named: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *arguments, **named)


def main(address: str, key_file: str) -> None:
    client = RESTClient(key_file=key_file, base_url=address.removeprefix("http://"), timeout=10)
    client.session.mount("https://", Plain())

    def create(name: str) -> None:
        answer = client.limit_order_gtc_buy(name, "BIP-20DEC30-CDE", base_size="1", limit_price="50000", post_only=True)
        if answer.success is not True:
            raise SystemExit("not accepted")

    serve(create)


if __name__ == "__main__":
    main(*sys.argv[1:])
