"""The user data streams of one connection: who has subscribed to which account, and telling them.

The invariant: nothing is told before it is on disk, and what is told of one account comes in the order in
which it happened. A subscription ends with its connection, and nothing is told again.

Source: Binance spot API, WebSocket API, user data stream requests.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from botwarden.exchange.paper import errors, fault_sockets, user_events
from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.connection import Client
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.reports import Cut
from botwarden.exchange.paper.time_units import event_in_micros
from botwarden.exchange.paper.venue import PaperVenue

#: What faults of streams know these events and their connections by.
STREAM = "userData"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Subscription:
    """One account that is listened to."""

    subscription_id: int
    account_id: int
    end: Callable[[], None]


class UserStreams:
    """All subscriptions of one connection."""

    def __init__(self, venue: PaperVenue, client: Client) -> None:
        self._venue = venue
        self._client = client
        self._subscriptions: dict[int, Subscription] = {}
        self._next_id = 0
        self._happened: asyncio.Queue[tuple[int, dict[str, Any]]] = asyncio.Queue()

    def subscribe(self, account: Account) -> int:
        """Let the client hear of an account from now on; returns the subscription's id.

        Raises:
            ApiError: it does already.
        """
        if any(one.account_id == account.account_id for one in self._subscriptions.values()):
            raise ApiError(-2035, "User Data Stream subscription already active.")
        number, self._next_id = self._next_id, self._next_id + 1

        def hear(reports: Any) -> None:
            for report in reports:
                self._happened.put_nowait((number, user_events.event_of(report)))

        end = self._venue.engine.feed.listen(account.account_id, hear, lambda how: self._cut(number, how))
        self._subscriptions[number] = Subscription(number, account.account_id, end)
        return number

    def unsubscribe(self, number: int | None) -> None:
        """End one subscription, or all.

        Raises:
            ApiError: there is none of this id.
        """
        if number is not None and number not in self._subscriptions:
            raise ApiError(-2036, "No such user data stream subscription.")
        for one in [number] if number is not None else list(self._subscriptions):
            self._cut(one, "terminated")

    def all(self) -> list[dict[str, int]]:
        """Return the ids of all subscriptions."""
        return [{"subscriptionId": number} for number in self._subscriptions]

    def close(self) -> None:
        """Hear of nobody any more."""
        for one in self._subscriptions.values():
            one.end()
        self._subscriptions.clear()

    async def run(self) -> None:
        """Tell what has happened, for ever."""
        while True:
            number, event = await self._happened.get()
            await self._venue.store.settled()
            self._publish(number, event)

    def _cut(self, number: int, how: Cut) -> None:
        """End a subscription, and say as much of it as is meant to be said."""
        self._subscriptions.pop(number).end()
        if how == "terminated":
            self._happened.put_nowait((number, user_events.stream_terminated(self._venue.clock.now_ms())))
        elif how == "revoked":
            refused = errors.invalid_key()
            error = {"code": refused.code, "msg": refused.message}
            self._client.offer(_encode({"id": None, "status": refused.status, "error": error}).decode())

    def _publish(self, number: int, event: dict[str, Any]) -> None:
        faults = self._venue.faults
        caught = None if faults.is_empty else faults.catch_event(STREAM, event)
        if caught is None:
            self._tell(number, event)
            return
        fault_sockets.deliver(
            caught,
            lambda: self._tell(number, event),
            replace=self._client.offer,
            end=lambda ending: self._client.end(ending, caught.go_on),
        )

    def _tell(self, number: int, event: dict[str, Any]) -> None:
        told = event_in_micros(event) if self._client.in_micros else event
        self._client.offer(_encode({"subscriptionId": number, "event": told}).decode())
