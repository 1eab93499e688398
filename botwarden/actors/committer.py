"""Group commit: what many bots decided while the last commit ran is committed together.

    bot ──Commit──▶ committer ──one transaction──▶ PostgreSQL
     ▲                 │ └──────────Announce─────▶ announcer ──▶ Redis
     └────outcome──────┘

There is no timer: the flush is a message to itself that queues behind the mail which is already there,
and while one flush waits for the database, the next batch gathers. Nothing is announced before it is
committed; a bot is in a batch at most once, because it waits for its own outcome.
"""

from dataclasses import dataclass
from decimal import Decimal

import structlog

from botwarden.actors.announcer import Announce
from botwarden.actors.surroundings import Surroundings
from botwarden.persistence.commits import Change, CommitOutcome, Committed, Doubtful, commit
from botwarden.runtime import Actor, Ref, Reply
from botwarden.trading.bot import BotState

log = structlog.get_logger()

#: Beyond this a larger batch adds more latency than throughput.
BATCH_LIMIT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Commit this change and answer with its own outcome."""

    change: Change
    reply: Reply[CommitOutcome]


@dataclass(frozen=True, slots=True)
class _Flush:
    """Commit what has gathered."""


class CommitterActor(Actor[Commit | _Flush]):
    """The only writer of bots' decisions on this replica."""

    def __init__(self, surroundings: Surroundings, announcer: Ref[Announce]) -> None:
        self._surroundings = surroundings
        self._announcer = announcer
        self._gathered: list[Commit] = []
        self._flush_due = False

    async def receive(self, message: Commit | _Flush, /) -> None:
        """Gather, or commit what was gathered."""
        match message:
            case Commit():
                self._gathered.append(message)
                self._flush_due = self._flush_due or self.context.ref.tell(_Flush())
            case _Flush():
                await self._flush()

    async def _flush(self) -> None:
        batch, self._gathered = self._gathered[:BATCH_LIMIT], self._gathered[BATCH_LIMIT:]
        self._flush_due = bool(self._gathered) and self.context.ref.tell(_Flush())
        try:
            outcomes = await commit(
                self._surroundings.database,
                [message.change for message in batch],
                tag=self._surroundings.tag,
                stamp=self._surroundings.venue_now,
            )
        except BaseException as failure:
            # Whether this was committed is not known: each bot reads its row again.
            for message in batch:
                message.reply.send(Doubtful(message=type(failure).__name__))
            raise
        for message, outcome in zip(batch, outcomes, strict=True):
            message.reply.send(outcome)
        states = [outcome.state for outcome in outcomes if isinstance(outcome, Committed)]
        if states:
            self._announcer.tell(Announce(states=states))
        for message, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Committed):
                _note(message.change, outcome.state)


def _note(change: Change, state: BotState) -> None:
    """Log what an owner wants to see pass by: trades and halts."""
    trade = change.decision.trade
    if trade is not None:
        log.info(
            "trade.booked",
            bot_id=state.bot_id,
            symbol=change.config.symbol,
            side=trade.side,
            price=_plain(trade.price_quote),
            size=_plain(trade.quantity_base),
            pnl=_plain(trade.realised_pnl_quote),
        )
    if state.halted_by is not None and change.before.halted_by is None:
        log.info("bot.halted", bot_id=state.bot_id, by=state.halted_by, status=state.status)


def _plain(amount: Decimal) -> str:
    """Return an amount without an exponent, and without zeros that say nothing."""
    text = f"{amount:.8f}"
    return text.rstrip("0").rstrip(".")
