"""How a system looks from outside. The invariant: looking changes nothing, and the picture is plain data."""

import msgspec

from botwarden.runtime.cell import Cell


class ActorView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One actor and those below it, as they were at one moment."""

    name: str
    #: starting, running, resting (between a crash and the next start), stopping, stopped.
    state: str
    #: Whether it takes mail, now or after a restart.
    alive: bool
    #: Messages that wait.
    depth: int
    #: Messages received since it was spawned.
    handled: int
    restarts: int
    #: Text of the last crash, if there was one.
    last_failure: str | None
    #: Oldest first.
    children: tuple["ActorView", ...]


def view_of(cell: Cell) -> ActorView:
    """Return the picture of an actor and all below it."""
    return ActorView(
        name=cell.spec.name,
        state=cell.phase.value,
        alive=cell.inbox.is_open,
        depth=len(cell.inbox),
        handled=cell.handled,
        restarts=cell.restarts,
        last_failure=cell.last_failure,
        children=tuple([view_of(child) for child in cell.children]),
    )
