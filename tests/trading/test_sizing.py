"""Sizes never overspend, never oversell, and obey the venue's filters."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from botwarden.trading.instruments import Instrument
from botwarden.trading.money import floor_to_step
from botwarden.trading.sizing import EntrySize, entry_size, exit_size
from tests.trading.examples import INSTRUMENT, make_config

PRICES = st.decimals(min_value="0.01", max_value=100_000, places=2)
SIZES = st.decimals(min_value="0.00000001", max_value=5000, places=8)
INSTRUMENTS = st.builds(
    lambda step, least, most, notional: replace(
        INSTRUMENT, step_size=step, min_quantity=least, max_quantity=most, min_notional=notional
    ),
    st.sampled_from([Decimal(0), Decimal("0.00001"), Decimal("0.01"), Decimal(1)]),
    st.sampled_from([Decimal(0), Decimal("0.001"), Decimal(1)]),
    st.sampled_from([Decimal(0), Decimal(10), Decimal(1000)]),
    st.sampled_from([Decimal(0), Decimal(5), Decimal(100)]),
)


def assert_filters_pass(base: Decimal, price: Decimal, instrument: Instrument) -> None:
    assert base > 0
    assert base >= instrument.min_quantity
    assert not instrument.step_size or base % instrument.step_size == 0
    assert not instrument.max_quantity or base <= instrument.max_quantity
    assert base * price >= instrument.min_notional


@given(size=SIZES, price=PRICES, instrument=INSTRUMENTS)
def test_a_fixed_size_never_grows_and_passes_the_filters(
    size: Decimal, price: Decimal, instrument: Instrument
) -> None:
    """What a fixed size buys is at most the configured size and a size that the venue takes."""
    entry = entry_size(make_config(position_size_fixed=size), price, instrument)
    if entry is not None:
        assert entry.quantity_quote is None
        assert entry.quantity_base is not None
        assert entry.quantity_base <= size
        assert_filters_pass(entry.quantity_base, price, instrument)


@given(
    capital=st.decimals(min_value=1, max_value=10**7, places=2),
    percent=st.decimals(min_value="0.01", max_value=100, places=2),
    price=PRICES,
    instrument=INSTRUMENTS,
)
def test_a_percentage_never_overspends(
    capital: Decimal, percent: Decimal, price: Decimal, instrument: Instrument
) -> None:
    """A percentage is spent as an amount of quote that is never above it, and buys what the venue takes."""
    config = make_config(position_size_fixed=None, position_size_perc=percent, initial_capital=capital)
    entry = entry_size(config, price, instrument)
    if entry is not None:
        assert entry.quantity_base is None
        assert entry.quantity_quote is not None
        assert entry.quantity_quote <= capital * percent / 100
        assert_filters_pass(
            floor_to_step(entry.quantity_quote / price, instrument.step_size), price, instrument
        )


@given(held=SIZES, free=st.none() | SIZES | st.just(Decimal(0)), price=PRICES, instrument=INSTRUMENTS)
def test_an_exit_never_sells_more_than_is_held_nor_free(
    held: Decimal, free: Decimal | None, price: Decimal, instrument: Instrument
) -> None:
    """An exit is bounded by the bot's own ledger and by what the account has free."""
    size = exit_size(held, free, price, instrument)
    assert size <= held
    assert free is None or size <= free
    if size > 0:
        assert_filters_pass(size, price, instrument)


@pytest.mark.parametrize(
    ("changes", "price", "expected"),
    [
        ({"position_size_fixed": Decimal("0.0129")}, "1000", EntrySize(quantity_base=Decimal("0.012"))),
        ({"position_size_fixed": Decimal("0.0009")}, "100000", None),  # less than one step
        ({"position_size_fixed": Decimal("0.004")}, "1000", None),  # worth 4, the venue wants 5
        ({"position_size_fixed": Decimal("0.005")}, "1000", EntrySize(quantity_base=Decimal("0.005"))),
        ({"position_size_fixed": Decimal(5000)}, "10", EntrySize(quantity_base=Decimal(1000))),
        (
            {"position_size_fixed": None, "position_size_perc": Decimal("33.333333333")},
            "100",
            EntrySize(quantity_quote=Decimal("333.33333333")),
        ),
        ({"position_size_fixed": None, "position_size_perc": Decimal("0.4")}, "1000", None),
        (
            {"position_size_fixed": None, "position_size_perc": Decimal(100)},
            "0.01",
            EntrySize(quantity_quote=Decimal(10)),  # no more than 1,000 coins
        ),
    ],
)
def test_entries_by_example(changes: dict[str, object], price: str, expected: EntrySize | None) -> None:
    """A size is cut to the lot, to quote's decimals and to the maximum; below the minima there is none."""
    assert entry_size(make_config(**changes), Decimal(price), INSTRUMENT) == expected


@pytest.mark.parametrize(
    ("held", "free", "price", "expected"),
    [
        ("1.2345", None, "100", "1.234"),
        ("1.2345", "1.1119", "100", "1.111"),
        ("1.2345", "-1", "100", "0"),
        ("0.0009", None, "100000", "0"),
        ("0.049", None, "100", "0"),  # worth 4.9
        ("1500", None, "100", "1000"),
    ],
)
def test_exits_by_example(held: str, free: str | None, price: str, expected: str) -> None:
    """An exit is cut to the lot, to what is free and to the maximum; below the minima it is nothing."""
    size = exit_size(Decimal(held), None if free is None else Decimal(free), Decimal(price), INSTRUMENT)
    assert size == Decimal(expected)
