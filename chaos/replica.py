"""A replica that kills or freezes itself at a named step of the order protocol: `python -m chaos.replica`.

It is `botwarden serve`, whole and unchanged, with listeners around the four doors that an order passes:
the committer's transaction, its COMMIT, the desk's request and its answer. They do nothing but count.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import aiohttp
import asyncpg.transaction

from botwarden.actors import committer
from botwarden.cli.main import group as botwarden
from botwarden.exchange.account import BinanceAccount
from botwarden.persistence.commits import Change, commit
from chaos.steps import PARENT, VARIABLE, Blow, Step, Strike

_PR_SET_PDEATHSIG = 1

#: What the transaction under way is about, for the listener at COMMIT.
_committing: ContextVar[frozenset[Step]] = ContextVar("committing", default=frozenset())


class Trap:
    """Waits for one step, and strikes its own process there."""

    def __init__(self, strike: Strike) -> None:
        self._strike = strike
        self._left = strike.nth

    def reach(self, step: Step) -> None:
        """Say that this step is reached now."""
        if step is not self._strike.step:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL if self._strike.blow is Blow.KILL else signal.SIGSTOP)

    def reach_next(self, step: Step) -> None:
        """Say that this step is reached as soon as the loop turns: what is being written has left then."""
        asyncio.get_running_loop().call_soon(self.reach, step)


def listen(trap: Trap) -> None:
    """Put a listener at each door."""
    # The committer's own name for it is where the listener has to stand.
    committer.commit = _at_transaction(trap, commit)  # type: ignore[attr-defined]
    transaction = asyncpg.transaction.Transaction
    transaction.commit = _at_commit(trap, transaction.commit)
    BinanceAccount.place = _at_answer(trap, BinanceAccount.place)  # type: ignore[method-assign]  # that is the point
    aiohttp.ClientResponse.start = _at_request(trap, aiohttp.ClientResponse.start)  # type: ignore[method-assign]  # dito


def _at_transaction(trap: Trap, commit: Callable[..., Any]) -> Callable[..., Any]:
    async def listening(database: Any, changes: Sequence[Change], **rest: Any) -> Any:
        intends = any(change.decision.intent is not None for change in changes)
        settles = any(change.settles is not None for change in changes)
        if intends:
            trap.reach(Step.BEFORE_INTENT)
        if settles:
            trap.reach(Step.BEFORE_SETTLEMENT)
        steps = {Step.INTENT_COMMITTING: intends, Step.SETTLEMENT_COMMITTING: settles}
        _committing.set(frozenset(step for step, is_meant in steps.items() if is_meant))
        outcomes = await commit(database, changes, **rest)
        _committing.set(frozenset())
        if intends:
            trap.reach(Step.INTENT_COMMITTED)
        if settles:
            trap.reach(Step.SETTLED)
        return outcomes

    return listening


def _at_commit(trap: Trap, commit: Callable[..., Any]) -> Callable[..., Any]:
    async def listening(transaction: Any) -> Any:
        for step in _committing.get():
            trap.reach_next(step)
        return await commit(transaction)

    return listening


def _at_request(trap: Trap, start: Callable[..., Any]) -> Callable[..., Any]:
    async def listening(response: aiohttp.ClientResponse, *rest: Any) -> Any:
        if response.method == "POST" and response.url.path.endswith("/api/v3/order"):
            trap.reach_next(Step.SENT)
        return await start(response, *rest)

    return listening


def _at_answer(trap: Trap, place: Callable[..., Any]) -> Callable[..., Any]:
    async def listening(account: BinanceAccount, *rest: Any) -> Any:
        answer = await place(account, *rest)
        trap.reach(Step.ANSWERED)
        return answer

    return listening


def end_with(parent: int) -> None:
    """Be killed when the process that started this one is gone, frozen or not (Linux; elsewhere, nothing)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It was gone before.
        sys.exit(1)


if __name__ == "__main__":
    end_with(int(os.environ[PARENT]))
    if word := os.environ.get(VARIABLE):
        listen(Trap(Strike.parse(word)))
    botwarden(["serve", *sys.argv[1:]], prog_name="botwarden")
