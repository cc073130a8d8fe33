"""`make killtrials`: engage the kill switch again and again while three processes place, and count what left after it.

Progress goes to stderr. The last line holds the figures; exit code 1 on any violation. With `--without-gate` the same trials
run until an order slips through on the same host and on another one, and exit 1 is what they are expected to end with.
"""

import argparse
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.killtrials.hosts import BACK_ENDS, PLACERS, POSTGRESQL, hosts_on
from tests.killtrials.judge import Judge, spread
from tests.killtrials.trials import Stuck, Trials, trials_on

TOLD_EVERY = 250
SAMPLED_FIRST = 100  # by then everything is imported and every cache is warm
KIB_MAY_GROW = 65_536
SHOWN = 10


def commit() -> str:
    """Short, `+` where something tracked differs from it."""
    here = Path(__file__).resolve().parent
    found = subprocess.run(
        ["git", "describe", "--always", "--abbrev=7", "--dirty=+", "--exclude=*"],
        cwd=here, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found.stdout.strip() or "unknown"


def series(
    trials: Trials, count: int, commands: int, *, until_late: bool, elsewhere: bool, stopped: Sequence[int]
) -> int:
    """So many counted trials, the commands evenly among them; how many were run before it ended."""
    done, began = 0, time.monotonic()
    while done < count and not stopped:
        by_command = commands > 0 and done * commands // count != (done + 1) * commands // count
        done += trials.one(done + 1, by_command=by_command)
        judge = trials.judge
        if until_late and judge.late and (judge.late_elsewhere or not elsewhere):
            return done
        if done == SAMPLED_FIRST or done % TOLD_EVERY == 0:
            size = trials.sample(done)
            print(
                f"{done} of {count} in {time.monotonic() - began:.0f} s: {judge.in_words()}, {judge.late} late; "
                f"placers {size.kib} KiB, {size.descriptors} descriptors, load {size.load:.1f}",
                file=sys.stderr, flush=True,
            )  # fmt: skip
    return done


def growth(trials: Trials) -> list[str]:
    """What grew that must not."""
    if len(trials.samples) < 2:
        return []
    first, last = trials.samples[0], trials.samples[-1]
    told = []
    for number in range(PLACERS):
        if last.kib[number] - first.kib[number] > KIB_MAY_GROW:
            told.append(f"placer {number + 1} grew from {first.kib[number]} to {last.kib[number]} KiB")
        if last.descriptors[number] > first.descriptors[number] + 4:
            told.append(f"placer {number + 1} holds {last.descriptors[number]} descriptors")
    return told


def figures(trials: Trials, done: int, back_end: str) -> list[str]:
    """Everything that was measured, in words."""
    judge = trials.judge
    lines = [
        f"placers at work as engage was called: {judge.under_way / max(1, done):.2f} of {PLACERS} a trial; accepted since "
        f"the release: {trials.accepted_by / max(1, done):.2f}; a send past its last look in {judge.in_the_gate} trials",
        f"received by the exchange after engage had returned, having left before: {judge.in_flight}, "
        f"{judge.in_flight_longest // 1000} us at most",
    ]
    if back_end == POSTGRESQL:
        lines.append(
            f"left another host after the latch step and before engage returned: {judge.between}; latch step to the last of "
            f"them {spread(judge.elsewhere_by_latch)}; by the command {spread(judge.elsewhere_by_command)}"
        )
    for name, found in (("latch, gate, halt, senders", judge.by_latch), ("the command", judge.by_command)):
        if found:
            lines.append(f"engage to last byte sent, {name}: {spread([sent for sent, _ in found])}")
            lines.append(f"engage to last one received, {name}: {spread([received for _, received in found])}")
    lines.append(f"latch step took {spread(judge.latch_took)}; the whole engage {spread(judge.engage_took)}")
    if judge.command_latched:
        lines.append(f"the command's process began to `latched`: {spread(judge.command_latched)}")
    loads = sorted(each.load for each in trials.samples)
    if loads:
        told = f"{loads[0]:.0f} to {loads[-1]:.0f}, median {loads[len(loads) // 2]:.0f}"
        lines.append(f"load average of the machine meanwhile: {told}, on {os.cpu_count()} processors")
    lines += [
        f"steps that said they did not succeed and were repeated: {count} x {words}"
        for words, count in trials.repeated.items()
    ]
    lines += [f"other endings: {count} x {words}" for words, count in judge.others.most_common(SHOWN)]
    return lines


def pace(trials: Trials) -> str:
    """The first and the last stretch, per trial, and the placers' size."""
    if len(trials.samples) < 3:
        return ""
    first, second, before, last = trials.samples[0], trials.samples[1], trials.samples[-2], trials.samples[-1]
    early = (second.at - first.at) / (second.trial - first.trial)
    late = (last.at - before.at) / (last.trial - before.trial)
    return (
        f"a trial took {early * 1000:.0f} ms at first and {late * 1000:.0f} ms at last; "
        f"placers {first.kib} KiB at trial {first.trial}, {last.kib} at {last.trial}"
    )


def last_line(judge: Judge, done: int, back_end: str) -> str:
    """The result."""
    found = judge.by_latch + judge.by_command
    return (
        f"{done} trials on {back_end} ({PLACERS} processes; {len(judge.by_command)} by the command): {judge.in_words()}, "
        f"{judge.late} sent after engage; engage to last send {spread([sent for sent, _ in found])}; commit {commit()}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.killtrials.run")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--journal", choices=BACK_ENDS, required=True)
    parser.add_argument("--command", type=int, default=200, help="trials through the real command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-gate", action="store_true", help="the counter-trial: must fail")
    asked = parser.parse_args()
    gc.freeze()
    stopped: list[int] = []
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: stopped.append(number))  # the figures so far are told all the same
    options = ["--without-gate"] if asked.without_gate else []
    wrong: list[str] = []
    with hosts_on(asked.journal) as hosts, trials_on(hosts, *options, seed=asked.seed) as trials:
        judge, done = trials.judge, 0
        try:
            done = series(
                trials,
                asked.trials,
                asked.command,
                until_late=asked.without_gate,
                elsewhere=asked.journal == POSTGRESQL,
                stopped=stopped,
            )
        except Stuck as stuck:
            wrong.append(str(stuck))
        wrong += growth(trials)
        for line in (*figures(trials, done, asked.journal), pace(trials)):
            print(line)
    wrong = [*judge.violations, *wrong]
    if done < asked.trials and not asked.without_gate:
        wrong.append(f"ended after {done} of {asked.trials} trials")
    elif len(judge.by_command) < min(asked.command, asked.trials) and not asked.without_gate:
        wrong.append(f"only {len(judge.by_command)} trials went through the command")
    for words in wrong[:SHOWN]:
        print(f"VIOLATION {words}")
    if asked.without_gate:
        print(
            f"without the gate: the first late order of the engaging host in trial {judge.first_late}, of another host in "
            f"trial {judge.first_late_elsewhere}"
        )
    print(last_line(judge, done, asked.journal))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
