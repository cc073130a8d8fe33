"""Runs command lines one after another in this process while every reply of the venue has evil texts in it.

Started by `test_terminal` with its stdout and stderr on a terminal or a pipe: `python -m tests.hostile.evil_commands SEED
ROUNDS`. The client, the commands and what they print are the real ones; only the transport's answers are spoiled.
"""

import dataclasses
import re
import sys
from random import Random
from typing import Any

from perpsctl.commands.app import invoke
from perpsctl.exchange.transport import Answered, Transport
from tests.hostile.mutate import EVIL_TEXTS, quoted, taken_apart

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("products", "list"),
    ("products", "show", "BTC-PERP"),
    ("products", "book", "BTC-PERP"),
    ("order", "list"),
    ("order", "list", "--all"),
    ("positions", "list"),
    ("fills", "list"),
    ("order", "preview", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000"),
    (
        "order",
        "place",
        "--product",
        "BTC-PERP",
        "--side",
        "buy",
        "--size",
        "0.01",
        "--price",
        "68500",
        "--again",
        "--wait",
        "0",
    ),
    ("reconcile",),
    ("probe",),
    ("order", "cancel-all"),
)
PROFILES = ("sim", "sim-global")
MARK = "=== "  # a line of ours between two commands, for whoever reads the output
HEADERS = ("x-request-id", "trace-id", "date", "x-ratelimit-remaining", "retry-after", "content-type")
_NAMES = re.compile(rb'"(?:order_id|product_id|instrument_name|client_order_id|label|access_token|jsonrpc)":$')


def spoil(chance: Random, body: bytes) -> bytes:
    """The reply with evil in some of its texts; ids mostly stay, or nothing would be read to its end."""
    parts = taken_apart(body)
    texts = [each for each in parts.texts if not _NAMES.search(body[max(0, each.start - 30) : each.start])]
    if chance.random() < 0.15:
        texts = list(parts.texts)
    chosen = sorted(chance.sample(texts, min(len(texts), chance.choice((1, 1, 2)))), key=lambda each: -each.start)
    for span in chosen:
        evil = quoted(chance.choice(EVIL_TEXTS), chance)
        old = body[span.start : span.end]
        body = body[: span.start] + (evil if chance.random() < 0.5 else old[:-1] + evil[1:]) + body[span.end :]
    return body


def main(arguments: list[str]) -> int:
    """Every command of every profile, so many rounds."""
    seed, rounds = int(arguments[0]), int(arguments[1])
    chance = Random(f"{seed}/terminal")
    honest = Transport.exchange
    struck = 0

    def evil(self: Transport, *asked: Any, **named: Any) -> Any:
        nonlocal struck
        ending = honest(self, *asked, **named)
        if not isinstance(ending, Answered) or chance.random() < 0.4:
            return ending
        struck += 1
        headers = dict(ending.headers)
        if chance.random() < 0.2:
            headers[chance.choice(HEADERS)] = chance.choice(EVIL_TEXTS[:16])
        return dataclasses.replace(ending, body=spoil(chance, ending.body), headers=headers)

    Transport.exchange = evil  # type: ignore[method-assign]
    for _ in range(rounds):
        for profile in PROFILES:
            for words in COMMANDS:
                code = invoke((*words, "--profile", profile))
                sys.stdout.write(f"{MARK}{profile} {' '.join(words[:2])} {code}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{MARK}{struck} struck\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
