"""A position's high-water mark: how often it is written, and what is asked when its bot is taken up.

The guard watches with the mark of the row from the first moment. Meanwhile the feed is asked once how high
the market went since that row was written, as a former life may have ended before it wrote a higher one,
and nobody was awake after it. The answer may come late or never. It counts for the position that was
taken up, until that is gone or its owner lowers the mark or the trailing stop.
"""

from typing import Any

from botwarden.actors.bot_mail import WriteMark
from botwarden.actors.engagement import Engagement
from botwarden.actors.feed_mail import FeedKey, HighMissed
from botwarden.actors.loading import BotRow
from botwarden.runtime import Context
from botwarden.trading.bot import BotConfig, BotState, Cause
from botwarden.trading.decisions import Decision
from botwarden.trading.guard import raise_high, trails
from botwarden.trading.hindsight import goes_on
from botwarden.trading.instruments import Instrument

#: How often the mark is written at most.
MARK_EVERY_S = 1.0


class HighWater:
    """One bot's care for its mark."""

    def __init__(self, context: Context[Any], engagement: Engagement) -> None:
        self._context = context
        self._engagement = engagement
        self._written_at_s = 0.0
        self._is_taken_up = False
        #: The position that was taken up, as it was last seen; None: nothing is to be made up for.
        self._taken_up: BotState | None = None

    def follow(self, config: BotConfig, state: BotState) -> None:
        """Take note of a new state; the first one is what was taken up."""
        if not self._is_taken_up:
            self._is_taken_up = True
            if state.in_position and state.is_active and trails(config):
                self._taken_up = state
                self._engagement.look_back(config, state.last_updated_at)
        elif self._taken_up is not None:
            self._taken_up = state if goes_on(self._taken_up, state) else None

    def raised(
        self, config: BotConfig, state: BotState, missed: HighMissed, instrument: Instrument | None
    ) -> BotState:
        """Return the state with the mark and trailing stop that the bot would have if it had been awake."""
        feed = FeedKey(venue=config.venue, symbol=config.symbol)
        if self._taken_up is None or not goes_on(self._taken_up, state) or missed.feed != feed:
            return state
        return raise_high(config, state, missed.price_quote, instrument=instrument)

    def may_be_written(self) -> bool:
        """Return whether the mark may be written now; if not, the bot will be told when."""
        now_s = self._context.clock.monotonic()
        wait_s = self._written_at_s + MARK_EVERY_S - now_s
        if wait_s > 0:
            self._context.start_timer("mark", WriteMark(), after_s=wait_s)
            return False
        self._written_at_s = now_s
        return True


def write_mark(_row: BotRow, state: BotState) -> Decision:
    """Decide to write the state as it is held."""
    return Decision(state=state, cause=Cause.RISK, kind="mark.raised")
