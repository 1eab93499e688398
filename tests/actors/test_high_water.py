"""What was missed belongs to the position that was taken up, and to no other."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from botwarden.actors.feed_mail import FeedKey, HighMissed
from botwarden.actors.high_water import HighWater
from botwarden.trading.bot import BotConfig, Venue
from tests.trading.examples import INSTRUMENT, holding, make_config, running

TRAILING = make_config(trailing_stop_active=True, trailing_stop_perc=Decimal(2))
FEED = FeedKey(venue=Venue.PAPER, symbol="BTCUSDT")
MISSED = HighMissed(feed=FEED, price_quote=Decimal(105))
HELD = holding()


class Questions:
    """Stands for the engagement, and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[datetime] = []

    def look_back(self, _config: BotConfig, written_at: datetime) -> None:
        self.asked.append(written_at)


def taken_up(*states: Any) -> tuple[HighWater, Questions]:
    """Return the care of a bot that was taken up in the first state and has gone through the others."""
    questions: Any = Questions()
    context: Any = None
    high_water = HighWater(context, questions)
    for state in states:
        high_water.follow(TRAILING, state)
    return high_water, questions


def raised(high_water: HighWater, missed: HighMissed = MISSED) -> Any:
    return high_water.raised(TRAILING, HELD, missed, INSTRUMENT)


def test_mark_and_stop_are_raised_by_what_was_missed():
    """The question is asked once, with the time of the last write."""
    high_water, questions = taken_up(HELD, HELD)
    state = raised(high_water)
    assert (state.max_price_since_entry, state.trailing_stop_price) == (105, Decimal("102.9"))
    assert questions.asked == [HELD.last_updated_at]


def test_a_position_that_looks_the_same_is_another_after_it_was_sold():
    """Bought again at the same price, it has not seen what the first one has."""
    high_water, questions = taken_up(HELD, running(), HELD)
    assert raised(high_water) == HELD
    assert len(questions.asked) == 1


def test_a_position_that_was_entered_later_has_missed_nothing():
    """Who was taken up flat, or stopped, asks nothing, and believes nothing either."""
    for first in (running(), replace(HELD, is_active=False)):
        high_water, questions = taken_up(first, HELD)
        assert raised(high_water) == HELD
        assert not questions.asked


def test_another_symbols_high_is_none_of_its():
    """An answer that was under way when its owner changed the symbol means the former one."""
    high_water, _ = taken_up(HELD)
    other = HighMissed(feed=FeedKey(venue=Venue.PAPER, symbol="ETHUSDT"), price_quote=Decimal(105))
    assert raised(high_water, other) == HELD
