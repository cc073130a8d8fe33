"""The embedded exchange as a process that shows only its newest orders: `python -m tests.killtrials.exchange --folder …`.

The venue's lists tell of a quarter of an hour, which at this pace is tens of thousands of orders read for each one placed.
Cut short, the ten-thousandth trial costs what the first one did; its record of requests, the judge, is whole.
"""

import ctypes
import signal
import sys

from perpsctl.simulator import server, state

PR_SET_PDEATHSIG = 1  # linux/prctl.h
ORDERS_SHOWN = 40


def end_with_parent() -> None:
    """The kernel ends this process with the one that started it: nothing is left behind by a run that was stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serves until told to stop."""
    end_with_parent()
    state.ORDERS_KEPT = ORDERS_SHOWN
    server.main(sys.argv[1:])


if __name__ == "__main__":
    main()
