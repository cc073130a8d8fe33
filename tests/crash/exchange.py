"""The embedded exchange as a process of its own, on the shared clock: `python -m tests.crash.exchange CLOCK --folder …`.

Everything but its source of time is the product's server; it ends with whoever started it.
"""

import sys
from datetime import datetime
from pathlib import Path

from perpsctl.simulator import clock, server
from tests.crash.clock import SharedClock
from tests.crash.parent import end_with_parent


def main() -> None:
    """Serves until told to stop."""
    end_with_parent()
    shared = SharedClock(Path(sys.argv[1]))

    def now(self: clock.SystemClock) -> datetime:
        return shared.venue_now()

    clock.SystemClock.now = now  # type: ignore[method-assign]
    server.main(sys.argv[2:])


if __name__ == "__main__":
    main()
