"""`./dev chaos`: kill, freeze and deceive for a while, then heal, count and say what was wrong.

    ./dev chaos                          a minute, any seed
    ./dev chaos SECONDS=1800 SEED=7      half an hour, those blows

Exit code 0 only when every count that should be zero is zero.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

import anyio

from botwarden.wiring import attached
from chaos import audit
from chaos.fleet import Fleet
from chaos.torment import Toll, deceive, hit_replica, hit_services
from chaos.verdict import Verdict, judge
from chaos.world import World, opened

BOTS = 48
REPLICAS = 3
SPEED = 120.0

_TELL_EVERY_S = 30.0


async def run(folder: Path, *, seconds: float, seed: int) -> tuple[Toll, Verdict]:
    """Return what was done and what it led to."""
    toll = Toll()
    async with opened(folder, replicas=REPLICAS, speed=SPEED, seed=seed) as world:
        fleet = Fleet([replica.address for replica in world.replicas])
        async with attached(world.settings) as backend:
            await audit.install(backend.database)
        world.replicas[0].start()
        await fleet.settle_in(BOTS)
        world.replicas[0].kill()
        _tell(f"{BOTS} bots trade; for {seconds:.0f} s they are tormented")
        with anyio.move_on_after(seconds):
            await _torment(world, fleet, toll, seed)
        _tell(f"{toll.kills} kills, {toll.freezes} freezes; now all heals and is counted")
        await _heal(world, fleet, toll)
        return toll, await judge(world, fleet.rests)


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


async def _tell_often(toll: Toll) -> None:
    while True:
        await anyio.sleep(_TELL_EVERY_S)
        _tell(f"{toll.kills} kills, {toll.freezes} freezes so far")


async def _torment(world: World, fleet: Fleet, toll: Toll, seed: int) -> None:
    async with anyio.create_task_group() as tormentors:
        tormentors.start_soon(_tell_often, toll)
        for number, replica in enumerate(world.replicas):
            tormentors.start_soon(hit_replica, replica, toll, random.Random(f"{seed}-{number}"))  # noqa: S311 - repeatable
        tormentors.start_soon(hit_services, world, toll, random.Random(f"{seed}-services"))  # noqa: S311 - repeatable
        tormentors.start_soon(deceive, world, toll, random.Random(f"{seed}-deceit"))  # noqa: S311 - repeatable
        tormentors.start_soon(fleet.interfere, random.Random(f"{seed}-owner"))  # noqa: S311 - repeatable


async def _heal(world: World, fleet: Fleet, toll: Toll) -> None:
    """Pull every plug a last time; let one whole replica put all in order, and let nothing new begin."""
    for replica in world.replicas:
        toll.kills += not replica.is_struck
        replica.kill()
    await world.be_honest()
    world.replicas[0].start()
    await fleet.brake()


def report(toll: Toll, verdict: Verdict, *, seconds: float, seed: int) -> None:
    """Print what was done and what it led to."""
    print(f"chaos for {seconds:.0f} s, seed {seed}")
    print(f"  {toll.kills} kills, {toll.freezes} freezes of replicas; killed beside: {dict(toll.services)}")
    for step, count in sorted(toll.steps.items()):
        print(f"    at {step}: {count}")
    print(f"  faults: {dict(toll.faults)}")
    print(
        f"  {verdict.intents} intents ({verdict.by_status}), {verdict.venue_orders} orders at the exchange,"
    )
    print(f"  {verdict.trades} trades, {verdict.commits} commits")
    for what, count in verdict.wrong.items():
        print(f"  {count:>6}  {what}")
    for note in verdict.notes:
        print(f"          {note}")


def main() -> int:
    """Run as the words and the environment say."""
    given = {**os.environ, **dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)}
    seconds = float(given.get("SECONDS", "60"))
    seed = int(given.get("SEED", "") or time.time_ns() % 1_000_000)
    with tempfile.TemporaryDirectory(prefix="bw-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        toll, verdict = anyio.run(lambda: run(Path(folder) / "data", seconds=seconds, seed=seed))
    report(toll, verdict, seconds=seconds, seed=seed)
    return 0 if verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
