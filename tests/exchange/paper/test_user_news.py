"""News of orders: our own user streams against the paper exchange, whatever becomes of the connection."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import structlog

from botwarden.exchange import user_session
from botwarden.exchange.account import BinanceAccount
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.fault_events import ConnectionFault, How, StreamFault
from botwarden.exchange.paper.faults import RequestFault
from botwarden.exchange.paper.reports import Cut
from botwarden.exchange.payloads import Malformed
from botwarden.exchange.port import Credentials, NewsMissed, OrderNews
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.user_messages import Ended, Heard, Reply, user_message
from botwarden.exchange.venues import paper_urls
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House, signed

pytestmark = pytest.mark.anyio

QUICK = StreamRules(silence_s=10.0, first_backoff_s=0.01, longest_backoff_s=0.05)
HASTY = StreamRules(silence_s=0.2, first_backoff_s=0.01, longest_backoff_s=0.05)

OTHER_KEY, OTHER_SECRET = "o" * 32, "t" * 32
KEYS = {
    1: Credentials(api_key=KEY, secret_key=SECRET),
    2: Credentials(api_key=OTHER_KEY, secret_key=OTHER_SECRET),
    3: Credentials(api_key=KEY, secret_key="wrong" * 6),
    4: Credentials(api_key=KEY, secret_key=SECRET),
}


class Ear:
    """What one listener has heard, and waiting for more."""

    def __init__(self) -> None:
        self.news: list[OrderNews | NewsMissed] = []
        self._changed = anyio.Event()

    def __call__(self, news: OrderNews | NewsMissed) -> None:
        self.news.append(news)
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def ids(self) -> list[str]:
        """The orders that were heard of."""
        return [one.client_order_id for one in self.news if isinstance(one, OrderNews)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds."""
        with anyio.fail_after(20):
            while not condition():
                await self._changed.wait()

    async def subscribed(self, times: int = 1) -> None:
        """Return once the account has been subscribed so often."""
        await self.until(lambda: self.news.count(NewsMissed()) >= times)

    async def of(self, client_order_id: str) -> None:
        """Return once this order was heard of."""
        await self.until(lambda: client_order_id in self.ids)


@asynccontextmanager
async def running(house: House, rules: StreamRules = QUICK) -> AsyncIterator[BinanceExchange]:
    """Run our adapter, pointed at the house."""

    async def open_secret(api_key_id: ApiKeyId) -> Credentials:
        return KEYS[api_key_id]

    exchange = BinanceExchange(
        {Venue.PAPER: paper_urls(house.origin)},
        open_secret,
        SystemClock(),
        rng=random.Random(7),  # noqa: S311 - pauses
        stream_rules=rules,
    )
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.run)
        try:
            yield exchange
        finally:
            group.cancel_scope.cancel()
    await exchange.close()


@pytest.fixture
async def exchange(house: House) -> AsyncIterator[BinanceExchange]:
    """Our adapter."""
    async with running(house) as one:
        yield one


async def listening(exchange: BinanceExchange, key: int = 1) -> tuple[BinanceAccount, Ear]:
    """Open an account and listen to it."""
    account, ear = await exchange.account(Venue.PAPER, ApiKeyId(key)), Ear()
    account.listen(ear)
    return account, ear


async def test_an_order_is_heard_of(house: House, exchange: BinanceExchange) -> None:
    """Who listens hears that something may have been missed, then of each order that trades or ends."""
    _, ear = await listening(exchange)
    await ear.subscribed()
    await house.wire.order(newClientOrderId="first")
    await ear.of("first")
    resting = {"type": "LIMIT", "timeInForce": "GTC", "price": "30000.00"}
    assert (await house.wire.order(newClientOrderId="resting", **resting)).status == 200
    await house.wire.signed("DELETE", "order", symbol="BTCUSDT", origClientOrderId="resting")
    await ear.of("resting")
    assert ear.ids.index("first") < ear.ids.index("resting")
    assert ear.news[0] == NewsMissed()


async def test_keys_share_a_connection_and_hear_only_their_own(
    house: House, exchange: BinanceExchange
) -> None:
    """All keys of a venue are subscribed on one connection; nobody hears of another's orders."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.register(OTHER_KEY, OTHER_SECRET)
        (_, mine), (_, others) = await listening(exchange, 1), await listening(exchange, 2)
        await mine.subscribed()
        await others.subscribed()
        wish = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
        query = signed(wish | {"newClientOrderId": "theirs"}, secret=OTHER_SECRET)
        await house.wire.send("POST", "order", query=query, key=OTHER_KEY)
        await house.wire.order(newClientOrderId="mine")
        await others.of("theirs")
        await mine.of("mine")
        assert (set(mine.ids), set(others.ids)) == ({"mine"}, {"theirs"})
        assert await admin.end_streams("userData") == 1


async def test_two_keys_of_one_account_both_hear(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue subscribes an account once on a connection; who shares it hears as well, and goes on alone.

    That is to be expected, and no warning.
    """
    # The real pause between probes, shortened: the venue lives by the real clock here.
    monkeypatch.setattr(user_session, "PROBE_EVERY_S", 0.1)
    async with running(house, HASTY) as exchange:
        account, one = await listening(exchange, 1)
        await one.subscribed()
        with structlog.testing.capture_logs() as entries:
            _, two = await listening(exchange, 4)
            await two.subscribed()
            await house.wire.order(newClientOrderId="shared")
            await one.of("shared")
            await two.of("shared")
        assert [(entry["event"], entry["log_level"]) for entry in entries] == [("user_stream.shared", "info")]
        await account.close()
        await two.subscribed(2)
        await house.wire.order(newClientOrderId="alone")
        await two.of("alone")
    assert "alone" not in one.ids


@pytest.mark.parametrize("how", ["close", "shutdown", "closed", "reset"])
async def test_a_broken_connection_is_subscribed_again(
    house: House, exchange: BinanceExchange, how: How
) -> None:
    """However a connection ends, a new one is subscribed, says what may be missed, and hears what follows."""
    _, ear = await listening(exchange)
    await ear.subscribed()
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.end_streams("userData", how=how)
    await ear.subscribed(2)
    await house.wire.order(newClientOrderId="after")
    await ear.of("after")


async def test_a_venue_that_turns_connections_away(house: House, exchange: BinanceExchange) -> None:
    """While the venue lets nobody in it is asked again and again, each time a little later."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        away = ConnectionFault(on="/ws-api/v3", effect="html", status=503, times=3)
        await admin.add_fault(away)
        _, ear = await listening(exchange)
        await ear.subscribed()
        await house.wire.order(newClientOrderId="after")
        await ear.of("after")


async def test_a_connection_that_went_deaf_is_noticed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing is answered any more is given up, though it never closes."""
    # The real pause between probes, shortened: the venue lives by the real clock here.
    monkeypatch.setattr(user_session, "PROBE_EVERY_S", 0.1)
    async with running(house, HASTY) as exchange, PaperAdmin(house.origin, TOKEN) as admin:
        _, ear = await listening(exchange)
        await ear.subscribed()
        await admin.end_streams("userData", how="deaf")
        await ear.subscribed(2)
        await house.wire.order(newClientOrderId="after")
        await ear.of("after")


@pytest.mark.parametrize("how", ["terminated", "forgotten", "revoked"])
async def test_a_lost_subscription_is_made_again(
    house: House, monkeypatch: pytest.MonkeyPatch, how: Cut
) -> None:
    """A subscription that the venue ends while the connection stays, with or without a word, is renewed."""
    # The real pause between probes, shortened: the venue lives by the real clock here.
    monkeypatch.setattr(user_session, "PROBE_EVERY_S", 0.1)
    async with running(house, HASTY) as exchange, PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(name="probes", on="WS session.subscriptions", times=None))
        _, ear = await listening(exchange)
        await ear.subscribed()
        begun = (await admin.wait_for_fault("probes"))["caught"]
        await admin.wait_for_fault("probes", stage="done", count=begun + 1)  # It has been listed.
        assert await admin.end_subscriptions(KEY, how=how) == 1
        await ear.subscribed(2)
        await house.wire.order(newClientOrderId="after")
        await ear.of("after")


async def test_an_unanswered_subscription_is_tried_on_another_connection(house: House) -> None:
    """A request to subscribe that gets no answer ends the connection; the next one is subscribed."""
    async with running(house, HASTY) as exchange, PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(name="mute", on="WS userDataStream.*", waits="before", held=True))
        _, ear = await listening(exchange)
        await ear.subscribed()


@pytest.mark.parametrize("answer", ["stray", "elsewhere"])
async def test_an_answer_to_somebody_else_is_no_subscription(house: House, answer: Any) -> None:
    """An answer under another id, or to an earlier connection, is not ours: the next one is subscribed."""
    async with running(house, HASTY) as exchange, PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(name="astray", on="WS userDataStream.*", answer=answer))
        _, ear = await listening(exchange)
        await ear.subscribed()
        assert (await admin.wait_for_fault("astray", stage="done"))["reached"]
        await house.wire.order(newClientOrderId="after")
        await ear.of("after")
    assert ear.news.count(NewsMissed()) == 1


async def test_a_key_that_is_refused_takes_nobody_along(house: House, exchange: BinanceExchange) -> None:
    """A key that the venue does not let in hears nothing; its neighbours on the connection do."""
    _, deaf = await listening(exchange, 3)
    _, ear = await listening(exchange, 1)
    await ear.subscribed()
    await house.wire.order(newClientOrderId="heard")
    await ear.of("heard")
    assert deaf.news == []


async def test_a_clock_that_went_wrong_is_mended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription that is refused for its time has the venue's clock measured, and succeeds then."""
    # The real pause between probes, shortened: the venue lives by the real clock here.
    monkeypatch.setattr(user_session, "PROBE_EVERY_S", 0.1)
    async with running(house, HASTY) as exchange, PaperAdmin(house.origin, TOKEN) as admin:
        _, ear = await listening(exchange)
        await ear.subscribed()
        await admin.set_clock(offset_ms=-60_000)
        await admin.end_streams("userData")
        await ear.subscribed(2)


async def test_lost_news_is_no_harm(house: House, exchange: BinanceExchange) -> None:
    """News may be dropped, doubled or late; what it says of an order is asked, so none of it matters."""
    account, ear = await listening(exchange)
    await ear.subscribed()
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(StreamFault(on="userData", effect="drop", times=None, name="all"))
        await house.wire.order(newClientOrderId="lost")
        await admin.clear_faults("all")
        await admin.add_fault(StreamFault(on="userData", effect="twice", where={"x": "TRADE"}))
        await house.wire.order(newClientOrderId="doubled")
        await ear.until(lambda: ear.ids.count("doubled") >= 2)
    assert "lost" not in ear.ids
    found = await account.find_order("BTCUSDT", "lost")
    assert found.client_order_id == "lost"


async def test_who_has_closed_hears_no_more(house: House, exchange: BinanceExchange) -> None:
    """A closed account is unsubscribed, and the connection ends when it was the last."""
    account, ear = await listening(exchange)
    await ear.subscribed()
    await account.close()
    with anyio.fail_after(20):
        while house.venue.engine.feed.is_heard(1):
            await anyio.lowlevel.checkpoint()
    heard = len(ear.news)
    await house.wire.order(newClientOrderId="after")
    assert len(ear.news) == heard
    _, again = await listening(exchange)
    await again.subscribed()


# What is said -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ('{"id":1,"status":200,"result":{"subscriptionId":4}}', Reply(1, 4, None, None, "")),
        ('{"id":2,"status":200,"result":[{"subscriptionId":4}]}', Reply(2, None, frozenset({4}), None, "")),
        ('{"id":3,"status":401,"error":{"code":-2015,"msg":"no"}}', Reply(3, None, None, -2015, "no")),
        ('{"id":"x","status":400,"error":{"code":-1,"msg":"?"}}', Reply("x", None, None, -1, "?")),
        ('{"id":null,"status":400,"error":{"code":-1135,"msg":"?"}}', Reply(None, None, None, -1135, "?")),
        ('{"event":{"e":"serverShutdown","E":1}}', Ended(None)),
        ('{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}', Ended(0)),
        ('{"subscriptionId":0,"event":{"e":"outboundAccountPosition","u":1,"B":[]}}', Heard(0, frozenset())),
        ('{"subscriptionId":0,"event":{"e":"balanceUpdate","a":"USDT"}}', Heard(0, frozenset())),
        ('{"subscriptionId":0,"event":{"e":"tomorrow","c":5,"x":[]}}', Heard(0, frozenset())),
        (
            '{"subscriptionId":0,"event":{"e":"executionReport","c":"a","C":"","x":"NEW"}}',
            Heard(0, frozenset()),
        ),
        (
            '{"subscriptionId":0,"event":{"e":"executionReport","c":"off","C":"a","x":"CANCELED","L":"0"}}',
            Heard(0, frozenset({"off", "a"})),
        ),
        (
            '{"subscriptionId":0,"event":{"e":"listStatus","c":"OCO","C":"list","L":"ALL_DONE"}}',
            Heard(0, frozenset({"list"})),
        ),
        (
            '{"subscriptionId":0,"event":{"e":"listStatus","c":"OCO","C":"list","L":"EXECUTING"}}',
            Heard(0, frozenset()),
        ),
    ],
)
def test_messages_are_read(text: str, meaning: object) -> None:
    """Of a message only this is read: what it answers, or which orders it is about."""
    assert user_message(text) == meaning


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"id":{}}', '{"subscriptionId":0,"event":{"e":5}}', "\udc80"]
)
def test_what_cannot_be_read_is_said_to_be(text: str) -> None:
    """A message that makes no sense is an error that names why, whatever is in it."""
    with pytest.raises(Malformed):
        user_message(text)
