"""Which symbols a request is about: the one, those or all that it names, and only of a status.

Source: Binance spot API, market data endpoints, parameters symbol, symbols and symbolStatus.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from botwarden.exchange.paper import errors
from botwarden.exchange.paper.calls import Call
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.market import SymbolMarket

_STATUSES = ("TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")


def named_symbols(call: Call) -> list[SymbolMarket] | None:
    """Return the symbols that `symbol` or `symbols` names; None if neither was sent."""
    params = call.params
    if params.has("symbol") and params.has("symbols"):
        raise errors.bad_combination()
    if params.has("symbol"):
        return [call.symbol()]
    listed = params.text("symbols")
    if listed is None:
        return None
    try:
        names = msgspec.json.decode(listed, type=list[str])
    except msgspec.DecodeError:
        raise errors.illegal_characters(
            "symbols", r"^\\[(\"[\\w\\-._&&[^a-z]]{1,50}\"(,\"[\\w\\-._&&[^a-z]]{1,50}\"){0,}){0,1}\\]$"
        ) from None
    if any(name not in call.venue.market.symbols for name in names):
        raise errors.invalid_symbol()
    return [call.venue.market.symbols[name] for name in names]


def shown_for_each(call: Call, shown: Callable[[SymbolMarket], Any]) -> Any:
    """Return what there is to show of one symbol, or a list for several."""
    status, chosen = wanted_status(call), named_symbols(call)
    if chosen is not None and status is not None and any(symbol.status != status for symbol in chosen):
        raise ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
    if call.params.has("symbol") and chosen:
        if chosen[0].price is None:
            raise errors.market_closed()
        return shown(chosen[0])
    everything = call.venue.market.symbols.values() if chosen is None else chosen
    return [
        shown(symbol) for symbol in everything if symbol.price is not None and status in (None, symbol.status)
    ]


def wanted_status(call: Call) -> str | None:
    """Return the status that is asked for; None if none is."""
    status = call.params.text("symbolStatus")
    if status is not None and status not in _STATUSES:
        raise ApiError(-1122, "Invalid symbolStatus.")
    return status
