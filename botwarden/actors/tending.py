"""When a bot looks after its protective list at the venue: timers and nothing else.

What is to be done is decided by `trading.protection`; here is kept that it is looked at often enough and
never in a tight loop. A resting list is looked at when its bot is taken up, and then every half minute at
a moment of its own, so that the lists of many bots are not asked about at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botwarden.actors.engagement import Engagement
from botwarden.actors.loading import BotRow
from botwarden.runtime import Context
from botwarden.trading.bot import BotState
from botwarden.trading.instruments import Instrument
from botwarden.trading.protection import is_due, retry_wait_s

#: How often a resting list is looked at without any word.
LOOK_EVERY_S = 30.0

#: How long a list waits that could be neither placed nor taken off, nor be intended so.
IDLE_PAUSE_S = 5.0

#: Keys that are away for hours do not fill the books with attempts.
LONGEST_EXTRA_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Tend:
    """See whether the list stands as it should."""


@dataclass(frozen=True, slots=True)
class LookAtList:
    """See whether the list still rests."""


class Tending:
    """One bot's care for its list."""

    def __init__(self, context: Context[Any], engagement: Engagement) -> None:
        self._context = context
        self._engagement = engagement
        #: Number of the list that is looked at regularly.
        self._watched: int | None = None
        #: How often in a row it came to nothing, and what the last failure left in the state.
        self._vain = 0
        self._failed: datetime | None = None

    def follow(self, row: BotRow, state: BotState, instrument: Instrument | None, now: datetime) -> None:
        """Take note of a new state: see to the list if something is due, and look at it while it rests."""
        if is_due(row.config, state, row.resting, instrument):
            self._tend_after(retry_wait_s(state, now - timedelta(seconds=self._vain_s(state))))
        if state.resting_list_number != self._watched:
            self._watched = state.resting_list_number
            self._context.cancel_timer("look")
            if self._watched is not None:
                self.look(row)
                # The first pause differs from bot to bot, and those after it are equal.
                self._look_after(LOOK_EVERY_S * (row.config.id % 30 + 1) / 30)

    def idle(self) -> None:
        """Nothing could be done: see again in a while."""
        self._tend_after(IDLE_PAUSE_S)

    def look(self, row: BotRow) -> None:
        """Look at the list, and again later."""
        if row.resting is not None:
            self._engagement.look(row.config, row.resting)
            self._look_after(LOOK_EVERY_S)

    def _vain_s(self, state: BotState) -> float:
        """Return how much longer than the state says to wait: more with each attempt in vain."""
        failed, self._failed = self._failed, state.protection_retry_at
        if self._failed is None:
            self._vain = 0
        elif self._failed != failed:
            self._vain += 1
        return min(2.0**self._vain - 2, LONGEST_EXTRA_PAUSE_S) if self._vain else 0.0

    def _look_after(self, after_s: float) -> None:
        self._context.start_timer("look", LookAtList(), after_s=after_s)

    def _tend_after(self, after_s: float) -> None:
        if after_s > 0:
            self._context.start_timer("tend", Tend(), after_s=after_s)
        else:
            self._context.cancel_timer("tend")
            self._context.ref.tell(Tend())
