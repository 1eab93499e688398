"""The way of a request that a fault has taken: whether and when it is executed, and what its sender sees.

The invariant: the venue's own work on a request is done whole or not at all; only what is said of it,
and when, differs from a day without faults.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from botwarden.exchange.paper.fault_plan import Caught


class Answered(Protocol):
    """What the venue says to a request, on whichever way."""

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        ...


A = TypeVar("A", bound=Answered)
R = TypeVar("R")


async def suffer(
    caught: Caught,
    work: Callable[[], Awaitable[A]],
    *,
    made: Callable[[], A],
    tell: Callable[[A, bool], Awaitable[R]],
) -> R:
    """Answer a request that a fault has taken.

    `work` does what the request asks for; `made` returns what the fault says in place of the usual answer;
    `tell` sends an answer as far as the fault lets it through, and hears whether work is still to come.
    """
    fault = caught.fault
    try:
        if fault.executes == "late":
            said = await tell(made(), True)
            await caught.wait()
            await _done(caught, work)
            return said
        if fault.waits == "before":
            await caught.wait()
        usual = await _done(caught, work) if fault.executes == "yes" else None
        if fault.waits == "after":
            await caught.wait()
        is_usual = usual is not None and fault.answer not in ("html", "error")
        return await tell(usual if usual is not None and is_usual else made(), False)
    finally:
        caught.tell("done")


async def _done(caught: Caught, work: Callable[[], Awaitable[A]]) -> A:
    answer = await work()
    caught.tell("executed" if answer.status < 400 else "refused")
    return answer
