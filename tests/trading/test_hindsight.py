"""What was missed is made up for; no price from before the entry, or before its owner's word, ever is."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from botwarden.trading.candles import Candle
from botwarden.trading.guard import raise_high
from botwarden.trading.hindsight import CLOCKS_APART, goes_on, keeps_time, missed_high
from tests.trading.examples import INSTRUMENT, NOW, holding, make_config, running

TRAILING = make_config(trailing_stop_active=True, trailing_stop_perc=Decimal(2))
IN_TIME = timedelta(0)
MINUTES = 12
APART_S = round(CLOCKS_APART.total_seconds())


def minute(number: int, high: Decimal | int = 100) -> Candle:
    """Return a closed minute of the market."""
    opened_at = NOW + timedelta(minutes=number)
    return Candle(
        symbol="BTCUSDT",
        interval="1m",
        opened_at=opened_at,
        closed_at=opened_at + timedelta(seconds=59, milliseconds=999),
        open=Decimal(50),
        high=Decimal(high),
        low=Decimal(50),
        close=Decimal(50),
        volume_base=Decimal(1),
    )


moments = st.integers(0, MINUTES * 60 - 1)


@given(
    st.lists(st.integers(50, 150), min_size=MINUTES, max_size=MINUTES),
    st.lists(moments, min_size=3, max_size=3).map(sorted),
    moments,
    st.integers(-APART_S, 600),
)
@example([150, *[60] * 11], [1, 1, 700], 0, 0)  # It spiked before the entry, in its minute.
@example([60, 150, *[60] * 10], [1, 1, 700], 0, 0)  # It spiked in the first minute after the write.
@example([60, 150, *[60] * 10], [62, 62, 700], 1, 5)  # Before the entry, and the write's stamp is too early.
def test_the_mark_is_the_high_since_the_write_and_never_one_from_before_the_entry(
    highs: list[int], moments_s: list[int], spiked_s: int, slow_s: int
) -> None:
    """The rebuilt mark covers every whole minute since the write, and no price that is not the position's.

    The clock that stamped the write is late by `slow_s`, of which the machine's own tells all but the few
    seconds that clocks may be apart.
    """
    entered_s, written_s, now_s = moments_s
    # Each minute trades at its high in one second of it, and at 50 otherwise.
    prices = [highs[s // 60] if s % 60 == spiked_s % 60 else 50 for s in range(now_s)]
    entry, known = 50, max(prices[entered_s:written_s], default=50)
    state = holding(entry_price=Decimal(entry), max_price_since_entry=Decimal(known))
    candles = [minute(number, highs[number]) for number in range(now_s // 60)]
    stamped = NOW + timedelta(seconds=written_s - slow_s)
    seen = timedelta(seconds=max(0, slow_s - APART_S))
    missed = missed_high(candles, written_at=stamped, slow=seen)
    rebuilt = raise_high(TRAILING, state, missed or Decimal(0), instrument=INSTRUMENT)
    assert known <= rebuilt.max_price_since_entry <= max(prices[entered_s:], default=entry)
    in_time_s = written_s + 2 * APART_S
    whole = prices[in_time_s + -in_time_s % 60 : now_s - now_s % 60]
    assert rebuilt.max_price_since_entry >= max(whole, default=entry)
    assert rebuilt.trailing_stop_price == rebuilt.max_price_since_entry * Decimal("0.98")


@pytest.mark.parametrize(
    ("opened_after_s", "counts"),
    [(-60, False), (-1, False), (0, False), (APART_S - 1, False), (APART_S, True), (60, True)],
)
def test_only_minutes_that_opened_after_the_write_count(opened_after_s: int, counts: bool) -> None:
    """A minute that was under way at the write may hold prices from before the entry."""
    written_at = minute(0).opened_at - timedelta(seconds=opened_after_s)
    assert missed_high([minute(0)], written_at=written_at, slow=IN_TIME) == (100 if counts else None)


def test_a_slow_clock_makes_the_write_later_and_a_fast_one_does_not_make_it_earlier() -> None:
    """Where the machine's clock is behind the venue's, the write may be too; not the other way round."""
    written_at = NOW - timedelta(minutes=2)
    candles = [minute(0, 120), minute(1, 110), minute(2, 90)]
    behind = timedelta(minutes=3)
    assert missed_high(candles, written_at=written_at, slow=behind) == 90
    assert missed_high(candles[1:], written_at=minute(2).opened_at, slow=-behind) is None


@pytest.mark.parametrize(
    ("newest_closed_s_ago", "keeps"), [(-60, False), (-0.001, False), (0, True), (120, True), (181, False)]
)
def test_a_market_keeps_time_if_it_has_just_closed_a_minute(newest_closed_s_ago: float, keeps: bool) -> None:
    """A replayed market closes minutes of long ago, and a fast one minutes that are still to come."""
    candles = [minute(0), minute(1)]
    assert keeps_time(candles, candles[-1].closed_at + timedelta(seconds=newest_closed_s_ago)) is keeps


def test_a_market_without_candles_keeps_no_time() -> None:
    """A symbol that was never traded tells nothing."""
    assert not keeps_time([], NOW)
    assert missed_high([], written_at=NOW, slow=IN_TIME) is None


HELD = raise_high(TRAILING, holding(), Decimal(105), instrument=INSTRUMENT)


@pytest.mark.parametrize(
    ("after", "same"),
    [
        (HELD, True),
        (raise_high(TRAILING, HELD, Decimal(108), instrument=INSTRUMENT), True),
        (replace(HELD, open_order_number=2, orders_made=2), True),
        (replace(HELD, current_position_size_coins=Decimal("0.5")), True),
        (replace(HELD, take_profit_price=Decimal(200)), True),
        (running(), False),
        (replace(HELD, entry_price=Decimal(101)), False),
        (replace(HELD, is_active=False), False),
        (replace(HELD, max_price_since_entry=Decimal(104)), False),
        (replace(HELD, max_price_since_entry=None), False),
        (replace(HELD, trailing_stop_price=Decimal(99)), False),
        (replace(HELD, trailing_stop_price=None), False),
    ],
)
def test_what_was_missed_is_that_positions_and_yields_to_its_owner(after, same: bool) -> None:
    """Prices, orders under way and part sales leave it the same; its end and a lower word do not."""
    assert goes_on(HELD, after) is same
