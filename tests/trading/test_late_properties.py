"""A protective list that was given up and turns up after all: the books balance, whatever came between."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from botwarden.trading.bot import BotConfig
from botwarden.trading.machine import Signal
from botwarden.trading.orders import Absent
from tests.trading.list_model import CONFIGS, FEES, HOURS, PARTS, PRICES
from tests.trading.test_protection_properties import ListAgainstVenue


@given(
    config=CONFIGS,
    prices=st.tuples(PRICES, st.none() | PRICES),
    fills=st.tuples(*[st.tuples(PARTS, FEES)] * 2),
    how=st.sampled_from(["rests", "above", "below"]),
    days=st.tuples(*[st.none() | HOURS] * 2),
)
def test_books_balance_over_a_list_that_is_found_late(
    config: BotConfig,
    prices: tuple[Decimal, Decimal | None],
    fills: tuple[tuple[list[Decimal], str], ...],
    how: str,
    days: tuple[int | None, int | None],
) -> None:
    """A list is given up, its bot may sell by itself, the day may turn, and then the list turns up."""
    life = ListAgainstVenue()
    life.begin(config)
    life.evaluated(Signal.BUY, prices[0])
    life.executed([1], "BTC")
    life.tended(knows_price=True)
    if life.order is not None:
        life.placed(Absent())
    if days[0] is not None:
        life.day_turned(days[0])
    if prices[1] is not None:
        life.evaluated(Signal.SELL, prices[1])
    if life.order is not None:
        life.executed(*fills[0])
    if life.given_up:
        life.found_late(0, *fills[1], how)
    if days[1] is not None:
        life.day_turned(days[1])
    life.books_equal_the_venue()
    life.counters_are_those_of_their_day()
    life.never_more_is_sold_than_held()
    life.no_list_is_forgotten()
    life.the_state_is_whole()
