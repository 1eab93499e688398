"""Time, as it is handed to actors, and the timers they set.

Nobody below reads a clock of their own: all of it runs under a fake clock as well. The invariant: a timer
that was cancelled or replaced is never received, also if it had rung already and waited in the inbox.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

from botwarden.runtime.inbox import Envelope

TimerKey: TypeAlias = str


class Alarm(Protocol):
    """Something that will happen once."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware, UTC. It may step."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of the monotonic clock."""
        ...

    def call_later(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call `ring` on the event loop after so many seconds of the monotonic clock."""
        ...


class SystemClock:
    """The machine's own time."""

    __slots__ = ()

    def now(self) -> datetime:
        """Return the machine's wall clock, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic clock in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Set an alarm on the event loop."""
        return asyncio.get_running_loop().call_later(seconds, ring)


class Timer(Envelope):
    """One timer of an actor, and the envelope in which its message waits once it has rung."""

    __slots__ = ("alarm", "due_s", "every_s", "is_live", "is_waiting", "key")

    def __init__(self, key: TimerKey, message: Any, due_s: float, every_s: float | None) -> None:
        super().__init__(message)
        self.key = key
        self.due_s = due_s
        self.every_s = every_s
        self.alarm: Alarm | None = None
        self.is_live = True
        self.is_waiting = False


class Timers:
    """The timers of one actor, by key. An interval that has rung waits at most once."""

    __slots__ = ("_by_key", "_clock", "_post")

    def __init__(self, clock: Clock, post: Callable[[Timer], None]) -> None:
        self._by_key: dict[TimerKey, Timer] = {}
        self._clock = clock
        self._post = post

    def start(self, key: TimerKey, message: Any, seconds: float, *, repeats: bool) -> None:
        """Ring after `seconds`, or every so many; a timer with the same key is replaced."""
        if repeats and seconds <= 0:
            raise ValueError("an interval lasts longer than nothing")
        self.cancel(key)
        timer = Timer(key, message, self._clock.monotonic() + seconds, seconds if repeats else None)
        self._by_key[key] = timer
        self._arm(timer, seconds)

    def cancel(self, key: TimerKey) -> None:
        """Forget the timer, if there is one."""
        timer = self._by_key.pop(key, None)
        if timer is not None:
            timer.is_live = False
            if timer.alarm is not None:
                timer.alarm.cancel()

    def cancel_all(self) -> None:
        """Forget every timer."""
        for key in list(self._by_key):
            self.cancel(key)

    def receive(self, timer: Timer) -> bool:
        """Take note that the timer's message is being received; return whether it still counts."""
        timer.is_waiting = False
        if timer.is_live and timer.every_s is None:
            del self._by_key[timer.key]
        return timer.is_live

    def _arm(self, timer: Timer, seconds: float) -> None:
        timer.alarm = self._clock.call_later(seconds, lambda: self._ring(timer))

    def _ring(self, timer: Timer) -> None:
        if timer.every_s is not None:
            # The beat is kept; beats that were missed altogether are skipped, not made up for.
            now_s = self._clock.monotonic()
            timer.due_s = max(timer.due_s + timer.every_s, now_s)
            self._arm(timer, timer.due_s - now_s)
        if not timer.is_waiting:
            timer.is_waiting = True
            self._post(timer)
