"""perpsctl: the operator's toolkit for Coinbase perpetual futures.

This file holds the version and nothing else. It must never import a room: `perpsctl.latch` has to be
reachable without loading anything but the standard library.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
