"""Faults of streams as values: what becomes of events, and of the connections that carry them.

An event is hit once, whoever listens: all subscribers of its stream miss it, or lose their connection.
The invariant: like all faults, one that exists can happen; what contradicts itself names its field.
"""

from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

import msgspec

from botwarden.exchange.paper.faults import LONGEST_S, Schedule, require

How = Literal["close", "shutdown", "closed", "reset", "deaf"]
_ENDINGS = frozenset({"close", "shutdown", "closed", "reset", "deaf"})

#: Codes that are never sent in a frame. Source: RFC 6455, 7.4.1.
_NEVER_SENT = frozenset({1004, 1005, 1006, 1015})

Scalar = str | int | float | bool | None

_ABSENT = object()


class Ending(NamedTuple):
    """How a connection ends."""

    how: How
    code: int = 1001
    reason: str = ""


class StreamFault(
    Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="stream"
):
    """What becomes of events on market streams."""

    #: The stream's name; * and ? stand for anything: "btcusdt@trade", "*@kline_*".
    on: str
    #: Fields that the event has to have: {"k.x": true}.
    where: dict[str, Scalar] = msgspec.field(default_factory=dict)

    #: drop: nobody hears it; twice: everybody hears it twice; late: after those that follow; replace: by
    #: `message`, which need not be JSON. The others end the connections of all who have subscribed, in
    #: place of the event; close: with `code`; shutdown: the venue says that it goes, and closes; closed:
    #: without a closing frame; reset: the same, and what was not read yet is lost; deaf: it stays open and
    #: nothing is read, sent or answered on it any more, until the fault is released or cleared.
    effect: Literal["drop", "twice", "late", "replace", "close", "shutdown", "closed", "reset", "deaf"]
    message: str | None = None
    code: int | None = None
    reason: str = ""
    #: How late: so long, or until it is released.
    delay_s: float = 0.0
    held: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: naming the field.
        """
        self.check_schedule()
        is_late, is_close = self.effect == "late", self.effect == "close"
        require("on", bool(self.on), "the name of a stream, or a pattern")
        require(
            "message",
            (self.message is not None) == (self.effect == "replace"),
            "for 'replace', and only there",
        )
        require("code", self.code is None or is_close, "only for 'close'")
        require(
            "code",
            self.code is None or _can_be_sent(self.code),
            "1000 to 1014 or 3000 to 4999, as may be sent",
        )
        require("reason", not self.reason or is_close, "only for 'close'")
        require("reason", len(self.reason.encode()) <= 123, "at most 123 bytes")
        require("delay_s", 0 <= self.delay_s <= LONGEST_S, "0 to a day")
        require(
            "delay_s", is_late == (self.held != bool(self.delay_s)), "for 'late' a delay or held, only there"
        )

    def matches(self, stream: str, event: Any) -> bool:
        """Whether this event is meant."""
        return fnmatchcase(stream, self.on) and all(
            _value(event, path) == wanted for path, wanted in self.where.items()
        )

    @property
    def ending(self) -> Ending | None:
        """How it ends connections; None if it does not."""
        if self.effect in _ENDINGS:
            return Ending(self.effect, self.code or 1001, self.reason)  # type: ignore[arg-type]  # just checked
        return None


class ConnectionFault(
    Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="connection"
):
    """What becomes of websockets that are being opened."""

    #: The path; * and ? stand for anything: "/stream", "/ws/*".
    on: str
    #: reset, closed: the connection ends without a byte; html: a page with `status` in place of the
    #: websocket; deaf: it opens, and nothing is ever read, sent or answered on it; pingless: no ping ever
    #: comes; unheard: no pong is ever heard, so it ends after `cut_after_s`.
    effect: Literal["reset", "closed", "html", "deaf", "pingless", "unheard"]
    #: For unheard; a minute unless given.
    cut_after_s: float | None = None
    status: int | None = None
    retry_after_s: int | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: naming the field.
        """
        self.check_schedule()
        is_page = self.effect == "html"
        require("on", self.on.startswith(("/", "*")), "a path, or a pattern")
        is_unheard = self.effect == "unheard"
        require("cut_after_s", self.cut_after_s is None or is_unheard, "only for 'unheard'")
        require("cut_after_s", 0 < (self.cut_after_s or 1) <= LONGEST_S, "above 0, at most a day")
        require("status", (self.status is not None) == is_page, "for 'html', and only there")
        require("status", self.status is None or 400 <= self.status <= 599, "400 to 599")
        require("retry_after_s", self.retry_after_s is None or is_page, "only for 'html'")
        require("retry_after_s", (self.retry_after_s or 0) >= 0, "at least 0")

    @property
    def lets_in(self) -> bool:
        """Whether there is a connection at all."""
        return self.effect in ("deaf", "pingless", "unheard")

    def matches(self, path: str) -> bool:
        """Whether connections to this path are meant."""
        return fnmatchcase(path, self.on)


def _can_be_sent(code: int) -> bool:
    return (1000 <= code <= 1014 and code not in _NEVER_SENT) or 3000 <= code <= 4999


def _value(event: Any, path: str) -> Any:
    """Return the field that a dotted path names."""
    for name in path.split("."):
        event = event.get(name, _ABSENT) if isinstance(event, dict) else _ABSENT
    return event
