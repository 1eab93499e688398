"""A bot whose list rests, and short ways to tell it things."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from botwarden.trading.bot import BotConfig, BotState
from botwarden.trading.decisions import ProtectionDue
from botwarden.trading.instruments import Instrument
from botwarden.trading.machine import (
    Decision,
    Input,
    OutcomeArrived,
    PriceMoved,
    decide,
)
from botwarden.trading.orders import (
    Fill,
    ListEnded,
    Order,
    OrderStatus,
    Outcome,
    Resting,
)
from tests.trading.examples import (
    INSTRUMENT,
    NOW,
    holding,
    make_config,
    order_of,
)

CONFIG = make_config(exchange_protection=True)
STANDS = Resting(venue_list_id=9)
HUNDRED = Decimal(100)


def told(
    state: BotState,
    event: Input,
    *,
    config: BotConfig = CONFIG,
    instrument: Instrument | None = INSTRUMENT,
) -> Decision:
    return decide(config, state, event, instrument=instrument)


def due(resting: Order | None = None, price: str | None = "100", **changes: Any) -> ProtectionDue:
    event = ProtectionDue(at=NOW, resting=resting, price_quote=None if price is None else Decimal(price))
    return replace(event, **changes)


def price(quote: str, **changes: Any) -> PriceMoved:
    return replace(PriceMoved(price_quote=Decimal(quote), at=NOW), **changes)


def outcome(order: Order, how: Outcome) -> OutcomeArrived:
    return OutcomeArrived(order=order, outcome=how, at=NOW)


def protected(**changes: Any) -> tuple[BotState, Order]:
    """Return a bot that holds one coin, its list at rest, and the list."""
    placed = told(holding(**changes), due())
    listed = order_of(placed.intent)
    return told(placed.state, outcome(listed, STANDS)).state, listed


def ended(*, take_profit: tuple[Fill, ...] = (), stop_loss: tuple[Fill, ...] = ()) -> ListEnded:
    sold = sum((fill.quantity_base for fill in take_profit + stop_loss), Decimal(0))
    status = OrderStatus.FILLED if sold == 1 else OrderStatus.CANCELLED
    return ListEnded(venue_list_id=9, status=status, take_profit=take_profit, stop_loss=stop_loss)
