"""The shapes of bots and states as the contract names them, and how they come from rows.

What a bot is asked to be and what is shown of it are different shapes: nothing that callers may not write
is in the first, nothing secret is in the second.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from botwarden.errors import FieldError
from botwarden.persistence.bots import Bot
from botwarden.trading.bot import BotConfig, BotState, Venue
from botwarden.trading.protection import protection_of
from botwarden.trading.validation import config_errors

#: Quote; what a bot works with when its owner does not say.
DEFAULT_CAPITAL = Decimal(1000)

#: Exactly one of them is set.
_SIZES = frozenset({"position_size_fixed", "position_size_perc"})


class NewBotBody(msgspec.Struct, frozen=True, kw_only=True):
    """A bot to be made. Exactly one of the two sizes is needed."""

    name: Annotated[str, Meta(description="1 to 100 characters.")]
    symbol: Annotated[str, Meta(description="As the venue writes it: BTCUSDT.")]
    strategy: Annotated[str, Meta(description="A name from `/strategies`.")]
    strategy_params: Annotated[
        dict[str, Any], Meta(description="By the strategy's schema; what is missing takes its default.")
    ] = {}
    timeframe: Annotated[str, Meta(description="A kline interval: 1m, 5m, 1h, ...")] = "1m"
    venue: Venue
    api_key_id: Annotated[int, Meta(description="One of your keys of that venue.")]
    check_interval_seconds: Annotated[int, Meta(description="1 to 86400.")] = 60
    initial_capital: Annotated[
        Decimal, Meta(description="Quote asset. Base of `position_size_perc` and of the limits in percent.")
    ] = DEFAULT_CAPITAL
    position_size_fixed: Annotated[Decimal | None, Meta(description="Base asset, above 0.")] = None
    position_size_perc: Annotated[
        Decimal | None, Meta(description="Percent of `initial_capital`, above 0, at most 100.")
    ] = None
    stop_loss_perc: Annotated[Decimal, Meta(description="Above 0, below 100.")]
    take_profit_perc: Annotated[Decimal, Meta(description="Above 0, at most 1000.")]
    trailing_stop_perc: Annotated[Decimal | None, Meta(description="Above 0, below 100.")] = None
    trailing_stop_active: bool = False
    max_daily_trades: Annotated[int | None, Meta(description="Above 0; null is no limit.")] = None
    max_daily_loss_perc: Annotated[
        Decimal | None, Meta(description="Percent of `initial_capital`; null is no limit.")
    ] = None
    daily_target_perc: Annotated[
        Decimal | None, Meta(description="Percent of `initial_capital`; null is none.")
    ] = None
    reactivate_daily: bool = True
    exchange_protection: Annotated[
        bool,
        Meta(description="Take-profit and stop-loss of a position rest at the exchange too, as an OCO."),
    ] = False

    @staticmethod
    def broken_rules(fields: Mapping[str, Any], unread: Collection[str]) -> list[FieldError]:
        """Return what can be said of a bot some of whose fields could not be read, without asking a venue."""
        silent = {"symbol"} if _SIZES.isdisjoint(unread) else {"symbol", *_SIZES}
        return [error for error in config_errors(fields, instrument=None) if error.field not in silent]


class StateView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bot stands."""

    #: The bot's.
    id: int
    status: str
    in_position: bool
    #: Quote per base, paid on average.
    entry_price: Decimal | None
    #: Base asset.
    current_position_size_coins: Decimal
    trailing_stop_price: Decimal | None
    max_price_since_entry: Decimal | None
    take_profit_price: Decimal | None
    stop_loss_price: Decimal | None
    #: Quote asset, of the present UTC day.
    daily_pnl: Decimal
    daily_trades_count: int
    #: When the last evaluation finished; moves without a new version.
    last_run_at: datetime | None
    last_error_message: str | None
    #: By the database; moves with the version only.
    last_updated_at: datetime
    #: Grows by one with each change; the ETag.
    version: int
    #: `owner`, `system` or null: who holds the bot back now.
    halted_by: str | None
    #: A position is held, and nobody guards it: the bot is stopped.
    unwatched_position: bool
    #: `resting`: take-profit and stop-loss stand at the exchange. `unprotected`: they shall, and do not, so
    #: that only the bot itself guards. null: not asked for, or no position.
    protection: str | None


class StateChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What may be written of a state: only the fields that are given change."""

    status: Annotated[str | UnsetType, Meta(description="`stopped` (as stop) or `pending` (as start).")] = (
        UNSET
    )
    in_position: bool | UnsetType = UNSET
    entry_price: Decimal | UnsetType | None = UNSET
    current_position_size_coins: Decimal | UnsetType = UNSET
    trailing_stop_price: Decimal | UnsetType | None = UNSET
    max_price_since_entry: Decimal | UnsetType | None = UNSET
    take_profit_price: Decimal | UnsetType | None = UNSET
    stop_loss_price: Decimal | UnsetType | None = UNSET
    daily_pnl: Decimal | UnsetType = UNSET
    daily_trades_count: int | UnsetType = UNSET
    last_error_message: str | UnsetType | None = UNSET


class BotView(msgspec.Struct, frozen=True, kw_only=True):
    """A bot with its state."""

    id: int
    user_id: int
    name: str
    symbol: str
    strategy: str
    strategy_params: dict[str, Any]
    timeframe: str
    venue: Venue
    api_key_id: int
    #: The owner's wish.
    is_active: bool
    check_interval_seconds: int
    initial_capital: Decimal
    position_size_fixed: Decimal | None
    position_size_perc: Decimal | None
    stop_loss_perc: Decimal
    take_profit_perc: Decimal
    trailing_stop_perc: Decimal | None
    trailing_stop_active: bool
    max_daily_trades: int | None
    max_daily_loss_perc: Decimal | None
    daily_target_perc: Decimal | None
    reactivate_daily: bool
    exchange_protection: bool
    created_at: datetime
    updated_at: datetime
    state: StateView


class BotPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of your bots, in the order they were made."""

    items: list[BotView]
    #: For the next page; null at the end.
    next_cursor: str | None


_CONFIG_FIELDS = tuple(name for name in BotView.__struct_fields__ if name in BotConfig.__struct_fields__)
_STATE_FIELDS = tuple(name for name in StateView.__struct_fields__ if name in BotState.__struct_fields__)


def view_state(config: BotConfig, state: BotState, last_run_at: datetime | None) -> StateView:
    """Return what is shown of a state."""
    shown = {name: getattr(state, name) for name in _STATE_FIELDS}
    return StateView(
        id=state.bot_id,
        last_run_at=last_run_at,
        unwatched_position=state.unwatched_position,
        protection=protection_of(config, state),
        **shown,
    )


def view_bot(bot: Bot) -> BotView:
    """Return what is shown of a bot."""
    config, state, last_run_at = bot
    shown = {name: getattr(config, name) for name in _CONFIG_FIELDS}
    return BotView(is_active=state.is_active, state=view_state(config, state, last_run_at), **shown)
