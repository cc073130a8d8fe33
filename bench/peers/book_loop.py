"""What every book-keeping peer does: keep one book over one stream, again and again, each message timed.

Standard library only. The stream's file has a message a line, the first one a snapshot. After each message the best
prices are looked at and the quote value within 15 bps of the middle on the ask side; the answers to the last one are
told, to be compared.
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

BAND_BPS = 15
Told = tuple[object, object, object]  # best bid, best ask, quote value within the band


def serve(take: Callable[[bytes], object], look: Callable[[], Told]) -> None:
    """`take` applies a message, a snapshot replacing what was; `look` is timed with it. Ends when stdin does."""
    messages = Path(sys.argv[1]).read_bytes().splitlines()
    print("ready", flush=True)
    for line in sys.stdin:
        took: list[float] = []
        told: Told = (0, 0, 0)
        for _ in range(int(line)):
            take(messages[0])
            gc.collect()
            for message in messages[1:]:
                began = time.perf_counter_ns()
                take(message)
                told = look()
                took.append((time.perf_counter_ns() - began) / 1000)
        print(json.dumps({"took": took, "told": [str(Decimal(str(each))) for each in told]}), flush=True)
