"""What a bot is: its configuration, which its owner writes, and its state, which transitions write.

Both are immutable; a transition returns a new state. Money is `Decimal` throughout.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType

import msgspec

BotId = NewType("BotId", int)
UserId = NewType("UserId", int)
ApiKeyId = NewType("ApiKeyId", int)

ZERO = Decimal(0)


class Venue(StrEnum):
    """Where orders go: base URLs behind one adapter."""

    PAPER = "paper"
    TESTNET = "testnet"
    LIVE = "live"


class HaltedBy(StrEnum):
    """Who holds a bot back now."""

    OWNER = "owner"
    SYSTEM = "system"


class Cause(StrEnum):
    """Who or what brought a change about, as the audit trail names it."""

    OWNER = "owner"
    STRATEGY = "strategy"
    RISK = "risk"
    RESET = "reset"
    SUPERVISOR = "supervisor"
    API = "api"


class Status(StrEnum):
    """Every status a bot can show."""

    STOPPED = "stopped"
    PENDING = "pending"
    RUNNING = "running"
    WAITING_NO_SIGNAL = "waiting (no signal)"
    WAITING_BELOW_FILTERS = "waiting (qty below filters)"
    WAITING_MARKET_CLOSED = "waiting (market closed)"
    PAUSED_MAX_TRADES = "paused (max_daily_trades reached)"
    PAUSED_MAX_LOSS = "paused (max_daily_loss reached)"
    PAUSED_TARGET = "paused (daily target reached)"
    ERROR_KEY_DECRYPT = "error (api key decrypt failed)"
    ERROR_KEYS_MISSING = "error (missing api keys)"
    ERROR_CLIENT = "error (binance client init)"
    ERROR_PRICE = "error (price fetch)"
    ERROR_ORDER_REJECTED = "error (order rejected)"
    ERROR_ORDER_UNEXPLAINED = "error (order unexplained)"
    ERROR_CRASHED = "error (crashed)"


class BotConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the owner wants of a bot. Percentages are in percent (2 means 2 %)."""

    id: BotId
    user_id: UserId
    name: str
    #: As the venue writes it, upper case: BTCUSDT.
    symbol: str
    strategy: str
    #: The strategy's own parameters with its defaults filled in.
    strategy_params: dict[str, Any]
    #: A kline interval of the venue: 1m, 5m, 1h, ...
    timeframe: str
    venue: Venue
    api_key_id: ApiKeyId
    check_interval_seconds: int
    #: Quote asset. Base of `position_size_perc` and of the daily limits in percent.
    initial_capital: Decimal
    #: Base asset. Exactly one of the two sizes is set.
    position_size_fixed: Decimal | None
    #: Percent of `initial_capital`.
    position_size_perc: Decimal | None
    stop_loss_perc: Decimal
    take_profit_perc: Decimal
    trailing_stop_perc: Decimal | None
    trailing_stop_active: bool
    max_daily_trades: int | None
    max_daily_loss_perc: Decimal | None
    daily_target_perc: Decimal | None
    reactivate_daily: bool
    #: Take-profit and stop-loss of a position rest at the venue as well, as one order list.
    exchange_protection: bool = False
    created_at: datetime
    updated_at: datetime


class BotState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bot stands: one row, changed only by committed transitions."""

    bot_id: BotId
    user_id: UserId
    #: Grows by one with each commit.
    version: int
    #: Fencing token: the number the row got when its slot last changed hands; 0 until first claimed.
    term: int
    #: The UTC date that the daily counters belong to.
    trading_day: date
    #: The owner's wish. Only owners change it.
    is_active: bool
    status: str
    halted_by: HaltedBy | None
    in_position: bool
    #: Average price paid, quote per base.
    entry_price: Decimal | None
    #: Base asset held by this bot: its own fills less fees taken from the coin, and adjustments.
    current_position_size_coins: Decimal
    #: Quote paid for what is held, fees in quote included: the basis of realised profit.
    position_cost_quote: Decimal
    trailing_stop_price: Decimal | None
    max_price_since_entry: Decimal | None
    take_profit_price: Decimal | None
    stop_loss_price: Decimal | None
    #: Quote asset: realised by the trades of `trading_day`, fees included, plus adjustments.
    daily_pnl: Decimal
    daily_trades_count: int
    last_error_message: str | None
    #: A durable request to sell and stop; cleared when done or withdrawn.
    close_requested_at: datetime | None
    #: Number of the order whose outcome is not settled yet. At most one.
    open_order_number: int | None
    #: How many orders this bot has ever intended; the newest order's number.
    orders_made: int
    #: Number of the protective order list that rests at the venue: not open, the bot goes on deciding.
    resting_list_number: int | None = None
    #: A `Reason`: an exit that is decided and waits until the resting list is off the book.
    leaving: str | None = None
    #: Before this no list is placed and none taken off, because the venue refused or was not reached.
    protection_retry_at: datetime | None = None
    #: Set by the database with each version (aware, UTC).
    last_updated_at: datetime

    @property
    def unwatched_position(self) -> bool:
        """Whether a position is held that nobody guards: the bot is stopped."""
        return self.in_position and not self.is_active

    @property
    def is_expecting(self) -> bool:
        """Whether something of this bot may still be executed: an order in flight, or a list at rest."""
        return self.open_order_number is not None or self.resting_list_number is not None


def new_state(bot_id: BotId, user_id: UserId, *, now: datetime) -> BotState:
    """Return the state of a bot that was just created: stopped, flat, version 1. `now` is aware, UTC."""
    return BotState(
        bot_id=bot_id,
        user_id=user_id,
        version=1,
        term=0,
        trading_day=now.date(),
        is_active=False,
        status=Status.STOPPED,
        halted_by=HaltedBy.OWNER,
        in_position=False,
        entry_price=None,
        current_position_size_coins=ZERO,
        position_cost_quote=ZERO,
        trailing_stop_price=None,
        max_price_since_entry=None,
        take_profit_price=None,
        stop_loss_price=None,
        daily_pnl=ZERO,
        daily_trades_count=0,
        last_error_message=None,
        close_requested_at=None,
        open_order_number=None,
        orders_made=0,
        last_updated_at=now,
    )
