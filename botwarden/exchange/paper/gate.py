"""The way of every REST request: limits, who sends it, the handler, and how it is answered.

All requests pass `Gate.serve`, in this order: the body is read, weight is counted, key and signature and
time are checked, the handler runs, and what it has changed is on disk before the answer leaves. A fault
that is ordered for testing takes a request between the checks and the handler: until then nothing has
happened.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from botwarden.exchange.paper import answers, errors, fault_rest, security
from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.limits import header_suffix
from botwarden.exchange.paper.market import SymbolMarket
from botwarden.exchange.paper.params import Params, pairs
from botwarden.exchange.paper.venue import PaperVenue

PREFIX = "/api/v3/"

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


def weight(plain: int) -> Callable[[Params], int]:
    """A weight that does not depend on the parameters."""
    return lambda _params: plain


def weight_by(name: str, *, given: int, absent: int) -> Callable[[Params], int]:
    """A weight that depends on whether a parameter is there."""
    return lambda params: given if params.has(name) else absent


class Gate:
    """Every REST request of one venue."""

    def __init__(
        self, venue: PaperVenue, endpoints: dict[tuple[str, str], Endpoint], *, prefix: str = PREFIX
    ) -> None:
        self._venue = venue
        self._prefix = prefix
        self._endpoints = endpoints
        self._paths = {path for _, path in endpoints}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        path = request.path.removeprefix(self._prefix)
        endpoint = self._endpoints.get((request.method, path))
        if endpoint is None:
            return _nothing_there(path, known=path in self._paths)
        body = await request.read()
        query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
        now_ms = self._venue.clock.now_ms()
        address = request.remote or ""
        try:
            sent = pairs(query), pairs(body)
            params = Params(*sent)
            cost = endpoint.weight(params)
            self._venue.weights.spend(address, cost, now_ms)
            key = request.headers.get("X-MBX-APIKEY")
            call = self._admit(endpoint, params, key=key, query=query, body=body, now_ms=now_ms)
        except ApiError as refused:
            answer = answers.refusal(refused)
            answer.headers.update(self._used(address))
            return answer
        work = partial(self._answer, endpoint, call, address=address, cost=cost)
        faults = self._venue.faults
        if faults.is_empty:
            return await work()
        asked: dict[str, Any] = {"params": dict(sent[1]) | dict(sent[0]), "api_key": key}
        view = faults.view_of(request.method, path, **asked) if endpoint.is_signed else None
        if view is not None:
            call.venue, call.account = view.show(call.venue, call.account)
        caught = faults.catch_request(request.method, path, **asked)
        if caught is None:
            return await work()
        return await fault_rest.suffer(caught, request, work, now_ms=now_ms, headers=self._used(address))

    def _admit(
        self,
        endpoint: Endpoint,
        params: Params,
        *,
        key: str | None,
        query: bytes,
        body: bytes,
        now_ms: int,
    ) -> Call:
        """Return the call, once it is clear who sends it and that it is in time."""
        call = Call(venue=self._venue, params=params, now_ms=now_ms)
        if not endpoint.is_signed:
            return call
        api_key = security.api_key(key)
        call.window = security.window(params)
        payload, signature = security.signed_payload(query, body)
        params.required("signature")
        call.window.check(now_ms)
        account = self._venue.engine.accounts.by_key.get(api_key)
        if account is None:
            raise errors.invalid_key()
        if signature is None or not security.is_signed_by(account.secret_key, payload, signature):
            raise errors.bad_signature()
        call.account = account
        return call

    async def _answer(self, endpoint: Endpoint, call: Call, *, address: str, cost: int) -> web.Response:
        """Do what is asked for and say so."""
        headers: dict[str, str] = {}
        try:
            answer = answers.as_json(await self._execute(endpoint, call))
            if endpoint.is_free:
                self._venue.weights.give_back(address, cost)
            if call.counts_orders:
                headers.update(self._order_counts(call))
        except ApiError as refused:
            answer = answers.refusal(refused)
        answer.headers.update(headers | self._used(address))
        return answer

    async def _execute(self, endpoint: Endpoint, call: Call) -> Any:
        try:
            answer = await endpoint.handle(call)
        finally:
            if endpoint.is_signed:
                # Whatever the answer shows, or has changed, survives a crash from here on.
                await self._venue.store.settled()
        return answer

    def _used(self, address: str) -> dict[str, str]:
        used = str(self._venue.weights.used(address, self._venue.clock.now_ms()))
        return {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}

    def _order_counts(self, call: Call) -> dict[str, str]:
        counts = self._venue.orders.counts(call.account.account_id, call.now_ms)
        return {f"X-MBX-ORDER-COUNT-{header_suffix(window)}": str(count) for window, count in counts.items()}


def _nothing_there(path: str, *, known: bool) -> web.Response:
    """Answer like the web server in front of the venue does: not in JSON."""
    if known:
        return answers.page(HTTPStatus.METHOD_NOT_ALLOWED)
    if re.fullmatch(r"userDataStream(/.*)?", path):
        return answers.page(HTTPStatus.GONE)  # Source: Binance spot API, change log, 2026-02-20.
    return answers.page(HTTPStatus.NOT_FOUND)
