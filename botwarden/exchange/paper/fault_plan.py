"""The faults that are scheduled: asked by each request what happens to it, and told what has happened.

The decision is a function of the calls so far, the seed and the time; nothing here waits except those
who ask to. The invariant: a call that was caught is counted before anything becomes of it, and a call
that is held goes on when its fault is released or cleared, whichever it is.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import anyio
import msgspec

from botwarden.errors import Missing, Refused
from botwarden.exchange.paper.fault_clock import ShiftedClock
from botwarden.exchange.paper.fault_events import ConnectionFault, StreamFault
from botwarden.exchange.paper.fault_view import View
from botwarden.exchange.paper.faults import ReadLag, RequestFault, Schedule

Fault = RequestFault | ReadLag | StreamFault | ConnectionFault

F = TypeVar("F", bound=Schedule)

#: Caught: a fault has taken the call. Executed, refused: what the venue itself has done with it, on disk.
#: Done: its sender was told, or cut off, and nothing more happens with it.
Stage = Literal["caught", "executed", "refused", "done"]
STAGES: tuple[Stage, ...] = ("caught", "executed", "refused", "done")


class Scheduled:
    """One fault and its calls so far."""

    def __init__(self, fault: Fault, now_s: float) -> None:
        self.fault = fault
        #: What a lag shows.
        self.view: View | None = None
        self.counts: Counter[str] = Counter()
        self._matched = 0
        self._from_s = now_s + fault.after_s
        self._until_s = None if fault.for_s is None else self._from_s + fault.for_s
        self._rng = random.Random(fault.seed)  # noqa: S311 - chance that repeats is what is asked for
        self._go_on = anyio.Event()
        self._changed = anyio.Event()
        self._later: list[Callable[[], None]] = []
        self.is_cleared = False

    def takes_next(self, now_s: float) -> bool:
        """Whether this matching call is hit; counts it."""
        if now_s < self._from_s or (self._until_s is not None and now_s >= self._until_s):
            return False
        self._matched += 1
        fault = self.fault
        if self._matched < fault.nth or (fault.times is not None and self.counts["caught"] >= fault.times):
            return False
        return fault.probability >= 1 or self._rng.random() < fault.probability

    def tell(self, stage: Stage) -> None:
        """Count a call that has come so far."""
        self.counts[stage] += 1
        self._wake()

    def release(self) -> None:
        """Let the calls that wait now go on."""
        self._go_on.set()
        self._go_on = anyio.Event()
        later, self._later = self._later, []
        for do in later:
            do()

    def when_released(self, do: Callable[[], None]) -> None:
        """Do something at the next release."""
        self._later.append(do)

    def clear(self) -> None:
        """Let all go on; the fault is no more."""
        self.is_cleared = True
        if self.view is not None:
            self.view.close()
        self.release()
        self._wake()

    @property
    def go_on(self) -> anyio.Event:
        """Set when the calls that are caught now may go on."""
        return self._go_on

    async def reached(self, stage: Stage, count: int) -> None:
        """Return once so many calls have come so far, or the fault was cleared."""
        while self.counts[stage] < count and not self.is_cleared:
            await self._changed.wait()

    def shown(self) -> dict[str, Any]:
        """Return the fault and its counts for showing."""
        return {
            **msgspec.to_builtins(self.fault),
            "matched": self._matched,
            **{stage: self.counts[stage] for stage in STAGES},
        }

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Caught:
    """One call that a fault has taken."""

    def __init__(self, scheduled: Scheduled, fault: RequestFault) -> None:
        self.fault = fault
        self.tell = scheduled.tell
        self._go_on = scheduled.go_on

    async def wait(self) -> None:
        """Wait as the fault says: not at all, for its delay, or until it is released."""
        if self.fault.held:
            await self._go_on.wait()
        elif self.fault.delay_s:
            with anyio.move_on_after(self.fault.delay_s):
                await self._go_on.wait()


class CaughtEvent:
    """One event that a fault has taken."""

    def __init__(self, scheduled: Scheduled, fault: StreamFault) -> None:
        self.fault = fault
        self.tell = scheduled.tell
        #: Set when a connection that was made deaf may end.
        self.go_on = scheduled.go_on
        self._scheduled = scheduled

    def later(self, tell: Callable[[], None]) -> None:
        """Tell the event when the fault lets it go."""

        def done() -> None:
            tell()
            self.tell("done")

        if self.fault.held:
            self._scheduled.when_released(done)
        else:
            asyncio.get_running_loop().call_later(self.fault.delay_s, done)


class CaughtConnection:
    """One connection that a fault has taken."""

    def __init__(self, scheduled: Scheduled, fault: ConnectionFault) -> None:
        self.fault = fault
        self.tell = scheduled.tell
        self.go_on = scheduled.go_on


class FaultPlan:
    """All faults of one venue. The first one scheduled that takes a call has it; later ones do not see it."""

    def __init__(self, clock: ShiftedClock) -> None:
        #: The venue's clock, to set it wrong.
        self.clock = clock
        self._scheduled: dict[str, Scheduled] = {}
        self._drawn = 0
        self._all_cleared = anyio.Event()
        self._left_over: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing is scheduled."""
        return not self._scheduled

    @property
    def all_cleared(self) -> anyio.Event:
        """Set when all is cleared the next time."""
        return self._all_cleared

    def add(self, fault: Fault) -> Scheduled:
        """Schedule a fault; a lag is given its view afterwards.

        Raises:
            Refused: another one has this name.
        """
        if fault.name in self._scheduled:
            raise Refused(f"name: there is a fault called {fault.name}")
        while not fault.name or fault.name in self._scheduled:
            self._drawn += 1
            fault = msgspec.structs.replace(fault, name=f"fault-{self._drawn}")
        scheduled = self._scheduled[fault.name] = Scheduled(fault, self.clock.monotonic())
        return scheduled

    def all(self) -> list[Scheduled]:
        """Return every fault, also those that happen no more."""
        return list(self._scheduled.values())

    def find(self, name: str) -> Scheduled:
        """Return a fault.

        Raises:
            Missing: there is none of this name.
        """
        if name not in self._scheduled:
            raise Missing(f"there is no fault called {name}")
        return self._scheduled[name]

    def clear(self, name: str | None = None) -> None:
        """Take one fault away, or all; calls that wait go on.

        Raises:
            Missing: there is none of this name.
        """
        gone = self.all() if name is None else [self.find(name)]
        for scheduled in gone:
            del self._scheduled[scheduled.fault.name]
            scheduled.clear()
        if name is None:
            self._left_over.clear()
            self._all_cleared.set()
            self._all_cleared = anyio.Event()

    def leave_over(self, said: str) -> None:
        """Keep an answer for the next connection."""
        self._left_over.append(said)

    def take_left_over(self) -> list[str]:
        """Return the answers of connections that have ended, once."""
        left_over, self._left_over = self._left_over, []
        return left_over

    def catch_request(
        self, method: str, path: str, *, params: Mapping[str, str], api_key: str | None
    ) -> Caught | None:
        """Return the fault that takes this request, if any does."""
        found = self._first(RequestFault, lambda fault: fault.matches(method, path, params, api_key))
        return None if found is None else Caught(*found)

    def view_of(
        self, method: str, path: str, *, params: Mapping[str, str], api_key: str | None
    ) -> View | None:
        """Return what this request reads from in place of the present, if anything."""
        found = self._first(ReadLag, lambda fault: fault.matches(method, path, params, api_key))
        return None if found is None else found[0].view

    def catch_event(self, stream: str, event: Any) -> CaughtEvent | None:
        """Return the fault that takes this event, if any does."""
        found = self._first(StreamFault, lambda fault: fault.matches(stream, event))
        return None if found is None else CaughtEvent(*found)

    def catch_connection(self, path: str) -> CaughtConnection | None:
        """Return the fault that takes this new websocket, if any does."""
        found = self._first(ConnectionFault, lambda fault: fault.matches(path))
        return None if found is None else CaughtConnection(*found)

    def _first(self, kind: type[F], matches: Callable[[F], bool]) -> tuple[Scheduled, F] | None:
        now_s = self.clock.monotonic()
        for scheduled in self._scheduled.values():
            fault = scheduled.fault
            if isinstance(fault, kind) and matches(fault) and scheduled.takes_next(now_s):
                scheduled.tell("caught")
                return scheduled, fault
        return None
