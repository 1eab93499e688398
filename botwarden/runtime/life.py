"""One life of an actor: from a fresh object to its crash or its goodbye.

What belongs to the object ends with it: its timers, its watches, its household, the system messages that
were meant for it, and the answers that it owes. Only the inbox and the ref are older and live on. The
invariant: nothing that one life began reaches the next.
"""

from typing import TYPE_CHECKING, Any, assert_never

from botwarden.runtime.actor import Actor, Next
from botwarden.runtime.context import Context
from botwarden.runtime.household import Household
from botwarden.runtime.inbox import NOTHING, Envelope
from botwarden.runtime.kernel import failure_of
from botwarden.runtime.ref import Question, Reply, stopped
from botwarden.runtime.supervision import ChildGaveUp, DutyFailed, Signal, Terminated
from botwarden.runtime.timing import Timer, Timers

if TYPE_CHECKING:
    from botwarden.runtime.cell import Cell

#: After so many messages in a row an actor lets the others go first.
SLICE = 64


class Life:
    """The object of the day, and all that hangs on it. Most parts are made at the first need."""

    __slots__ = ("_cell", "_household", "_owed", "_signals", "_timers", "_watched", "actor")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._household: Household | None = None
        #: Replies to questions that were received and not yet answered.
        self._owed: dict[Reply[Any], None] | None = None
        self._timers: Timers | None = None
        self._watched: dict[Cell, None] | None = None
        #: System messages, oldest first.
        self._signals: list[Signal] | None = None
        self.actor: Actor[Any] = cell.spec.start()
        self.actor.context = Context(cell, self)

    @property
    def household(self) -> Household:
        """Children and duties."""
        if self._household is None:
            self._household = Household(self._cell)
        return self._household

    @property
    def timers(self) -> Timers:
        """The timers, by key."""
        if self._timers is None:
            self._timers = Timers(self._cell.kernel.clock, self._cell.post)
        return self._timers

    @property
    def is_alone(self) -> bool:
        """Whether nobody lives under its roof."""
        return self._household is None or self._household.is_empty

    @property
    def starts_silently(self) -> bool:
        """Whether its class leaves nothing to do before the first message."""
        return type(self.actor).started is Actor.started

    @property
    def stops_silently(self) -> bool:
        """Whether an orderly stop would leave nothing to do."""
        return self.is_alone and type(self.actor).stopped is Actor.stopped

    def add_signal(self, signal: Signal) -> None:
        """Let the system message wait, before all mail."""
        if self._signals is None:
            self._signals = []
        self._signals.append(signal)

    def watch(self, other: "Cell") -> None:
        """Hear of the other's end."""
        if other.add_watcher(self._cell):
            if self._watched is None:
                self._watched = {}
            self._watched[other] = None

    def forget(self, other: "Cell") -> None:
        """The other has ended: there is nothing left to watch."""
        if self._watched is not None:
            self._watched.pop(other, None)

    async def serve(self) -> Next | None:
        """Handle a slice of system messages and mail.

        Returns None when nothing is left, CONTINUE when the slice is used up, STOP if the actor said so.
        """
        cell, actor, inbox = self._cell, self.actor, self._cell.inbox
        for _ in range(SLICE):
            if self._signals and inbox.is_open:
                await self._heed(self._signals.pop(0))
                continue
            mail = inbox.take()
            if mail is NOTHING:
                self._owed = self._owed or None
                return None
            if isinstance(mail, Envelope):
                if not self._open(mail):
                    continue
                mail = mail.message
            cell.handled += 1
            if await actor.receive(mail) is Next.STOP:
                return Next.STOP
        return Next.CONTINUE

    async def say_goodbye(self) -> Exception | None:
        """Stop in order: the household, then the object; return what that crashed with."""
        await self.empty_household()
        return await failure_of(self.actor.stopped())

    async def empty_household(self) -> None:
        """Stop children and duties in order."""
        if self._household is not None:
            await self._household.empty(together=self.actor.children_stop_together)

    def kill_household(self) -> None:
        """Cancel children and duties at once."""
        if self._household is not None:
            self._household.kill()

    def fail_owed(self, error: Exception | None) -> None:
        """Tell everybody who waits for an answer that none will come."""
        for reply in list(self._owed or ()):
            reply.fail(stopped(self._cell.spec.name, error))
        self._owed = None

    def close(self, error: Exception | None) -> None:
        """Let go of everything. The household must be empty."""
        self.fail_owed(error)
        if self._timers is not None:
            self._timers.cancel_all()
        for other in self._watched or ():
            other.drop_watcher(self._cell)
        self._watched = None

    async def _heed(self, signal: Signal) -> None:
        """Hand the system message to the object."""
        match signal:
            case Terminated():
                await self.actor.terminated(signal)
            case ChildGaveUp():
                await self.actor.child_gave_up(signal)
            case DutyFailed():
                raise signal.error
            case _ as never:
                assert_never(never)

    def _open(self, envelope: Envelope) -> bool:
        """Return whether the message inside is to be received; a question in it is owed from now on."""
        if isinstance(envelope, Timer):
            return self._timers is not None and self._timers.receive(envelope)
        if isinstance(envelope, Question):
            if self._owed is None:
                self._owed = {}
            envelope.reply.owe(self._owed)
        return True
