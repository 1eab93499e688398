"""The turn of the day: how long it takes, how long it holds commits up, and when everybody runs again.

First 10,000 active bots with 300,000 trades behind them, while commits stream through the door that
replicas use; `blocked` is the longest commit that was on its way during the turn. The reference is an UPDATE
of the same rows by asyncpg that writes constants: no reading, no trail, no word of it. `BOTS`, `TRADES_EACH`
and `ROUNDS` change the sizes.

Then a whole `botwarden serve` with 1,000 bots that were halted by the system yesterday: it is started after
the midnight that it missed, and it is running when another replica turns the day.
"""

import os
import statistics
import time
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path

import anyio
import asyncpg
from sqlalchemy import text

from benchmarks import _fleet
from botwarden.persistence import api_keys, bots, slots, users
from botwarden.persistence.commits import Committed
from botwarden.persistence.database import Database
from botwarden.persistence.resets import ResetDone, reset_day
from botwarden.trading.bot import Venue
from botwarden.wiring import Backend, attached
from chaos.world import World, opened

BOTS = int(os.environ.get("BOTS", "10000"))
TRADES_EACH = int(os.environ.get("TRADES_EACH", "30"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))

#: Commits that are on their way at the same time, and the bots of each.
STREAMS = 3
BATCH = 50

LIVE_BOTS = 1000
KEYS = 10
LOOK_EVERY_S = 0.02
GIVE_UP_AFTER_S = 60.0

_YESTERDAY = """
    UPDATE bot_states SET trading_day = CAST(:day AS date) - 1, version = version + 1, daily_trades_count = 7,
        daily_pnl = 3.5, is_active = true, halted_by = 'system',
        status = 'paused (max_daily_trades reached)'
"""
_BARE = """
    UPDATE bot_states SET trading_day = $1, version = version + 1, daily_trades_count = 0, daily_pnl = 0,
        is_active = true, halted_by = NULL, status = 'stopped', last_error_message = NULL
    WHERE trading_day < $1
"""


@dataclass
class Stream:
    """Batches of commits, one after the other, and how long each took."""

    door: Database
    bot_ids: list[int]
    #: When each began and ended, by the monotonic clock.
    spans: list[tuple[float, float]] = field(default_factory=list)
    committed: int = 0

    async def flow(self, number: int) -> None:
        """Commit batches of bots for ever, each from what its rows say."""
        at = number * len(self.bot_ids) // STREAMS
        while True:
            chosen = [self.bot_ids[(at + step) % len(self.bot_ids)] for step in range(BATCH)]
            at += BATCH
            async with self.door.read() as tx:
                loaded = await slots.load_bots(tx, bot_ids=chosen)
            began_s = time.perf_counter()
            outcomes = await _fleet.commit_all(self.door, loaded)
            self.spans.append((began_s, time.perf_counter()))
            self.committed += sum(isinstance(outcome, Committed) for outcome in outcomes)

    @property
    def took_s(self) -> list[float]:
        """How long each took."""
        return [end - begin for begin, end in self.spans]

    def longest_s(self, began_s: float, ended_s: float) -> float:
        """Return how long the longest commit took of those that were on their way then."""
        return max((end - begin for begin, end in self.spans if end > began_s and begin < ended_s), default=0)


async def _back_to_yesterday(door: Database, day: date) -> None:
    """Undo the turn; the statistics are not told, as nobody tells them of a day that has just begun."""
    async with door.begin() as tx:
        await tx.execute(text("DELETE FROM daily_resets"))
        await tx.execute(text(_YESTERDAY), {"day": day})
    async with door.read() as tx:
        await tx.execute(text("VACUUM bot_states"))


async def _turn(door: Database, day: date) -> float:
    """Turn the day; return how long the whole transaction took."""
    began_s = time.perf_counter()
    async with door.begin() as tx:
        outcome = await reset_day(tx, day)
    took_s = time.perf_counter() - began_s
    assert isinstance(outcome, ResetDone)
    assert len(outcome.bot_ids) == BOTS
    return took_s


@dataclass
class Times:
    """What was measured, in seconds."""

    alone: list[float] = field(default_factory=list)
    amid: list[float] = field(default_factory=list)
    blocked: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    async def take(self, door: Database, url: str, day: date, stream: Stream) -> None:
        """Measure each once: the reference, the turn alone, and the turn amid commits."""
        await _back_to_yesterday(door, day)
        link = await asyncpg.connect(url)
        began_s = time.perf_counter()
        await link.execute(_BARE, day)
        self.bare.append(time.perf_counter() - began_s)
        await link.close()
        await _back_to_yesterday(door, day)
        self.alone.append(await _turn(door, day))
        await _back_to_yesterday(door, day)
        async with anyio.create_task_group() as tasks:
            for number in range(STREAMS):
                tasks.start_soon(stream.flow, number)
            await anyio.sleep(0.5)
            began_s = time.perf_counter()
            took_s = await _turn(door, day)
            await anyio.sleep(0.5)  # What was held up comes to its end.
            tasks.cancel_scope.cancel()
        self.amid.append(took_s)
        self.blocked.append(stream.longest_s(began_s, began_s + took_s))


async def _measure_turn(folder: Path) -> None:
    async with _fleet.database(folder / "turn") as (door, url):
        await _fleet.fill(door, BOTS, trades_each=TRADES_EACH)
        day = await _fleet.today(door)
        async with door.read() as tx:
            ids = list((await tx.execute(text("SELECT bot_id FROM bot_states ORDER BY bot_id"))).scalars())
        stream, times = Stream(door, ids), Times()
        for _ in range(ROUNDS):
            await times.take(door, url, day, stream)
    usual_s, bare_s = statistics.median(stream.took_s), statistics.median(times.bare)
    print(f"{BOTS} bots, {BOTS * TRADES_EACH} trades behind them, {ROUNDS} times")
    print(f"the turn, alone:          {_fleet.told(times.alone)}")
    print(f"the turn, amid commits:   {_fleet.told(times.amid)} ({stream.committed} bots committed)")
    print(
        f"a commit, blocked by it:  {_fleet.told(times.blocked)} (of {BATCH} bots, usually {usual_s:.3f} s)"
    )
    print(f"reference (a bare UPDATE of the same rows by asyncpg): {_fleet.told(times.bare)}")
    print(f"ratio of the turn to the reference: {statistics.median(times.alone) / bare_s:.2f}")
    print(f"ratio of the block to the reference: {statistics.median(times.blocked) / bare_s:.2f}")


# A whole process.

_FIGURES = """
    SELECT count(*) FILTER (WHERE trading_day = CAST(:day AS date)) AS turned,
           count(*) FILTER (WHERE is_active AND halted_by IS NULL
                            AND (status = 'running' OR status LIKE 'waiting%')) AS running
    FROM bot_states
"""


async def _fill_world(world: World, backend: Backend) -> None:
    await world.be_honest()  # It answers then.
    pairs = [(f"key-{number:028}", f"secret-{number:025}") for number in range(KEYS)]
    for pair in pairs:
        await world.paper_admin.register(*pair)
    async with backend.database.begin() as tx:
        owner = (await users.create_user(tx, "owner@example.com", "no login")).id
        for number, (key, secret) in enumerate(pairs):
            view = await api_keys.create_api_key(
                tx, backend.vault, owner, label="main", venue=Venue.PAPER, api_key=key, secret_key=secret
            )
            for bot in range(number, LIVE_BOTS, KEYS):
                strategy = ("ema", {"fast": 3, "slow": 12}) if bot % 2 else ("simple", {})
                config = _fleet.wish(
                    f"bot {bot}", view.id, strategy=strategy[0], strategy_params=strategy[1],
                    position_size_perc=Decimal(5),
                )  # fmt: skip
                await bots.create_bot(tx, owner, config)


async def _all_run(backend: Backend, day: date) -> tuple[float, float]:
    """Return in how many seconds all bots had been reset, and in how many all ran."""
    began_s, turned_s = time.perf_counter(), None
    while True:
        async with backend.database.read() as tx:
            seen = (await tx.execute(text(_FIGURES), {"day": day})).one()
        now_s = time.perf_counter() - began_s
        if turned_s is None and seen.turned == LIVE_BOTS:
            turned_s = now_s
        if turned_s is not None and seen.running == LIVE_BOTS:
            return turned_s, now_s
        if now_s > GIVE_UP_AFTER_S:
            raise TimeoutError(f"{seen.turned} bots were reset and {seen.running} run")
        await anyio.sleep(LOOK_EVERY_S)


async def _turned_by_another(backend: Backend, day: date) -> tuple[float, float]:
    """Turn the day as another replica would, whose word wakes the one that holds the bots."""

    async def turn() -> None:
        async with backend.database.begin() as tx:
            outcome = await reset_day(tx, day)
        assert isinstance(outcome, ResetDone)
        await backend.broadcast.publish_wake(outcome.bot_ids)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        return await _all_run(backend, day)


async def _measure_process(folder: Path) -> None:
    async with (
        opened(folder / "process", replicas=1, speed=1.0, seed=1) as world,
        attached(world.settings) as backend,
    ):
        await _fill_world(world, backend)
        day = await _fleet.today(backend.database)
        started, told = [], []
        for _ in range(ROUNDS):
            await _back_to_yesterday(backend.database, day)
            world.replicas[0].start()
            started.append(await _all_run(backend, day))
            await _back_to_yesterday(backend.database, day)
            told.append(await _turned_by_another(backend, day))
            world.replicas[0].kill()
    for name, times in (("started after midnight", started), ("running at midnight", told)):
        reset, running = ([one[part] for one in times] for part in (0, 1))
        print(f"a process with {LIVE_BOTS} halted bots, {name}: all reset {_fleet.told(reset)};")
        print(f"    all run {_fleet.told(running)}; from reset to running at most"
              f" {max(b - a for a, b in times) * 1000:.0f} ms")  # fmt: skip


def main() -> None:
    """Measure and print."""
    _fleet.run(_measure_turn)
    _fleet.run(_measure_process)
