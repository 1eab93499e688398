"""For tests, and shipped: a clock that only tests move, and a stage for one actor.

The invariant: under a `FakeClock` nothing happens by the passing of real time; things happen in the order
of their fake time, and between two of them every task that can run has run.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from anyio import CancelScope

from botwarden.runtime.actor import Actor
from botwarden.runtime.inbox import InboxSpec
from botwarden.runtime.ref import Ref, Reply
from botwarden.runtime.supervision import Backoff, ChildSpec, Intensity, Restart
from botwarden.runtime.system import System
from botwarden.runtime.timing import Clock

M = TypeVar("M")
A = TypeVar("A")

#: A Monday, at noon.
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

#: Tasks that keep each other busy for so many turns of the loop are not waited for any longer.
MOST_TURNS = 2_000

#: Turns to give where the loop does not show whether it has something to do (uvloop).
BLIND_TURNS = 50


class FakeAlarm:
    """An alarm of a `FakeClock`."""

    __slots__ = ("is_live", "ring")

    def __init__(self, ring: Callable[[], object]) -> None:
        self.ring = ring
        self.is_live = True

    def cancel(self) -> None:
        """Never ring."""
        self.is_live = False


class FakeClock:
    """Time stands still until a test moves it."""

    def __init__(self, start: datetime = START) -> None:
        if start.tzinfo is None:
            raise ValueError("the time to start at must be aware")
        self._wall_at_zero = start.astimezone(UTC)
        self._monotonic_s = 0.0
        self._alarms: list[tuple[float, int, FakeAlarm]] = []
        self._numbers = itertools.count()

    def now(self) -> datetime:
        """Return the fake wall clock."""
        return self._wall_at_zero + timedelta(seconds=self._monotonic_s)

    def monotonic(self) -> float:
        """Return fake seconds since the clock was made."""
        return self._monotonic_s

    async def sleep(self, seconds: float) -> None:
        """Return when the test has moved the clock so far; at the next turn of the loop if that is now."""
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        alarm = self.call_later(seconds, lambda: None if awake.done() else awake.set_result(None))
        try:
            await awake
        finally:
            alarm.cancel()

    def call_later(self, seconds: float, ring: Callable[[], object]) -> FakeAlarm:
        """Ring when the test has moved the clock so far."""
        alarm = FakeAlarm(ring)
        due_s = self._monotonic_s + max(seconds, 0.0)
        heapq.heappush(self._alarms, (due_s, next(self._numbers), alarm))
        return alarm

    async def advance(self, seconds: float) -> None:
        """Let so much time pass: everything due rings in its order, and tasks run in between."""
        until_s = self._monotonic_s + seconds
        await settle()
        while self._ring_next(until_s):
            await settle()
        self._monotonic_s = until_s
        await settle()

    async def run_until(self, work: Awaitable[A]) -> A:
        """Let time fly, from one alarm to the next, until the work is done; return its result."""
        task = asyncio.ensure_future(work)  # Awaited below, whatever happens.
        try:
            while not task.done():
                await settle()
                if not task.done() and not self._ring_next():
                    await asyncio.sleep(0)  # Only real I/O, or nothing at all, can go on now.
        finally:
            if not task.done():
                task.cancel()
        return await task

    def jump(self, delta: timedelta | float) -> None:
        """Step the wall clock only, as an administrator or NTP would; no alarm takes notice."""
        self._wall_at_zero += delta if isinstance(delta, timedelta) else timedelta(seconds=delta)

    def _ring_next(self, until_s: float = float("inf")) -> bool:
        """Move to the next alarm that is due by then and ring it; return whether there was one."""
        while self._alarms and self._alarms[0][0] <= until_s:
            due_s, _, alarm = heapq.heappop(self._alarms)
            if alarm.is_live:
                self._monotonic_s = max(self._monotonic_s, due_s)
                alarm.ring()
                return True
        return False


async def settle() -> None:
    """Let every task run that can, until all wait for something (time, mail, real I/O)."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    for turn in range(MOST_TURNS):
        await asyncio.sleep(0)
        if not ready and (ready is not None or turn >= BLIND_TURNS):
            return


@asynccontextmanager
async def open_system(
    name: str = "system", *, clock: FakeClock | None = None, seed: int = 0, **options: Any
) -> AsyncIterator[System]:
    """Run a system under a fake clock; its stop at the end takes no real time."""
    clock = clock or FakeClock()
    async with System.open(name, clock=clock, seed=seed, **options) as system:
        try:
            yield system
        finally:
            with CancelScope(shield=True):
                await clock.run_until(system.stop())


@dataclass(frozen=True, slots=True)
class Crash:
    """What a crash was reported with."""

    name: str
    error: Exception
    restarts: int


class _ProbeActor(Actor[Any]):
    def __init__(self, received: list[Any], heard: asyncio.Queue[Any]) -> None:
        self._received = received
        self._heard = heard

    async def receive(self, message: Any, /) -> None:
        self._received.append(message)
        self._heard.put_nowait(message)


@dataclass(frozen=True, slots=True)
class Probe:
    """An actor that writes down what it is told."""

    #: Its address, to be handed to the actor under test.
    ref: Ref[Any]
    #: Everything it was told, oldest first.
    received: list[Any]
    _heard: asyncio.Queue[Any]

    async def next(self) -> Any:
        """Return the next message, waiting for it if need be."""
        return await self._heard.get()


@dataclass(frozen=True, slots=True)
class Stage(Generic[M]):
    """One actor, and everything around it that a test may want to touch."""

    ref: Ref[M]
    system: System
    clock: Clock
    #: Every crash on the stage, oldest first.
    crashes: list[Crash]

    def tell(self, message: M) -> bool:
        """Tell the actor."""
        return self.ref.tell(message)

    async def ask(self, make: Callable[[Reply[A]], M], *, within_s: float = 5.0) -> A:
        """Ask the actor; a fake clock does not move meanwhile."""
        return await self.ref.ask(make, within_s=within_s)

    async def probe(self, name: str = "probe") -> Probe:
        """Put an actor on the stage that writes down what it is told."""
        received: list[Any] = []
        heard: asyncio.Queue[Any] = asyncio.Queue()
        ref = await self.system.spawn(ChildSpec(name, lambda: _ProbeActor(received, heard)))
        return Probe(ref, received, heard)

    async def stop(self) -> None:
        """Stop the actor in order; under a fake clock its deadlines pass at once."""
        stopping = self.system.stop_child(self.ref)
        await (self.clock.run_until(stopping) if isinstance(self.clock, FakeClock) else stopping)


@asynccontextmanager
async def run_actor(
    start: Callable[[], Actor[M]],
    *,
    clock: Clock | None = None,
    name: str = "actor",
    seed: int = 0,
    restart: Restart = Restart.PERMANENT,
    intensity: Intensity | None = None,
    backoff: Backoff | None = None,
    inbox: InboxSpec[M] | None = None,
) -> AsyncIterator[Stage[M]]:
    """Run one actor in a system of its own, under a fake clock unless another is given."""
    clock = clock or FakeClock()
    crashes: list[Crash] = []
    async with System.open(
        "stage", clock=clock, seed=seed, on_crash=lambda *crash: crashes.append(Crash(*crash))
    ) as system:
        spec = ChildSpec(
            name,
            start,
            restart=restart,
            intensity=intensity or Intensity(),
            backoff=backoff or Backoff(),
            inbox=inbox or InboxSpec[M](),
        )
        try:
            yield Stage(await system.spawn(spec), system, clock, crashes)
        finally:
            if isinstance(clock, FakeClock):
                with CancelScope(shield=True):
                    await clock.run_until(system.stop())
