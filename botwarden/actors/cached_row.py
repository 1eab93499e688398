"""A bot's row as its actor knows it: read, decided upon, committed.

The cache is valid for one version. A refused commit means that the row has moved on: it is read again
and the same input is decided anew. After a commit whose answer was lost, the row tells what happened.
"""

from collections.abc import Callable
from enum import Enum, auto

from botwarden.actors.announcer import Announce
from botwarden.actors.colleagues import Colleagues
from botwarden.actors.committer import Commit
from botwarden.actors.loading import BotRow
from botwarden.actors.row_reader import Read
from botwarden.errors import Unavailable
from botwarden.persistence.commits import (
    Braked,
    Change,
    CommitOutcome,
    Committed,
    CommitUnavailable,
    Conflict,
    Doubtful,
    Settlement,
)
from botwarden.trading.bot import BotId, BotState
from botwarden.trading.guard import raise_high
from botwarden.trading.machine import Decision
from botwarden.trading.orders import Order

#: A change is decided anew this often when the row keeps moving; then it has to come again.
TRIES = 10

COMMIT_WITHIN_S = 30.0
READ_WITHIN_S = 30.0


class Result(Enum):
    """What became of an input."""

    COMMITTED = auto()
    #: The input changes nothing, or the emergency brake forbids it.
    UNCHANGED = auto()
    #: The database could not be asked, or its answer is in doubt: read again in a moment.
    LATER = auto()
    #: The bot does not exist any more, or another replica holds it.
    GONE = auto()


class CommitRefusedError(Exception):
    """The database refused a change for a reason that trying again will not cure: a bug."""


#: What an input makes of the present row. Called anew for each version that is met.
Decide = Callable[[BotRow, BotState], Decision]


class CachedRow:
    """One bot's row; `row` and `state` are there once it was read."""

    def __init__(self, bot_id: BotId, term: int, colleagues: Colleagues, row: BotRow | None) -> None:
        self._bot_id = bot_id
        #: The bot was taken up under it. A row that bears another one is another replica's, or was.
        self._term = term
        self._colleagues = colleagues
        self.row = row
        #: The row's state, with a high-water mark that may not be written yet.
        self.state = row.state if row is not None else None
        #: Number of an order that was intended by a commit whose answer was lost.
        self._doubtful_number: int | None = None
        self._unsent: Order | None = None
        self._has_moved = False

    def take_unsent(self) -> Order | None:
        """Return the order that this process committed and has handed to nobody, once."""
        order, self._unsent = self._unsent, None
        return order

    def take_moved(self) -> bool:
        """Return, once, whether a decision met a newer row: no word of that version tells anything new."""
        has_moved, self._has_moved = self._has_moved, False
        return has_moved

    def hold(self, state: BotState) -> None:
        """Keep a raised high-water mark in memory; the next commit writes it."""
        self.state = state

    async def read(self) -> Result:
        """Read the row again; what others committed is announced once more, in case their word was lost."""
        try:
            row: BotRow | None = await self._colleagues.reader.ask(
                lambda reply: Read(bot_id=self._bot_id, reply=reply), within_s=READ_WITHIN_S
            )
        except Unavailable:
            return Result.LATER
        known = self.row
        if row is None or row.state.term != self._term:
            return Result.GONE
        if known is None or row.state.version != known.state.version:
            self._colleagues.announcer.tell(Announce(states=[row.state]))
        self.state = self._with_high_water(row)
        self.row = row
        self._recognise(row)
        return Result.COMMITTED

    async def apply(self, decide: Decide, settles: Settlement | None = None) -> Result:
        """Decide, commit, and decide again on the newer row where the commit was refused."""
        for _ in range(TRIES):
            row, state = self.row, self.state
            if row is None or state is None:
                return Result.LATER
            unsettled = (state.open_order_number, state.resting_list_number)
            if settles is not None and settles.order.number not in unsettled:
                return Result.UNCHANGED
            decision = decide(row, state)
            if settles is None and decision.intent is None and decision.state == row.state:
                return Result.UNCHANGED
            result = await self._commit(row, decision, settles)
            if result is not None:
                return result
            if (reading := await self.read()) is not Result.COMMITTED:
                return reading
            self._has_moved = (
                self._has_moved or self.row is None or self.row.state.version != row.state.version
            )
        return Result.LATER

    async def _commit(self, row: BotRow, decision: Decision, settles: Settlement | None) -> Result | None:
        change = Change(config=row.config, before=row.state, decision=decision, settles=settles)
        try:
            outcome: CommitOutcome = await self._colleagues.committer.ask(
                lambda reply: Commit(change=change, reply=reply), within_s=COMMIT_WITHIN_S
            )
        except Unavailable as unanswered:
            outcome = Doubtful(message=str(unanswered))
        match outcome:
            case Committed(state=state, order=order):
                still_open = order or row.open_order if state.open_order_number is not None else None
                self.row = BotRow(
                    config=row.config,
                    state=state,
                    open_order=still_open,
                    resting=_list(row, state.resting_list_number),
                    leaving=_list(row, still_open.cancels_number if still_open is not None else None),
                )
                self.state = state
                self._unsent = order
                # Whatever was in doubt did not stand: it would have raised the version that this one met.
                self._doubtful_number = None
                return Result.COMMITTED
            case Conflict():
                return None
            case Braked():
                return Result.UNCHANGED
            case CommitUnavailable():
                return Result.LATER
            case Doubtful():
                self._doubtful_number = decision.intent.number if decision.intent else None
                return Result.LATER
            case failed:
                raise CommitRefusedError(failed.message)

    def _recognise(self, row: BotRow) -> None:
        """Take up an order of ours whose commit was in doubt: it stands, and nobody has sent it."""
        if row.open_order is not None and row.open_order.number == self._doubtful_number:
            self._unsent = row.open_order
        self._doubtful_number = None

    def _with_high_water(self, row: BotRow) -> BotState:
        """Return the row's state with the mark that was held in memory, unless its owner wrote another."""
        held, known = self.state, self.row
        if held is None or known is None or held.max_price_since_entry is None:
            return row.state
        same_position = row.state.in_position and row.state.entry_price == held.entry_price
        if same_position and row.state.max_price_since_entry == known.state.max_price_since_entry:
            return raise_high(row.config, row.state, held.max_price_since_entry)
        return row.state


def _list(before: BotRow, number: int | None) -> Order | None:
    """Return the list of that number: one that rested, was being taken off, or was open until now."""
    known = (before.resting, before.leaving, before.open_order)
    return next((order for order in known if order and order.number == number), None)
