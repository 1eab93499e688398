"""An order leaves once, signed with the moment of its intent, and every ending has its name."""

import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from botwarden.exchange.account import BinanceAccount
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Credentials, Unknown
from botwarden.trading.bot import Venue
from botwarden.trading.orders import Executed, NeverSent, OrderStatus, Rejected, Side
from tests.exchange.conftest import KEY
from tests.exchange.raw_venue import Doing, RawVenue, Request, answer, half, reset, silence, windowed
from tests.exchange.samples import API_KEY, CLIENT_ID, SECRET, an_order, fill, full_answer

pytestmark = pytest.mark.anyio

ORDER = "/api/v3/order"


def signature_of(form: dict[str, str]) -> str:
    """Return the signature that the venue computes over what it received."""
    unsigned = urlencode({name: value for name, value in form.items() if name != "signature"})
    return hmac.new(SECRET.encode(), unsigned.encode(), hashlib.sha256).hexdigest()


async def test_timestamp_and_window_are_pinned(raw: RawVenue, account: BinanceAccount) -> None:
    """What arrives is stamped with the intent's moment and our window, under our id, and signed so."""
    raw.next(ORDER, answer(full_answer()))
    order = an_order(intended_at=datetime.now(UTC) - timedelta(seconds=1))
    assert isinstance(await account.place(order), Executed)
    [request] = raw.seen(ORDER)
    assert request.method == "POST"
    assert request.headers["x-mbx-apikey"] == API_KEY
    assert request.form["timestamp"] == str(int(order.intended_at.timestamp() * 1000))
    assert request.form["recvWindow"] == "5000"
    assert request.form["newClientOrderId"] == CLIENT_ID
    assert request.form["newOrderRespType"] == "FULL"
    assert request.form["quantity"] == "0.5"
    assert request.form["signature"] == signature_of(request.form)
    assert set(request.form) == {
        "symbol", "side", "type", "quantity", "newClientOrderId", "newOrderRespType", "timestamp",
        "recvWindow", "signature",
    }  # fmt: skip


async def test_nothing_leaves_twice(raw: RawVenue, account: BinanceAccount) -> None:
    """Whoever asks for the same order again is told to ask what became of it; the venue hears nothing."""
    raw.next(ORDER, answer(full_answer()))
    order = an_order()
    assert isinstance(await account.place(order), Executed)
    assert isinstance(await account.place(order), Unknown)
    assert len(raw.seen(ORDER)) == 1


@pytest.mark.parametrize(("delayed_s", "accepted"), [(0.0, True), (3.0, True), (4.5, False), (3600.0, False)])
async def test_request_is_refused_when_its_window_has_passed(
    raw: RawVenue, account: BinanceAccount, delayed_s: float, accepted: bool
) -> None:
    """A copy that arrives later than the intent's window is refused by the venue's own clock."""
    raw.next(ORDER, windowed(full_answer(), delayed_s=delayed_s))
    outcome = await account.place(an_order(intended_at=datetime.now(UTC) - timedelta(seconds=1)))
    if accepted:
        assert isinstance(outcome, Executed)
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.code == -1021


async def test_concurrent_orders_keep_their_own_moments(raw: RawVenue, account: BinanceAccount) -> None:
    """Orders of one key that are sent at the same time do not share a time stamp."""
    raw.always(ORDER, answer({"code": -2010, "msg": "Account has insufficient balance."}, status=400))
    now = datetime.now(UTC)
    orders = [
        an_order(intended_at=now - timedelta(milliseconds=ago), client_order_id=f"{CLIENT_ID}-{ago}")
        for ago in range(0, 1000, 100)
    ]
    async with anyio.create_task_group() as group:
        for order in orders:
            group.start_soon(account.place, order)
    stamps = sorted(int(request.form["timestamp"]) for request in raw.seen(ORDER))
    assert stamps == sorted(int(order.intended_at.timestamp() * 1000) for order in orders)
    assert all(request.form["signature"] == signature_of(request.form) for request in raw.seen(ORDER))


async def test_key_pairs_sign_as_well(raw: RawVenue, open_exchange: Callable[..., BinanceExchange]) -> None:
    """An Ed25519 key, pasted with whatever line ends, signs what the venue can verify."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    credentials = Credentials(api_key=API_KEY, secret_key=pem.replace("\n", "\r\n") + "\n\n")
    account = await open_exchange(raw.origin, credentials=credentials).account(Venue.PAPER, KEY)
    raw.next(ORDER, answer(full_answer()))
    assert isinstance(await account.place(an_order()), Executed)
    form = dict(raw.seen(ORDER)[0].form)
    signature = base64.b64decode(form.pop("signature"))
    private.public_key().verify(signature, urlencode(form).encode())


async def test_window_is_a_setting(raw: RawVenue, open_exchange: Callable[..., BinanceExchange]) -> None:
    """Another receive window arrives as such."""
    exchange = open_exchange(raw.origin, receive_window=timedelta(milliseconds=1500))
    account = await exchange.account(Venue.PAPER, KEY)
    raw.next(ORDER, answer(full_answer()))
    await account.place(an_order())
    assert raw.seen(ORDER)[0].form["recvWindow"] == "1500"


async def test_executed_with_valued_commissions(raw: RawVenue, account: BinanceAccount) -> None:
    """A commission in the coin is worth its price; one in quote is worth itself."""
    fills = [
        fill("100.0", "0.3", trade_id=56, commission="0.0003", asset="BTC"),
        fill("100.5", "0.2", trade_id=57, commission="0.02", asset="USDT"),
    ]
    raw.next(ORDER, answer(full_answer(fills=fills)))
    outcome = await account.place(an_order())
    assert isinstance(outcome, Executed)
    assert outcome.status is OrderStatus.FILLED
    assert [made.commission_quote for made in outcome.fills] == [Decimal("0.03"), Decimal("0.02")]


async def test_commission_in_the_venues_coin(raw: RawVenue, account: BinanceAccount) -> None:
    """A commission in another asset is valued at that asset's last price, which is asked for once."""
    fills = [
        fill("100.0", "0.3", trade_id=56, commission="0.001", asset="BNB"),
        fill("100.5", "0.2", trade_id=57, commission="0.002", asset="BNB"),
    ]
    raw.next(ORDER, answer(full_answer(fills=fills)))
    raw.next("/api/v3/ticker/price", answer({"symbol": "BNBUSDT", "price": "600"}))
    outcome = await account.place(an_order())
    assert isinstance(outcome, Executed)
    assert [made.commission_quote for made in outcome.fills] == [Decimal("0.6"), Decimal("1.2")]
    assert len(raw.seen("/api/v3/ticker/price")) == 1


async def test_commission_without_a_price(raw: RawVenue, account: BinanceAccount) -> None:
    """A commission that nobody can value counts as nothing and holds nothing back."""
    fills = [fill("100.0", "0.5", trade_id=56, commission="0.001", asset="BNB")]
    raw.next(ORDER, answer(full_answer(fills=fills)))
    raw.next("/api/v3/ticker/price", answer({"code": -1121, "msg": "Invalid symbol."}, status=400))
    outcome = await account.place(an_order())
    assert isinstance(outcome, Executed)
    assert outcome.fills[0].commission_quote == 0


@pytest.mark.parametrize(
    ("code", "status"), [(-1013, 400), (-1111, 400), (-2010, 400), (-2015, 401), (-1121, 400), (-1022, 400)]
)
async def test_rejected(raw: RawVenue, account: BinanceAccount, code: int, status: int) -> None:
    """A definite code is a rejection with the venue's own words."""
    raw.next(ORDER, answer({"code": code, "msg": "no"}, status=status))
    assert await account.place(an_order()) == Rejected(code=code, message="no")


async def test_clock_is_mended(raw: RawVenue, account: BinanceAccount) -> None:
    """A stamp outside the window is a rejection, and the clock is measured again before it is told."""
    raw.next(ORDER, answer({"code": -1021, "msg": "Timestamp outside."}, status=400))
    before = len(raw.seen("/api/v3/time"))
    outcome = await account.place(an_order())
    assert outcome == Rejected(code=-1021, message="Timestamp outside.")
    assert len(raw.seen("/api/v3/time")) == before + 1


UNKNOWN: dict[str, Doing] = {
    "html 502": answer("<html>Bad Gateway</html>", status=502),
    "html 503": answer("<html></html>", status=503),
    "empty 504": answer("", status=504),
    "waf 403": answer("<html>Request blocked</html>", status=403),
    "-1007": answer({"code": -1007, "msg": "Timeout waiting for response from backend server."}, status=504),
    "-1006": answer({"code": -1006, "msg": "Execution status unknown."}, status=500),
    "-1000 as 400": answer({"code": -1000, "msg": "An unknown error occurred."}, status=400),
    "-1001": answer({"code": -1001, "msg": "Internal error."}, status=500),
    "duplicate": answer({"code": -2010, "msg": "Duplicate order sent."}, status=400),
    "half a body": half(full_answer()),
    "half a rejection": half({"code": -2010, "msg": "Account has insufficient balance."}, status=400),
    "reset before a byte": reset,
    "not json": answer("OK"),
    "empty 200": answer(""),
    "NEW": answer(full_answer(status="NEW", executedQty="0", fills=[])),
    "PARTIALLY_FILLED": answer(
        full_answer(status="PARTIALLY_FILLED", executedQty="0.3", fills=[fill("1", "0.3", trade_id=1)])
    ),
    "redirect": answer("", status=307, headers={"Location": "/api/v3/order/test"}),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_unknown(raw: RawVenue, account: BinanceAccount, name: str) -> None:
    """Whatever is neither a definite yes nor a definite no is unknown, and was sent exactly once."""
    raw.next(ORDER, UNKNOWN[name])
    raw.always(ORDER, answer(full_answer()))
    assert isinstance(await account.place(an_order()), Unknown)
    assert len(raw.seen(ORDER)) == 1
    assert raw.seen("/api/v3/order/test") == []


async def test_time_out_is_unknown(raw: RawVenue, open_exchange: Callable[..., BinanceExchange]) -> None:
    """No answer within the time-out leaves the order unknown."""
    exchange = open_exchange(raw.origin, request_timeout_s=0.2)
    account = await exchange.account(Venue.PAPER, KEY)
    raw.next(ORDER, silence)
    assert isinstance(await account.place(an_order()), Unknown)
    assert len(raw.seen(ORDER)) == 1


async def test_dropped_keep_alive_never_repeats_an_order(raw: RawVenue, account: BinanceAccount) -> None:
    """A connection that served before and is reset once it has the order does not make the order go twice."""
    raw.next(ORDER, answer(full_answer()), reset)
    raw.always(ORDER, answer(full_answer()))
    assert isinstance(await account.place(an_order()), Executed)
    assert isinstance(await account.place(an_order(client_order_id=f"{CLIENT_ID}-2")), Unknown)
    assert len(raw.seen(ORDER)) == 2


async def test_refused_connection_is_never_sent(
    raw: RawVenue, open_exchange: Callable[..., BinanceExchange]
) -> None:
    """Where nobody listens, not a byte has left and no weight is spent."""
    raw.always(
        "/api/v3/time", answer({"serverTime": time.time_ns() // 10**6}, headers={"Connection": "close"})
    )
    exchange = open_exchange(raw.origin)
    account = await exchange.account(Venue.PAPER, KEY)
    budget = exchange.market(Venue.PAPER).budget
    spent_before = budget.used
    await raw.close()
    assert isinstance(await account.place(an_order()), NeverSent)
    assert budget.used <= spent_before


async def test_connection_that_never_comes_up_is_never_sent(
    open_exchange: Callable[..., BinanceExchange],
) -> None:
    """A connection that is still being made when the window closes has sent nothing."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [_dial(address) for _ in range(4)]
        try:
            exchange = open_exchange(
                f"http://127.0.0.1:{address[1]}", receive_window=timedelta(milliseconds=300)
            )
            exchange.market(Venue.PAPER).clock._sample = _measured(exchange)
            account = await exchange.account(Venue.PAPER, KEY)
            assert isinstance(await account.place(an_order()), NeverSent)
        finally:
            for filler in fillers:
                filler.close()


def _dial(address: Any) -> socket.socket:
    """Take a place in a listener's queue, so that later connections wait for one."""
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(address)
    return filler


def _measured(exchange: BinanceExchange) -> Any:
    from botwarden.exchange.clock import _Sample

    clock = exchange.market(Venue.PAPER).clock
    return _Sample(clock._clock.now(), clock._clock.monotonic(), 0.0)


async def test_too_late_is_never_sent(raw: RawVenue, account: BinanceAccount) -> None:
    """An order that has waited half the window is not begun any more."""
    order = an_order(intended_at=datetime.now(UTC) - timedelta(seconds=2.6))
    assert isinstance(await account.place(order), NeverSent)
    assert raw.seen(ORDER) == []


async def test_pause_is_never_sent(raw: RawVenue, account: BinanceAccount) -> None:
    """After a 429 the process sends nothing until the venue's time is over, orders included."""
    too_much = {"code": -1003, "msg": "Too much request weight used."}
    raw.next(ORDER, answer(too_much, status=429, headers={"Retry-After": "30"}))
    assert await account.place(an_order()) == Rejected(code=-1003, message="Too much request weight used.")
    exit_order = an_order(side=Side.SELL, client_order_id=f"{CLIENT_ID}-2")
    assert isinstance(await account.place(exit_order), NeverSent)
    assert len(raw.seen(ORDER)) == 1


async def test_too_many_orders_pause_the_account_only(
    raw: RawVenue, exchange: BinanceExchange, account: BinanceAccount
) -> None:
    """The order limit is the account's: its orders stop, the market goes on."""
    too_many = {"code": -1015, "msg": "Too many new orders."}
    raw.next(ORDER, answer(too_many, status=429, headers={"Retry-After": "30"}))
    raw.next("/api/v3/ticker/price", answer({"symbol": "BTCUSDT", "price": "100"}))
    assert await account.place(an_order()) == Rejected(code=-1015, message="Too many new orders.")
    assert isinstance(await account.place(an_order()), NeverSent)
    assert (await exchange.market(Venue.PAPER).price("BTCUSDT")).price_quote == 100


async def test_order_count_header_is_followed(raw: RawVenue, account: BinanceAccount) -> None:
    """When the venue says that the day's orders are used up, none is sent to find out."""
    raw.next(ORDER, answer(full_answer(), headers={"X-MBX-ORDER-COUNT-1D": "160000"}))
    assert isinstance(await account.place(an_order()), Executed)
    exit_order = an_order(side=Side.SELL, client_order_id=f"{CLIENT_ID}-2")
    assert isinstance(await account.place(exit_order), NeverSent)
    assert len(raw.seen(ORDER)) == 1


async def test_cancelled_place_gives_its_weight_back(
    raw: RawVenue, exchange: BinanceExchange, account: BinanceAccount
) -> None:
    """Whoever gives up waiting leaves no weight in flight behind."""
    arrived = anyio.Event()

    async def hold(_writer: object, _request: Request) -> None:
        arrived.set()
        await anyio.sleep_forever()

    raw.next(ORDER, hold)
    async with anyio.create_task_group() as group:
        group.start_soon(account.place, an_order())
        await arrived.wait()
        group.cancel_scope.cancel()
    assert exchange.market(Venue.PAPER).budget._in_flight == 0
