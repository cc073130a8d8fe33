"""`products`: what can be traded, read from the venue now."""

from datetime import timedelta
from typing import Annotated

import typer

from perpsctl.commands import asking, inputs
from perpsctl.commands.globals import command, new_group
from perpsctl.commands.output import finish
from perpsctl.commands.toolkits import open_toolkit
from perpsctl.domain.errors import UsageError

app = new_group("Discover and look at perpetuals: specification, book, history.")

GRANULARITIES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "1d": 1440}
DepthOption = Annotated[int, typer.Option("--depth", min=1, max=500, help="Levels a side.")]
GranularityOption = Annotated[str, typer.Option("--granularity", help=f"One of {', '.join(GRANULARITIES)}.")]
HoursOption = Annotated[int, typer.Option("--hours", min=1, max=720, help="How many full hours, newest last.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=3500, help="How many bars, newest last.")]


@command(app, "list")
def list_products(ctx: typer.Context) -> None:
    """List every perpetual the venue offers, discovered by structure."""
    from perpsctl.render import market

    with open_toolkit(ctx) as toolkit:
        finish(ctx, market.products(toolkit.venue.products()))


@command(app, "show")
def show(ctx: typer.Context, product: inputs.ProductArgument) -> None:
    """Show one product's contract, steps, funding, margin and status."""
    from perpsctl.render import market

    wanted = inputs.a_product(product)
    with open_toolkit(ctx) as toolkit:
        found = asking.product_of(toolkit, wanted)
        finish(ctx, market.product(toolkit.venue.product(found.product_id)))


@command(app, "book")
def book(ctx: typer.Context, product: inputs.ProductArgument, depth: DepthOption = 10) -> None:
    """Show the order book, sizes in coin."""
    from perpsctl.render import market

    wanted = inputs.a_product(product)
    with open_toolkit(ctx) as toolkit:
        found = asking.product_of(toolkit, wanted)
        finish(ctx, market.book(toolkit.venue.book(found.product_id, depth), depth))


@command(app, "candles")
def candles(
    ctx: typer.Context,
    product: inputs.ProductArgument,
    granularity: GranularityOption = "1m",
    limit: LimitOption = 30,
) -> None:
    """Show bars, oldest first."""
    from perpsctl.render import market

    wanted = inputs.a_product(product)
    if granularity not in GRANULARITIES:
        raise UsageError("no such granularity", fix=f"one of {', '.join(GRANULARITIES)}")
    width = timedelta(minutes=GRANULARITIES[granularity])
    with open_toolkit(ctx) as toolkit:
        found = asking.product_of(toolkit, wanted)
        end = toolkit.clock.now()
        bars = toolkit.venue.candles(found.product_id, start=end - width * limit, end=end, granularity=width)
        finish(ctx, market.candles(found.product_id, bars))


@command(app, "funding")
def funding(ctx: typer.Context, product: inputs.ProductArgument, hours: HoursOption = 24) -> None:
    """Show what funding costs each side a day, as orders are judged by it, and its history where the venue has one."""
    from perpsctl.render import funding as rendered

    wanted = inputs.a_product(product)
    with open_toolkit(ctx) as toolkit:
        found = asking.product_of(toolkit, wanted)
        report = toolkit.venue.funding(found.product_id, hours)
        bound = toolkit.profile.limits.funding_max_share_per_day
        finish(ctx, rendered.funding(report, bound=bound, cash_times=toolkit.cash_times()))
