"""What the products' grids were when checks last ran, kept in the journal beside the verdict; drift is told (M5).

The record is written by the command after the run, never by a check.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from perpsctl.checks.context import CheckContext
from perpsctl.checks.model import Report, Status
from perpsctl.domain.numbers import plain
from perpsctl.domain.ports import EventKind, Journal
from perpsctl.domain.products import Product

LOOKED_BACK = 200  # runs of checks in which grids are looked for
Grid = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenGrids:
    """The grids of one earlier run, by product id."""

    at: datetime
    grids: Mapping[str, Grid]


def grid_of(product: Product) -> Grid:
    """What must not change unnoticed: contract size, steps and bounds, as plain text."""
    steps = "; ".join(f"{plain(each.step)} from {plain(each.above)}" for each in product.price_steps)
    return {
        "contract_size": plain(product.contract_size),
        "size_step": plain(product.size_step),
        "min_size": plain(product.min_size),
        "price_steps": steps,
    }


def last_seen(journal: Journal) -> SeenGrids | None:
    """The grids the newest run recorded; None when no run has yet."""
    for event in journal.events(kind=EventKind.CHECKS_RUN.value, limit=LOOKED_BACK):
        grids = json.loads(event.payload).get("grids")
        if grids:
            return SeenGrids(at=event.at, grids=grids)
    return None


def record(ctx: CheckContext, report: Report) -> None:
    """The run stands in the journal: verdict, each row's status, and the grids it could see. Raises as the journal does."""
    seen = report.row("products.perps")
    products: Iterable[Product] = ()
    if seen is not None and seen.acceptable:
        products = ctx.venues.unsigned().products()
    ctx.journal().record_event(EventKind.CHECKS_RUN, payload_of(report, products))


def payload_of(report: Report, products: Iterable[Product]) -> dict[str, object]:
    """What is kept of a run; evidence stays in the report, only rows that are not good keep theirs."""
    return {
        "name": report.name,
        "verdict": report.verdict.value,
        "rows": {row.id: row.status.value for row in report.rows},
        "told": {row.id: row.evidence for row in report.rows if row.status is not Status.PASS},
        "grids": {product.product_id: dict(grid_of(product)) for product in products},
    }
