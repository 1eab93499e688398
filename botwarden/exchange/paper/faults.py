"""Faults as values: which requests they hit, how often, and what becomes of those.

A `RequestFault` says two things apart from each other: whether the engine executes the request, and what
its sender is told. That is all there is to an order that was executed and looks lost, or the reverse.

The invariant: a fault that exists can happen. What contradicts itself is refused when it is made, with
the name of the field; and a fault never says "not executed" of what was.
"""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Literal, NamedTuple

import msgspec

from botwarden.exchange.paper import errors
from botwarden.exchange.paper.errors import ApiError

Executes = Literal["yes", "no", "late"]
Answer = Literal[
    "usual", "usual_then_closed", "half", "closed", "reset", "html", "error", "stray", "elsewhere"
]

#: Answers that can only be made of the venue's own.
_MADE_OF_THE_USUAL = frozenset({"usual", "usual_then_closed", "half", "stray", "elsewhere"})

#: Answers that only a websocket can carry.
_ON_A_WEBSOCKET = frozenset({"stray", "elsewhere"})

#: How long a 429 and a 418 ask for unless the fault says how long.
_PAUSES_S: dict[int, int] = {HTTPStatus.TOO_MANY_REQUESTS: 10, HTTPStatus.IM_A_TEAPOT: 120}

_NAME = re.compile(r"[A-Za-z0-9._-]{0,100}")

LONGEST_S = 86_400.0


class Told(NamedTuple):
    """How the venue words one of its errors."""

    status: int
    message: str
    #: Whether the error leaves open what has become of the request.
    is_open: bool = False


#: Source: Binance spot API, error codes; the statuses of 5xx follow long practice.
ERRORS = {
    -1000: Told(500, "An unknown error occurred while processing the request.", is_open=True),
    -1001: Told(500, "Internal error; unable to process your request. Please try again.", is_open=True),
    -1003: Told(429, errors.too_much_weight(6000, 0).message),
    -1006: Told(
        500,
        "An unexpected response was received from the message bus. Execution status unknown.",
        is_open=True,
    ),
    -1007: Told(
        504,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        is_open=True,
    ),
    -1008: Told(
        503, "Server is currently overloaded with other requests. Please try again in a few minutes.", True
    ),
    -1013: Told(400, errors.market_closed().message),
    -1015: Told(429, errors.too_many_orders(50, "10 SECOND", 0).message),
    -1021: Told(400, errors.outside_window().message),
    -1022: Told(400, errors.bad_signature().message),
    -2010: Told(400, "Rest API trading is not enabled."),
    -2011: Told(400, errors.cancel_rejected().message),
    -2013: Told(400, errors.no_such_order().message),
    -2014: Told(401, errors.bad_key_format().message),
    -2015: Told(401, errors.invalid_key().message),
}


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a fault happens: from which call on, how often, how likely, and in which time."""

    #: Names the fault for listing, waiting, releasing and clearing; drawn when empty.
    name: str = ""
    #: The first matching call that is hit: 1 is the next one.
    nth: int = 1
    #: How many calls are hit at most; None: no end.
    times: int | None = 1
    #: Of each matching call from the n-th on.
    probability: float = 1.0
    #: Of the draws.
    seed: int = 0
    #: Seconds from the scheduling until the fault may happen, and for how long it may then.
    after_s: float = 0.0
    for_s: float | None = None

    def check_schedule(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: naming the field.
        """
        require("name", _NAME.fullmatch(self.name) is not None, "letters, digits and -_. only, at most 100")
        require("nth", self.nth >= 1, "counts from 1")
        require("times", self.times is None or self.times >= 1, "at least 1, or null for no end")
        require("probability", 0 < self.probability <= 1, "above 0 and at most 1")
        require("after_s", 0 <= self.after_s <= LONGEST_S, "0 to a day")
        require("for_s", self.for_s is None or 0 < self.for_s <= LONGEST_S, "above 0, at most a day")


class OfRequests(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault that hits requests: which ones."""

    #: Method and path below /api/v3/, or WS and the method of the WebSocket API; * and ? stand for
    #: anything: "POST order", "GET *", "WS order.place", "* *".
    on: str
    #: Parameters that the request has to have: {"symbol": "BTCUSDT"}.
    where: dict[str, str] = msgspec.field(default_factory=dict)
    #: Only this key's requests.
    api_key: str | None = None

    def check_selection(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: naming the field.
        """
        self.check_schedule()
        require("on", len(self.on.split(" ")) == 2, "a method and a path, as in 'POST order'")

    def matches(self, method: str, path: str, params: Mapping[str, str], api_key: str | None) -> bool:
        """Whether this request is meant."""
        wanted_method, wanted_path = self.on.split(" ")
        return (
            fnmatchcase(method, wanted_method)
            and fnmatchcase(path, wanted_path)
            and self.api_key in (None, api_key)
            and self.where.items() <= params.items()
        )


class RequestFault(
    OfRequests, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="request"
):
    """What becomes of requests."""

    #: yes: before the answer; no: never; late: after the answer, if the request is still in time then.
    executes: Executes = "yes"
    #: usual: the venue's own; usual_then_closed: and the connection ends behind it; half: half of it;
    #: closed, reset: the connection ends without a byte; html: a page of the web server in front;
    #: error: an error of the venue. A websocket has no pages and no halves: it ends. Only there, stray: the
    #: usual under an id that nobody asked under; elsewhere: it ends, and the next one brings the answer.
    answer: Answer = "usual"
    #: For html and error; a code brings its usual status and text along.
    code: int | None = None
    status: int | None = None
    message: str | None = None
    retry_after_s: int | None = None

    #: A call waits so long, or until it is released: before the engine, or between it and the answer.
    #: One that executes late waits between the answer and the engine.
    waits: Literal["before", "after"] = "before"
    delay_s: float = 0.0
    held: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: naming the field.
        """
        self.check_selection()
        require("delay_s", 0 <= self.delay_s <= LONGEST_S, "0 to a day")
        require("delay_s", not (self.held and self.delay_s), "either a delay or held, not both")
        made_of_usual = self.answer in _MADE_OF_THE_USUAL
        require(
            "answer", not made_of_usual or self.executes == "yes", "only what executes has a usual answer"
        )
        is_websocket = self.on.startswith("WS ")
        require(
            "answer",
            is_websocket or self.answer not in _ON_A_WEBSOCKET,
            "only of requests on a websocket: 'WS …'",
        )
        require("waits", self.waits == "before" or self.executes == "yes", "only what executes has an after")
        self._check_error()

    def _check_error(self) -> None:
        is_error, is_page = self.answer == "error", self.answer == "html"
        require("code", is_error == (self.code is not None), "for the answer 'error', and only there")
        require("status", not is_page or self.status is not None, "a page has to have one")
        require("status", self.status is None or is_error or is_page, "only for 'error' and 'html'")
        require("status", self.status is None or 400 <= self.status <= 599, "400 to 599")
        require("message", self.message is None or is_error, "only for the answer 'error'")
        require("message", not is_error or self.code in ERRORS or bool(self.message), "for an unusual code")
        require(
            "retry_after_s", self.retry_after_s is None or is_error or is_page, "only for an error or page"
        )
        require("retry_after_s", (self.retry_after_s or 0) >= 0, "at least 0")
        require("executes", self.executes == "no" or self._is_open(), "this answer says it was not executed")

    def _is_open(self) -> bool:
        """Whether the answer leaves open what has become of the request, or tells the truth."""
        status = self._status()
        if self.answer == "error":
            told = ERRORS.get(self.code or 0)
            return status >= 500 or (told is not None and told.is_open)
        return self.answer != "html" or status >= 500 or status == HTTPStatus.FORBIDDEN

    def refusal(self, now_ms: int) -> ApiError:
        """Return the error that is told. `now_ms`: the venue's time."""
        told, status = ERRORS.get(self.code or 0), self._status()
        pause_s = self.retry_after_s
        if pause_s is None:
            pause_s = _PAUSES_S.get(status)
        text = self.message if self.message is not None else told.message if told else ""
        if status == HTTPStatus.IM_A_TEAPOT and self.message is None:
            text = errors.banned(now_ms + (pause_s or 0) * 1000, 0).message
        refused = ApiError(self.code or 0, text, status=status)
        refused.retry_after_s = pause_s
        return refused

    def _status(self) -> int:
        if self.status is not None:
            return self.status
        told = ERRORS.get(self.code or 0)
        return told.status if told is not None else HTTPStatus.BAD_REQUEST


class ReadLag(
    OfRequests, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="read_lag"
):
    """Reads show what was there when the lag was scheduled; the engine goes on."""

    on: str = "GET *"
    times: int | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: naming the field.
        """
        self.check_selection()
        require("on", self.on.startswith(("GET ", "WS ")), "only what reads can lag")


def require(field: str, holds: bool, why: str) -> None:
    """Refuse a field unless its rule holds.

    Raises:
        ValueError: naming the field.
    """
    if not holds:
        raise ValueError(f"{field}: {why}")
