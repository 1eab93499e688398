"""The tasks that run actors: few, shared, and each for one actor at a time.

    cell.schedule --> queue --> worker: cell.run() --+--> next in the queue
                                   |                 |
                                   |                 +--> nobody left: rest
                                   |
                                   +-- the handler waits for something: the worker waits with it,
                                       and another one carries on with the queue

While a handler waits, the worker is that actor's own task, with every time-out and cancel scope it opened;
it never changes hands in the middle. Handlers that wait for nothing cost no task of their own: one worker
serves thousands of them in a row, and lets the event loop turn after each batch.

The invariant: as long as the queue is not empty a worker is on its way to it, or at it. A worker that an
actor left in another state than it found it (context variables, a pending cancellation) is not used again.
"""

import asyncio
import contextvars
from collections import deque
from typing import Any, Protocol

#: After so many actors a worker lets the event loop turn.
BATCH = 64

#: So many workers rest for the next time; more than that go home.
KEEP = 16

#: So many are called at once at most, when all before them had to wait with their actors.
MOST_CALLED = 1024


class Job(Protocol):
    """Something that a worker runs: a cell."""

    async def run(self, task: asyncio.Task[Any], /) -> None: ...


class Crew:
    """The workers of one system and the queue they serve."""

    __slots__ = ("_called", "_clean", "_is_closed", "_queue", "_resting", "_stride", "_tasks", "_turn")

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._clean = contextvars.copy_context()
        self._queue: deque[Job] = deque()
        self._resting: list[asyncio.Future[None]] = []
        #: Workers on their way to the queue.
        self._called = 0
        #: How many to call the next time; doubles while every worker is held up by its actor.
        self._stride = 1
        #: The worker that is at the queue, or was and is being held up.
        self._turn: object | None = None
        self._is_closed = False

    def schedule(self, job: Job) -> None:
        """Run the job soon, after those that came before."""
        self._queue.append(job)
        if not self._called:
            self._call(1)

    def close(self) -> None:
        """Send everybody home who rests."""
        self._is_closed = True
        self._call(len(self._resting))

    @property
    def _may_rest(self) -> bool:
        return not self._is_closed and len(self._resting) < KEEP

    def _call(self, count: int) -> None:
        for _ in range(count):
            bell = self._resting.pop() if self._resting else None
            if bell is not None and not bell.done():
                bell.set_result(None)
            elif not self._hire():
                return
            self._called += 1

    def _hire(self) -> bool:
        work = self._work()
        try:
            self._tasks.create_task(work, name="worker", context=self._clean.copy())
        except RuntimeError:  # The whole group is being cancelled: nobody is served any more.
            work.close()
            return False
        return True

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a worker is a task"  # noqa: S101 - for the type checker
        self._called -= 1
        while await self._serve_queue(task) and self._may_rest:
            task.set_name("resting worker")
            bell: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._resting.append(bell)
            await bell
            self._called -= 1

    async def _serve_queue(self, task: asyncio.Task[Any]) -> bool:
        """Run jobs until none is left or the batch is done; return whether the worker is still clean."""
        queue = self._queue
        if not self._called:
            # Whoever was here before is held up, or has finished.
            self._stride = 1 if self._turn is None else min(self._stride * 2, MOST_CALLED)
        for _ in range(BATCH):
            if not queue:
                break
            job = queue.popleft()
            if queue and not self._called:
                self._call(min(len(queue), self._stride))
            self._turn = job
            await job.run(task)
            if self._turn is job:
                self._turn = None
            if task.cancelling() or contextvars.copy_context() != self._clean:
                self._ensure_successor()
                return False
        self._ensure_successor()
        return True

    def _ensure_successor(self) -> None:
        if self._queue and not self._called:
            self._call(1)
