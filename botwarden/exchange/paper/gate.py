"""The way of every REST request: limits, who sends it, the handler, and how it is answered.

All requests pass `Gate.serve`, in this order: the body is read, weight is counted, key and signature and
time are checked, the handler runs, and what it has changed is on disk before the answer leaves. A fault
that is ordered for testing takes a request between the checks and the handler: until then nothing has
happened.
"""

import re
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from botwarden.exchange.paper import answers, fault_rest, security
from botwarden.exchange.paper.calls import Call, Endpoint, execute, identify
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.limits import header_suffix
from botwarden.exchange.paper.params import Params, pairs
from botwarden.exchange.paper.time_units import wants_micros
from botwarden.exchange.paper.venue import PaperVenue

PREFIX = "/api/v3/"


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
            in_micros = wants_micros(request.headers.get("X-MBX-TIME-UNIT"))
            call = Call(venue=self._venue, params=params, now_ms=now_ms)
            if endpoint.is_signed:
                identify(call, key, *security.signed_payload(query, body))
        except ApiError as refused:
            answer = answers.refusal(refused)
            answer.headers.update(self._used(address))
            return answer
        work = partial(self._answer, endpoint, call, address=address, cost=cost, in_micros=in_micros)
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

    async def _answer(
        self, endpoint: Endpoint, call: Call, *, address: str, cost: int, in_micros: bool
    ) -> web.Response:
        """Do what is asked for and say so."""
        headers: dict[str, str] = {}
        try:
            said = await execute(endpoint, call)
            answer = answers.as_json(endpoint.in_micros(said) if in_micros else said)
            if endpoint.is_free:
                self._venue.weights.give_back(address, cost)
            if call.counts_orders:
                headers.update(self._order_counts(call))
        except ApiError as refused:
            answer = answers.refusal(refused)
        answer.headers.update(headers | self._used(address))
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
