"""Checks of this host and of the kill switch: configuration, folders, disk, descriptors, latch.

Written is nothing but a small file beside the real ones that is gone when its sync came back.
"""

from pathlib import Path

from perpsctl.checks.context import CheckContext
from perpsctl.checks.figures import age, ms, plural, size_of
from perpsctl.checks.model import Check, Finding, failed, passed, warned
from perpsctl.domain.products import Environment
from perpsctl.domain.reports import HaltState

DISK_FREE_MIN = 256 << 20
DISK_FREE_LOW = 1 << 30
FILES_FREE_MIN = 1000
DESCRIPTORS_FREE_MIN = 64
DESCRIPTORS_LOW = 1024
_SHOWN_PRINT = 16


def config_valid(ctx: CheckContext) -> Finding:
    """The configuration was read whole, nobody else can change it, and its limits have a fingerprint."""
    setup = ctx.setup
    origins = ", ".join(f"{count} from {source}" for source, count in sorted(setup.sources.items()))
    told = f"limits {setup.limits.fingerprint()[:_SHOWN_PRINT]}, values: {origins or 'none'}"
    if not setup.config_exists:
        missing = f"no file at {setup.config_file}; {told}"
        if setup.environment is Environment.PRODUCTION:
            return failed(missing, fix="write down what production rests on: `perpsctl config init`")
        return passed(missing)
    mode = ctx.host.mode(setup.config_file)
    if mode is None:
        return failed(f"{setup.config_file} has gone since it was read", fix="put it back; nothing runs without it")
    if mode & 0o022:
        return failed(f"{setup.config_file} has mode {mode:04o}: others can change limits", fix="chmod 600")
    return passed(f"{setup.config_file} mode {mode:04o}, {told}")


def entries_token(ctx: CheckContext) -> Finding:
    """What an entry needs besides passing the rules: in production, an expiring token."""
    setup = ctx.setup
    if setup.environment is Environment.PRODUCTION:
        return failed(
            f"production, live = {str(setup.live).lower()}: expiring preflight tokens are not built yet, "
            "so every entry in production is denied (preflight_token_missing)",
            fix="rehearse in sim; cancels, exits and the kill switch work in production without a token",
        )
    return passed(f"{setup.environment}: entries need no token here")


def folders_private(ctx: CheckContext) -> Finding:
    """The profile's state is ours alone: folder 0700, files without a bit for others (S6)."""
    folder = ctx.setup.state_folder
    mode = ctx.host.mode(folder)
    if mode is None:
        return failed(
            f"{folder} is not there", fix="nothing of this profile was ever recorded: run `perpsctl journal info`"
        )
    files = ctx.host.names(folder)
    modes = {name: ctx.host.mode(folder / name) for name in files}
    open_ones = [f"{name} {found:04o}" for name, found in modes.items() if found is not None and found & 0o077]
    told = f"{folder} mode {mode:04o}, {plural(len(files), 'file')}"
    if mode & 0o077 or open_ones:
        wrong = ", ".join(open_ones) or "the folder itself"
        return failed(f"{told}; others can reach {wrong}", fix=f"chmod -R go= {folder}")
    return passed(told)


def disk_free(ctx: CheckContext) -> Finding:
    """There is room for the journal: a full disk stops entries (D1)."""
    space = ctx.host.space(ctx.setup.state_folder)
    told = f"{size_of(space.free)} of {size_of(space.total)} free"
    if space.files_free is not None:
        told += f", {space.files_free} files"
    few_files = space.files_free is not None and space.files_free < FILES_FREE_MIN
    if space.free < DISK_FREE_MIN or few_files:
        return failed(told, fix=f"free the disk: {size_of(DISK_FREE_MIN)} and {FILES_FREE_MIN} files are the least")
    if space.free < DISK_FREE_LOW:
        return warned(told, fix="free the disk soon")
    return passed(told)


def descriptors(ctx: CheckContext) -> Finding:
    """This process may open the files and sockets it needs (D11)."""
    found = ctx.host.descriptors()
    told = f"{found.open} open of {found.limit}"
    if found.limit - found.open < DESCRIPTORS_FREE_MIN:
        return failed(told, fix=f"raise `ulimit -n`: at least {DESCRIPTORS_FREE_MIN} must be free")
    if found.limit < DESCRIPTORS_LOW:
        return warned(told, fix=f"raise `ulimit -n` to {DESCRIPTORS_LOW} for a long run")
    return passed(told)


def switch_released(ctx: CheckContext) -> Finding:
    """The kill switch is released, in both of its places; what cannot be read counts as engaged."""
    facts = ctx.halts().facts()
    told = f"latch {facts.latch}, journal {facts.journal}"
    if facts.state is HaltState.RELEASED:
        return passed(told)
    since = "" if facts.since is None else f" {age(ctx.clock.now() - facts.since)} ago"
    why = f"; by {facts.by or 'nobody named'}{since}: {facts.reason}" if facts.reason or facts.by else ""
    if facts.journal.startswith("unreadable") and facts.latch == "released":
        return failed(f"counts as engaged: {told}", fix="mend the journal first: see journal.integrity")
    return failed(f"engaged: {told}{why}", fix="look why, then `perpsctl killswitch release --ack REASON`")


def latch_durable(ctx: CheckContext) -> Finding:
    """The latch can be made durable in its folder: engaging works when it is needed (R2)."""
    found = _synced(ctx, ctx.latch.folder)
    if isinstance(found, Finding):
        return found
    latch = ctx.latch.state()
    return passed(f"{ctx.latch.folder}: a file was synced in {ms(found)}; latch reads {latch.told}")


def journal_durable(ctx: CheckContext) -> Finding:
    """The journal's file can be written and a sync beside it comes back (J2, D8)."""
    path = ctx.setup.journal_file
    if path is None:
        return failed("the journal is no file of this host", fix="only SQLite journals are built yet")
    mode = ctx.host.mode(path)
    if mode is None:
        return failed(f"{path} is not there", fix="run `perpsctl journal info`; it is made when first opened")
    if not mode & 0o200:
        return failed(f"{path} has mode {mode:04o}: not writable", fix="chmod 600")
    found = _synced(ctx, path.parent)
    return found if isinstance(found, Finding) else passed(f"{path} mode {mode:04o}, a sync beside it took {ms(found)}")


def _synced(ctx: CheckContext, folder: Path) -> int | Finding:
    try:
        return ctx.host.sync_beside(folder).took_us
    except OSError as trouble:
        told = f"{folder}: a small file could not be made durable ({trouble.strerror or type(trouble).__name__})"
        return failed(told, fix="look at the disk and the folder's owner; no order is sent without a durable record")


CONFIG = Check("config.valid", "The configuration is ours and whole", run=config_valid)
TOKEN = Check("token.entries", "Entries have the token they need", run=entries_token)
FOLDERS = Check("folders.private", "State can be reached by us alone", run=folders_private)
DISK = Check("disk.free", "The disk has room", run=disk_free)
DESCRIPTORS = Check("files.descriptors", "Files and sockets can be opened", run=descriptors)
RELEASED = Check("killswitch.released", "The kill switch is released", run=switch_released)
LATCH = Check("killswitch.latch", "The kill switch can be engaged durably", run=latch_durable)
JOURNAL_DURABLE = Check("journal.writable", "The journal can be written durably", run=journal_durable)
