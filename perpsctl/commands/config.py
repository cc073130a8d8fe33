"""`config`: where values come from, and a first file to start with."""

import os
from typing import Annotated

import typer

from perpsctl.commands.globals import command, globals_of, new_group
from perpsctl.commands.output import Setup, finish, remember_setup
from perpsctl.domain.errors import UsageError

app = new_group("Show the effective configuration, or write a first file.")

FIRST_FILE = """\
# perpsctl configuration. Unknown keys are errors. Numbers of limits are written in quotes to keep every digit.
# Values come from here, then PERPSCTL_... variables, then options; `perpsctl config show` names each one's source.
default_profile = "sim"

# The embedded exchange: no keys, no network.
[profile.sim]
venue = "us"
environment = "sim"

# The real venue. Entries also need --live on the call; keys are files only you can read (mode 600).
# [profile.production]
# venue = "us"
# environment = "production"
# live = false
# portfolio = "<portfolio uuid; `perpsctl probe` shows it>"
# products = ["BTC-PERP"]
# [profile.production.keys]
# trade = "~/keys/trade.json"
# monitor = "~/keys/monitor.json"
# analytics = "~/keys/analytics.json"
# [profile.production.limits]
# position_max_share = "0.01"
# gross_max_share = "0.05"
# daily_loss_max_share = "0.02"
"""
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


@command(app, "show")
def show(ctx: typer.Context) -> None:
    """Show each effective value and where it came from; secrets are never read, so never shown."""
    from perpsctl import settings
    from perpsctl.render import operations

    profile = settings.load(profile=globals_of(ctx).profile, config=globals_of(ctx).config)
    remember_setup(ctx, Setup(profile=profile.name, venue=profile.venue.value, environment=profile.environment.value))
    rows = [("profile", profile.name, "option" if globals_of(ctx).profile else "chosen")]
    rows.append(("file", str(profile.config_file), "there" if profile.config_exists else "not there"))
    rows.extend((found.key, found.value, found.source) for found in profile.sources)
    finish(ctx, operations.named_rows("Configuration", "values", rows, ("key", "value", "source")))


@command(app, "init")
def init(ctx: typer.Context, force: ForceOption = False) -> None:
    """Write a first configuration file, readable by you alone."""
    from perpsctl import places
    from perpsctl.render import operations

    path = places.config_file()
    places.private_folder(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL) | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", fix="edit it, or replace it with --force") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(FIRST_FILE)
    finish(ctx, operations.said(f"wrote {path}", {"file": str(path)}))
