"""What an answer to an order means: executed, rejected, or unknown.

A rejection is believed only if the venue's own code says so and stands in the list below. Everything
else may have been executed.
"""

from botwarden.exchange import translate
from botwarden.exchange.payloads import Malformed
from botwarden.exchange.port import Unknown
from botwarden.trading.orders import Executed, Order, Rejected

#: The request does not go to the matching engine at all: its parameters, key, time or rate are refused.
#: Source: Binance spot API, errors, 10xx (general), 11xx (request issues), 20xx.
_NOT_PASSED_ON = frozenset({-1002, -1003, -1013, -1015, -1021, -1022, -2014, -2015})
_PARAMETER_ERRORS = range(-1131, -1099)

#: The matching engine refused the order. Source: as above, -2010 NEW_ORDER_REJECTED.
_REFUSED_BY_ENGINE = -2010

#: The one refusal that means success: an order with this id stands already.
_DUPLICATE = "duplicate order"

TIMESTAMP_OUTSIDE_WINDOW = -1021


def outcome(order: Order, status: int, body: bytes) -> Executed | Rejected | Unknown:
    """Return what this whole answer to POST order means. Commissions are not valued yet."""
    if 200 <= status < 300:
        try:
            return translate.executed(order, body)
        except Malformed as malformed:
            return Unknown(message=f"accepted, but not settled by the answer: {malformed}")
    return refusal(status, body)


def refusal(status: int, body: bytes) -> Rejected | Unknown:
    """Return what an answer means that is no good one."""
    error = translate.venue_error(body)
    if error is None:
        return Unknown(message=f"status {status} without the venue's own error")
    code, message = error
    if is_definite(status, code, message):
        return Rejected(code=code, message=message)
    return Unknown(message=f"status {status}: {code} {message}")


def is_definite(status: int, code: int, message: str) -> bool:
    """Whether the order was certainly not executed."""
    if not 400 <= status < 500 or status == 403:
        return False  # 5xx: execution unknown. 403: a firewall, which says nothing of what lies behind.
    if code == _REFUSED_BY_ENGINE:
        return _DUPLICATE not in message.lower()
    return code in _NOT_PASSED_ON or code in _PARAMETER_ERRORS
