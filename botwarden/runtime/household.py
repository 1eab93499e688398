"""Those who live under an actor's roof: its children and its duties.

The invariant: nobody outlives the life that started them. A household is emptied in order (duties first,
then children, the youngest first, each within its own deadline) or at once (all are cancelled), and only
when it is empty does the actor end or begin another life.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from botwarden.runtime.kernel import failure_of
from botwarden.runtime.ref import Ref, stopped
from botwarden.runtime.supervision import ChildSpec, DutyFailed

if TYPE_CHECKING:
    from botwarden.runtime.cell import Cell

C = TypeVar("C")


class Household:
    """Made at the first need; most actors have none."""

    __slots__ = ("_cell", "_duties", "children")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._duties: dict[str, asyncio.Task[None]] = {}
        #: By name, in the order of their start.
        self.children: dict[str, Cell] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left."""
        return not self.children and not self._duties

    async def spawn(self, spec: ChildSpec[C]) -> Ref[C]:
        """Start a child, and wait for its start if the specification says so."""
        self._check_open(spec.name)
        if spec.name in self.children:
            raise ValueError(f"{self._cell.path} has a living child named {spec.name}")
        child = self.children[spec.name] = self._cell.new_child(spec)
        child.begin()
        await child.first_start()
        return child.ref

    async def stop_child(self, ref: Ref[Any]) -> None:
        """Stop one child in order."""
        child = self.children.get(ref.name)
        if child is not None and child.ref is ref:
            child.request_stop()
            await child.ended()
        elif ref.is_alive:
            raise ValueError(f"{ref.name} is no child of {self._cell.path}")

    def start_duty(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a duty in a task of its own."""
        self._check_open(name)
        if name in self._duties:
            raise ValueError(f"{self._cell.path} has a running duty named {name}")
        task = self._cell.kernel.launch(self._perform(run), f"{self._cell.spec.name}/{name}")
        self._duties[name] = task
        task.add_done_callback(lambda _: self._duty_ended(name))

    async def empty(self) -> None:
        """Stop everybody in order."""
        if self._duties:
            tasks = list(self._duties.values())
            self._cell.kernel.insist(tasks)
            await asyncio.wait(tasks)
        for child in reversed(list(self.children.values())):
            child.request_stop()
            await child.ended()

    def kill(self) -> None:
        """Cancel everybody at once."""
        self._cell.kernel.insist(self._duties.values())
        for child in reversed(list(self.children.values())):
            child.kill()

    async def _perform(self, run: Callable[[], Awaitable[None]]) -> None:
        error = await failure_of(run())
        if error is not None:
            self._cell.signal(DutyFailed(error))

    def _duty_ended(self, name: str) -> None:
        del self._duties[name]
        self._cell.end_if_killed()

    def _check_open(self, name: str) -> None:
        life = self._cell.life
        if life is None or life.household is not self or not self._cell.may_grow:
            raise stopped(self._cell.spec.name) from RuntimeError(f"too late to start {name}")
