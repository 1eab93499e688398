"""The actor kernel beside the plainest thing that does the same: a task and an `asyncio.Queue` per actor.

Both are measured in turn in the same process, several rounds each, and the medians are compared. The
reference has no supervision, no bounds, no stop and no timers; the ratio says what those cost or save.
"""

import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from botwarden.runtime import Actor, ChildSpec, Ref, Reply, System

ACTORS = 10_000
MESSAGES_EACH = 10
ASKS = 20_000
CALLERS = 100
ROUNDS = 5

#: No round begins after this long.
BUDGET_S = 18.0


class Latch:
    """Set when it was counted down to zero."""

    def __init__(self) -> None:
        self._left = 0
        self._done = asyncio.Event()

    def expect(self, count: int) -> None:
        self._left = count
        self._done.clear()

    def count_down(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()

    async def wait(self) -> None:
        await self._done.wait()


class Tells(Protocol):
    """What can be told."""

    def tell(self, message: Any) -> Any: ...


class Asks(Tells, Protocol):
    """What can be asked as well."""

    async def ask(self) -> Any: ...


class Counter(Actor[Any]):
    """Ours: counts, or answers."""

    def __init__(self, latch: Latch) -> None:
        self._latch = latch

    async def receive(self, message: Any, /) -> None:
        if isinstance(message, Reply):
            message.send(message)
        else:
            self._latch.count_down()


class Ours:
    """An actor of the kernel, by its ref."""

    __slots__ = ("_ref", "tell")

    def __init__(self, ref: Ref[Any]) -> None:
        self._ref = ref
        self.tell = ref.tell

    async def ask(self) -> Any:
        return await self._ref.ask(lambda reply: reply, within_s=5.0)


class Plain:
    """The reference: a task that reads a queue."""

    __slots__ = ("_latch", "_queue", "task", "tell")

    def __init__(self, latch: Latch) -> None:
        self._latch = latch
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.tell = self._queue.put_nowait
        self.task = asyncio.ensure_future(self._run())

    async def ask(self) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(answer)
        async with asyncio.timeout(5.0):
            return await answer

    async def _run(self) -> None:
        while True:
            message = await self._queue.get()
            if isinstance(message, asyncio.Future):
                message.set_result(message)
            else:
                self._latch.count_down()


async def tell_all(actors: Sequence[Tells], latch: Latch, each: int) -> float:
    """Return the seconds until every actor has received `each` messages."""
    latch.expect(len(actors) * each)
    begun = time.perf_counter()
    for _ in range(each):
        for actor in actors:
            actor.tell(None)
    await latch.wait()
    return time.perf_counter() - begun


async def tell_one(actors: Sequence[Asks], latch: Latch) -> float:
    """Return the seconds until one actor has received many messages, sent in bursts."""
    begun = time.perf_counter()
    for _ in range(100):
        await tell_all(actors[:1], latch, 500)
    return time.perf_counter() - begun


async def ask_in_turn(actors: Sequence[Asks], _: Latch) -> float:
    """Return the seconds for many questions by one caller."""
    begun = time.perf_counter()
    for number in range(ASKS):
        await actors[number % len(actors)].ask()
    return time.perf_counter() - begun


async def ask_together(actors: Sequence[Asks], _: Latch) -> float:
    """Return the seconds for many questions by many callers."""

    async def call(first: int) -> None:
        for number in range(first, ASKS, CALLERS):
            await actors[number % len(actors)].ask()

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for first in range(CALLERS):
            callers.create_task(call(first))
    return time.perf_counter() - begun


async def spawn_ours(system: System, latch: Latch) -> Sequence[Ref[Any]]:
    """Spawn our actors."""
    return [
        await system.spawn(ChildSpec(f"actor:{number}", lambda: Counter(latch))) for number in range(ACTORS)
    ]


async def make_ours(system: System, latch: Latch) -> Sequence[Asks]:
    """Spawn our actors, and make them look like the reference's."""
    return [Ours(ref) for ref in await spawn_ours(system, latch)]


async def make_plain(latch: Latch) -> Sequence[Asks]:
    """Start the reference's actors and let each wait for mail."""
    actors = [Plain(latch) for _ in range(ACTORS)]
    # One turn of the loop, in which every task comes to its first wait.
    await asyncio.sleep(0)
    return actors


async def end_plain(actors: Sequence[Asks]) -> None:
    """End the reference's actors."""
    tasks = [actor.task for actor in actors if isinstance(actor, Plain)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


#: What is measured: name, unit, how many of it one run does (0: the seconds themselves, in ms), the run.
RUNS: list[tuple[str, str, int, Callable[[Sequence[Asks], Latch], Awaitable[float]]]] = [
    (
        "tell, all actors",
        "k/s",
        ACTORS * MESSAGES_EACH,
        lambda actors, latch: tell_all(actors, latch, MESSAGES_EACH),
    ),
    ("tell, one busy actor", "k/s", 50_000, tell_one),
    ("one message to all", "ms", 0, lambda actors, latch: tell_all(actors, latch, 1)),
    ("ask, one caller", "k/s", ASKS, ask_in_turn),
    (f"ask, {CALLERS} callers", "k/s", ASKS, ask_together),
]


async def measure_runs(until_s: float) -> None:
    """Print what each run does per second, ours beside the reference."""
    latch = Latch()
    async with System.open("bench", seed=0) as system:
        ours, plain = await make_ours(system, latch), await make_plain(latch)
        for name, unit, count, run in RUNS:
            figures: dict[str, list[float]] = {"ours": [], "plain": []}
            for _ in range(ROUNDS):
                for whose, actors in (("ours", ours), ("plain", plain)):
                    if time.monotonic() < until_s or not figures[whose]:
                        seconds = await run(actors, latch)
                        figures[whose].append(count / seconds / 1000 if count else seconds * 1000)
            show(name, unit, statistics.median(figures["ours"]), statistics.median(figures["plain"]))
        await end_plain(plain)


async def measure_birth() -> None:
    """Print how long it takes to make, and to end, all actors, and what an idle one weighs."""
    latch, figures = Latch(), {}
    for whose in ("ours", "plain"):
        gc.collect()
        async with System.open("bench", seed=0) as system:
            begun = time.perf_counter()
            plain = await make_plain(latch) if whose == "plain" else []
            if whose == "ours":
                await spawn_ours(system, latch)
            made = time.perf_counter()
            await (system.stop() if whose == "ours" else end_plain(plain))
            figures[whose] = (made - begun) * 1000, (time.perf_counter() - made) * 1000
    for index, name in enumerate(("spawn all", "stop all")):
        show(name, "ms", figures["ours"][index], figures["plain"][index])


async def measure_memory() -> None:
    """Print the bytes of an idle actor that has received one message; object, name and spec included."""
    latch, figures = Latch(), {}
    for whose in ("ours", "plain"):
        async with System.open("bench", seed=0) as system:
            gc.collect()
            tracemalloc.start()
            ours = await spawn_ours(system, latch) if whose == "ours" else []
            plain = await make_plain(latch) if whose == "plain" else []
            await tell_all([*ours, *plain], latch, 1)
            gc.collect()
            figures[whose] = tracemalloc.get_traced_memory()[0] / ACTORS
            tracemalloc.stop()
            await end_plain(plain)
    show("an idle actor, once used", "B", figures["ours"], figures["plain"])


def show(name: str, unit: str, ours: float, plain: float) -> None:
    """Print one line: ours, the reference, and their ratio."""
    print(f"{name:26} {ours:10,.1f} {plain:10,.1f} {unit:4} {ours / plain:6.2f} x", flush=True)


def main() -> None:
    """Measure everything in about twenty seconds."""
    until_s = time.monotonic() + BUDGET_S
    print(f"{ACTORS:,} actors; medians of up to {ROUNDS} rounds; reference: a task and an asyncio.Queue each")
    print(f"{'':26} {'ours':>10} {'reference':>10} {'':4} {'ratio':>6}")
    with asyncio.Runner() as runner:
        runner.run(measure_birth())
        runner.run(measure_memory())
        runner.run(measure_runs(until_s))


if __name__ == "__main__":
    main()
