"""Faults that belong together, by name: one call arms them all, in their order.

Parameters are as for arming one; how often each strikes is its own business.
"""

from typing import Any

Step = dict[str, Any]  # as for POST /faults

SCENARIOS: dict[str, tuple[str, tuple[Step, ...]]] = {
    "rough-streams": (
        "connections cut when 20 s old, each 5,000th message lost, the ticker mute, one flood of 50,000 messages/s",
        (
            {"name": "W6", "params": {"when": "age", "seconds": 20}},
            {"name": "W1", "params": {"every": 5000}},
            {"name": "W5", "params": {"channel": "ticker"}},
            {"name": "W10", "params": {"after_seconds": 10}},
        ),
    ),
    "mute-book": (
        "books say nothing on any socket while heartbeats and trades go on",
        ({"name": "W5", "params": {"channel": "level2"}},),
    ),
    "stale-market": (
        "reads and streams of every product stand still, venue times included",
        ({"name": "M2"},),
    ),
    "flaky-venue": (
        "one in twenty requests answered 503 after it ran, one in twenty cut off, a socket cut each minute",
        (
            {"name": "N8", "operation": "any", "probability": "0.05", "count": None},
            {"name": "N12", "operation": "any", "probability": "0.05", "count": None},
            {"name": "W6", "params": {"when": "age", "seconds": 60}},
        ),
    ),
}
