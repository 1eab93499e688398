"""What all cells of one system share: its tasks, its clock, its chance.

The invariant: every task of a system is a child of the system's one task group, and none begins with the
context variables of whoever happened to send a message.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from random import Random
from typing import Any, TypeAlias

from botwarden.errors import BotwardenError
from botwarden.runtime.crew import Crew
from botwarden.runtime.timing import Clock

#: Called with the actor's name, what it crashed with, and how often it was restarted before.
OnCrash: TypeAlias = Callable[[str, Exception, int], None]

#: A task that swallows its cancellation is cancelled again, this often.
INSIST_EVERY_S = 0.1

log = logging.getLogger(__name__)


class StrayCancellationError(BotwardenError):
    """Something that was awaited had been cancelled, though nobody asked the actor to end."""


class Kernel:
    """One per system."""

    __slots__ = ("_context", "_on_crash", "_tasks", "chance", "clock", "crew", "seed")

    def __init__(self, tasks: asyncio.TaskGroup, clock: Clock, seed: int, on_crash: OnCrash) -> None:
        self._tasks = tasks
        self._context = contextvars.copy_context()
        self._on_crash = on_crash
        self.clock = clock
        self.seed = seed
        #: Runs the cells.
        self.crew = Crew(tasks)
        #: For the kernel's own use: the jitter of pauses.
        self.chance = Random(f"{seed}")  # noqa: S311 - repeatable on purpose

    def launch(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run the work in a task of its own."""
        return self._tasks.create_task(work, name=name, context=self._context.copy())

    def insist(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Cancel the tasks, again and again until the last one has ended."""
        running = [task for task in tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            self.clock.call_later(INSIST_EVERY_S, lambda: self.insist(running))

    def random_for(self, path: str) -> Random:
        """Return the chance of the actor at this place in the tree."""
        return Random(f"{self.seed}:{path}")  # noqa: S311 - repeatable on purpose

    def report(self, name: str, error: Exception, restarts: int) -> None:
        """Tell of a crash; whatever goes wrong in the telling stops nobody."""
        try:
            self._on_crash(name, error, restarts)
        except Exception:
            log.exception("actor.crash_unreported", extra={"actor": name})


def as_crash(error: Exception | asyncio.CancelledError) -> Exception:
    """Return the error if it is a crash.

    A cancellation that somebody asked for is none, and is raised again. One that nobody asked for comes
    from awaiting something that had been cancelled, and is a crash like any other.
    """
    if isinstance(error, Exception):
        return error
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    stray = StrayCancellationError()
    stray.__cause__ = error
    return stray


async def failure_of(work: Awaitable[object]) -> Exception | None:
    """Return what the work crashed with; None if it finished."""
    try:
        await work
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - supervision: this is a crash
        return as_crash(error)
    return None


def log_crash(name: str, error: Exception, restarts: int) -> None:
    """Log the crash: what systems do unless told otherwise."""
    log.error("actor.crashed", extra={"actor": name, "restarts": restarts}, exc_info=error)
