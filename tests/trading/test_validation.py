"""A configuration that makes no sense is refused with every broken rule named."""

from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from botwarden.trading.validation import config_errors
from tests.trading.examples import INSTRUMENT, make_config


def broken(**changes: object) -> set[str]:
    fields = msgspec.structs.asdict(make_config()) | changes
    return {error.field for error in config_errors(fields, instrument=INSTRUMENT)}


def test_a_sound_configuration_breaks_nothing() -> None:
    """Both forms of size, all limits, and values at their bounds are sound."""
    assert broken() == set()
    assert (
        broken(
            position_size_fixed=None,
            position_size_perc=Decimal(100),
            take_profit_perc=Decimal(1000),
            stop_loss_perc=Decimal("99.99"),
            trailing_stop_active=True,
            trailing_stop_perc=Decimal("0.1"),
            max_daily_trades=1,
            max_daily_loss_perc=Decimal(100),
            daily_target_perc=Decimal(500),
            check_interval_seconds=86_400,
            name="x" * 100,
            timeframe="1w",
        )
        == set()
    )


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "   "}, {"name"}),
        ({"name": "x" * 101}, {"name"}),
        ({"timeframe": "7m"}, {"timeframe"}),
        ({"check_interval_seconds": 0}, {"check_interval_seconds"}),
        ({"check_interval_seconds": 86_401}, {"check_interval_seconds"}),
        ({"symbol": "ETHUSDT"}, {"symbol"}),
        ({"strategy": "magic"}, {"strategy"}),
        ({"strategy_params": {"fast": 50, "z": 1}}, {"strategy_params.z"}),
        ({"strategy_params": {"fast": 50}}, {"strategy_params.fast"}),
        ({"initial_capital": Decimal(0)}, {"initial_capital"}),
        ({"initial_capital": None}, {"initial_capital"}),
        ({"initial_capital": Decimal("1E+15")}, {"initial_capital"}),
        ({"initial_capital": Decimal("NaN")}, {"initial_capital"}),
        ({"position_size_fixed": None}, {"position_size_fixed", "position_size_perc"}),
        ({"position_size_perc": Decimal(5)}, {"position_size_fixed", "position_size_perc"}),
        ({"position_size_fixed": Decimal(-1)}, {"position_size_fixed"}),
        ({"position_size_fixed": Decimal("1E-19")}, {"position_size_fixed"}),
        ({"position_size_fixed": None, "position_size_perc": Decimal("100.1")}, {"position_size_perc"}),
        ({"stop_loss_perc": Decimal(0)}, {"stop_loss_perc"}),
        ({"stop_loss_perc": Decimal(100)}, {"stop_loss_perc"}),
        ({"stop_loss_perc": None}, {"stop_loss_perc"}),
        ({"take_profit_perc": Decimal("1000.1")}, {"take_profit_perc"}),
        ({"take_profit_perc": Decimal("Infinity")}, {"take_profit_perc"}),
        ({"trailing_stop_perc": Decimal(100)}, {"trailing_stop_perc"}),
        ({"trailing_stop_active": True}, {"trailing_stop_perc"}),
        ({"max_daily_trades": 0}, {"max_daily_trades"}),
        ({"max_daily_trades": 2**31}, {"max_daily_trades"}),
        ({"max_daily_loss_perc": Decimal(101)}, {"max_daily_loss_perc"}),
        ({"daily_target_perc": Decimal(0)}, {"daily_target_perc"}),
        ({"name": "", "timeframe": "", "strategy": ""}, {"name", "timeframe", "strategy"}),
    ],
)
def test_each_broken_rule_is_named(changes: dict[str, object], fields: set[str]) -> None:
    """The field that breaks a rule is the one that is named."""
    assert broken(**changes) == fields


def test_a_symbol_that_the_venue_does_not_know() -> None:
    """Without an instrument the symbol is unknown; with one it has to be the same."""
    fields = msgspec.structs.asdict(make_config())
    assert [error.field for error in config_errors(fields, instrument=None)] == ["symbol"]
    other = replace(INSTRUMENT, symbol="ETHUSDT")
    assert [error.field for error in config_errors(fields, instrument=other)] == ["symbol"]


def test_missing_fields_are_named_not_crashed_over() -> None:
    """An empty configuration breaks every rule about what is required."""
    fields = {error.field for error in config_errors({}, instrument=None)}
    assert {"name", "symbol", "strategy", "timeframe", "stop_loss_perc", "take_profit_perc"} <= fields
