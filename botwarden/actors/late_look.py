"""Looks once for the given-up orders of one account, and books what it finds.

A find waits while its bot has an order in flight: what is under way is settled first. It is booked only
under the term that the bot had when the order was read as ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from botwarden.actors.bots import BotsMessage, Wake
from botwarden.actors.committer import Commit
from botwarden.actors.errand import errand_of
from botwarden.actors.loading import BotRow, read_rows
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import BotwardenError, Locked, Missing, Unavailable
from botwarden.exchange import port
from botwarden.persistence.commits import Change, CommitOutcome, Committed, Settlement
from botwarden.persistence.given_up import GivenUp
from botwarden.runtime import Actor, Next, Ref
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.instruments import Instrument
from botwarden.trading.late import can_book
from botwarden.trading.machine import LateFound, decide
from botwarden.trading.orders import Executed, ListEnded, Resting

COMMIT_WITHIN_S = 30.0

#: A find is decided anew this often when the bot's row keeps moving; then it waits for the next round.
TRIES = 3

log = structlog.get_logger()


class Account(NamedTuple):
    """Whose records are looked at."""

    venue: Venue
    api_key_id: ApiKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The venue has answered about this order, and there is nothing more to do about it now."""

    client_order_id: str


@dataclass(frozen=True, slots=True)
class _Begin:
    """Look."""


class LateLookActor(Actor[_Begin]):
    """Goes through the orders, one after the other, and is done."""

    def __init__(
        self,
        surroundings: Surroundings,
        account: Account,
        orders: Sequence[GivenUp],
        *,
        committer: Ref[Commit],
        bots: Ref[BotsMessage],
        reconciler: Ref[Looked],
    ) -> None:
        self._surroundings = surroundings
        self._key = account
        self._orders = orders
        self._committer = committer
        self._bots = bots
        self._reconciler = reconciler

    async def started(self) -> None:
        """Look at once."""
        self.context.ref.tell(_Begin())

    async def receive(self, _message: _Begin, /) -> Next:
        """Look for all of them; without an answer the next round does."""
        try:
            account = await self._surroundings.exchange.account(self._key.venue, self._key.api_key_id)
        except BotwardenError:
            return Next.STOP  # The key is gone or closed: its bots say so.
        try:
            for given_up in self._orders:
                await self._look(account, given_up)
        except (Unavailable, Locked) as away:
            log.info("late_look.broken_off", api_key_id=self._key.api_key_id, why=str(away))
        finally:
            await account.close()
        return Next.STOP

    async def _look(self, account: port.Account, given_up: GivenUp) -> None:
        order = given_up.order
        outcome = await errand_of(order, None, account).find()
        if not isinstance(outcome, Executed | ListEnded | Resting) or await self._book(given_up, outcome):
            self._reconciler.tell(Looked(client_order_id=order.client_order_id))

    async def _book(self, given_up: GivenUp, outcome: Executed | ListEnded | Resting) -> bool:
        """Book the find; False when that has to wait."""
        instrument = await self._instrument(given_up)
        for _ in range(TRIES):
            rows = await read_rows(self._surroundings.database, [given_up.order.bot_id])
            if not rows or rows[0].state.term != given_up.term:
                return False  # Another replica looks for it now.
            event = self._event(given_up, outcome, rows[0])
            if not can_book(rows[0].state, event):
                return False
            if await self._commit(rows[0], event, instrument):
                log.warning("order.found_late", client_order_id=given_up.order.client_order_id)
                self._bots.tell(Wake(bot_ids=[given_up.order.bot_id]))
                return True
        return False

    def _event(self, given_up: GivenUp, outcome: Executed | ListEnded | Resting, row: BotRow) -> LateFound:
        config, order = row.config, given_up.order
        now = (config.symbol, config.venue, config.api_key_id)
        return LateFound(
            order=order,
            outcome=outcome,
            elsewhere=now != (order.symbol, given_up.venue, given_up.api_key_id),
            at=self.context.clock.now(),
        )

    async def _commit(self, row: BotRow, event: LateFound, instrument: Instrument | None) -> bool:
        decision = decide(row.config, row.state, event, instrument=instrument)
        settles = Settlement(order=event.order, outcome=event.outcome, late=True)
        change = Change(config=row.config, before=row.state, decision=decision, settles=settles)
        committed: CommitOutcome = await self._committer.ask(
            lambda reply: Commit(change=change, reply=reply), within_s=COMMIT_WITHIN_S
        )
        return isinstance(committed, Committed)

    async def _instrument(self, given_up: GivenUp) -> Instrument | None:
        try:
            return await self._surroundings.symbols.find(given_up.venue, given_up.order.symbol)
        except (Unavailable, Missing):
            return None
