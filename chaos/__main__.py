"""`./dev chaos`: kill, freeze and deceive for a while, then heal, count and say what was wrong.

    ./dev chaos                          a minute, any seed
    ./dev chaos SECONDS=1800 SEED=7      half an hour, those blows

Exit code 0 only when every count that should be zero is zero; 2 when a word is not understood.
"""

import os
import random
import signal
import sys
import tempfile
from pathlib import Path

import anyio

from botwarden.wiring import attached
from chaos import audit
from chaos.fleet import Fleet
from chaos.torment import Toll, deceive, hit_replica, hit_services
from chaos.verdict import Verdict, judge
from chaos.words import Wish, WrongWord
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


async def _run_unless_told_to_end(folder: Path, wish: Wish) -> tuple[Toll, Verdict] | signal.Signals:
    """Return what came of it, or the signal that ended it; either way, nothing runs any more."""
    told: list[signal.Signals] = []
    outcomes: list[tuple[Toll, Verdict]] = []
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def listen() -> None:
                async for number in signals:
                    told.append(number)
                    tasks.cancel_scope.cancel()

            tasks.start_soon(listen)
            outcomes.append(await run(folder, seconds=wish.seconds, seed=wish.seed))
            tasks.cancel_scope.cancel()
    return told[0] if told else outcomes[0]


def main() -> int:
    """Run as the words and the environment say."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__.strip())
        return 0
    try:
        wish = Wish.read(sys.argv[1:], os.environ)
    except WrongWord as wrong:
        print(f"{wrong}; see ./dev chaos --help", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bw-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        outcome = anyio.run(_run_unless_told_to_end, Path(folder) / "data", wish)
    if isinstance(outcome, signal.Signals):
        _tell(f"ended by {outcome.name}: nothing was counted")
        return 128 + outcome
    report(*outcome, seconds=wish.seconds, seed=wish.seed)
    return 0 if outcome[1].is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
