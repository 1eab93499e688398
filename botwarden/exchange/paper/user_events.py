"""What an account is told of its orders and balances, as the venue writes it. Pure.

Source: Binance spot API, user data streams.
"""

from typing import Any

from botwarden.exchange.paper.amounts import text
from botwarden.exchange.paper.records import OrderRecord
from botwarden.exchange.paper.reports import BalancesReport, ListReport, MovedReport, OrderReport, Report


def event_of(report: Report) -> dict[str, Any]:
    """Return the event that tells of this."""
    match report:
        case OrderReport():
            return _execution_report(report)
        case ListReport():
            return _list_status(report)
        case BalancesReport():
            return _account_position(report)
        case MovedReport():
            return _balance_update(report)


def stream_terminated(now_ms: int) -> dict[str, Any]:
    """Return what ends a subscription."""
    return {"e": "eventStreamTerminated", "E": now_ms}


def _execution_report(report: OrderReport) -> dict[str, Any]:
    order, trade = report.order, report.trade
    event = {
        "e": "executionReport",
        "E": report.time_ms,
        "s": order.symbol,
        # Of an order that somebody has cancelled: the id of that request; its own is then the original one.
        "c": report.cancel_id or order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": text(order.quantity),
        "p": text(order.price),
        "P": text(order.stop_price),
        "F": text(order.iceberg),
        "g": order.list_id,
        "C": order.client_order_id if report.cancel_id else "",
        "x": report.execution,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": text(trade.quantity if trade else 0),
        "z": text(order.executed),
        "L": text(trade.price if trade else 0),
        "n": text(trade.commission) if trade else "0",
        "N": trade.commission_asset if trade else None,
        "T": report.time_ms,
        "t": trade.trade_id if trade else -1,
        "I": report.report_id,
        "w": order.is_open and order.working_ms >= 0,
        "m": trade.is_maker if trade else False,
        "M": trade is not None,
        "O": order.created_ms,
        "Z": text(order.executed_quote),
        "Y": text(trade.quote_quantity if trade else 0),
        "Q": text(order.quote_quantity),
        "V": "NONE",
    }
    return event | _only_if_there(order)


def _only_if_there(order: OrderRecord) -> dict[str, Any]:
    fields = {
        "W": order.working_ms if order.working_ms >= 0 else None,
        "j": order.strategy_id,
        "J": order.strategy_type,
        "eR": order.expiry_reason,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _list_status(report: ListReport) -> dict[str, Any]:
    listed = report.listed
    return {
        "e": "listStatus",
        "E": report.time_ms,
        "s": listed.symbol,
        "g": listed.list_id,
        "c": "OCO",
        "l": "ALL_DONE" if report.is_done else "EXEC_STARTED",
        "L": "ALL_DONE" if report.is_done else "EXECUTING",
        "r": "NONE",
        "C": listed.client_list_id,
        "T": report.time_ms,
        "O": [{"s": leg.symbol, "i": leg.order_id, "c": leg.client_order_id} for leg in report.legs],
    }


def _account_position(report: BalancesReport) -> dict[str, Any]:
    return {
        "e": "outboundAccountPosition",
        "E": report.time_ms,
        "u": report.time_ms,
        "B": [
            {"a": asset, "f": text(free), "l": text(locked)}
            for asset, (free, locked) in report.balances.items()
        ],
    }


def _balance_update(report: MovedReport) -> dict[str, Any]:
    return {
        "e": "balanceUpdate",
        "E": report.time_ms,
        "a": report.asset,
        "d": text(report.change),
        "T": report.time_ms,
    }
