"""Repeatable randomness without state: a number is a pure function of a seed and the place it is asked for.

So any past or future moment of a market can be asked for in any order and answers the same. Nothing secret may be
made from it.
"""

import uuid
from hashlib import sha256

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
UNIT = float(1 << 53)


def seed_of(*parts: str | int) -> int:
    """A 64-bit seed from names and numbers; different parts give unrelated seeds."""
    return int.from_bytes(sha256("\x1f".join(str(part) for part in parts).encode()).digest()[:8], "big")


def bits(seed: int, index: int) -> int:
    """The 64 random bits at `index` of the stream `seed` (splitmix64's finaliser)."""
    z = (seed + (index + 1) * GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def unit(seed: int, index: int) -> float:
    """A number in [0, 1)."""
    return (bits(seed, index) >> 11) / UNIT


def identifier(*parts: str | int) -> str:
    """A UUID that is a pure function of `parts`; its shape is that of version 4."""
    digest = sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def row_key(*parts: str | int) -> str:
    """64 hexadecimal digits, as the venue's fill rows carry."""
    return sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()
