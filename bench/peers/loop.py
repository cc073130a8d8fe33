"""What every peer does: read a number, create so many orders one after another, print their times. Standard library only."""

import json
import sys
import time
import uuid
from collections.abc import Callable


def serve(create: Callable[[str], object], prepare: Callable[[str], object] | None = None) -> None:
    """`create` gets a fresh client order id and returns when the venue's answer is parsed; it raises when refused.

    `prepare` makes what `create` then gets, outside the timed part. Ends when stdin does.
    """
    print("ready", flush=True)
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            name = str(uuid.uuid4())
            given = name if prepare is None else prepare(name)
            began = time.perf_counter_ns()
            create(given)  # type: ignore[arg-type]
            took.append((time.perf_counter_ns() - began) / 1000)
        print(json.dumps(took), flush=True)
