"""One request on its way, whichever door it came through: who sends it, what it costs, and how it is done.

The invariant: what a signed request shows or has changed is on disk before `execute` returns.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from botwarden.exchange.paper import errors, security, time_units
from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.market import SymbolMarket
from botwarden.exchange.paper.params import Params
from botwarden.exchange.paper.venue import PaperVenue

_NO_KEY = Account(0, "", "")


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way."""

    venue: PaperVenue
    params: Params
    now_ms: int
    #: The sender's; meaningless where no signature is asked for.
    account: Account = field(default_factory=lambda: _NO_KEY)
    window: security.Window | None = None
    #: Whether the answer shows the account's order counts.
    counts_orders: bool = False

    def symbol(self) -> SymbolMarket:
        """Return the symbol that the request names."""
        found = self.venue.market.symbols.get(self.params.symbol())
        if found is None:
            raise errors.invalid_symbol()
        return found

    def check_time(self) -> int:
        """Check again, just before the engine, that the request is still valid; returns the time."""
        now_ms = self.venue.clock.now_ms()
        if self.window is not None:
            self.window.check(now_ms)
        return now_ms


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What there is behind a method and a path."""

    handle: Handler
    weight: Callable[[Params], int]
    is_signed: bool = False
    #: A request that succeeds costs nothing.
    is_free: bool = False
    #: How its answer is told in microseconds.
    in_micros: Callable[[Any], Any] = time_units.answer_in_micros


def weight(plain: int) -> Callable[[Params], int]:
    """A weight that does not depend on the parameters."""
    return lambda _params: plain


def weight_by(name: str, *, given: int, absent: int) -> Callable[[Params], int]:
    """A weight that depends on whether a parameter is there."""
    return lambda params: given if params.has(name) else absent


def identify(call: Call, key: str | None, payload: bytes, signature: bytes | None) -> None:
    """Let a signed call be its sender's, once it is clear who that is and that it is in time.

    `payload`: the bytes that were signed.

    Raises:
        ApiError: it is not.
    """
    api_key = security.api_key(key)
    call.window = security.window(call.params)
    call.params.required("signature")
    call.window.check(call.now_ms)
    account = call.venue.engine.accounts.by_key.get(api_key)
    if account is None:
        raise errors.invalid_key()
    if signature is None or not security.is_signed_by(account.secret_key, payload, signature):
        raise errors.bad_signature()
    call.account = account


async def execute(endpoint: Endpoint, call: Call) -> Any:
    """Do what is asked for and return the answer.

    Raises:
        ApiError: it is refused.
    """
    try:
        return await endpoint.handle(call)
    finally:
        if endpoint.is_signed:
            # Whatever the answer shows, or has changed, survives a crash from here on.
            await call.venue.store.settled()
