"""The rooms and the arrows between them, as data, and the one function that compares imports with them.

Arrows point down only. A room that is not in the table may not exist: adding one is a decision made here.
"""

import sys
from collections.abc import Iterable

from tests.architecture.house import PACKAGE, Import, Module, imports_of

# room -> what it may import: a whole room ("domain") or one module of it ("checks.model")
ARROWS: dict[str, frozenset[str]] = {
    "": frozenset(),  # perpsctl/__init__.py: importing perpsctl.latch must load nothing else
    "domain": frozenset(),
    # where things live on disk; beside the latch it is all that loads before the switch is durable
    "places": frozenset({"domain"}),
    "gate": frozenset({"domain"}),  # what the latch shuts; everybody else passes it by the latch's door
    "latch": frozenset({"gate", "places", "domain"}),
    "wire": frozenset({"domain"}),
    # siblings, strangers to one another; bootstrap introduces them
    "exchange": frozenset({"wire", "domain"}),
    "risk": frozenset({"domain"}),
    "journal": frozenset({"domain", "latch", "places"}),  # its halts join the latch; its files live beside it
    "systemports": frozenset({"domain"}),
    "diagnostics": frozenset({"domain"}),
    # floor 4
    "engine": frozenset({"domain", "risk", "latch"}),
    "checks": frozenset({"domain", "risk", "latch"}),
    "reporting": frozenset({"domain", "risk"}),
    "render": frozenset({"domain", "checks.model", "reporting"}),
    # floor 5
    "settings": frozenset({"domain", "risk", "latch", "places"}),
    "bootstrap": frozenset(
        {
            *("domain", "wire", "exchange", "risk", "journal", "systemports", "diagnostics"),
            *("engine", "checks", "reporting", "render", "latch", "places", "settings"),
            # The one door into the simulator: starting its process on first use of a sim profile.
            # The exchange itself stays on the other side of a socket.
            "simulator.launcher",
        }
    ),
    # the same floor's second door: builds what checks look through from the toolkit
    "bootstrap_checks": frozenset({"domain", "wire", "exchange", "journal", "checks", "bootstrap"}),
    # floor 6: never exchange, journal or wire; bootstrap alone builds the real parts
    "commands": frozenset(
        {
            *("domain", "risk", "engine", "checks", "reporting", "render"),
            *("latch", "places", "settings", "bootstrap", "bootstrap_checks", "systemports"),
        }
    ),
    # the wing: shares wire with the client and no line of the client, so each checks the other
    "simulator": frozenset({"wire", "domain", "places"}),
}

# Only the simulator's own command (commands/sim.py, commands/sim_….py) may open the wing.
WING = "simulator"
WING_COMMAND_PREFIX = f"{PACKAGE}.commands.sim"

STDLIB_ONLY = frozenset({"", "domain", "places", "gate", "latch"})

# A library's exceptions stay in the room that imports it.
LIBRARY_HOMES: dict[str, frozenset[str]] = {
    "requests": frozenset({"exchange", "simulator"}),  # the simulator offers a transport adapter
    "urllib3": frozenset({"exchange", "simulator"}),
    "websockets": frozenset({"exchange", "simulator"}),
    "jwt": frozenset({"exchange", "simulator"}),  # one signs, the other verifies
    "cryptography": frozenset({"exchange", "simulator"}),
    "tenacity": frozenset({"exchange"}),
    "msgspec": frozenset({"wire", "simulator"}),
    "pydantic": frozenset({"settings"}),
    "pydantic_settings": frozenset({"settings"}),
    "sqlalchemy": frozenset({"journal"}),
    "alembic": frozenset({"journal"}),
    "starlette": frozenset({"simulator"}),
    "uvicorn": frozenset({"simulator"}),
    "typer": frozenset({"commands"}),
    "rich": frozenset({"commands", "render"}),
}


def floor_violations(modules: Iterable[Module]) -> list[str]:
    """One line per forbidden import, naming the pair; empty when every arrow points down."""
    found: set[str] = set()
    for source in modules:
        if source.room not in ARROWS:
            found.add(f"{source.name}: no such room; give it a floor in tests/architecture/floors.py")
            continue
        for imported in imports_of(source):
            complaint = _complaint(source, imported)
            if complaint is not None:
                found.add(f"{source.name}:{imported.line} imports {imported.target}: {complaint}")
    return sorted(found)


def _complaint(source: Module, imported: Import) -> str | None:
    top = imported.target.split(".")[0]
    if top != PACKAGE:
        return _library_complaint(source.room, top)
    inside = imported.target.removeprefix(PACKAGE).removeprefix(".")
    room = inside.split(".")[0]
    if room in {"", "__version__"} or room == source.room:
        return None
    if room == WING and source.name.startswith(WING_COMMAND_PREFIX):
        return None
    if any(inside == allowed or inside.startswith(f"{allowed}.") for allowed in ARROWS[source.room]):
        return None
    return f"no arrow from {source.room or PACKAGE} to {room}"


def _library_complaint(room: str, top: str) -> str | None:
    if top in sys.stdlib_module_names:
        return None
    if room in STDLIB_ONLY:
        return f"{room or PACKAGE} uses the standard library only"
    homes = LIBRARY_HOMES.get(top)
    if homes is not None and room not in homes:
        return f"{top} lives in {', '.join(sorted(homes))} only"
    return None
