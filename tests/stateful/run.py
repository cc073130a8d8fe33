"""`make stateful`: the state machine over the desk, as many examples of as many steps as asked for.

The last line says how many examples ran and how many failed; a failure prints the shortest steps that make it.
"""

import argparse
import sys
import time

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import HypothesisException
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import DeskMachine


class Counted(DeskMachine):
    """Counts what it did."""

    examples = 0
    done = 0
    struck = 0
    sends = 0

    def teardown(self) -> None:
        Counted.examples += 1
        Counted.done += self.steps
        if self.story is not None:
            Counted.struck += len(self.story.site.life.fired)
            Counted.sends += len(self.story.case.sends)
        super().teardown()


def main(arguments: list[str] | None = None) -> int:
    """The command; answers its exit code."""
    parser = argparse.ArgumentParser(prog="make stateful", description=__doc__)
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--judge-every", type=int, default=4, help="so many steps between two looks of the whole judge")
    asked = parser.parse_args(arguments)
    Counted.judge_every = asked.judge_every
    began = time.monotonic()
    wanted = settings(
        max_examples=asked.examples,
        stateful_step_count=asked.steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    failures = 0
    try:
        run_state_machine_as_test(Counted, settings=wanted)
    except (AssertionError, HypothesisException, ExceptionGroup) as failure:
        failures = 1
        print(f"{type(failure).__name__}: {failure}")
        for note in getattr(failure, "__notes__", ()):
            print(note)
    print(
        f"{asked.examples} examples of at most {asked.steps} steps; {Counted.done} steps, {Counted.sends} writes left, "
        f"{Counted.struck} crashes struck, {time.monotonic() - began:.0f} s"
    )
    print(f"{Counted.examples} examples, {failures} violations")
    return failures


if __name__ == "__main__":
    sys.exit(main())
