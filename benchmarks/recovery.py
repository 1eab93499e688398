"""From the start of a process to the first watched price of 1,000 positions.

A whole `botwarden serve` is started over a database in which 1,000 bots hold positions, and killed again,
several times. `watched` is when the replica's own view first counts every position as held against a live
price; the view is written once a second, so the truth lies up to a second before. The reference is what no
recovery can do without: a Python process that imports the same parts and reads the same rows.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import anyio
import uvloop
from sqlalchemy import text

from botwarden.persistence import api_keys, bots, replica_view, users
from botwarden.persistence.bots import NewBot
from botwarden.trading.bot import Venue
from botwarden.wiring import Backend, attached
from chaos.world import World, opened, until

BOTS = 1000
ROUNDS = 3
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT")

#: What every bot holds, far from its thresholds whatever the market does.
_IN_POSITION = text(
    "UPDATE bot_states SET is_active = true, status = 'running', halted_by = NULL, in_position = true,"
    " entry_price = 1, current_position_size_coins = 1, position_cost_quote = 1,"
    " stop_loss_price = 0.0001, take_profit_price = 100000000"
)

_REFERENCE = """
import asyncio, os, sys
import botwarden.wiring
import asyncpg
async def main():
    link = await asyncpg.connect(os.environ["PLAIN_URL"])
    rows = await link.fetch("SELECT * FROM bot_states s JOIN bot_configs c ON c.id = s.bot_id")
    assert len(rows) == int(sys.argv[1])
asyncio.run(main())
"""


async def _fill(backend: Backend) -> None:
    async with backend.database.begin() as tx:
        owner = (await users.create_user(tx, "owner@example.com", "no login")).id
        key = await api_keys.create_api_key(
            tx, backend.vault, owner, label="main", venue=Venue.PAPER, api_key="k" * 32, secret_key="s" * 32
        )
        for number in range(BOTS):
            await bots.create_bot(tx, owner, _wish(number, key.id))
        await tx.execute(_IN_POSITION)


def _wish(number: int, api_key_id: int) -> NewBot:
    return NewBot(
        name=f"bot {number}",
        symbol=SYMBOLS[number % len(SYMBOLS)],
        strategy="ema",
        strategy_params={"fast": 5 + number % 5, "slow": 20},
        timeframe="1m",
        venue=Venue.PAPER,
        api_key_id=api_key_id,
        check_interval_seconds=60,
        initial_capital=Decimal(1000),
        position_size_perc=Decimal(10),
        stop_loss_perc=Decimal(2),
        take_profit_perc=Decimal(4),
    )


async def _watched_after_s(world: World, backend: Backend) -> float:
    async def all_are_watched() -> bool:
        views = await replica_view.read_all(backend.cache.redis)
        fresh = [view for view in views if view.started_at.timestamp() >= began_at]
        return sum(feed.positions_guarded for view in fresh for feed in view.feeds) == BOTS

    replica = world.replicas[0]
    began_at, began_s = time.time(), time.perf_counter()
    replica.start()
    if not await until(all_are_watched, within_s=60.0):
        raise TimeoutError("not every position was watched within a minute")
    took_s = time.perf_counter() - began_s
    replica.kill()
    return took_s


def _reference_s(world: World) -> float:
    plain = world.settings.database_url.replace("postgresql+asyncpg", "postgresql")
    began_s = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _REFERENCE, str(BOTS)], env={"PLAIN_URL": plain}, check=True
    )
    return time.perf_counter() - began_s


async def _measure(folder: Path) -> None:
    async with opened(folder, replicas=1, speed=1.0, seed=1) as world, attached(world.settings) as backend:
        await _fill(backend)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(await anyio.to_thread.run_sync(_reference_s, world))
            ours.append(await _watched_after_s(world, backend))
    watched, reference = statistics.median(ours), statistics.median(theirs)
    print(f"{BOTS} positions, all watched: {watched:.2f} s after the process began ({_all(ours)})")
    print(f"reference (imports, connection, the same rows): {reference:.2f} s ({_all(theirs)})")
    print(f"ratio: {watched / reference:.2f}")


def _all(times: list[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in times)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bw-recovery-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        uvloop.run(_measure(Path(folder) / "data"))
