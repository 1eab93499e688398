"""Those who live under an actor's roof: its children and its duties.

The invariant: nobody outlives the life that started them. A household is emptied in order (duties first,
then children, the youngest first, each within its own deadline) or at once (all are cancelled), and only
when it is empty does the actor end or begin another life.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
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

    async def stop_children(self, refs: Iterable[Ref[Any]]) -> None:
        """Stop these children, all at once."""
        await stop_together([cell for ref in refs if (cell := self._child_of(ref)) is not None])

    def start_duty(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a duty in a task of its own."""
        self._check_open(name)
        if name in self._duties:
            raise ValueError(f"{self._cell.path} has a running duty named {name}")
        task = self._cell.kernel.launch(self._perform(run), f"{self._cell.spec.name}/{name}")
        self._duties[name] = task
        task.add_done_callback(lambda _: self._duty_ended(name))

    async def empty(self, *, together: bool) -> None:
        """Stop everybody in order, children one after the other or all at once."""
        if self._duties:
            tasks = list(self._duties.values())
            self._cell.kernel.insist(tasks)
            await asyncio.wait(tasks)
        children = list(reversed(self.children.values()))
        for group in [children] if together else [[child] for child in children]:
            await stop_together(group)

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

    def _child_of(self, ref: Ref[Any]) -> "Cell | None":
        child = self.children.get(ref.name)
        if child is not None and child.ref is ref:
            return child
        if ref.is_alive:
            raise ValueError(f"{ref.name} is no child of {self._cell.path}")
        return None

    def _check_open(self, name: str) -> None:
        life = self._cell.life
        if life is None or life.household is not self or not self._cell.may_grow:
            raise stopped(self._cell.spec.name) from RuntimeError(f"too late to start {name}")


async def stop_together(cells: "Sequence[Cell]") -> None:
    """Stop cells that need not wait for each other; return when all have ended."""
    for cell in cells:
        cell.request_stop()
    for cell in cells:
        await cell.ended()
