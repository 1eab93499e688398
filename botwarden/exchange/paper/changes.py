"""What can be written to the store: each function returns one statement of a change. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from botwarden.exchange.paper.records import ListRecord, OrderRecord, TradeRecord

Statement = tuple[str, Sequence[Any]]

_ENCODE = msgspec.json.Encoder().encode


def put_account(account_id: int, api_key: str, secret_key: str) -> Statement:
    """A new account."""
    return "INSERT INTO accounts VALUES (?, ?, ?)", (account_id, api_key, secret_key)


def put_settings(account_id: int, *, burns_bnb: bool) -> Statement:
    """How an account wants to be treated."""
    return "REPLACE INTO settings VALUES (?, ?)", (account_id, int(burns_bnb))


def put_balance(account_id: int, asset: str, free: int, locked: int) -> Statement:
    """What an account holds of an asset."""
    return (
        "REPLACE INTO balances VALUES (?, ?, ?, ?)",
        (account_id, asset, str(free), str(locked)),
    )


def put_order(order: OrderRecord) -> Statement:
    """An order, new or changed."""
    return (
        "REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            order.symbol,
            order.order_id,
            order.account_id,
            order.client_order_id,
            int(order.is_open),
            order.created_ms,
            _ENCODE(order).decode(),
        ),
    )


def put_list(listed: ListRecord) -> Statement:
    """A new list."""
    return (
        "INSERT INTO lists VALUES (?, ?, ?, ?)",
        (listed.list_id, listed.account_id, listed.client_list_id, _ENCODE(listed).decode()),
    )


def put_trade(trade: TradeRecord) -> Statement:
    """An execution."""
    return (
        "INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?)",
        (
            trade.symbol,
            trade.trade_id,
            trade.account_id,
            trade.order_id,
            trade.time_ms,
            _ENCODE(trade).decode(),
        ),
    )


def put_position(identity: str, position_ms: int) -> Statement:
    """How far the market has run."""
    return (
        "REPLACE INTO markets VALUES (?, ?)",
        (identity, position_ms),
    )


def put_counter(symbol: str, next_trade_id: int) -> Statement:
    """The next id of a trade."""
    return (
        "REPLACE INTO counters VALUES (?, ?)",
        (symbol, next_trade_id),
    )


def put_fact(name: str, value: str) -> Statement:
    """Something to remember."""
    return (
        "REPLACE INTO facts VALUES (?, ?)",
        (name, value),
    )
