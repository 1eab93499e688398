"""No text that leaves the room holds a key, a secret or a signature."""

import logging
import traceback
from collections.abc import Callable

import pytest

from botwarden.errors import BotwardenError
from botwarden.exchange.account import BinanceAccount
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Unknown
from botwarden.trading.bot import Venue
from botwarden.trading.orders import NeverSent, Rejected
from tests.exchange.conftest import KEY
from tests.exchange.raw_venue import Doing, RawVenue, answer, half, reset, silence
from tests.exchange.samples import API_KEY, CREDENTIALS, SECRET, an_order

pytestmark = pytest.mark.anyio

#: A venue (or what pretends to be one) that quotes what it was sent.
QUOTING = {"code": -2014, "msg": f"API-key {API_KEY} with {SECRET} is invalid."}

FAULTS: dict[str, Doing] = {
    "quoted 401": answer(QUOTING, status=401),
    "quoted 500": answer(QUOTING, status=500),
    "quoted html": answer(f"<html>{API_KEY} {SECRET}</html>", status=502),
    "reset": reset,
    "half": half(QUOTING),
    "silence": silence,
}


def is_clean(text: str, raw: RawVenue) -> bool:
    """Whether nothing secret is in the text."""
    signatures = [(request.query | request.form).get("signature", SECRET) for request in raw.requests]
    return not any(secret in text for secret in (API_KEY, SECRET, *signatures))


@pytest.mark.parametrize("name", FAULTS)
async def test_texts_are_clean(
    raw: RawVenue,
    open_exchange: Callable[..., BinanceExchange],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """Outcomes, errors, tracebacks and logs at their most talkative keep the secrets."""
    caplog.set_level(logging.DEBUG)
    account = await open_exchange(raw.origin, request_timeout_s=0.2).account(Venue.PAPER, KEY)
    raw.always("/api/v3/order", FAULTS[name])
    raw.always("/api/v3/account", FAULTS[name])
    outcome = await account.place(an_order())
    assert isinstance(outcome, Rejected | Unknown | NeverSent)
    with pytest.raises(BotwardenError) as failure:
        await account.balances()
    texts = [repr(outcome), outcome.message, "".join(traceback.format_exception(failure.value)), caplog.text]
    texts += [*capsys.readouterr()]
    assert all(is_clean(text, raw) for text in texts)


async def test_reprs_are_closed(account: BinanceAccount, exchange: BinanceExchange) -> None:
    """Nothing that holds a secret shows it."""
    texts = [
        repr(CREDENTIALS),
        str(CREDENTIALS),
        f"{CREDENTIALS}",
        repr(account),
        repr(account._wire),
        repr(exchange),
    ]
    texts.append(repr(account._wire.open()))
    assert not any(API_KEY in text or SECRET in text for text in texts)
