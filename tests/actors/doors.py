"""Doors through which one life of botwarden reaches its database and its venue, and where it can be held.

A door is the real thing with a place to stop at: a test can hold whoever passes (and then end the life
there, or let it go on), or let the step fail as a lost connection or a bug would. Nothing is answered
that the real thing did not answer.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import anyio
from sqlalchemy import text

from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Account, Market
from botwarden.persistence.database import Database, Transaction
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.orders import Order


class Step(StrEnum):
    """Places on the path of an order, in its direction."""

    #: Of any commit: what it is about is not known yet.
    DECIDED = "before a commit begins"
    INTENT_WRITTEN = "before the intent's commit"
    INTENT_COMMITTED = "after the intent's commit"
    SENDING = "before the request leaves"
    ANSWERED = "after the answer has come"
    OUTCOME_WRITTEN = "before the settlement's commit"
    OUTCOME_COMMITTED = "after the settlement's commit"
    OTHER_WRITTEN = "before another commit"
    OTHER_COMMITTED = "after another commit"


class Stop:
    """A step at which the next one to pass is held, or fails."""

    def __init__(self, raises: BaseException | None) -> None:
        #: Set when somebody has come to the step.
        self.reached = anyio.Event()
        self._go_on = anyio.Event()
        self._raises = raises
        if raises is not None:
            self._go_on.set()

    async def meet(self) -> None:
        """Wait for whom the step holds."""
        with anyio.fail_after(20):
            await self.reached.wait()

    def release(self, raises: BaseException | None = None) -> None:
        """Let who is held go on, or fail."""
        self._raises = raises
        self._go_on.set()

    async def suffer(self) -> None:
        """Be held."""
        self.reached.set()
        await self._go_on.wait()
        if self._raises is not None:
            raise self._raises


class News:
    """Rings whenever something was committed."""

    def __init__(self) -> None:
        self.next = anyio.Event()

    def ring(self) -> None:
        """Wake who waits for the next."""
        self.next.set()
        self.next = anyio.Event()


@dataclass
class Doors:
    """What a life has passed, and where it is to be held."""

    news: News = field(default_factory=News)
    #: Client order ids, as `place` was called with them.
    placed: list[str] = field(default_factory=list)
    #: How many bots each commit of the committer changed.
    batches: list[int] = field(default_factory=list)
    #: How many are on their way through a door, and not held there.
    busy: int = 0
    _stops: dict[Step, deque[Stop]] = field(default_factory=dict)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Somebody is on the way through."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1

    def hold(self, step: Step, *, raises: BaseException | None = None) -> Stop:
        """Hold the next one that comes to this step, or let it fail there."""
        stop = Stop(raises)
        self._stops.setdefault(step, deque()).append(stop)
        return stop

    async def step(self, step: Step) -> None:
        """Somebody has come so far."""
        stops = self._stops.get(step)
        if stops:
            self.busy -= 1
            try:
                await stops.popleft().suffer()
            finally:
                self.busy += 1


class CommitterDatabase:
    """The committer's database: its transactions tell what they are about before and after they commit."""

    def __init__(self, database: Database, doors: Doors) -> None:
        self._database = database
        self._doors = doors

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """As the database does."""
        with self._doors.passing():
            await self._doors.step(Step.DECIDED)
            async with self._database.begin() as tx:
                yield tx
                changed, statuses = (await tx.execute(_WRITTEN)).one()
                written, committed = _steps_of(statuses or [])
                await self._doors.step(written)
            self._doors.batches.append(changed)
            self._doors.news.ring()
            await self._doors.step(committed)


class BotsDatabase:
    """The bots' database: who reads a row is on the way too, so that no time passes meanwhile."""

    def __init__(self, database: Database, doors: Doors) -> None:
        self._database = database
        self._doors = doors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """As the database does."""
        with self._doors.passing():
            async with self._database.begin() as tx:
                yield tx


def _steps_of(statuses: list[str]) -> tuple[Step, Step]:
    if "open" in statuses:
        return Step.INTENT_WRITTEN, Step.INTENT_COMMITTED
    if statuses:
        return Step.OUTCOME_WRITTEN, Step.OUTCOME_COMMITTED
    return Step.OTHER_WRITTEN, Step.OTHER_COMMITTED


class WatchedAccount:
    """An account whose orders are noted, and can be held before they leave and after the answer."""

    def __init__(self, account: Account, doors: Doors) -> None:
        self._account = account
        self._doors = doors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._account, name)

    async def place(self, order: Order) -> Any:
        """As the account does."""
        self._doors.placed.append(order.client_order_id)
        with self._doors.passing():
            await self._doors.step(Step.SENDING)
            outcome = await self._account.place(order)
            await self._doors.step(Step.ANSWERED)
            return outcome


class WatchedExchange:
    """The real adapter, with accounts that are watched."""

    def __init__(self, exchange: BinanceExchange, doors: Doors) -> None:
        self._exchange = exchange
        self._doors = doors

    def market(self, venue: Venue) -> Market:
        """As the adapter does."""
        return self._exchange.market(venue)

    async def account(self, venue: Venue, api_key_id: ApiKeyId) -> WatchedAccount:
        """As the adapter does, watched."""
        return WatchedAccount(await self._exchange.account(venue, api_key_id), self._doors)


# What this very transaction has written.
_WRITTEN = text("""
    SELECT (SELECT count(*) FROM bot_states WHERE xmin::text::bigint = mine.id),
           (SELECT array_agg(status) FROM orders WHERE xmin::text::bigint = mine.id)
    FROM (SELECT pg_current_xact_id()::text::bigint & 4294967295 AS id) AS mine
""")
