"""Keeps the database tidy: partitions of the audit trail, answers and sessions that have had their time.

Nothing here is needed for trading: a chore that fails is told in the log and comes again, and the others
are done all the same. What is old is old by two clocks, ours and the database's: one that jumps ahead
costs no event.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta

import structlog

from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Locked, Unavailable
from botwarden.persistence import deleted_bots, idempotency, users
from botwarden.persistence.database import Transaction
from botwarden.persistence.events import drop_partitions, ensure_partitions, todays_date
from botwarden.runtime import Actor

TEND_EVERY_S = 3600.0
RETRY_AFTER_S = 60.0

#: Partitions of the audit trail are made this many days ahead.
DAYS_AHEAD = 3

log = structlog.get_logger()

Chore = Callable[[Transaction], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Tidy:
    """Do every chore."""


class UpkeepActor(Actor[Tidy]):
    """Does the chores of the database, at the start and once an hour."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    async def started(self) -> None:
        """Begin at once: the partitions of a new day may be wanting."""
        self.context.ref.tell(Tidy())

    async def receive(self, message: Tidy, /) -> None:
        """Do what there is to do; come back sooner if something could not be done."""
        chores: dict[str, Chore] = {
            "make partitions": self._make_partitions,
            "drop partitions": self._drop_partitions,
            "forget answers": idempotency.purge,
            "forget sessions": users.purge_sessions,
            "forget deleted bots": deleted_bots.purge,
        }
        undone = [name for name, chore in chores.items() if not await self._is_done(name, chore)]
        self.context.start_timer("tidy", message, after_s=RETRY_AFTER_S if undone else TEND_EVERY_S)

    async def _is_done(self, name: str, chore: Chore) -> bool:
        try:
            async with self._surroundings.database.begin() as tx:
                await chore(tx)
        except (Unavailable, Locked) as error:
            log.warning("upkeep.failed", chore=name, error=str(error))
            return False
        return True

    async def _make_partitions(self, tx: Transaction) -> None:
        today = await self._today(tx)
        await ensure_partitions(tx, [today + timedelta(days=ahead) for ahead in range(DAYS_AHEAD)])

    async def _drop_partitions(self, tx: Transaction) -> None:
        keep = timedelta(days=self._surroundings.rules.keep_events_days)
        await drop_partitions(tx, older_than=await self._today(tx) - keep)

    async def _today(self, tx: Transaction) -> date:
        return min(self.context.clock.now().date(), await todays_date(tx))
