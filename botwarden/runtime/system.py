"""The root of a tree of actors, and the only owner of their tasks.

The invariant: when `System.open` is left, in whatever way, every actor has stopped and every task that any
of them began has ended. A failure that nobody below could handle is raised there.
"""

import secrets
from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

from anyio import CancelScope

from botwarden.runtime.actor import Actor
from botwarden.runtime.cell import Cell
from botwarden.runtime.household import Household
from botwarden.runtime.kernel import Kernel, OnCrash, log_crash
from botwarden.runtime.ref import Ref, stopped
from botwarden.runtime.supervision import ChildGaveUp, ChildSpec, Restart
from botwarden.runtime.timing import Clock, SystemClock
from botwarden.runtime.view import ActorView, view_of

C = TypeVar("C")


class System:
    """A running tree of actors."""

    def __init__(self, name: str, kernel: Kernel, body: CancelScope) -> None:
        self._kernel = kernel
        self._body = body
        #: What a child of the root gave up with; ends the system.
        self.failure: ChildGaveUp | None = None
        spec = ChildSpec[NoReturn](name=name, start=lambda: _Root(self), restart=Restart.TEMPORARY)
        self._root = Cell(kernel, spec, None)
        self._root.begin()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        name: str = "system",
        *,
        clock: Clock | None = None,
        seed: int | None = None,
        on_crash: OnCrash = log_crash,
        stop_within_s: float = 10.0,
    ) -> "AsyncIterator[System]":
        """Run a system for the length of the block; stop it in order at the end.

        Raises:
            ChildGaveUp: a child of the root crashed too often; the block is cancelled for it.
        """
        failure: Exception | None = None
        async with TaskGroup() as tasks:
            chosen = secrets.randbits(64) if seed is None else seed
            kernel = Kernel(tasks, clock or SystemClock(), chosen, on_crash)
            with CancelScope() as body:
                system = cls(name, kernel, body)
                try:
                    yield system
                except Exception as error:  # noqa: BLE001 - raised again below, outside the task group
                    failure = error
                finally:
                    with CancelScope(shield=True):
                        await system.stop(within_s=stop_within_s)
                        kernel.crew.close()
        failure = failure or system.failure
        if failure is not None:
            raise failure

    @property
    def clock(self) -> Clock:
        """The clock of all its actors."""
        return self._kernel.clock

    @property
    def seed(self) -> int:
        """What all chance of the system follows from."""
        return self._kernel.seed

    async def spawn(self, spec: ChildSpec[C]) -> Ref[C]:
        """Start a child of the root; see `Context.spawn`."""
        return await self._household.spawn(spec)

    async def stop_child(self, ref: Ref[Any]) -> None:
        """Stop a child of the root in order."""
        await self._household.stop_children([ref])

    def end_with(self, failure: ChildGaveUp) -> None:
        """Cancel the block, and raise the failure when all actors have stopped."""
        self.failure = self.failure or failure
        self._body.cancel()

    async def stop(self, *, within_s: float = 10.0) -> None:
        """Stop every actor, the youngest first; what has not ended by then is cancelled."""
        self._root.request_stop(within_s)
        await self._root.ended()

    def tree(self) -> ActorView:
        """Return a picture of the whole tree."""
        return view_of(self._root)

    @property
    def _household(self) -> Household:
        life = self._root.life
        if life is None:
            raise stopped(self._root.spec.name)
        return life.household


class _Root(Actor[NoReturn]):
    """Supervises the first children; nobody sends it mail, and nobody is above it."""

    __slots__ = ("_system",)

    def __init__(self, system: System) -> None:
        self._system = system

    async def child_gave_up(self, failure: ChildGaveUp) -> None:
        self._system.end_with(failure)
