"""What the unmodified client sees when a request is lost, held, answered wrongly, or executed late."""

import random
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import pytest
from binance.exceptions import BinanceAPIException

from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.faults import RequestFault
from botwarden.exchange.port import Account, Credentials, Found, NotFound, Unknown
from botwarden.exchange.venues import paper_urls
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.orders import Executed, Rejected
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House, client_of
from tests.exchange.samples import an_order

pytestmark = pytest.mark.anyio

BUY = {"symbol": "BTCUSDT", "quantity": "0.01"}


@pytest.fixture
async def admin(house: House) -> AsyncIterator[PaperAdmin]:
    """The client of the admin endpoints; what is still held when a test fails goes on."""
    async with PaperAdmin(house.origin, TOKEN) as one:
        yield one
        await one.clear_faults()


@pytest.fixture
async def account(house: House) -> AsyncIterator[Account]:
    """Our own adapter's account at the same key."""

    async def open_secret(_api_key_id: ApiKeyId) -> Credentials:
        return Credentials(api_key=KEY, secret_key=SECRET)

    rng = random.Random(1)  # noqa: S311 - nothing secret is drawn
    made = BinanceExchange({Venue.PAPER: paper_urls(house.origin)}, open_secret, SystemClock(), rng=rng)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        await made.market(Venue.PAPER).clock.ask()
        yield await made.account(Venue.PAPER, ApiKeyId(1))
        tasks.cancel_scope.cancel()
    await made.close()


async def orders(house: House) -> int:
    """How many orders there are in truth."""
    return len(await house.client.get_all_orders(symbol="BTCUSDT"))


async def refusal(house: House, **params: Any) -> BinanceAPIException:
    """What the client raises for a purchase."""
    with pytest.raises(BinanceAPIException) as caught:
        await house.client.order_market_buy(**(BUY | params))
    return caught.value


# Nothing, or half of it, comes back --------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["reset", "closed"])
@pytest.mark.parametrize(("executes", "count"), [("no", 0), ("yes", 1)])
async def test_lost(house: House, admin: PaperAdmin, answer: Any, executes: Any, count: int) -> None:
    """A connection that ends without a byte looks the same whether the order was executed or not."""
    name = await admin.add_fault(RequestFault(on="POST order", executes=executes, answer=answer))
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await house.client.order_market_buy(**BUY)
    shown = await admin.wait_for_fault(name, stage="done")
    assert (shown["caught"], shown["executed"]) == (1, count)
    assert await orders(house) == count
    await house.client.order_market_buy(**BUY)


async def test_half_an_answer(house: House, admin: PaperAdmin) -> None:
    """An answer that breaks off in the middle was executed, and is an error of its own."""
    await admin.add_fault(RequestFault(on="POST order", answer="half"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await house.client.order_market_buy(**BUY)
    assert await orders(house) == 1


async def test_the_hidden_repeat_of_a_cancel(house: House, admin: PaperAdmin) -> None:
    """On a kept connection that breaks the library repeats a DELETE: a cancel that worked shows -2011."""
    price = "50000"
    resting = await house.client.order_limit_buy(**BUY, price=price)
    name = await admin.add_fault(RequestFault(on="DELETE order", answer="closed"))
    with pytest.raises(BinanceAPIException) as caught:
        await house.client.cancel_order(symbol="BTCUSDT", orderId=resting["orderId"])
    assert caught.value.code == -2011
    shown = (await admin.faults())[0]
    assert (shown["name"], shown["matched"], shown["executed"]) == (name, 2, 1)
    order = await house.client.get_order(symbol="BTCUSDT", orderId=resting["orderId"])
    assert order["status"] == "CANCELED"


async def test_connections_that_end_between_requests(house: House, admin: PaperAdmin) -> None:
    """A connection that is closed behind an answer costs an idle client nothing."""
    fault = RequestFault(on="GET account", answer="usual_then_closed", times=None)
    name = await admin.add_fault(fault)
    for _ in range(3):
        assert await house.free("USDT") == "100000.00000000"
    assert (await admin.faults())[0]["executed"] == 3
    await admin.clear_faults(name)


# Slow --------------------------------------------------------------------------------------------------


async def test_executed_and_held(house: House, admin: PaperAdmin) -> None:
    """An answer is held until the driver lets go; the order stands meanwhile."""
    name = await admin.add_fault(RequestFault(on="POST order", held=True, waits="after"))
    answers: list[Any] = []

    async def buy() -> None:
        answers.append(await house.client.order_market_buy(**BUY))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(buy)
        assert (await admin.wait_for_fault(name, stage="executed"))["reached"]
        assert await orders(house) == 1
        assert answers == []
        await admin.release_fault(name)
    assert answers[0]["status"] == "FILLED"


async def test_a_client_that_gives_up(house: House, admin: PaperAdmin) -> None:
    """An answer slower than the client's patience is a timeout, of an order that was executed."""
    name = await admin.add_fault(RequestFault(on="POST order", held=True, waits="after"))
    impatient = client_of(house.origin)
    impatient.REQUEST_TIMEOUT = 0.3
    await impatient.session.close()
    impatient.session = impatient._init_session()
    with pytest.raises(TimeoutError):
        await impatient.order_market_buy(**BUY)
    await impatient.session.close()
    assert (await admin.wait_for_fault(name, stage="executed"))["done"] == 0
    await admin.clear_faults()
    assert await orders(house) == 1


async def test_a_plain_delay_ends_by_itself(house: House, admin: PaperAdmin) -> None:
    """A delayed order is executed afterwards, without anybody's help."""
    name = await admin.add_fault(RequestFault(on="POST order", delay_s=0.05))
    assert (await house.client.order_market_buy(**BUY))["status"] == "FILLED"
    assert (await admin.wait_for_fault(name, stage="done"))["executed"] == 1


async def test_held_too_long_before_the_engine(house: House, admin: PaperAdmin) -> None:
    """The time stamp is checked once more before the engine: what waited too long is refused."""
    name = await admin.add_fault(RequestFault(on="POST order", held=True))
    seen: list[BinanceAPIException] = []

    async def buy() -> None:
        seen.append(await refusal(house))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(buy)
        await admin.wait_for_fault(name)
        await admin.set_clock(offset_ms=60_000)
        await admin.release_fault(name)
    assert seen[0].code == -1021
    await admin.set_clock(offset_ms=0)
    assert await orders(house) == 0


# Executed late -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later_ms", "stage", "count"), [(4000, "executed", 1), (11_000, "refused", 0)])
async def test_a_ghost(house: House, admin: PaperAdmin, later_ms: int, stage: Any, count: int) -> None:
    """After a timeout was told the order is not there, and comes if its window is still open, or never."""
    fault = RequestFault(on="POST order", executes="late", answer="error", code=-1007, held=True)
    name = await admin.add_fault(fault)
    assert (await refusal(house, newClientOrderId="ghost")).code == -1007
    with pytest.raises(BinanceAPIException, match="-2013"):
        await house.client.get_order(symbol="BTCUSDT", origClientOrderId="ghost")
    await admin.set_clock(offset_ms=later_ms)
    await admin.release_fault(name)
    assert (await admin.wait_for_fault(name, stage=stage))["reached"]
    await admin.set_clock(offset_ms=0)
    assert await orders(house) == count


async def test_our_adapter_and_a_ghost(house: House, admin: PaperAdmin, account: Account) -> None:
    """To our adapter a lost order is unknown, then not found, then found: never rejected."""
    fault = RequestFault(on="POST order", executes="late", answer="reset", held=True)
    name = await admin.add_fault(fault)
    order = an_order()
    assert isinstance(await account.place(order), Unknown)
    assert await account.find_order("BTCUSDT", order.client_order_id) == NotFound()
    await admin.release_fault(name)
    await admin.wait_for_fault(name, stage="executed")
    assert isinstance(await account.find_order("BTCUSDT", order.client_order_id), Found)
    assert await orders(house) == 1


# What is told instead ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -1008])
@pytest.mark.parametrize("executes", ["no", "yes"])
async def test_outcome_unknown(
    house: House, admin: PaperAdmin, account: Account, code: int, executes: Any
) -> None:
    """The venue's own doubts say nothing about the order; our adapter believes neither."""
    fault = RequestFault(on="POST order", executes=executes, answer="error", code=code, times=2)
    await admin.add_fault(fault)
    refused = await refusal(house)
    assert (refused.code, refused.status_code // 100) == (code, 5)
    assert isinstance(await account.place(an_order()), Unknown)
    assert await orders(house) == (2 if executes == "yes" else 0)


@pytest.mark.parametrize("status", [403, 502, 503, 504])
@pytest.mark.parametrize("executes", ["no", "yes"])
async def test_pages_of_the_web_server(
    house: House, admin: PaperAdmin, account: Account, status: int, executes: Any
) -> None:
    """A page in HTML has no code, and leaves the outcome open."""
    fault = RequestFault(on="POST order", executes=executes, answer="html", status=status, times=2)
    await admin.add_fault(fault)
    refused = await refusal(house)
    assert (refused.code, refused.status_code) == (0, status)
    assert refused.response.content_type == "text/html"
    assert isinstance(await account.place(an_order()), Unknown)
    assert await orders(house) == (2 if executes == "yes" else 0)


@pytest.mark.parametrize("answer", [
    (-1003, 429, "7"),
    (-1003, 418, "120"),
    (-1015, 429, "10"),
    (-1021, 400, None),
    (-1022, 400, None),
    (-2014, 401, None),
    (-2015, 401, None),
])  # fmt: skip
async def test_refusals(
    house: House, admin: PaperAdmin, account: Account, answer: tuple[int, int, str | None]
) -> None:
    """A refusal on order looks like the venue's own, with its pause, and nothing was executed."""
    code, status, retry_after = answer
    told: dict[str, Any] = {"executes": "no", "answer": "error", "code": code, "status": status}
    if retry_after == "7":
        told["retry_after_s"] = 7
    await admin.add_fault(RequestFault(on="POST order", times=2, **told))
    assert isinstance(await account.place(an_order()), Rejected)
    refused = await refusal(house)
    assert (refused.code, refused.status_code) == (code, status)
    assert refused.response.headers.get("Retry-After") == retry_after
    assert "X-MBX-USED-WEIGHT-1M" in refused.response.headers
    assert ("banned until" in refused.message) == (status == 418)
    assert await orders(house) == 0


async def test_a_ban_is_for_every_request_of_a_time(house: House, admin: PaperAdmin) -> None:
    """While a ban lasts every endpoint answers 418, public ones too; lifted, all is well."""
    fault = RequestFault(
        on="* *", executes="no", answer="error", code=-1003, status=418, times=None, for_s=3600, name="ban"
    )
    await admin.add_fault(fault)
    for ask in (house.client.ping, house.client.get_account, house.client.get_exchange_info):
        with pytest.raises(BinanceAPIException) as caught:
            await ask()
        assert caught.value.status_code == 418
    await admin.clear_faults("ban")
    assert await house.client.ping() == {}


@pytest.mark.parametrize(("offset_ms", "text"), [(-5000, "ahead of the server"), (15_000, "outside of the")])
async def test_a_clock_that_is_wrong(house: House, admin: PaperAdmin, offset_ms: int, text: str) -> None:
    """Requests come too early for a clock that is behind, too late for one ahead; who asks recovers."""
    await admin.set_clock(offset_ms=offset_ms)
    refused = await refusal(house)
    assert refused.code == -1021
    assert text in refused.message
    server_ms = (await house.client.get_server_time())["serverTime"]
    house.client.timestamp_offset = server_ms - time.time_ns() // 1_000_000
    assert await orders(house) == 0
    await house.client.order_market_buy(**BUY)


async def test_the_removed_user_stream_is_a_page(house: House) -> None:
    """The old listen keys are gone for good: 410, in HTML."""
    with pytest.raises(BinanceAPIException) as caught:
        await house.client.stream_get_listen_key()
    assert caught.value.status_code == 410


async def test_our_adapter_takes_a_held_answer(admin: PaperAdmin, account: Account) -> None:
    """A slow answer within the adapter's patience is an executed order like any other."""
    name = await admin.add_fault(RequestFault(on="POST order", held=True, waits="after", api_key=KEY))
    placed: list[Any] = []

    async def place() -> None:
        placed.append(await account.place(an_order()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(place)
        await admin.wait_for_fault(name, stage="executed")
        await admin.release_fault(name)
    assert isinstance(placed[0], Executed)
