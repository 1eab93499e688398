"""The WebSocket API: requests and answers like those of REST on one connection, and user data streams.

The invariant: a request is the same whichever way it comes: the same checks, weights, limits and effects.
An answer that its sender does not get any more is lost; what the request has done is not.

Source: Binance spot API, WebSocket API, general information, request security, session authentication.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import msgspec
from aiohttp import web
from anyio.abc import TaskGroup

from botwarden.exchange.paper import errors, events, fault_requests, security
from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.answers import refusal
from botwarden.exchange.paper.calls import Call, Endpoint, execute, identify, weight
from botwarden.exchange.paper.connection import Client, Connection
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.fault_plan import Caught
from botwarden.exchange.paper.fault_rest import hang_up
from botwarden.exchange.paper.limits import interval_of
from botwarden.exchange.paper.params import Params
from botwarden.exchange.paper.time_units import wants_micros
from botwarden.exchange.paper.user_streams import STREAM, UserStreams
from botwarden.exchange.paper.venue import PaperVenue
from botwarden.exchange.paper.ws_methods import METHODS

PATH = "/ws-api/v3"

CONNECTION_WEIGHT = 2

#: Nobody has asked under it.
STRAY_ID = "stray"

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct):
    """What a client asks."""

    method: str
    id: int | str | None = None
    params: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer before it travels."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Session:
    """A connection that has logged on: it need not sign any more."""

    account: Account
    since_ms: int


class ApiSocket:
    """One connection."""

    def __init__(self, venue: PaperVenue, client: Client, *, address: str, shows_limits: bool) -> None:
        self._venue = venue
        self._client = client
        self._address = address
        self._shows_limits = shows_limits
        self._since_ms = venue.clock.now_ms()
        self._session: Session | None = None
        self._users = UserStreams(venue, client)
        self._methods = METHODS | {
            "session.logon": Endpoint(handle=self._log_on, weight=weight(2), is_signed=True),
            "session.status": Endpoint(handle=self._status, weight=weight(2)),
            "session.logout": Endpoint(handle=self._log_out, weight=weight(2)),
            "session.subscriptions": Endpoint(handle=self._subscriptions, weight=weight(2)),
            "userDataStream.subscribe": Endpoint(handle=self._subscribe, weight=weight(2)),
            "userDataStream.subscribe.signature": Endpoint(
                handle=self._subscribe_signed, weight=weight(2), is_signed=True
            ),
            "userDataStream.unsubscribe": Endpoint(handle=self._unsubscribe, weight=weight(2)),
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve the connection until either side ends it."""
        async with anyio.create_task_group() as work:
            work.start_soon(self._users.run)
            served = await Connection(self._client, self._venue.clock, self._venue.faults).serve(
                request,
                begin=self._begin,
                hear=partial(self._hear, request, work),
                leave=self._leave,
                goodbye=self._goodbye,
            )
            work.cancel_scope.cancel()
        return served

    def _hear(self, request: web.Request, work: TaskGroup, raw: str) -> None:
        work.start_soon(self._answer, request, raw)

    def _begin(self) -> None:
        self._venue.streams.subscribe(self._client, [STREAM])
        for said in self._venue.faults.take_left_over():
            self._client.offer(said)

    def _leave(self) -> None:
        self._users.close()
        self._venue.streams.leave(self._client)

    def _goodbye(self) -> str:
        return _encode({"event": events.goodbye(self._venue.clock.now_ms())}).decode()

    # Requests

    async def _answer(self, request: web.Request, raw: str) -> None:
        """Answer one request."""
        try:
            asked = msgspec.json.decode(raw, type=Request)
            sent = {name: _text(value) for name, value in asked.params.items()}
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._tell(None, _refused(ApiError(-1135, "Invalid JSON Request."), 0))
            return
        name = asked.method.removeprefix("v3/")
        params = Params(sent.items())
        call = Call(venue=self._venue, params=params, now_ms=self._venue.clock.now_ms())
        try:
            endpoint = self._endpoint(name)
            cost = endpoint.weight(params)
            self._venue.weights.spend(self._address, cost, call.now_ms)
            self._identify(endpoint, call, sent)
        except ApiError as refused:
            self._tell(asked.id, self._limited(_refused(refused, call.now_ms), call, sent))
            return
        work = partial(self._do, endpoint, call, sent, cost)
        caught = self._caught(endpoint, call, name, sent)
        if caught is None:
            self._tell(asked.id, await work())
            return
        await fault_requests.suffer(
            caught,
            work,
            made=lambda: _refused(caught.fault.refusal(call.now_ms), call.now_ms),
            tell=lambda said, _is_late: self._tell_faulty(caught, request, asked.id, said),
        )

    def _endpoint(self, name: str) -> Endpoint:
        found = self._methods.get(name)
        if found is None:
            raise ApiError(-1099, f"Unknown method '{name[:50]}'.")
        return found

    def _identify(self, endpoint: Endpoint, call: Call, sent: Mapping[str, str]) -> None:
        """Let the call be its sender's, who signs it or has logged on."""
        call.params.ignore("apiKey", "returnRateLimits")
        if not endpoint.is_signed:
            return
        if self._session is not None and "apiKey" not in sent:
            call.window = security.window(call.params)
            call.window.check(call.now_ms)
            call.account = self._session.account
            return
        payload = "&".join(f"{name}={sent[name]}" for name in sorted(sent) if name != "signature")
        signature = sent.get("signature")
        identify(
            call, sent.get("apiKey"), payload.encode(), None if signature is None else signature.encode()
        )

    async def _do(self, endpoint: Endpoint, call: Call, sent: Mapping[str, str], cost: int) -> Said:
        """Do what is asked for and return what is said of it."""
        try:
            result = await execute(endpoint, call)
            if endpoint.is_free:
                self._venue.weights.give_back(self._address, cost)
            said = Said(200, {"result": endpoint.in_micros(result) if self._client.in_micros else result})
        except ApiError as refused:
            said = _refused(refused, call.now_ms)
        return self._limited(said, call, sent)

    def _limited(self, said: Said, call: Call, sent: Mapping[str, str]) -> Said:
        """Return an answer with what its sender has used up, if that is wanted."""
        shows = sent.get("returnRateLimits")
        if not self._shows_limits if shows is None else shows == "false":
            return said
        venue, counted = self._venue, []
        if call.counts_orders:
            counts = venue.orders.counts(call.account.account_id, call.now_ms)
            counted = [
                ("ORDERS", window, venue.orders.limits[window], count) for window, count in counts.items()
            ]
        used = venue.weights.used(self._address, venue.clock.now_ms())
        counted.append(("REQUEST_WEIGHT", 60, venue.weights.limit, used))
        limits = [
            {
                "rateLimitType": kind,
                "interval": interval,
                "intervalNum": number,
                "limit": limit,
                "count": count,
            }
            for kind, window, limit, count in counted
            for interval, number in [interval_of(window)]
        ]
        return Said(said.status, {**said.body, "rateLimits": limits})

    def _tell(self, request_id: int | str | None, said: Said) -> None:
        self._client.offer(_worded(request_id, said))

    # Faults

    def _caught(self, endpoint: Endpoint, call: Call, name: str, sent: Mapping[str, str]) -> Caught | None:
        faults = self._venue.faults
        if faults.is_empty:
            return None
        key = sent.get("apiKey") or call.account.api_key or None
        view = faults.view_of("WS", name, params=sent, api_key=key) if endpoint.is_signed else None
        if view is not None:
            call.venue, call.account = view.show(call.venue, call.account)
        return faults.catch_request("WS", name, params=sent, api_key=key)

    async def _tell_faulty(
        self, caught: Caught, request: web.Request, request_id: int | str | None, said: Said
    ) -> None:
        """Say as much as the fault lets through."""
        match caught.fault.answer:
            case "usual" | "error":
                self._tell(request_id, said)
            case "usual_then_closed":
                self._tell(request_id, said)
                self._client.queue.put_nowait(None)
            case "stray":
                self._tell(STRAY_ID, said)
            case "elsewhere":
                self._venue.faults.leave_over(_worded(request_id, said))
                hang_up(request, reset=False)
            case _:
                hang_up(request, reset=caught.fault.answer == "reset")

    # Sessions and user data

    async def _log_on(self, call: Call) -> Any:
        if security.kind_of(call.account.secret_key) != "Ed25519":
            raise ApiError(-4056, "HMAC_SHA256 API key is not supported.")
        call.params.finish()
        self._session = Session(call.account, call.now_ms)
        return self._shown_session(call)

    async def _status(self, call: Call) -> Any:
        return self._shown_session(call)

    async def _log_out(self, call: Call) -> Any:
        self._session = None
        return self._shown_session(call)

    async def _subscriptions(self, _call: Call) -> Any:
        return self._users.all()

    async def _subscribe(self, _call: Call) -> Any:
        if self._session is None:
            raise errors.invalid_key()
        return {"subscriptionId": self._users.subscribe(self._session.account)}

    async def _subscribe_signed(self, call: Call) -> Any:
        call.params.finish()
        return {"subscriptionId": self._users.subscribe(call.account)}

    async def _unsubscribe(self, call: Call) -> Any:
        number = call.params.integer("subscriptionId")
        self._users.unsubscribe(number)
        return {}

    def _shown_session(self, call: Call) -> dict[str, Any]:
        session = self._session
        return {
            "apiKey": session.account.api_key if session else None,
            "authorizedSince": session.since_ms if session else None,
            "connectedSince": self._since_ms,
            "returnRateLimits": self._shows_limits,
            "serverTime": call.now_ms,
            "userDataStream": bool(self._users.all()),
        }


def _worded(request_id: int | str | None, said: Said) -> str:
    return _encode({"id": request_id, "status": said.status, **said.body}).decode()


def _refused(refused: ApiError, now_ms: int) -> Said:
    """Return a refusal; one that asks for a pause says until when."""
    error: dict[str, Any] = {"code": refused.code, "msg": refused.message}
    if refused.data is not None:
        error["data"] = refused.data
    elif refused.retry_after_s is not None:
        error["data"] = {"serverTime": now_ms, "retryAfter": now_ms + refused.retry_after_s * 1000}
    return Said(refused.status, {"error": error})


def _text(value: msgspec.Raw) -> str:
    """Return a parameter as REST would have it: texts as they are, all else exactly as in the JSON."""
    raw = bytes(value)
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()


def add_routes(app: web.Application, venue: PaperVenue) -> None:
    """Put the WebSocket API into the server."""

    async def serve(request: web.Request) -> web.StreamResponse:
        address = request.remote or ""
        try:
            in_micros = wants_micros(request.query.get("timeUnit"))
            venue.connections.count("api", address, venue.clock.now_ms())
            venue.weights.spend(address, CONNECTION_WEIGHT, venue.clock.now_ms())
        except ApiError as refused:
            return refusal(refused)
        shows_limits = request.query.get("returnRateLimits", "true") != "false"
        client = Client(in_micros=in_micros)
        return await ApiSocket(venue, client, address=address, shows_limits=shows_limits).serve(request)

    app.router.add_get(PATH, serve)
