"""Progress, not heartbeat: when each bot's last evaluation finished, and who is overdue.

Times are written in batches without a new version of the bot. A time that is lost in a crash is only a
time: nothing is decided by it.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Unavailable
from botwarden.persistence.progress import write_progress
from botwarden.runtime import Actor
from botwarden.trading.bot import BotId

WRITE_EVERY_S = 1.0

#: A bot is overdue when nothing was evaluated for this many of its intervals.
OVERDUE_INTERVALS = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """An evaluation of the bot has finished."""

    bot_id: BotId
    at: datetime
    #: When the next one is due at the latest.
    next_within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """The bot is not evaluated any more, or not here."""

    bot_id: BotId


#: What bots tell of themselves.
ProgressMessage = Ran | Forget


@dataclass(frozen=True, slots=True)
class _Write:
    """Write what has gathered."""


class ProgressActor(Actor[ProgressMessage | _Write]):
    """Gathers the times of all bots of the replica."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._unwritten: dict[BotId, datetime] = {}
        self._due: dict[BotId, float] = {}
        self._overdue: set[BotId] = set()
        #: Evaluations finished since the start.
        self.evaluations = 0

    async def started(self) -> None:
        """Write once a second from now on."""
        self.context.start_interval("write", _Write(), every_s=WRITE_EVERY_S)

    async def receive(self, message: ProgressMessage | _Write, /) -> None:
        """Note a time, or write them."""
        match message:
            case Ran():
                self._note(message)
            case Forget(bot_id=bot_id):
                self._due.pop(bot_id, None)
                self._overdue.discard(bot_id)
            case _Write():
                await self._write()
                self._report_overdue()

    def _note(self, ran: Ran) -> None:
        self.evaluations += 1
        self._unwritten[ran.bot_id] = ran.at
        self._overdue.discard(ran.bot_id)
        patience_s = ran.next_within_s * OVERDUE_INTERVALS
        self._due[ran.bot_id] = self.context.clock.monotonic() + patience_s

    async def _write(self) -> None:
        if not self._unwritten:
            return
        batch, self._unwritten = self._unwritten, {}
        try:
            await write_progress(self._surroundings.database, batch)
        except Unavailable:
            self._unwritten = {**batch, **self._unwritten}

    def _report_overdue(self) -> None:
        now = self.context.clock.monotonic()
        late = {bot_id for bot_id, due in self._due.items() if due < now} - self._overdue
        if late:
            self._overdue |= late
            log.warning("bots.overdue", bots=sorted(late)[:20], count=len(late))
