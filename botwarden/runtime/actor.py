"""What an actor is. Begin here.

    anybody                 the kernel                              your class
    -------                 ----------                              ----------
    context.spawn(spec) --> cell --------- spec.start() ----------> __init__()
                              |                                     started()
    ref.tell(message) ----> inbox
    ref.ask(make) --------> inbox
                              |  a task of the crew's, while there
                              |  is mail: one message at a time ---> receive(message)
                              |
                              |<--- Exception ------------------------ (a crash)
                              |  timers off, duties and children
                              |  stopped, a pause, then ----------->  a new object: started(), receive(...)
                              |  (same ref, same inbox; too many
                              |  crashes: the parent's child_gave_up)
                              |
    context.stop_child() --> cell   duties and children stopped --->  stopped()
    or Next.STOP              |
                              +--> watchers' terminated(), asks fail, tells are refused

    actor.py     the contract (this file)         cell.py       what is kept of an actor across its lives
    context.py   what an actor may ask for        life.py       one life, from start to crash or goodbye
    ref.py       tell, ask, replies               household.py  an actor's children and duties
    inbox.py     where messages wait              crew.py       the tasks that run actors
    timing.py    clocks and timers                kernel.py     what all actors of a system share
    supervision.py  specs, pauses, giving up      system.py     the root of a tree; view.py its picture
    testing.py   a fake clock, a stage for one actor

The invariant: whatever an actor holds is touched by one message at a time, so it needs no locks.
"""

from enum import Enum
from typing import ClassVar, Generic, TypeVar

from botwarden.runtime.context import Context
from botwarden.runtime.supervision import ChildGaveUp, Terminated

M_contra = TypeVar("M_contra", contravariant=True)


class Next(Enum):
    """What shall follow after a message."""

    CONTINUE = "continue"
    #: Stop normally, with what is still in the inbox unread.
    STOP = "stop"


class Actor(Generic[M_contra]):
    """State that nobody else touches, and a coroutine that receives one message at a time.

    Any `Exception` that leaves one of these methods, or a duty, is a crash: this object is thrown away
    and a fresh one takes its place. Time-outs and cancel scopes may be used freely inside.
    """

    __slots__ = ("context",)

    #: By default children stop one after the other, the youngest first. True: all at once, for a parent
    #: of many equals; each still has its own deadline.
    children_stop_together: ClassVar[bool] = False

    #: Set by the kernel before `started`.
    context: Context[M_contra]

    async def started(self) -> None:
        """Prepare; runs before the first message of each life."""

    async def receive(self, message: M_contra, /) -> Next | None:
        """Handle one message; None means to continue."""
        # Not abstract: an actor that has only children or duties is told nothing.
        raise NotImplementedError

    async def stopped(self) -> None:
        """Say goodbye: after an orderly stop only, with duties and children gone, before the deadline."""

    async def child_gave_up(self, failure: ChildGaveUp) -> None:
        """Decide what a child's final failure means; by default it is this actor's crash as well."""
        raise failure

    async def terminated(self, death: Terminated) -> None:
        """Note that a watched actor has stopped for good; by default nothing follows."""
