"""perpsctl's own upkeep: continuity judged, book kept in ticks, Decimals at the door."""

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.peers.book_loop import BAND_BPS, Told, serve
from perpsctl.domain.sides import Side
from perpsctl.exchange.streams.gaps import ConnectionSequence, Continuity
from perpsctl.exchange.streams.global_books import GlobalBooks
from perpsctl.exchange.streams.us_books import UsBooks
from perpsctl.wire.advanced_trade.socket import LeanBookMessage, read_frame
from perpsctl.wire.global_derivatives.channels import read_book_frame
from tests.builders import a_product

BAND = Decimal(BAND_BPS)


def main(venue: str, tick: str) -> None:
    us = UsBooks([a_product(price_step=tick)])
    international = GlobalBooks([a_product(product_id="BTC_USDC-PERPETUAL", contract_size="0.001", price_step=tick)])
    sequence = ConnectionSequence()
    book = next(iter((us if venue == "us" else international).books.values()))

    def take_us(body: bytes) -> None:
        message = read_frame(body)
        if not isinstance(message, LeanBookMessage) or not isinstance(message.sequence_num, int):
            raise SystemExit("not a book's message")
        if message.sequence_num == 0:
            sequence.restart()  # the stream from its beginning, as on a new connection
            book.reset()
        if sequence.take(message.sequence_num).kind is not Continuity.APPLY:
            raise SystemExit("a gap")
        us.take(message, datetime.now(UTC))

    def take_global(body: bytes) -> None:
        message = read_book_frame(body)
        if message is None:
            raise SystemExit("not a book's message")
        if message.params.data.change_id == 0:
            international.restart(book.product_id)
        international.take(message, datetime.now(UTC))

    def look() -> Told:
        best, depth = book.best, book.depth_within(Side.BUY, BAND)
        if best is None or depth is None:
            raise SystemExit(f"no price: {book.broken}")
        return best.bid, best.ask, depth

    serve(take_us if venue == "us" else take_global, look)


if __name__ == "__main__":
    main(*sys.argv[2:])
