"""How others reach an actor: by a `Ref`, never by the object behind it.

A ref survives restarts: the inbox behind it stays the same. The invariant: whoever asks gets exactly one
answer, and gets it at once when it has become certain that there will be none.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botwarden.errors import Unavailable
from botwarden.runtime.inbox import Envelope

if TYPE_CHECKING:
    from botwarden.runtime.cell import Cell

M_contra = TypeVar("M_contra", contravariant=True)
A = TypeVar("A")


class AskTimeout(Unavailable):
    """The actor did not answer in time; it may still act on the question."""


class InboxFull(AskTimeout):
    """The actor's inbox is full: it will never see the question."""


class ActorStopped(Unavailable):
    """The actor stopped, or crashed on the question: no answer will come."""


class Reply(Generic[A]):
    """The answer that somebody waits for. The first one counts, later ones are ignored."""

    __slots__ = ("_answer", "_owed")

    def __init__(self) -> None:
        self._answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._owed: dict[Reply[Any], None] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether an answer would come too late: there is one, or nobody waits any more."""
        return self._answer.done()

    def send(self, value: A) -> None:
        """Answer."""
        if not self._answer.done():
            self._answer.set_result(value)
            self._settle()

    def fail(self, error: Exception) -> None:
        """Let the question fail at the one who asked."""
        if not self._answer.done():
            self._answer.set_exception(error)
            self._settle()

    def owe(self, owed: "dict[Reply[Any], None]") -> None:
        """Stand in the list of its debtor until settled."""
        if not self._answer.done():
            owed[self] = None
            self._owed = owed

    async def wait(self) -> A:
        """Return the answer, or raise what it failed with."""
        try:
            return await self._answer
        finally:
            self._settle()

    def _settle(self) -> None:
        if self._owed is not None:
            self._owed.pop(self, None)
            self._owed = None


class Question(Envelope):
    """A message on its way to an actor that owes a reply as soon as it has received it."""

    __slots__ = ("reply",)

    def __init__(self, message: Any, reply: Reply[Any]) -> None:
        super().__init__(message)
        self.reply = reply


class Ref(Generic[M_contra]):
    """The address of an actor, the same for all its lives."""

    __slots__ = ("cell",)

    def __init__(self, cell: "Cell") -> None:
        #: For the kernel only.
        self.cell = cell

    @property
    def name(self) -> str:
        """The name that its parent gave it, unique among its living siblings."""
        return self.cell.spec.name

    @property
    def is_alive(self) -> bool:
        """Whether it still takes mail, now or after a restart; never true again once it is false."""
        return self.cell.inbox.is_open

    def tell(self, message: M_contra) -> bool:
        """Leave a message; return whether it was accepted. Never blocks; False means full or stopped."""
        return self.cell.deliver(message)

    async def ask(self, make: Callable[[Reply[A]], M_contra], *, within_s: float) -> A:
        """Send the message that `make` builds around a reply, and return the answer.

        Raises:
            AskTimeout: no answer within `within_s`; `InboxFull` when the question was not even accepted.
            ActorStopped: the actor stopped, or crashed after it had received the question.
            Exception: whatever the actor failed the reply with.
        """
        reply: Reply[A] = Reply()
        cell = self.cell
        if cell.is_own_task():
            raise RuntimeError(f"{self.name} asks itself: it could never answer")
        if not cell.deliver(Question(make(reply), reply)):
            raise InboxFull(f"the inbox of {self.name} is full") if self.is_alive else stopped(self.name)
        alarm = cell.kernel.clock.call_later(
            within_s, lambda: reply.fail(AskTimeout(f"{self.name} did not answer within {within_s} s"))
        )
        try:
            return await reply.wait()
        finally:
            alarm.cancel()

    def __repr__(self) -> str:
        return f"<Ref {self.name} {self.cell.phase.value}>"


def stopped(name: str, cause: BaseException | None = None) -> ActorStopped:
    """Return the error for those who wait for the actor of that name."""
    error = ActorStopped(f"{name} crashed before it answered" if cause is not None else f"{name} has stopped")
    error.__cause__ = cause
    return error
