"""Reads of the same thing share one flight.

A caller is only given what a read that began after its call has brought: what it learnt before (that it is
subscribed, say) holds for what it gets.
"""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio

from botwarden.errors import BotwardenError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Flight(Generic[V]):
    """The reads of one key, one after the other."""

    __slots__ = ("begun", "lock", "passengers", "result", "shows")

    def __init__(self) -> None:
        self.lock = anyio.Lock()
        self.passengers = 0
        #: How many reads have begun.
        self.begun = 0
        #: Which of them brought `result`.
        self.shows = 0
        self.result: V | BotwardenError | None = None


class SingleFlight(Generic[K, V]):
    """Shares a read among those who ask for the same key at the same time."""

    def __init__(self, read: Callable[[K], Awaitable[V]]) -> None:
        self._read = read
        self._flights: dict[K, _Flight[V]] = {}

    async def read(self, key: K) -> V:
        """Return what a read that begins from now on brings.

        Raises:
            BotwardenError: what that read raised; all who shared it are told.
        """
        flight = self._flights.setdefault(key, _Flight())
        flight.passengers += 1
        try:
            return await self._board(key, flight)
        finally:
            flight.passengers -= 1
            if not flight.passengers:
                del self._flights[key]

    async def _board(self, key: K, flight: _Flight[V]) -> V:
        mine = flight.begun + 1
        async with flight.lock:
            if flight.shows < mine:
                flight.begun += 1
                # A read that is cancelled shows nothing: the next in the queue begins another.
                try:
                    flight.result = await self._read(key)
                except BotwardenError as failure:
                    flight.result = failure
                flight.shows = flight.begun
            result = flight.result
        if isinstance(result, BotwardenError):
            raise result.with_traceback(None)
        return result  # type: ignore[return-value]  # set by the read that it shows
