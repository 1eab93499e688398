"""What the venue answers when it refuses, as values that know their code and HTTP status.

Source: Binance spot API, error codes. The codes are stable; the texts follow long practice.
"""

from http import HTTPStatus
from typing import Any


class ApiError(Exception):
    """The venue refuses."""

    def __init__(self, code: int, message: str, *, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status
        #: Seconds, for 429 and 418.
        self.retry_after_s: int | None = None
        #: What went well nevertheless, and what did not, where there is more to say.
        self.data: dict[str, Any] | None = None


def too_much_weight(limit: int, retry_after_s: int) -> ApiError:
    """429: the weight of this minute is spent."""
    error = ApiError(
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        status=HTTPStatus.TOO_MANY_REQUESTS,
    )
    error.retry_after_s = retry_after_s
    return error


def too_many_connections(limit: int, retry_after_s: int) -> ApiError:
    """429: the address has opened too many websockets. What Binance says then is not documented."""
    error = ApiError(
        -1003,
        f"Too many connections; current limit is {limit} per 5 MINUTE.",
        status=HTTPStatus.TOO_MANY_REQUESTS,
    )
    error.retry_after_s = retry_after_s
    return error


def banned(until_ms: int, retry_after_s: int) -> ApiError:
    """418: who ignores a 429 is banned."""
    error = ApiError(
        -1003,
        f"Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
        status=HTTPStatus.IM_A_TEAPOT,
    )
    error.retry_after_s = retry_after_s
    return error


def too_many_orders(limit: int, window: str, retry_after_s: int) -> ApiError:
    """429: the account has placed too many orders."""
    error = ApiError(
        -1015,
        f"Too many new orders; current limit is {limit} orders per {window}.",
        status=HTTPStatus.TOO_MANY_REQUESTS,
    )
    error.retry_after_s = retry_after_s
    return error


def outside_window() -> ApiError:
    """The time stamp is too old."""
    return ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_server() -> ApiError:
    """The time stamp lies in the future."""
    return ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def bad_signature() -> ApiError:
    """The signature does not fit the received bytes."""
    return ApiError(-1022, "Signature for this request is not valid.")


def illegal_characters(name: str, pattern: str) -> ApiError:
    """The parameter is not of the right form."""
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def duplicate_parameter(name: str) -> ApiError:
    """The parameter was sent twice."""
    return ApiError(-1101, f"Duplicate values for parameter '{name}'.")


def missing_parameter(name: str) -> ApiError:
    """The parameter has to be sent."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def missing_either(one: str, other: str) -> ApiError:
    """One of two parameters has to be sent."""
    return ApiError(-1102, f"Param '{one}' or '{other}' must be sent, but both were empty/null!")


def unread_parameters(read: int, sent: int) -> ApiError:
    """More was sent than this endpoint knows."""
    return ApiError(
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def empty_parameter(name: str) -> ApiError:
    """The parameter was sent without a value."""
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> ApiError:
    """The parameter does not belong to this type of order."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> ApiError:
    """More decimals than the asset has."""
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def invalid_symbol() -> ApiError:
    """No such symbol."""
    return ApiError(-1121, "Invalid symbol.")


def bad_combination() -> ApiError:
    """Parameters that exclude each other."""
    return ApiError(-1128, "Combination of optional parameters invalid.")


def filter_failure(name: str) -> ApiError:
    """A trading rule of the symbol says no."""
    return ApiError(-1013, f"Filter failure: {name}")


def invalid_quantity() -> ApiError:
    """A size of nothing."""
    return ApiError(-1013, "Invalid quantity.")


def market_closed() -> ApiError:
    """The symbol does not trade now."""
    return ApiError(-1013, "Market is closed.")


def rejected(message: str) -> ApiError:
    """The engine says no."""
    return ApiError(-2010, message)


def insufficient_balance() -> ApiError:
    """The account cannot pay."""
    return rejected("Account has insufficient balance for requested action.")


def cancel_rejected(message: str = "Unknown order sent.") -> ApiError:
    """The order cannot be cancelled."""
    return ApiError(-2011, message)


def no_such_order() -> ApiError:
    """Not there, or not there yet."""
    return ApiError(-2013, "Order does not exist.")


def bad_key_format() -> ApiError:
    """No key, or none that could be one."""
    return ApiError(-2014, "API-key format invalid.", status=HTTPStatus.UNAUTHORIZED)


def invalid_key() -> ApiError:
    """The key is not known here."""
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status=HTTPStatus.UNAUTHORIZED)


def wrong_client_order_id() -> ApiError:
    """Both ids were sent and they name different orders."""
    return ApiError(-2039, "Client order ID is not correct for this order ID.")
