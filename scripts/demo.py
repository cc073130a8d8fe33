"""The product's story on the embedded exchange, told by the commands an operator runs: nothing here has a special path.

Each step runs one `perpsctl` command line as a child process, checks what it answered and what the exchange's own book
says, and prints a line or two. It ends with `demo: ok …figures`, or with the step that failed and a non-zero exit code.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

PRODUCT = "BTC-PERP"
STEP_SECONDS = 120


class StoryBroken(Exception):
    """A step did not end as it must."""


class Story:
    """Runs commands in a home of its own and keeps the figures of the last line."""

    def __init__(self, home: Path, profile: str) -> None:
        self.profile = profile
        self._env = {key: value for key, value in os.environ.items() if not key.startswith("PERPSCTL_")}
        self._env |= {"PERPSCTL_HOME": str(home), "PERPSCTL_PROFILE": profile, "NO_COLOR": "1"}
        self.commands = 0

    def tell(self, text: str) -> None:
        """One line of the story."""
        print(text, flush=True)

    def run(self, line: Sequence[str], *, expect: int = 0) -> dict[str, Any]:
        """The data of one command; StoryBroken when its exit code is another than expected."""
        self.tell(f"\n$ perpsctl {' '.join(line)}")
        self.commands += 1
        done = subprocess.run(
            [sys.executable, "-m", "perpsctl.commands.app", *line, "--format", "json", "--quiet"],
            env=self._env, capture_output=True, text=True, timeout=STEP_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise StoryBroken(f"no JSON answer (exit {done.returncode}): {done.stderr.strip()[:400]}") from None
        if done.returncode != expect:
            told = answer.get("error") or answer.get("data")
            raise StoryBroken(f"exit {done.returncode}, expected {expect}: {json.dumps(told)[:600]}")
        data: dict[str, Any] = answer.get("data") or answer.get("error")
        return data

    def judge(self) -> dict[str, Any]:
        """The exchange's own book."""
        return self.run(["sim", "book"])


def check(holds: bool, what: str) -> None:
    """The story goes on only while it is true."""
    if not holds:
        raise StoryBroken(what)


def off_market(story: Story) -> tuple[str, str, str]:
    """A legal price 30 basis points below the bid, the bid and the ask."""
    book = story.run(["products", "book", PRODUCT, "--depth", "5"])
    bid, ask = Decimal(book["bids"][0]["price"]), Decimal(book["asks"][0]["price"])
    story.tell(f"  best bid {bid}, best ask {ask}")
    step = price_step(story)
    return format((bid * Decimal("0.997") // step) * step, "f"), format(bid, "f"), format(ask, "f")


def price_step(story: Story) -> Decimal:
    """The product's price step, as read now."""
    return Decimal(story.run(["products", "show", PRODUCT])["product"]["price_steps"][0]["step"])


def place(story: Story, side: str, size: str, *more: str, expect: int = 0) -> dict[str, Any]:
    """One order through the desk."""
    return story.run(["order", "place", "--product", PRODUCT, "--side", side, "--size", size, *more], expect=expect)


def discover(story: Story) -> None:
    """What can be traded, by structure."""
    products = story.run(["products", "list"])["products"]
    aliases = sorted(product["alias"] for product in products)
    story.tell(f"  discovered {', '.join(aliases)}")
    check("BTC-PERP" in aliases, "BTC-PERP was not discovered")


def resting_order(story: Story) -> None:
    """Preview, a post-only order below the bid, seen by both books, cancelled and proven gone."""
    low, _, _ = off_market(story)
    common = ["--type", "limit", "--price", low, "--tif", "gtc", "--post-only"]
    preview = story.run(["order", "preview", "--product", PRODUCT, "--side", "buy", "--size", "0.01", *common])
    story.tell(f"  the venue would take it: {preview['ok']}, margin {preview['preview']['margin']}")
    placed = place(story, "buy", "0.01", *common)
    check(placed["outcome"] == "accepted", "the post-only order was not accepted")
    order_id = placed["order"]["venue_order_id"]
    listed = story.run(["order", "list"])["orders"]
    check([order["venue_order_id"] for order in listed] == [order_id], "the order list does not show exactly it")
    live = [order for order in story.judge()["orders"] if order["live"]]
    check([order["order_id"] for order in live] == [order_id], "the exchange's book does not hold exactly it")
    story.tell(f"  rests at {low}; our list and the exchange's book agree")
    gone = story.run(["order", "cancel", order_id])
    check(gone["gone"] == [order_id], "the cancel is not proven")
    story.tell("  cancelled, and read back as gone")


def fill(story: Story) -> None:
    """An order that takes, and the position it leaves."""
    _, _, ask = off_market(story)
    step = price_step(story)
    limit = format((Decimal(ask) * Decimal("1.0008") // step) * step, "f")
    placed = place(story, "buy", "0.02", "--type", "limit", "--price", limit, "--tif", "ioc")
    check(placed["order"]["status"] == "filled", f"not filled: {placed['order']['status']}")
    story.tell(f"  filled {placed['order']['filled']} at {placed['order']['average_price']}")
    held = story.run(["positions", "list"])["positions"]
    check(len(held) == 1 and held[0]["coin"] == "0.02" and held[0]["agrees"], "the position is not the fill")
    story.tell(f"  position {held[0]['coin']} {held[0]['product_id']}, and the journal says the same")


def close_it(story: Story) -> None:
    """The way out: bounded orders that can only reduce, until a read shows nothing left."""
    closed = story.run(["positions", "close", "--product", PRODUCT])
    check(closed["flat"] and not story.judge()["positions"], "the position is not closed")
    story.tell("  closed, and read back as flat")


def refused_by_risk(story: Story) -> None:
    """A size over one per cent of equity: denied here with both numbers, nothing sent."""
    before = len(story.judge()["orders"])
    low, _, _ = off_market(story)
    denied = place(story, "buy", "5", "--type", "limit", "--price", low, "--tif", "gtc", "--post-only", expect=3)
    for denial in denied["denials"]:
        story.tell(f"  denied: {denial['code']}: {denial['observed']} against {denial['limit']}")
    check(any(d["code"] == "position_above_max" for d in denied["denials"]), "the position limit did not speak")
    check(len(story.judge()["orders"]) == before, "something reached the exchange")


def lost_reply(story: Story) -> None:
    """The exchange accepts, the reply is lost on the wire: one order, found and adopted, never sent twice."""
    low, _, _ = off_market(story)
    story.run(["sim", "fault", "arm", "reset_after_accept", "--operation", "create_order", "--count", "1"])
    placed = place(story, "buy", "0.01", "--type", "limit", "--price", low, "--tif", "gtc", "--post-only")
    check(placed["outcome"] == "accepted", f"the lost order ended {placed['outcome']}")
    mine = [o for o in story.judge()["orders"] if o["client_order_id"] == placed["intent_id"]]
    check(len(mine) == 1, f"{len(mine)} orders at the exchange for one intent")
    story.tell(f"  {placed['evidence']}")
    story.tell("  exactly one order at the exchange")
    story.run(["order", "cancel-all"])


def canary(story: Story, seconds: int) -> dict[str, Any]:
    """A short run of the canary strategy."""
    summary: dict[str, Any] = story.run(
        ["run", "--strategy", "canary", "--product", PRODUCT, "--for", f"{seconds}s", "--interval", "500ms"]
    )["summary"]
    check(summary["accepted"] >= 1, "the canary placed nothing")
    check(not summary["halted"] and summary["unknown"] == 0, "the canary was halted or left doubt")
    story.tell(
        f"  {summary['ticks']} ticks, {summary['accepted']} of {summary['intents']} accepted,"
        f" {summary['fills']} fills, create p50 {summary['latency_ms']['p50']} ms"
    )
    return summary


def stop_everything(story: Story) -> None:
    """The kill switch with a position open: everything cancelled, flattened, read back and attested; entries refused."""
    low, _, _ = off_market(story)
    place(story, "sell", "0.01", "--type", "market")
    place(story, "buy", "0.01", "--type", "limit", "--price", low, "--tif", "gtc", "--post-only")
    engaged = story.run(["killswitch", "engage", "--profile", story.profile, "--flatten", "--reason", "demo"])
    attested = engaged["attestation"]
    check(attested["clean"] and attested["open_orders"] == [] and attested["positions"] == [], "attestation not clean")
    story.tell("  open orders none, positions none, in doubt none: read back")
    denied = place(story, "buy", "0.01", "--type", "limit", "--price", low, "--tif", "gtc", "--post-only", expect=3)
    story.tell(f"  while engaged: {denied['denials'][0]['code']}")
    judged = story.judge()
    check(not any(order["live"] for order in judged["orders"]), "an order lives after the switch")
    check(not judged["positions"], "a position stands after the switch")
    story.run(["killswitch", "release", "--ack", "demo is over"])


def settle_up(story: Story) -> None:
    """Journal and venue agree to the last order, fill and position, and the journal's chain is whole."""
    found = story.run(["reconcile"])
    check(found["breaks"] == [] and found["matched"], "reconcile found breaks")
    compared = found["compared"]
    story.tell(f"  {compared['orders']} orders, {compared['fills']} fills compared: no difference")
    story.run(["journal", "check"])


def tell(story: Story, seconds: int) -> str:
    """The whole story; the last line's figures."""
    started = time.monotonic()
    story.run(["sim", "start"])
    discover(story)
    resting_order(story)
    fill(story)
    refused_by_risk(story)
    lost_reply(story)
    close_it(story)
    summary = canary(story, seconds)
    stop_everything(story)
    settle_up(story)
    orders = story.judge()["orders"]
    ours = [order["client_order_id"] for order in orders if order["client_order_id"]]
    check(len(ours) == len(set(ours)), "an intent has two orders at the exchange")
    return (
        f"{story.commands} commands, {len(ours)} intents with one order each, {summary['fills']} canary fills,"
        f" acceptance {summary['acceptance_rate']}, {time.monotonic() - started:.0f} s"
    )


def main() -> int:
    """0 when the story held."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--venue", choices=("us", "global"), default="us")
    options.add_argument("--canary-seconds", type=int, default=15)
    chosen = options.parse_args()
    profile = "sim" if chosen.venue == "us" else "sim-global"
    with tempfile.TemporaryDirectory(prefix="perpsctl-demo-") as home:
        story = Story(Path(home), profile)
        try:
            figures = tell(story, chosen.canary_seconds)
        except (StoryBroken, subprocess.TimeoutExpired, KeyError, IndexError) as broken:
            print(f"\ndemo: FAILED: {type(broken).__name__}: {broken}", flush=True)
            return 1
        finally:
            try:
                story.run(["sim", "stop"])
            except (StoryBroken, subprocess.TimeoutExpired) as trouble:
                print(f"the embedded exchange could not be stopped: {trouble}", flush=True)
    print(f"\ndemo: ok {figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
