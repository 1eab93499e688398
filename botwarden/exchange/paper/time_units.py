"""Times in microseconds, for who asks for them: everything is made in milliseconds and turned here. Pure.

The invariant: only times change. What carries the name of a time in one message and something else in
another (`t` is a time in a candle and an id in a trade) is told apart by the message.

Source: Binance spot API, general information, data sources and time units.
"""

from typing import Any

from botwarden.exchange.paper.errors import ApiError

_IN_ANSWERS = frozenset(
    {
        "T",
        "authorizedSince",
        "closeTime",
        "connectedSince",
        "openTime",
        "serverTime",
        "time",
        "transactTime",
        "transactionTime",
        "updateTime",
        "workingTime",
    }
)

_IN_EVENTS: dict[str, frozenset[str]] = {
    "24hrMiniTicker": frozenset("E"),
    "24hrTicker": frozenset("EOC"),
    "aggTrade": frozenset("ET"),
    "balanceUpdate": frozenset("ET"),
    "depthUpdate": frozenset("E"),
    "eventStreamTerminated": frozenset("E"),
    "executionReport": frozenset("ETOW"),
    "kline": frozenset("E"),
    "listStatus": frozenset("ET"),
    "outboundAccountPosition": frozenset("Eu"),
    "serverShutdown": frozenset("E"),
    "trade": frozenset("ET"),
}

#: Where a candle has its opening and its close.
_ROW_TIMES = (0, 6)


def wants_micros(unit: str | None) -> bool:
    """Whether this unit, as a header or query names it, is the finer one.

    Raises:
        ApiError: there is no such unit.
    """
    if unit is None or unit in ("MILLISECOND", "millisecond"):
        return False
    if unit not in ("MICROSECOND", "microsecond"):
        raise ApiError(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    return True


def answer_in_micros(answer: Any) -> Any:
    """Return an answer with its times in microseconds, however deep they lie."""
    if isinstance(answer, list):
        return [answer_in_micros(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        name: _micros(value) if name in _IN_ANSWERS else answer_in_micros(value)
        for name, value in answer.items()
    }


def candles_in_micros(rows: Any) -> Any:
    """Return candles as GET klines shows them with their times in microseconds."""
    return [
        [_micros(cell) if place in _ROW_TIMES else cell for place, cell in enumerate(row)] for row in rows
    ]


def event_in_micros(event: Any) -> Any:
    """Return an event of a stream with its times in microseconds."""
    if isinstance(event, list):
        return [event_in_micros(item) for item in event]
    names = _IN_EVENTS.get(event.get("e", ""), frozenset())
    told = {name: _micros(value) if name in names else value for name, value in event.items()}
    if "k" in told:
        candle = told["k"]
        told["k"] = candle | {"t": _micros(candle["t"]), "T": _micros(candle["T"])}
    return told


def _micros(value: Any) -> Any:
    """Return a time; the last millisecond of a candle becomes its last microsecond."""
    if not isinstance(value, int) or value < 0:
        return value
    return value * 1000 + (999 if value % 1000 == 999 else 0)
