"""`sim`: the embedded exchange as a process of its own, and the faults it can be told to have."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from perpsctl import places
from perpsctl.commands import inputs
from perpsctl.commands.globals import command, new_group
from perpsctl.commands.output import finish, talk
from perpsctl.domain.errors import UsageError
from perpsctl.domain.text import shown

app = new_group("The embedded exchange: start, stop, look, and give it faults.")
fault_app = new_group("Faults by name or catalogue id, e.g. reset_after_accept or N12.")
app.add_typer(fault_app, name="fault")

SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the price path and of everything random.")]
ReplayOption = Annotated[
    str | None, typer.Option("--replay", metavar="FILE", help="Recorded candles, trades or L2.", show_default=False)
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="ISO", help="Where in the file to begin.", show_default=False)
]
SpeedOption = Annotated[str, typer.Option("--speed", metavar="N", help="Pace of the price path alone.")]
CalendarOption = Annotated[str, typer.Option("--calendar", help="open: breaks are 6 h away; venue: true times.")]
DedupeOption = Annotated[str, typer.Option("--dedupe", help="How long client ids are known: forever, 60s, never.")]
MakerOption = Annotated[
    str | None, typer.Option("--maker-fee", metavar="SHARE", help="Share of notional, e.g. 0.0002.", show_default=False)
]
TakerOption = Annotated[
    str | None, typer.Option("--taker-fee", metavar="SHARE", help="Share of notional, e.g. 0.0003.", show_default=False)
]
IdleOption = Annotated[int, typer.Option("--idle-minutes", help="Ends itself after so long without a request.")]
PortOption = Annotated[int, typer.Option("--http-port", help="0: any free one.")]
OperationOption = Annotated[
    str | None, typer.Option("--operation", help="create_order, cancel_orders, any, ...", show_default=False)
]
NthOption = Annotated[int, typer.Option("--nth", min=1, help="From the n-th matching request on.")]
CountOption = Annotated[int | None, typer.Option("--count", min=1, help="How often.", show_default=False)]
ProbabilityOption = Annotated[
    str | None,
    typer.Option("--probability", metavar="P", help="Share of matching requests, 0 to 1.", show_default=False),
]
FaultSeedOption = Annotated[int, typer.Option("--seed", help="Seed of the probability.")]
SecondsOption = Annotated[
    int | None, typer.Option("--for-seconds", min=1, help="Disarmed after so long.", show_default=False)
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="KEY=VALUE", help="What the fault takes; may be repeated.", show_default=False),
]
FaultArgument = Annotated[str, typer.Argument(metavar="FAULT", help="Name or catalogue id.")]
HandleArgument = Annotated[str | None, typer.Argument(metavar="[FAULT]", help="Name, or none for all.")]
ScenarioArgument = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="rough-streams, mute-book, stale-market, flaky-venue.")
]
WhatArgument = Annotated[str, typer.Argument(metavar="WHAT", help="price, position, balance, status, funding, ...")]
ValuesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="The state to set.", show_default=False)
]


START_EXAMPLES = """\
perpsctl sim start --seed 7 --dedupe never
perpsctl sim start --replay FILE --from 2022-01-21T21:30:00Z --speed 60"""


@command(app, "start", epilog=START_EXAMPLES)
def start(
    ctx: typer.Context,
    seed: SeedOption = 1,
    replay: ReplayOption = None,
    from_: FromOption = None,
    speed: SpeedOption = "1",
    calendar: CalendarOption = "open",
    dedupe: DedupeOption = "forever",
    maker_fee: MakerOption = None,
    taker_fee: TakerOption = None,
    idle_minutes: IdleOption = 30,
    http_port: PortOption = 0,
) -> None:
    """Start it in the background; with other options than the running one has, that is a usage error."""
    from perpsctl.simulator import launcher

    inputs.a_moment(from_, "--from")
    for what, text in (("--speed", speed), ("--maker-fee", maker_fee), ("--taker-fee", taker_fee)):
        if text is not None:
            inputs.a_number(text, what)
    options = launcher.SimOptions(
        seed=seed, replay=replay, start=from_, speed=speed, calendar=calendar, dedupe=dedupe, maker_fee=maker_fee,
        taker_fee=taker_fee, idle_minutes=idle_minutes, http_port=http_port,
    )  # fmt: skip
    _finish_status(ctx, launcher.start(places.exchange_folder(), options))


@command(app, "status")
def status(ctx: typer.Context) -> None:
    """Show whether it runs and where its faces are."""
    from perpsctl.simulator import launcher

    _finish_status(ctx, launcher.status(places.exchange_folder()))


@command(app, "stop")
def stop(ctx: typer.Context) -> None:
    """Stop it; it is gone when this returns."""
    from perpsctl.render import operations
    from perpsctl.simulator import launcher

    stopped = launcher.stop(places.exchange_folder())
    text = "the embedded exchange is stopped" if stopped else "it was not running"
    finish(ctx, operations.said(text, {"running": False, "stopped": stopped}))


@command(app, "reset")
def reset(ctx: typer.Context) -> None:
    """Give it a new account, new keys, an empty book and no faults."""
    from perpsctl.simulator import launcher

    _finish_status(ctx, launcher.reset(places.exchange_folder()))


@command(app, "serve")
def serve(
    ctx: typer.Context,
    seed: SeedOption = 1,
    replay: ReplayOption = None,
    from_: FromOption = None,
    speed: SpeedOption = "1",
    calendar: CalendarOption = "open",
    dedupe: DedupeOption = "forever",
    http_port: PortOption = 0,
) -> None:
    """Run it in the foreground until interrupted."""
    from perpsctl.render import operations
    from perpsctl.simulator import launcher, server

    inputs.a_moment(from_, "--from")
    options = launcher.SimOptions(
        seed=seed, replay=replay, start=from_, speed=speed, calendar=calendar, dedupe=dedupe, http_port=http_port,
        idle_minutes=0,
    )  # fmt: skip

    def ready(found: Mapping[str, Any]) -> None:
        talk(ctx, f"serving on {found['faces']['us']['http']} and {found['faces']['us']['https']}; Ctrl-C ends it")

    server.serve(places.private_folder(places.exchange_folder()), options, ready)
    finish(ctx, operations.said("the embedded exchange has ended", {"running": False}))


@command(app, "book")
def book(ctx: typer.Context) -> None:
    """Show the exchange's own books: every order and position as they truly stand, whatever faults show to a client."""
    from perpsctl.render import exchange

    finish(ctx, exchange.judged(_ask("GET", "/judge")))


@command(app, "set")
def set_state(ctx: typer.Context, what: WhatArgument, values: ValuesArgument = None) -> None:
    """Set the exchange's state for a rehearsal, e.g. `sim set status product_id=BIP-20DEC30-CDE cancel_only=true`."""
    from perpsctl.render import operations

    if not what.isidentifier():
        raise UsageError(f"{shown(what, 40)!r} is nothing that can be set")
    _ask("POST", f"/state/{what}", _pairs(values))
    finish(ctx, operations.said(f"{what} is set", {"set": what, "values": list(values or [])}))


ARM_EXAMPLES = """\
perpsctl sim fault catalogue
perpsctl sim fault arm reset_after_accept --operation create_order
perpsctl sim fault arm N1 --nth 2 --count 3"""


@command(fault_app, "arm", epilog=ARM_EXAMPLES)
def arm(
    ctx: typer.Context,
    fault: FaultArgument,
    operation: OperationOption = None,
    nth: NthOption = 1,
    count: CountOption = None,
    probability: ProbabilityOption = None,
    seed: FaultSeedOption = 0,
    for_seconds: SecondsOption = None,
    param: ParamOption = None,
) -> None:
    """Arm a fault: it fires on matching requests until it is used up or disarmed."""
    from perpsctl.render import operations

    body: dict[str, Any] = {"name": fault, "nth": nth, "seed": seed}
    if operation is not None:
        body["operation"] = operation
    if count is not None:
        body["count"] = count
    if probability is not None:
        body["probability"] = probability
    if for_seconds is not None:
        body["for_seconds"] = for_seconds
    if param:
        body["params"] = _pairs(param)
    answer = _ask("POST", "/faults", body)
    finish(ctx, operations.said(f"{fault} is armed", {"fault": fault, "handle": answer["handle"]}))


@command(fault_app, "list")
def list_faults(ctx: typer.Context) -> None:
    """List what is armed and how often each fired."""
    from perpsctl.render import exchange

    finish(ctx, exchange.armed(_ask("GET", "/faults")["faults"]))


@command(fault_app, "catalogue")
def catalogue(ctx: typer.Context) -> None:
    """List every fault it knows."""
    from perpsctl.render import exchange

    finish(ctx, exchange.catalogue(_ask("GET", "/faults/catalogue")["catalogue"]))


@command(fault_app, "disarm")
def disarm(ctx: typer.Context, fault: HandleArgument = None) -> None:
    """Disarm one fault, or all."""
    from urllib.parse import quote

    from perpsctl.render import operations

    target = "/faults" if fault is None else f"/faults?name={quote(fault, safe='')}"
    gone = _ask("DELETE", target)["disarmed"]
    finish(ctx, operations.said(f"{gone} disarmed", {"disarmed": gone}))


SCENARIO_EXAMPLES = """\
perpsctl sim scenario rough-streams
perpsctl sim fault disarm"""


@command(app, "scenario", epilog=SCENARIO_EXAMPLES)
def scenario(ctx: typer.Context, name: ScenarioArgument) -> None:
    """Arm several faults that belong together, all of them or none."""
    from perpsctl.render import operations

    answer = _ask("POST", "/scenario", {"name": name})
    data = {"scenario": name, "faults": answer["faults"], "handles": answer["handles"]}
    armed = len(answer["handles"])
    finish(ctx, operations.said(f"{name}: {armed} fault{'s are' if armed != 1 else ' is'} armed", data))


def _ask(method: str, target: str, body: Mapping[str, Any] | None = None) -> Any:
    from perpsctl.simulator import launcher

    return launcher.control(places.exchange_folder(), method, target, body)


def _pairs(texts: list[str] | None) -> dict[str, Any]:
    """`key=value` pairs; true, false and whole numbers are themselves, everything else is text."""
    found: dict[str, Any] = {}
    for text in texts or []:
        key, mark, value = text.partition("=")
        if not mark or not key.isidentifier():
            raise UsageError(f"{shown(text, 60)!r} is not key=value")
        found[key] = _value(value)
    return found


def _value(text: str) -> bool | int | str:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else text


def _finish_status(ctx: typer.Context, found: Any) -> None:
    from perpsctl.render import exchange

    folder = places.exchange_folder()
    finish(ctx, exchange.status({"running": False} if found is None else found.as_data(folder)))
