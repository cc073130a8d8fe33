"""perpsctl's own client: `venue.submit` of an approved order."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.peers.loop import serve
from bench.rig import a_venue, approved
from perpsctl.domain.orders import Accepted, ApprovedOrder
from perpsctl.domain.products import Environment
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.latch import Latch


def main(address: str, key_file: str, latch_folder: str) -> None:
    venue = a_venue(endpoint_for(Environment.SIM, address), Path(key_file).read_text(encoding="ascii"))
    product = next(p for p in venue.products() if p.alias == "BTC-PERP")
    latch = Latch("sim", Path(latch_folder))

    def create(order: object) -> None:
        assert isinstance(order, ApprovedOrder)
        outcome = venue.submit(order, latch.gate())  # the kill switch's own gate: nobody sends without it
        if not isinstance(outcome, Accepted):
            raise SystemExit(f"not accepted: {outcome}")

    serve(create, lambda _: approved(product))


if __name__ == "__main__":
    main(*sys.argv[1:])
