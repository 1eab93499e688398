"""Examples that the tests of this room start from."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from botwarden.trading.bot import (
    ApiKeyId,
    BotConfig,
    BotId,
    BotState,
    HaltedBy,
    Status,
    UserId,
    Venue,
    new_state,
)
from botwarden.trading.instruments import Instrument
from botwarden.trading.machine import Decision, OutcomeArrived, decide
from botwarden.trading.orders import (
    Executed,
    Fill,
    Order,
    OrderIntent,
    OrderStatus,
    Outcome,
    Reason,
    Side,
    client_order_id,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
TODAY = NOW.date()
TOMORROW = TODAY + timedelta(days=1)

BOT = BotId(7)
USER = UserId(1)

INSTRUMENT = Instrument(
    symbol="BTCUSDT",
    base_asset="BTC",
    quote_asset="USDT",
    status="TRADING",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    min_notional=Decimal(5),
    quote_precision=8,
    base_precision=8,
)


def make_config(**changes: Any) -> BotConfig:
    """Return a bot that buys one coin, guarded by 5 % down and 10 % up, without limits."""
    config = BotConfig(
        id=BOT,
        user_id=USER,
        name="example",
        symbol="BTCUSDT",
        strategy="ema",
        strategy_params={},
        timeframe="1m",
        venue=Venue.PAPER,
        api_key_id=ApiKeyId(1),
        check_interval_seconds=60,
        initial_capital=Decimal(1000),
        position_size_fixed=Decimal(1),
        position_size_perc=None,
        stop_loss_perc=Decimal(5),
        take_profit_perc=Decimal(10),
        trailing_stop_perc=None,
        trailing_stop_active=False,
        max_daily_trades=None,
        max_daily_loss_perc=None,
        daily_target_perc=None,
        reactivate_daily=True,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(config, **changes)


def stopped(**changes: Any) -> BotState:
    """Return a new bot: stopped by its owner, flat."""
    return replace(new_state(BOT, USER, now=NOW), **changes)


def running(**changes: Any) -> BotState:
    """Return a running bot, flat."""
    return replace(stopped(is_active=True, status=Status.RUNNING, halted_by=None), **changes)


def holding(**changes: Any) -> BotState:
    """Return a running bot that holds one coin bought at 100, its thresholds at 95 and 110."""
    position = running(
        in_position=True,
        entry_price=Decimal(100),
        current_position_size_coins=Decimal(1),
        position_cost_quote=Decimal(100),
        stop_loss_price=Decimal(95),
        take_profit_price=Decimal(110),
        max_price_since_entry=Decimal(100),
        orders_made=1,
    )
    return replace(position, **changes)


def halted(state: BotState, status: Status) -> BotState:
    """Return the state halted by the system."""
    return replace(state, status=status, halted_by=HaltedBy.SYSTEM)


def order_of(intent: OrderIntent, *, symbol: str = "BTCUSDT") -> Order:
    """Return the order that an intent becomes when it is committed."""
    return Order(
        bot_id=BOT,
        number=intent.number,
        symbol=symbol,
        side=intent.side,
        reason=intent.reason,
        quantity_base=intent.quantity_base,
        quantity_quote=intent.quantity_quote,
        decided_price_quote=intent.decided_price_quote,
        client_order_id=client_order_id("abc123", BOT, intent.number),
        intended_at=NOW,
        type=intent.type,
        take_profit_price=intent.take_profit_price,
        stop_loss_price=intent.stop_loss_price,
        cancels_number=intent.cancels_number,
    )


def make_order(number: int, side: Side, reason: Reason = Reason.SIGNAL) -> Order:
    """Return an open order of one coin at 100."""
    return order_of(
        OrderIntent(
            number=number,
            side=side,
            reason=reason,
            quantity_base=Decimal(1),
            quantity_quote=None,
            decided_price_quote=Decimal(100),
        )
    )


def make_fill(price: str, base: str, **changes: Any) -> Fill:
    """Return an execution without commission."""
    fill = Fill(
        venue_trade_id=1,
        price_quote=Decimal(price),
        quantity_base=Decimal(base),
        quantity_quote=Decimal(price) * Decimal(base),
        commission=Decimal(0),
        commission_asset="USDT",
        commission_quote=Decimal(0),
        executed_at=NOW,
    )
    return replace(fill, **changes)


def executed(*fills: Fill, status: OrderStatus = OrderStatus.FILLED) -> Executed:
    """Return the outcome of an order with these fills."""
    return Executed(venue_order_id=1, status=status, fills=fills)


def settle(
    state: BotState,
    order: Order,
    outcome: Outcome,
    *,
    config: BotConfig | None = None,
    instrument: Instrument | None = INSTRUMENT,
) -> Decision:
    """Open the order in the state, and let the outcome arrive."""
    opened = replace(state, open_order_number=order.number, orders_made=max(order.number, state.orders_made))
    event = OutcomeArrived(order=order, outcome=outcome, at=NOW)
    return decide(config or make_config(), opened, event, instrument=instrument)
