"""Everybody who writes bots against each other, for thousands of transactions: `chaos.storm`, many days long.

`ROUNDS` is the number of days that are turned, `BOTS` and `SEED` are what they say. It fails where a
transaction ended in a deadlock, an accepted write was lost, a bot was reset twice in a day or not at all, or
a counter is not what the books say. The reference is the same number of commits by one writer alone.
"""

import os
import sys
import time
from pathlib import Path

from sqlalchemy import text

from benchmarks import _fleet
from botwarden.persistence import slots
from botwarden.persistence.commits import Committed
from botwarden.persistence.database import Database
from botwarden.trading.bot import BotId, UserId
from chaos.storm import BATCH, Storm

ROUNDS = int(os.environ.get("ROUNDS", "60"))
BOTS = int(os.environ.get("BOTS", "100"))
SEED = int(os.environ.get("SEED", "1"))


async def _alone_s(door: Database, ids: list[BotId], batches: int) -> float:
    """Return how long so many group commits take when nobody else writes."""
    began_s = time.perf_counter()
    for number in range(batches):
        chosen = [ids[(number * BATCH + step) % len(ids)] for step in range(min(BATCH, len(ids)))]
        async with door.read() as tx:
            loaded = await slots.load_bots(tx, bot_ids=chosen)
        assert all(isinstance(outcome, Committed) for outcome in await _fleet.commit_all(door, loaded))
    return time.perf_counter() - began_s


async def _measure(folder: Path) -> None:
    async with _fleet.database(folder) as (door, _):
        await _fleet.fill(door, BOTS)
        async with door.read() as tx:
            rows = (await tx.execute(text("SELECT bot_id, user_id FROM bot_states ORDER BY bot_id"))).all()
        ids = [BotId(row.bot_id) for row in rows]
        storm = Storm(door, UserId(rows[0].user_id), ids, seed=SEED)
        began_s = time.perf_counter()
        await storm.rage(ROUNDS)
        took_s = time.perf_counter() - began_s
        async with door.read() as tx:
            left = list((await tx.execute(text("SELECT bot_id FROM bot_states ORDER BY bot_id"))).scalars())
        batches = storm.done["group commit"]
        alone_s = await _alone_s(door, left, batches)
    runs = sum(count for name, count in storm.done.items() if not name.startswith(("bots, ", "bookings")))
    print(f"{BOTS} bots, {ROUNDS} days turned, seed {SEED}: {runs} transactions in {took_s:.1f} s")
    for name, count in sorted(storm.done.items()):
        print(f"    {name:<32} {count:>7}")
    print(f"reference (the {batches} group commits of it, alone): {alone_s:.1f} s")
    print(f"ratio: {took_s / alone_s:.2f}")
    print(f"faults: {len(storm.faults)}")
    for fault in storm.faults[:20]:
        print(f"    {fault}")
    if storm.faults:
        sys.exit(1)


def main() -> None:
    """Measure and print."""
    _fleet.run(_measure)
