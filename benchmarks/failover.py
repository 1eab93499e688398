"""From the death of a replica until the last of its bots is evaluated again: 1,000 bots, each every second.

Whole `botwarden serve` processes share the bots; one after the other is killed (SIGKILL), frozen (SIGSTOP)
or loses its network (a line that swallows everything, connections standing). `ROUNDS=20 ./dev bench failover`
repeats each kind so often. An evaluation counts when it stands in the database, which is written once a
second, so the truth lies up to a second before. The reference is what no take-over can do without: that
PostgreSQL notices a killed client and gives its lock to the next in line.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
import asyncpg
import uvloop
from sqlalchemy import text

from benchmarks._fleet import wish
from botwarden.persistence import api_keys, bots, users
from botwarden.trading.bot import Venue
from botwarden.wiring import Backend, attached
from chaos import audit
from chaos.network import Network, connected
from chaos.world import Replica, World, opened, until

BOTS = 1000
#: Each has an account of its own, and so an order limit.
KEYS = 10
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT")
SPEED = 10.0
LOOK_EVERY_S = 0.05
GIVE_UP_AFTER_S = 30.0
CALM_WITHIN_S = 60.0


@dataclass
class Evaluations:
    """When each bot was evaluated, as the database tells, followed by looking often."""

    backend: Backend
    last: dict[int, datetime] = field(default_factory=dict)
    #: The longest time between two evaluations that were seen one after the other, by bot.
    longest_s: dict[int, float] = field(default_factory=dict)

    async def look(self) -> None:
        """Take down what is new."""
        async with self.backend.database.read() as tx:
            rows = (await tx.execute(text("SELECT bot_id, last_run_at FROM bot_progress"))).all()
        for bot_id, at in rows:
            before = self.last.get(bot_id)
            if at is not None and at != before:
                self.last[bot_id] = at
                if before is not None:
                    gap_s = (at - before).total_seconds()
                    self.longest_s[bot_id] = max(gap_s, self.longest_s.get(bot_id, 0.0))

    async def all_since(self, bot_ids: Iterable[int], moment: datetime) -> datetime | None:
        """Return when the last of the bots was evaluated for the first time after the moment."""
        first: dict[int, datetime] = {}
        waiting = set(bot_ids)
        with anyio.move_on_after(GIVE_UP_AFTER_S):
            while waiting:
                await self.look()
                done = {bot_id for bot_id in waiting if self.last.get(bot_id, moment) > moment}
                first |= {bot_id: self.last[bot_id] for bot_id in done}
                waiting -= done
                await anyio.sleep(LOOK_EVERY_S)
            return max(first.values())
        return None


@dataclass
class Blows:
    """What one kind of death has shown."""

    name: str
    took_s: list[float] = field(default_factory=list)
    #: The longest pause of any bot that was not on the victim.
    neighbours_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        times = sorted(self.took_s)
        p95 = times[min(len(times) - 1, round(0.95 * len(times)))]
        pause = max(self.neighbours_s, default=0.0)
        return (
            f"{self.name:<28} {len(times):>2} times: median {statistics.median(times):.2f} s,"
            f" p95 {p95:.2f} s, longest {times[-1]:.2f} s; neighbours' longest pause {pause:.2f} s"
        )


class Scene:
    """Replicas with bots that evaluate, and what happens to one of them."""

    def __init__(self, world: World, backend: Backend, networks: dict[str, Network]) -> None:
        self._world = world
        self._backend = backend
        self._networks = networks

    async def calm(self) -> None:
        """Wait until every replica holds its share and every bot is evaluated."""
        for replica in self._world.replicas:
            if replica.is_struck:
                replica.kill()
                replica.start()

        async def is_shared() -> bool:
            holders = await self._rows("SELECT replica_id, count(*) FROM slots GROUP BY replica_id")
            return len(holders) == len(self._world.replicas) and all(holder for holder, _ in holders)

        if not await until(is_shared, within_s=CALM_WITHIN_S):
            raise TimeoutError("the replicas do not share the slots")
        evaluations = Evaluations(self._backend)
        if await evaluations.all_since(await self._bots(), datetime.now(UTC)) is None:
            raise TimeoutError("not every bot is evaluated")

    async def hit(self, blows: Blows, number: int, blow: Callable[[Replica], None]) -> None:
        """Hit one replica and wait for its bots."""
        await self.calm()
        victim = self._world.replicas[number % len(self._world.replicas)]
        orphans = {bot_id for (bot_id,) in await self._rows(_OF_REPLICA, name=victim.name)}
        others = set(await self._bots()) - orphans
        evaluations = Evaluations(self._backend)
        await evaluations.look()
        blow(victim)
        struck_at = datetime.now(UTC)
        last = await evaluations.all_since(orphans, struck_at)
        if last is None:
            raise TimeoutError(f"{blows.name}: not all of {len(orphans)} bots were evaluated again")
        blows.took_s.append((last - struck_at).total_seconds())
        blows.neighbours_s.append(max((evaluations.longest_s.get(it, 0.0) for it in others), default=0.0))
        self.mend(victim)

    def mend(self, victim: Replica) -> None:
        """Let a new process take the victim's place; a sleeper wakes up first and finds out by itself."""
        victim.thaw()
        self._networks[victim.name].speak()

    def silence(self, victim: Replica) -> None:
        """Cut the victim off without a word."""
        self._networks[victim.name].silence()

    async def _bots(self) -> list[int]:
        return [bot_id for (bot_id,) in await self._rows("SELECT bot_id FROM bot_states")]

    async def _rows(self, query: str, **words: object) -> list[tuple[int, ...]]:
        async with self._backend.database.read() as tx:
            return [tuple(row) for row in await tx.execute(text(query), words)]


_OF_REPLICA = """
    SELECT s.bot_id FROM bot_states s JOIN slots l ON l.slot = s.slot JOIN replicas r ON r.id = l.replica_id
    WHERE r.name = :name
"""


async def _fill(world: World, backend: Backend) -> None:
    """Let an owner have many bots that are to run."""
    await world.be_honest()  # It answers then.
    for number in range(KEYS):
        await world.paper_admin.register(*_pair(number))
    async with backend.database.begin() as tx:
        owner = (await users.create_user(tx, "owner@example.com", "no login")).id
        for number in range(KEYS):
            key, secret = _pair(number)
            view = await api_keys.create_api_key(
                tx, backend.vault, owner, label="main", venue=Venue.PAPER, api_key=key, secret_key=secret
            )
            for bot in range(number, BOTS, KEYS):
                strategy = {"fast": 3 + bot % 5, "slow": 12, "rsi_overbought": 99, "rsi_oversold": 1}
                symbol = SYMBOLS[bot % len(SYMBOLS)]
                config = wish(f"bot {bot}", view.id, symbol=symbol, strategy_params=strategy)
                await bots.create_bot(tx, owner, config)
        await tx.execute(text("UPDATE bot_states SET is_active = true, status = 'pending', halted_by = NULL"))


def _pair(number: int) -> tuple[str, str]:
    return f"key-{number:028}", f"secret-{number:025}"


async def _measure(folder: Path, replicas: int, rounds: int) -> None:
    async with (
        opened(folder, replicas=replicas, speed=SPEED, seed=1) as world,
        attached(world.settings) as backend,
        AsyncExitStack() as stack,
    ):
        networks = {}
        for replica in world.replicas:
            networks[replica.name] = await stack.enter_async_context(connected(world.settings))
            replica.lead_through(networks[replica.name])
        await _fill(world, backend)
        await audit.install(backend.database)
        scene = Scene(world, backend, networks)
        for name, blow in (
            ("killed (SIGKILL)", Replica.kill),
            ("frozen (SIGSTOP)", Replica.freeze),
            ("network silent", scene.silence),
        ):
            blows = Blows(f"{replicas} replicas, {name}")
            for number in range(rounds):
                await scene.hit(blows, number, blow)
            print(blows, flush=True)
        await scene.calm()
        superseded = await audit.superseded_commits(backend.database)
        seen = await audit.commits_seen(backend.database)
        print(
            f"{replicas} replicas: {superseded} of {seen} commits came from a superseded holder", flush=True
        )


_HOLDER = """
import asyncio, sys
import asyncpg
async def main():
    link = await asyncpg.connect(sys.argv[1])
    await link.execute("SELECT pg_advisory_lock(1)")
    print("held", flush=True)
    await asyncio.Event().wait()  # Until it is killed.
asyncio.run(main())
"""
_WAITERS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted"


async def _reference_s(url: str) -> float:
    """Return how long a killed client's lock takes to get to the next in line."""
    waiter, looker = await asyncpg.connect(url), await asyncpg.connect(url)
    async with await anyio.open_process([sys.executable, "-c", _HOLDER, url], stderr=None) as holder:
        assert holder.stdout is not None
        await holder.stdout.receive()
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(waiter.execute, "SELECT pg_advisory_lock(1)")
            while await looker.fetchval(_WAITERS) == 0:
                pass
            killed_at_s = time.perf_counter()
            holder.kill()
        took_s = time.perf_counter() - killed_at_s
    await waiter.close()
    await looker.close()
    return took_s


async def _compare(folder: Path, rounds: int) -> None:
    async with opened(folder, replicas=0, speed=SPEED, seed=1) as world:
        url = world.settings.database_url.replace("postgresql+asyncpg", "postgresql")
        times = [await _reference_s(url) for _ in range(rounds)]
    print(f"reference (a killed client's lock is the next one's): median {statistics.median(times):.3f} s")


def main() -> None:
    """Measure and print."""
    rounds = int(os.environ.get("ROUNDS", "2"))
    with tempfile.TemporaryDirectory(prefix="bw-failover-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        uvloop.run(_compare(Path(folder) / "reference", 3))
        for replicas in (2, 3):
            uvloop.run(_measure(Path(folder) / f"data-{replicas}", replicas, rounds))
