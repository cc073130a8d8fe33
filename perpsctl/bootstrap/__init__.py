"""Builds the real parts of one profile and introduces them to one another; no other room does.

Three floors, each on the one below: the venue and what reaches it, the durable record, and the engine over both. Each part is
made on first use. What is missing is told where it is needed: a broken journal stops entries and never the way out, a key
that cannot be read stops the venue and never the latch.
"""

from perpsctl.bootstrap.toolkit import Toolkit

__all__ = ["Toolkit"]
