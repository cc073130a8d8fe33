"""`order`: the road of an order from the terminal. Every entry passes the desk; every ending has its exit code."""

from typing import Annotated

import typer

from perpsctl.commands import asking, inputs
from perpsctl.commands.globals import command, new_group
from perpsctl.commands.output import finish
from perpsctl.commands.toolkits import confirm, open_toolkit, refused_here, tell_doubt, tell_patience
from perpsctl.domain.errors import UsageError

app = new_group("Preview, place, edit, cancel and look at orders.")

PLACE_EXAMPLES = """\
perpsctl order place --product BTC-PERP --side buy --size 0.01 \\
    --type limit --price 60000 --tif gtc --post-only
perpsctl order place --product BTC-PERP --side sell --contracts 1 \\
    --type market --reduce-only
exit 0 accepted, 3 denied here, 4 rejected by the venue, 5 unknown"""
PREVIEW_EXAMPLE = "perpsctl order preview --product BTC-PERP --side buy --size 0.01 --price 60000"
EDIT_EXAMPLE = "perpsctl order edit ID --price 60005"
CANCEL_EXAMPLE = "perpsctl order list\nperpsctl order cancel ID"
RESOLVE_EXAMPLES = """\
perpsctl order resolve
perpsctl order resolve ID --wait 60s
perpsctl order resolve ID --decide not-sent --reason "venue support, ticket 81"
"""

AllOption = Annotated[bool, typer.Option("--all", help="The history, not only what is open.")]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Where an edit is refused: cancel, prove it, place the remainder.")
]
UnboundedOption = Annotated[
    bool,
    typer.Option("--unbounded", help="No price bound: the venue's close call, or a market order that only reduces."),
]
BoundOption = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="DURATION",
        help="No longer than this [default: 10s, 60s while the venue answers with its rate limit].",
        show_default=False,
    ),
]
IntentArgument = Annotated[str, typer.Argument(metavar="ID", help="An intent's or an order's id.")]
MaybeIntent = Annotated[str | None, typer.Argument(metavar="[ID]", help="One intent; none: all in doubt.")]
DecideOption = Annotated[
    str | None,
    typer.Option("--decide", metavar="not-sent|ORDER", help="End the doubt by your word.", show_default=False),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the record.", show_default=False)
]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who [default: the OS user].", show_default=False)
]


@command(app, "place", epilog=PLACE_EXAMPLES)
def place(
    ctx: typer.Context,
    product: inputs.ProductOption,
    side: inputs.SideOption,
    size: inputs.SizeOption = None,
    contracts: inputs.ContractsOption = None,
    kind: inputs.TypeOption = inputs.TypeWord.LIMIT,
    price: inputs.PriceOption = None,
    stop_price: inputs.StopOption = None,
    tif: inputs.TifOption = None,
    post_only: inputs.PostOnlyOption = False,
    reduce_only: inputs.ReduceOnlyOption = False,
    expires: inputs.ExpiresOption = None,
    client_order_id: inputs.ClientIdOption = None,
    wait: inputs.WaitOption = "20s",
    again: inputs.AgainOption = False,
    rest_through: inputs.RestThroughOption = False,
) -> None:
    """Place one order and report what became of it."""
    from perpsctl.render import orders

    waited = inputs.a_duration(wait, "--wait")
    terms = inputs.terms(
        product=product, side=side, size=size, contracts=contracts, kind=kind, price=price, stop_price=stop_price,
        tif=tif, post_only=post_only, reduce_only=reduce_only, expires=expires, client_order_id=client_order_id,
        again=again, rest_through=rest_through,
    )  # fmt: skip
    with open_toolkit(ctx) as toolkit:
        tell_doubt(ctx, toolkit, waited)
        report = refused_here(toolkit, terms.intent_id)
        if report is None:
            report = toolkit.engine.desk.place(asking.intent_of(toolkit, terms), wait=waited)
        finish(ctx, orders.placed(report))


@command(app, "preview", epilog=PREVIEW_EXAMPLE)
def preview(
    ctx: typer.Context,
    product: inputs.ProductOption,
    side: inputs.SideOption,
    size: inputs.SizeOption = None,
    contracts: inputs.ContractsOption = None,
    kind: inputs.TypeOption = inputs.TypeWord.LIMIT,
    price: inputs.PriceOption = None,
    stop_price: inputs.StopOption = None,
    tif: inputs.TifOption = None,
    post_only: inputs.PostOnlyOption = False,
    reduce_only: inputs.ReduceOnlyOption = False,
    expires: inputs.ExpiresOption = None,
) -> None:
    """Ask what an order would do, by the venue's preview or its figures; nothing is placed."""
    from perpsctl.render import orders

    terms = inputs.terms(
        product=product, side=side, size=size, contracts=contracts, kind=kind, price=price, stop_price=stop_price,
        tif=tif, post_only=post_only, reduce_only=reduce_only, expires=expires,
    )  # fmt: skip
    with open_toolkit(ctx) as toolkit:
        finish(ctx, orders.previewed(toolkit.engine.desk.preview(asking.intent_of(toolkit, terms))))


@command(app, "edit", epilog=EDIT_EXAMPLE)
def edit(
    ctx: typer.Context,
    target: IntentArgument,
    price: inputs.PriceOption = None,
    size: inputs.SizeOption = None,
    replace: ReplaceOption = False,
    client_order_id: inputs.ClientIdOption = None,
    wait: inputs.WaitOption = "20s",
) -> None:
    """Change the price or the total size of an open order of ours."""
    from perpsctl.render import orders

    new_price, new_size = inputs.a_price(price), None if size is None else inputs.a_size(size)
    if new_price is None and new_size is None:
        raise UsageError("an edit needs --price or --size")
    waited, named = inputs.a_duration(wait, "--wait"), inputs.an_intent_id(client_order_id)
    wanted = inputs.an_order_id(target)
    with open_toolkit(ctx) as toolkit:
        tell_doubt(ctx, toolkit, waited)
        refused = refused_here(toolkit, named)
        if refused is not None:
            finish(ctx, orders.placed(refused, what="edit"))
        intent = asking.edit_of(toolkit, wanted, price=new_price, size=new_size, named=named)
        if replace:
            finish(ctx, orders.replaced(toolkit.engine.edits.replace(intent, wait=waited)))
        finish(ctx, orders.placed(toolkit.engine.edits.edit(intent, wait=waited), what="edit"))


@command(app, "cancel", epilog=CANCEL_EXAMPLE)
def cancel(ctx: typer.Context, ids: inputs.IdsArgument, wait: inputs.WaitOption = "10s") -> None:
    """Cancel orders by id and prove by a read that they are gone."""
    from perpsctl.render import orders

    waited, wanted = inputs.a_duration(wait, "--wait"), [inputs.an_order_id(text) for text in ids]
    with open_toolkit(ctx, way_out=True) as toolkit:
        report = toolkit.engine.canceller.cancel(wanted, wait=waited)
        finish(ctx, orders.cancelled(report, filled=asking.filled_of(toolkit, report.gone)))


@command(app, "cancel-all")
def cancel_all(ctx: typer.Context, product: inputs.MaybeProduct = None, wait: BoundOption = None) -> None:
    """Cancel every derivatives order of the portfolio, whoever placed it; spot orders are left alone."""
    from perpsctl.engine.cancels import DEFAULT_WAIT, PATIENCE
    from perpsctl.render import orders

    waited, patience = (DEFAULT_WAIT, PATIENCE) if wait is None else (inputs.a_duration(wait, "--wait"), None)
    wanted = None if product is None else inputs.a_product(product)
    with open_toolkit(ctx, way_out=True) as toolkit:
        confirm(ctx, toolkit, "cancel all orders")
        tell_patience(ctx, toolkit)
        only = None if wanted is None else asking.product_of(toolkit, wanted).product_id
        report = toolkit.engine.canceller.cancel_all(only, wait=waited, patience=patience)
        finish(ctx, orders.cancelled(report, filled=asking.filled_of(toolkit, report.gone)))


@command(app, "list")
def list_orders(ctx: typer.Context, everything: AllOption = False) -> None:
    """List what is open at the venue with the journal's word on it; what is in doubt stands first.

    With --all also what is over: the journal's intents, and the venue's orders of the last day, whoever placed them.
    """
    from perpsctl.render import orders

    with open_toolkit(ctx) as toolkit:
        live = toolkit.venue.live_orders()
        records = toolkit.journal.intents(limit=200) if everything else asking.unfinished(toolkit)
        over = asking.over_lately(toolkit, live) if everything else ()
        finish(ctx, orders.listed(live, records, everything=everything, over=over))


@command(app, "show")
def show(ctx: typer.Context, target: IntentArgument) -> None:
    """Show one intent or order with everything known of it."""
    from perpsctl.render import orders

    wanted = inputs.an_order_id(target)
    with open_toolkit(ctx) as toolkit:
        record = asking.record_of(toolkit, wanted)
        if record is not None:
            finish(ctx, orders.shown_record(record, asking.order_now(toolkit, record)))
        found = toolkit.venue.order(wanted)
        if found is None:
            raise UsageError("neither the journal nor the venue knows this id", fix="see `perpsctl order list --all`")
        finish(ctx, orders.shown_order(found))


@command(app, "resolve", epilog=RESOLVE_EXAMPLES)
def resolve(
    ctx: typer.Context,
    target: MaybeIntent = None,
    wait: inputs.WaitOption = "60s",
    decide: DecideOption = None,
    reason: ReasonOption = None,
    by: ByOption = None,
) -> None:
    """End doubt by evidence: look for orders whose outcome is unknown. With --decide, end it by your own word."""
    from perpsctl.render import orders

    waited = inputs.a_duration(wait, "--wait")
    wanted = None if target is None else inputs.an_order_id(target)
    if decide is not None and (wanted is None or not reason):
        raise UsageError("--decide needs one intent's id and --reason")
    if decide is not None and decide != "not-sent":
        inputs.an_order_id(decide)
    with open_toolkit(ctx) as toolkit:
        if decide is not None and wanted is not None and reason:
            finish(ctx, orders.resolved(asking.decided(toolkit, wanted, decide, reason=reason, by=by)))
        finish(ctx, orders.resolved(asking.resolved(toolkit, wanted, waited)))


@command(app, "close")
def close(
    ctx: typer.Context,
    product: inputs.ProductOption,
    unbounded: UnboundedOption = False,
    wait: inputs.WaitOption = "20s",
) -> None:
    """Close one product's position: an order that can only reduce, bounded in price."""
    from perpsctl.commands.positions import close_positions

    close_positions(ctx, product, unbounded=unbounded, wait=wait)
