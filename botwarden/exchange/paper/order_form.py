"""Orders as they are sent: the parameters of an order, or of a leg of a list, read into what is wanted.

The form only: whether all is there that the type needs, and nothing that it does not take. Needs no HTTP:
whoever has parameters can have them read.

Source: Binance spot API, new order and new order list.
"""

import secrets
from typing import Any, NamedTuple

from botwarden.exchange.paper import errors
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.new_order import NewOrder
from botwarden.exchange.paper.order_types import LIMITED, ORDER_TYPES, TIMED, TIMES_IN_FORCE, WORKS_AS
from botwarden.exchange.paper.params import Params

#: Lower numbers are the venue's own.
_FIRST_STRATEGY_TYPE = 1_000_000


class Names(NamedTuple):
    """What the parameters of one order are called."""

    client_id: str
    price: str
    stop_price: str
    trailing_delta: str
    time_in_force: str
    iceberg: str
    strategy_id: str
    strategy_type: str


SINGLE = Names(
    "newClientOrderId",
    "price",
    "stopPrice",
    "trailingDelta",
    "timeInForce",
    "icebergQty",
    "strategyId",
    "strategyType",
)


def leg_names(prefix: str) -> Names:
    """Return what the parameters of a leg are called: abovePrice, belowStopPrice."""
    plain = SINGLE._replace(client_id="clientOrderId")
    return Names(*(prefix + name[0].upper() + name[1:] for name in plain))


def read_order(params: Params, symbol: str) -> NewOrder:
    """Return the order that is asked for.

    Raises:
        ApiError: something is missing, too much, or not of the right form.
    """
    side, kind = read_side(params), params.required("type")
    if kind not in ORDER_TYPES:
        raise ApiError(-1116, "Invalid orderType.")
    read_prevention(params)
    shape = read_shape(params, kind, SINGLE)
    size: dict[str, Any] = _market_size(params) if kind == "MARKET" else {"quantity": _quantity(params)}
    return NewOrder(symbol=symbol, side=side, type=kind, **shape, **size)


def read_leg(params: Params, symbol: str, kind: str, names: Names) -> NewOrder:
    """Return one leg of a list; side and size are the list's.

    Raises:
        ApiError: something is missing, too much, or not of the right form.
    """
    shape = read_shape(params, kind, names)
    return NewOrder(symbol=symbol, side=read_side(params), type=kind, quantity=_quantity(params), **shape)


def read_side(params: Params) -> str:
    """Return the side."""
    side = params.required("side")
    if side not in ("BUY", "SELL"):
        raise ApiError(-1117, "Invalid side.")
    return side


def read_prevention(params: Params) -> None:
    """Refuse a way of preventing self-trades that symbols do not have."""
    if (params.text("selfTradePreventionMode") or "NONE") != "NONE":
        raise errors.rejected("This symbol does not allow the specified self-trade prevention mode.")


def read_response_type(params: Params, default: str) -> str:
    """Return how much of an order the answer shows."""
    wanted = params.text("newOrderRespType") or default
    if wanted not in ("ACK", "RESULT", "FULL"):
        raise errors.illegal_characters("newOrderRespType", "^(ACK|RESULT|FULL)$")
    return wanted


def own_id() -> str:
    """Return an id for who gave none."""
    return secrets.token_urlsafe(16)[:22]


def read_shape(params: Params, kind: str, names: Names) -> dict[str, Any]:
    """Return what a type of order has besides side and size."""
    for name, is_taken in (
        (names.iceberg, kind in LIMITED),
        (names.time_in_force, kind in TIMED),
        (names.price, kind in LIMITED),
        (names.stop_price, kind in WORKS_AS),
        (names.trailing_delta, kind in WORKS_AS),
    ):
        if params.has(name) and not is_taken:
            raise errors.not_required(name)
    in_force = _time_in_force(params, names.time_in_force) if kind in TIMED else "GTC"
    return {
        "client_order_id": params.client_order_id(names.client_id) or own_id(),
        "time_in_force": in_force,
        "price": _required_amount(params, names.price) if kind in LIMITED else 0,
        "stop_price": _stop_price(params, names) if kind in WORKS_AS else 0,
        "iceberg": _iceberg(params, names.iceberg, in_force) if params.has(names.iceberg) else 0,
        "strategy_id": params.integer(names.strategy_id),
        "strategy_type": _strategy_type(params, names.strategy_type),
    }


def _market_size(params: Params) -> dict[str, Any]:
    quantity, quote = params.amount("quantity"), params.amount("quoteOrderQty")
    if quantity is not None and quote is not None:
        raise errors.bad_combination()
    if quantity is None and quote is None:
        raise errors.missing_either("quantity", "quoteOrderQty")
    if (quantity if quote is None else quote) == 0:
        raise errors.invalid_quantity()
    return {"quantity": quantity or 0, "quote_quantity": quote or 0}


def _quantity(params: Params) -> int:
    if params.has("quoteOrderQty"):
        raise errors.not_required("quoteOrderQty")
    return _required_amount(params, "quantity")


def _required_amount(params: Params, name: str) -> int:
    params.required(name)
    return params.amount(name) or 0


def _time_in_force(params: Params, name: str) -> str:
    in_force = params.required(name)
    if in_force not in TIMES_IN_FORCE:
        raise ApiError(-1115, "Invalid timeInForce.")
    return in_force


def _iceberg(params: Params, name: str, in_force: str) -> int:
    shown = _required_amount(params, name)
    if shown and in_force != "GTC":
        raise errors.not_required(name)
    return shown


def _stop_price(params: Params, names: Names) -> int:
    if params.has(names.trailing_delta):
        raise errors.rejected("Trailing stop orders are not supported for this symbol.")
    if not params.has(names.stop_price):
        raise errors.missing_either(names.stop_price, names.trailing_delta)
    return _required_amount(params, names.stop_price)


def _strategy_type(params: Params, name: str) -> int | None:
    strategy_type = params.integer(name)
    if strategy_type is not None and strategy_type < _FIRST_STRATEGY_TYPE:
        raise ApiError(-1134, f"Parameter '{name}' was less than {_FIRST_STRATEGY_TYPE}.")
    return strategy_type
