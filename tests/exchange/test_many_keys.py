"""Many keys share sockets, and nothing else."""

import hashlib
import hmac
from urllib.parse import urlencode

import anyio
import anyio.lowlevel
import pytest

from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Credentials
from botwarden.exchange.venues import VenueUrls
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from tests.exchange.raw_venue import RawVenue, answer
from tests.exchange.samples import an_order

pytestmark = pytest.mark.anyio

REFUSAL = {"code": -2010, "msg": "Account has insufficient balance for requested action."}


def credentials_of(api_key_id: int) -> Credentials:
    """Return what the vault holds for a key."""
    return Credentials(api_key=f"key-{api_key_id}", secret_key=f"secret-{api_key_id}")


async def test_keys_never_mix(raw: RawVenue) -> None:
    """Orders of many keys at once each carry their own key and its signature."""

    async def open_secret(api_key_id: ApiKeyId) -> Credentials:
        await anyio.lowlevel.checkpoint()
        return credentials_of(api_key_id)

    raw.always("/api/v3/order", answer(REFUSAL, status=400))
    urls = VenueUrls(rest=f"{raw.origin}/api", stream="ws://127.0.0.1:9")
    exchange = BinanceExchange({Venue.PAPER: urls}, open_secret, SystemClock())

    async def trade(api_key_id: int) -> None:
        account = await exchange.account(Venue.PAPER, ApiKeyId(api_key_id))
        await account.place(an_order())

    async with anyio.create_task_group() as group:
        for api_key_id in range(60):
            group.start_soon(trade, api_key_id)
    await exchange.close()

    sent = raw.seen("/api/v3/order")
    assert {request.headers["x-mbx-apikey"] for request in sent} == {f"key-{number}" for number in range(60)}
    for request in sent:
        secret = request.headers["x-mbx-apikey"].replace("key", "secret")
        unsigned = urlencode({name: value for name, value in request.form.items() if name != "signature"})
        signature = hmac.new(secret.encode(), unsigned.encode(), hashlib.sha256).hexdigest()
        assert request.form["signature"] == signature
    assert len(raw.seen("/api/v3/time")) == 1
