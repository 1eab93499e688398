"""80 take-overs of 2,500 bots under owners that go on committing with what they knew.

Each of three processes in turn takes every slot, while the others commit batches under their old terms and
never learn of it. `stale` is how many commits were accepted from an owner beyond what the versions of all
bots grew by in its time, from its take-over to the next. The reference is a bare UPDATE of the same terms by
asyncpg. `ROUNDS` and `BOTS` change the sizes.
"""

import os
import statistics
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import uvloop
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks import _fleet
from botwarden.persistence import slots
from botwarden.persistence.commits import Committed
from botwarden.persistence.database import Database
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.trading.bot import BotConfig, BotId, BotState

ROUNDS = int(os.environ.get("ROUNDS", "80"))
BOTS = int(os.environ.get("BOTS", "2500"))

#: Streams of each owner that has not noticed.
STREAMS = 2
BATCH = 50
PROCESSES = 3
_OWNER = "import sys; from benchmarks import takeover; takeover.own(sys.argv[1])"
_BARE = "UPDATE bot_states SET term = term + 1"


@dataclass
class Owner:
    """A replica as its sessions show it, and what it knows of its bots."""

    door: Database
    id: int
    known: dict[BotId, tuple[BotConfig, BotState]] = field(default_factory=dict)
    committed: int = 0
    refused: int = 0

    async def take(self) -> tuple[float, float]:
        """Take every slot and read its bots; return when the terms stood, and when all was read."""
        began_s = time.perf_counter()
        async with self.door.begin() as tx:
            taken = await slots.take_slots(tx, self.id, range(SLOT_COUNT))
        fenced_s = time.perf_counter() - began_s
        async with self.door.read() as tx:
            loaded = await slots.load_bots(tx, slots=taken, holder=self.id)
        read_s = time.perf_counter() - began_s
        assert len(loaded) == BOTS
        self.known = {state.bot_id: (config, state) for config, state in loaded}
        return fenced_s, read_s

    async def go_on(self, stream: int) -> None:
        """Commit for ever, from what was known, whatever the answers say of others."""
        while True:
            mine = [bot for bot in self.known.values() if bot[1].bot_id % STREAMS == stream]
            for start in range(0, len(mine), BATCH):
                chosen = mine[start : start + BATCH]
                outcomes = await _fleet.commit_all(self.door, chosen)
                for (config, _), outcome in zip(chosen, outcomes, strict=True):
                    if isinstance(outcome, Committed):
                        self.known[config.id] = (config, outcome.state)
                        self.committed += 1
                    else:
                        self.refused += 1


async def _own(url: str) -> None:
    """Take over whenever a line comes, and go on committing until the next; tell of both in a line."""
    lines = anyio.wrap_file(sys.stdin)
    name = await lines.readline()
    while name:
        door = Database.connect(url, name=name.strip(), pool_size=STREAMS + 1)
        async with door.begin() as tx:
            owner = Owner(door, await slots.register_replica(tx, name.strip()))
        fenced_s, read_s = await owner.take()
        print(fenced_s, read_s, sum(state.version for _, state in owner.known.values()), flush=True)
        async with anyio.create_task_group() as streams:
            for stream in range(STREAMS):
                streams.start_soon(owner.go_on, stream)
            name = await lines.readline()
            streams.cancel_scope.cancel()
        await door.close()
        print(owner.committed, owner.refused, flush=True)


def own(url: str) -> None:
    """Be an owner, in a process of its own."""
    uvloop.run(_own(url))


class Process:
    """An owner as the others see it."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self._out = BufferedByteReceiveStream(process.stdout)

    async def take(self, name: str) -> None:
        """Have it take over under a new name."""
        await self._process.stdin.send(f"{name}\n".encode())

    async def end(self) -> None:
        """Let it come to its end."""
        await self._process.stdin.aclose()

    async def hear(self) -> list[float]:
        """Return the numbers of the next line."""
        return [float(word) for word in (await self._out.receive_until(b"\n", 1000)).split()]


@dataclass
class Relay:
    """One owner after the other."""

    fenced: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    #: The sum of all versions at each take-over.
    versions: list[float] = field(default_factory=list)
    committed: list[float] = field(default_factory=list)
    refused: float = 0

    async def run(self, url: str) -> None:
        """Let so many owners take over."""
        async with AsyncExitStack() as stack:
            owners = []
            for _ in range(PROCESSES):
                process = await anyio.open_process([sys.executable, "-c", _OWNER, url], stderr=None)
                owners.append(Process(await stack.enter_async_context(process)))
            for number in range(ROUNDS + 1):
                owner = owners[number % PROCESSES]
                await owner.take(f"owner-{number}")
                if number >= PROCESSES:
                    await self._part_with(owner)
                fenced_s, read_s, versions = await owner.hear()
                self.fenced.append(fenced_s)
                self.read.append(read_s)
                self.versions.append(versions)
                await anyio.sleep(0.2)
            for number in range(ROUNDS + 1 - PROCESSES, ROUNDS + 1):
                await owners[number % PROCESSES].end()
                await self._part_with(owners[number % PROCESSES])

    async def _part_with(self, owner: Process) -> None:
        committed, refused = await owner.hear()
        self.committed.append(committed)
        self.refused += refused

    @property
    def stale(self) -> int:
        """How many commits were accepted of owners whose bots had been taken, or are missing."""
        grown = (after - before for before, after in pairwise(self.versions))
        return int(sum(abs(told - grew) for told, grew in zip(self.committed, grown, strict=False)))


async def _bare_s(url: str) -> list[float]:
    link = await asyncpg.connect(url)
    times = []
    for _ in range(10):
        began_s = time.perf_counter()
        await link.execute(_BARE)
        times.append(time.perf_counter() - began_s)
    await link.execute("UPDATE bot_states SET term = 0")
    await link.close()
    return times


async def _measure(folder: Path) -> None:
    async with _fleet.database(folder) as (door, url):
        await _fleet.fill(door, BOTS)
        bare = await _bare_s(url)
        relay = Relay()
        await relay.run(door.engine.url.render_as_string(hide_password=False))
    print(f"{ROUNDS} take-overs of {BOTS} bots under owners that go on committing")
    print(f"until the terms stand:   {_fleet.told(relay.fenced[1:])}")
    print(f"until the bots are read: {_fleet.told(relay.read[1:])}")
    print(
        f"stale commits: {relay.stale} accepted, {relay.refused:.0f} refused"
        f" ({sum(relay.committed):.0f} of owners in office)"
    )
    print(f"reference (a bare UPDATE of the terms by asyncpg): {_fleet.told(bare)}")
    print(f"ratio: {statistics.median(relay.fenced[1:]) / statistics.median(bare):.2f}")
    assert relay.stale == 0


def main() -> None:
    """Measure and print."""
    _fleet.run(_measure)
