"""Group reading: the rows that many bots ask for while the last ones are read are read together.

    bot ──Read──▶ reader ──one transaction──▶ PostgreSQL
     ▲              │
     └────row───────┘

The invariant: however many bots read at once, as all do when the day turns, they take one connection. Who
beats, commits an exit or takes slots never queues behind them. A row that cannot be read fails its own bot
and nobody else. What is answered was read after it was asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from botwarden.actors.loading import BotRow, read_rows
from botwarden.errors import Locked, Unavailable
from botwarden.persistence.database import Database
from botwarden.runtime import Actor, Reply
from botwarden.trading.bot import BotId

#: Beyond this a larger batch adds more latency than throughput.
BATCH_LIMIT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Answer with the bot's row; with nothing if there is none."""

    bot_id: BotId
    reply: Reply[BotRow | None]


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Read what has gathered."""


class RowReaderActor(Actor[Read | _Fetch]):
    """Reads for all bots of the replica."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathered: list[Read] = []
        self._fetch_due = False

    async def receive(self, message: Read | _Fetch, /) -> None:
        """Gather, or read for those who have gathered."""
        match message:
            case Read():
                self._gathered.append(message)
                self._fetch_due = self._fetch_due or self.context.ref.tell(_Fetch())
            case _Fetch():
                batch, self._gathered = self._gathered[:BATCH_LIMIT], self._gathered[BATCH_LIMIT:]
                self._fetch_due = bool(self._gathered) and self.context.ref.tell(_Fetch())
                await self._answer(batch)

    async def _answer(self, batch: Sequence[Read]) -> None:
        try:
            found = await read_rows(self._database, [wish.bot_id for wish in batch])
        except (Unavailable, Locked) as away:
            for wish in batch:
                wish.reply.fail(Unavailable(str(away)))
        except Exception as broken:  # noqa: BLE001 - one bad row shall not cost the others theirs
            await self._fail(batch, broken)
        else:
            rows = {row.config.id: row for row in found}
            for wish in batch:
                wish.reply.send(rows.get(wish.bot_id))

    async def _fail(self, batch: Sequence[Read], broken: Exception) -> None:
        """Let the one whose row it is find out; the others get theirs."""
        if len(batch) == 1:
            batch[0].reply.fail(broken)
            return
        for wish in batch:
            await self._answer([wish])
