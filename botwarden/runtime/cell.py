"""What the kernel keeps of one actor, across all its lives.

A cell holds one task of the crew while there is something to do (a start, mail, a system message, a
crash, a stop) and none while there is not:

    STARTING --> RUNNING --(crash)--> RESTING --(pause over)--> STARTING
       |            |                    |
       +------------+------ stop --------+--> STOPPING --> STOPPED

Everything is decided between two messages. A stop goes before other system messages, those go before
mail. A cell whose deadline has passed is *killed*: its task and all below it are cancelled, no hook runs,
and it ends when the last of them has ended.

The invariant: at any time at most one coroutine runs on behalf of the actor's messages, and no life begins
before the last trace of the one before has ended.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from botwarden.runtime.actor import Next
from botwarden.runtime.inbox import Inbox
from botwarden.runtime.kernel import INSIST_EVERY_S, Kernel, as_crash
from botwarden.runtime.life import Life
from botwarden.runtime.ref import ActorStopped, Question, Ref, stopped
from botwarden.runtime.supervision import ChildGaveUp, ChildSpec, Phase, Record, Restart, Signal, Terminated
from botwarden.runtime.timing import Alarm, Timer


class Cell:
    """The fixed part of an actor: address, inbox, phase, record. `Life` is the part that changes."""

    __slots__ = (
        "_alarm",
        "_failure",
        "_gives_up",
        "_is_idle",
        "_is_killed",
        "_record",
        "_task",
        "_verdict",
        "_waiters",
        "_watchers",
        "handled",
        "inbox",
        "kernel",
        "last_failure",
        "life",
        "parent",
        "phase",
        "ref",
        "spec",
    )

    def __init__(self, kernel: Kernel, spec: ChildSpec[Any], parent: "Cell | None") -> None:
        self.kernel = kernel
        self.spec = spec
        self.parent = parent
        self.ref: Ref[Any] = Ref(self)
        self.inbox = Inbox(spec.inbox)
        self.phase = Phase.STARTING
        self.life: Life | None = None
        #: Messages received, in all lives.
        self.handled = 0
        self.last_failure: str | None = None
        self._task: asyncio.Task[None] | None = None
        #: Running, with nothing to do: the next message must schedule it.
        self._is_idle = False
        #: A crash that happened outside of a task.
        self._failure: Exception | None = None
        self._is_killed = False
        #: Killed though nobody wanted it to stop for good: the parent has to know.
        self._gives_up = False
        #: The end of a pause, or the deadline of a stop.
        self._alarm: Alarm | None = None
        #: Where a spawner waits for the first start.
        self._verdict: asyncio.Future[Exception | None] | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._watchers: dict[Cell, None] | None = None
        self._record: Record | None = None

    @property
    def path(self) -> str:
        """The names from the root down, joined by `/`."""
        return self.spec.name if self.parent is None else f"{self.parent.path}/{self.spec.name}"

    @property
    def children(self) -> "list[Cell]":
        """The children, oldest first."""
        return [] if self.life is None or self.life.is_alone else list(self.life.household.children.values())

    @property
    def restarts(self) -> int:
        """How often it was restarted."""
        return self._record.total if self._record else 0

    @property
    def may_grow(self) -> bool:
        """Whether children and duties may still be started."""
        return self.phase in (Phase.STARTING, Phase.RUNNING) and not self._is_killed

    # What arrives.

    def deliver(self, mail: Any) -> bool:
        """Leave something in the inbox; return whether it was accepted."""
        if not self.inbox.offer(mail):
            return False
        if self._is_idle:
            self._schedule()
        return True

    def post(self, timer: Timer) -> None:
        """Leave a timer that has rung; for that there is always room."""
        self.inbox.put(timer)
        if self._is_idle:
            self._schedule()

    def signal(self, signal: Signal) -> None:
        """Leave a system message, which goes before all mail; only a living object hears it."""
        if self.life is not None and self.phase in (Phase.STARTING, Phase.RUNNING):
            self.life.add_signal(signal)
            if self._is_idle:
                self._schedule()

    def add_watcher(self, watcher: "Cell") -> bool:
        """Tell the watcher when this cell ends; return False if it has ended, and is told now."""
        if self.phase is Phase.STOPPED:
            watcher.signal(Terminated(self.ref, self.spec.name, None))
            return False
        if self._watchers is None:
            self._watchers = {}
        self._watchers[watcher] = None
        return True

    def drop_watcher(self, watcher: "Cell") -> None:
        """Tell the watcher nothing any more."""
        if self._watchers is not None:
            self._watchers.pop(watcher, None)

    def is_own_task(self) -> bool:
        """Whether the caller is this very actor."""
        return self._task is not None and self._task is asyncio.current_task()

    # What the parent does.

    def new_child(self, spec: ChildSpec[Any]) -> "Cell":
        """Return a cell below this one, not begun."""
        return Cell(self.kernel, spec, self)

    def begin(self) -> None:
        """Make the first object, and run its `started` if its class has one.

        Raises:
            Exception: the object could not be made, and the spawner waits for it.
        """
        try:
            self.life = Life(self)
        except Exception as error:
            if self.spec.wait:
                self._end(error)
                raise
            self._failure = error
            self._schedule()
            return
        if self.life.starts_silently:
            self.phase = Phase.RUNNING
            self._is_idle = True
            return
        if self.spec.wait:
            self._verdict = asyncio.get_running_loop().create_future()
        self._schedule()

    async def first_start(self) -> None:
        """Return when the first start has finished, if the spawner waits, or raise what it raised."""
        if self._verdict is not None:
            try:
                error = await self._verdict
            except asyncio.CancelledError:
                self.request_stop()
                raise
            if error is not None:
                raise error

    def request_stop(self, within_s: float | None = None) -> None:
        """Stop in order, as soon as the message at hand is done; kill what is not done in time."""
        if self.phase is Phase.STOPPED:
            return
        was_open = self.inbox.is_open
        self._doom()
        if self._task is None and (self.life is None or self.life.stops_silently):
            self._end(self._failure)
            return
        if was_open or within_s is not None:
            self._arm(self.spec.stop_within_s if within_s is None else within_s, self.kill)
        if self._is_idle:
            self._schedule()

    def kill(self) -> None:
        """End at once: cancel the task and everybody below, and wait for none of them to agree."""
        if self.phase is Phase.STOPPED or self._is_killed:
            return
        self.last_failure = f"{self.spec.name} did not stop in time and was cancelled"
        self._is_killed = True
        self._gives_up = self.inbox.is_open
        self._is_idle = False
        self._disarm()
        self._doom()
        if self.life is not None:
            self.life.kill_household()
        if self._task is None:
            self.end_if_killed()
        elif not self.is_own_task():
            self._insist()

    async def ended(self) -> None:
        """Return when the actor and all below it have ended."""
        if self.phase is not Phase.STOPPED:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters = [*(self._waiters or ()), waiter]
            await waiter

    def child_ended(self, child: "Cell") -> None:
        """Forget a child; its name is free again."""
        if self.life is not None:
            self.life.household.children.pop(child.spec.name, None)
        self.end_if_killed()

    def end_if_killed(self) -> None:
        """End a killed cell when nothing of it is left."""
        if self._is_killed and self._task is None and (self.life is None or self.life.is_alone):
            self._end(ActorStopped(self.last_failure), gave_up=self._gives_up)

    # The task.

    async def run(self, task: asyncio.Task[Any], /) -> None:
        """Do what there is to do for a while, in this task; called by the crew only."""
        if self.phase is Phase.STOPPED:
            return
        self._task = task
        task.set_name(self.spec.name)
        try:
            try:
                if self.phase is not Phase.RUNNING:
                    await self._start()
                rest = await self.life.serve() if self.life is not None else None
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - supervision: a crash
                await self._recover(as_crash(error))
            else:
                if rest is None and self.inbox.is_open:
                    self._is_idle = True
                else:
                    await self._go_on(rest)
        except asyncio.CancelledError:
            self.kill()  # If it was not our own doing, somebody cancels the whole system.
            raise
        finally:
            self._task = None
            if self._is_killed:
                self.end_if_killed()

    async def _go_on(self, rest: Next | None) -> None:
        if rest is Next.STOP:
            self._leave()
            await self._wind_down()
        elif self.inbox.is_open:
            self._schedule()
        else:
            await self._wind_down()

    def _schedule(self) -> None:
        self._is_idle = False
        self.kernel.crew.schedule(self)

    def _insist(self) -> None:
        """Cancel the task, and again if it swallows that."""
        if self._task is not None:
            self._task.cancel()
            self.kernel.clock.call_later(INSIST_EVERY_S, self._insist)

    async def _start(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if not self.inbox.is_open:
            return
        life = self.life = self.life or Life(self)
        await life.actor.started()
        self.phase = Phase.RUNNING
        if self._record is not None:
            self._record.note_start(self.kernel.clock.monotonic())
        self._give_verdict(None)

    # How a life ends.

    def _leave(self) -> None:
        """The actor itself wants to stop; only a permanent one will be back, and find its mail."""
        self.phase = Phase.STOPPING
        if self.spec.restart is not Restart.PERMANENT:
            self._doom()
        if self._alarm is None:
            self._arm(self.spec.stop_within_s, self.kill)

    async def _wind_down(self) -> None:
        """End in order."""
        has_started = self.phase is not Phase.STARTING
        self.phase = Phase.STOPPING
        failure = None
        if self.life is not None and has_started and not self._is_killed:
            failure = await self.life.say_goodbye()
        if self._is_killed:
            return
        if failure is not None:
            self._note_crash(failure)
        if self.inbox.is_open:
            self._plan_restart(failure or ActorStopped(f"{self.spec.name} stopped by itself"))
        else:
            self._end(None)

    async def _recover(self, error: Exception) -> None:
        """Clean up after a crash, then end or begin to rest."""
        self.phase = Phase.RESTING
        if self._verdict is None:
            self._note_crash(error)
        if self.life is not None:
            self.life.fail_owed(error)
            await self.life.empty_household()
        if self._is_killed:
            return
        if self._verdict is not None or not self.inbox.is_open or self.spec.restart is Restart.TEMPORARY:
            self._end(error)
        else:
            self._plan_restart(error)

    def _note_crash(self, error: Exception) -> None:
        self.last_failure = f"{type(error).__name__}: {error}"
        self.kernel.report(self.spec.name, error, self.restarts)

    def _plan_restart(self, error: Exception) -> None:
        self._close_life(error)
        record = self._record = self._record or Record()
        pause_s = record.next_pause(self.spec, self.kernel.clock.monotonic(), self.kernel.chance)
        if pause_s is None:
            self._end(error, gave_up=True)
        else:
            self.phase = Phase.RESTING
            self._arm(pause_s, self._restart)

    def _restart(self) -> None:
        self._alarm = None
        self.phase = Phase.STARTING
        self._schedule()

    def _close_life(self, error: Exception | None) -> None:
        if self.life is not None:
            self.life.close(error)
            self.life = None

    def _doom(self) -> None:
        """Stop for good, soon: take no more mail, and let go of what waits."""
        if self.inbox.is_open:
            for mail in self.inbox.close():
                if isinstance(mail, Question):
                    mail.reply.fail(stopped(self.spec.name))

    def _end(self, error: Exception | None, *, gave_up: bool = False) -> None:
        """Be no more, and tell everybody who wanted to know."""
        self._disarm()
        self._doom()
        self._close_life(error)
        self.phase = Phase.STOPPED
        self._is_idle = False
        watchers, self._watchers = self._watchers, None
        for watcher in watchers or ():
            if watcher.life is not None:
                watcher.life.forget(self)
            watcher.signal(Terminated(self.ref, self.spec.name, error))
        if self.parent is not None:
            if gave_up and error is not None:
                self.parent.signal(ChildGaveUp(self.ref, self.spec.name, error, self.restarts))
            self.parent.child_ended(self)
        self._give_verdict(error or stopped(self.spec.name))
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = None

    def _give_verdict(self, error: Exception | None) -> None:
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(error)
        self._verdict = None

    def _arm(self, seconds: float, ring: Callable[[], None]) -> None:
        self._disarm()
        self._alarm = self.kernel.clock.call_later(seconds, ring)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
