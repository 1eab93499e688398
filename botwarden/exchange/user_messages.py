"""What the venue says on a connection of user data, as far as anybody needs to know it. Pure.

Of an event only this is taken: which orders it is about. What has become of them is asked.

Source: Binance spot API, user data streams; WebSocket API, response format.
"""

from typing import NamedTuple

import msgspec

from botwarden.exchange.payloads import Malformed

#: What happens to an order that may end it, or bring it nearer to its end.
_NEWS = frozenset({"TRADE", "CANCELED", "EXPIRED", "REJECTED", "REPLACED", "TRADE_PREVENTION"})


class Reply(NamedTuple):
    """The answer to one of our requests."""

    #: Ours are numbers; None: the venue means the whole session.
    request_id: int | str | None
    #: Of a request to subscribe that succeeded.
    subscription_id: int | None
    #: The subscriptions that stand, if that was asked.
    standing: frozenset[int] | None
    #: The venue's error; None when all is well.
    code: int | None
    message: str


class Heard(NamedTuple):
    """Something happened to these orders or lists."""

    subscription_id: int
    client_order_ids: frozenset[str]


class Ended(NamedTuple):
    """A subscription is over, or with None the whole connection is about to be."""

    subscription_id: int | None


class _Event(msgspec.Struct):
    e: str = ""
    c: str = ""
    C: str = ""
    x: str = ""
    #: The status of a list.
    L: str = ""


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Result(msgspec.Struct):
    # Spelt as the venue spells it.
    subscriptionId: int | None = None  # noqa: N815


class _Message(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw(b"{}")
    error: _Error | None = None
    subscriptionId: int | None = None  # noqa: N815
    event: msgspec.Raw = msgspec.Raw()


_MESSAGE = msgspec.json.Decoder(_Message)
_RESULT = msgspec.json.Decoder(_Result)
_RESULTS = msgspec.json.Decoder(list[_Result])


def user_message(text: str) -> Reply | Heard | Ended:
    """Return what the venue said.

    Raises:
        Malformed: it cannot be read.
    """
    try:
        message = _MESSAGE.decode(text)
        if bytes(message.event):
            return _heard(message.subscriptionId, message.event)
        is_list = bytes(message.result).startswith(b"[")
        results = _RESULTS.decode(message.result) if is_list else [_RESULT.decode(message.result)]
    except (msgspec.DecodeError, UnicodeError) as wrong:
        raise Malformed(str(wrong)) from None
    error = message.error
    return Reply(
        message.id,
        None if is_list else results[0].subscriptionId,
        frozenset(one.subscriptionId for one in results if one.subscriptionId is not None)
        if is_list
        else None,
        None if error is None else error.code,
        "" if error is None else error.msg,
    )


def _heard(subscription_id: int | None, raw: msgspec.Raw) -> Heard | Ended:
    kind = msgspec.json.decode(raw, type=_Kind).e
    if kind == "serverShutdown" or subscription_id is None:
        return Ended(None)
    if kind == "eventStreamTerminated":
        return Ended(subscription_id)
    ids: frozenset[str] = frozenset()
    if kind == "executionReport":
        event = msgspec.json.decode(raw, type=_Event)
        if event.x in _NEWS:
            ids = frozenset({event.c, event.C} - {""})
    elif kind == "listStatus":
        event = msgspec.json.decode(raw, type=_Event)
        if event.L in ("ALL_DONE", "REJECT"):
            ids = frozenset({event.C})
    return Heard(subscription_id, ids)


class _Kind(msgspec.Struct):
    """Events differ in the types of their fields: only what is common is read before the kind is known."""

    e: str = ""
