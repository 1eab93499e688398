"""Clients for the fetched tests: the real ones, with the paper exchange as their venue.

It is imported as their `conftest`, so the names are those that the tests ask for. The client's own classes
are told another address and to wait less for a last word when they close, and nothing else: everything that
the tests reach is unmodified.
"""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from binance.async_client import AsyncClient
from binance.base_client import BaseClient
from binance.client import Client
from binance.ws.reconnecting_websocket import ReconnectingWebsocket
from binance.ws.streams import BinanceSocketManager

_HTTP = os.environ["CONFORMANCE_URL"]
_WS = _HTTP.replace("http://", "ws://")

api_key = os.environ["CONFORMANCE_KEY"]
api_secret = os.environ["CONFORMANCE_SECRET"]
proxy = None
proxies: dict[str, str] = {}
testnet = True

BaseClient.API_TESTNET_URL = f"{_HTTP}/api"
BaseClient.WS_API_TESTNET_URL = f"{_WS}/ws-api/v3"
BinanceSocketManager.STREAM_TESTNET_URL = f"{_WS}/"
ReconnectingWebsocket.TIMEOUT = 2  # Ten seconds that nearly every test would wait out.


@pytest.fixture
def client() -> Iterator[Client]:
    """The synchronous client."""
    client = Client(api_key, api_secret, testnet=testnet)
    yield client
    client.session.close()


@pytest_asyncio.fixture  # type: ignore[untyped-decorator]  # the lint environment lacks the package
async def clientAsync() -> AsyncIterator[AsyncClient]:  # noqa: N802 - the name that the tests ask for
    """The asynchronous client, closed at the end."""
    client = AsyncClient(api_key, api_secret, testnet=testnet)
    yield client
    await client.close_connection()


def call_method_and_assert_uri_contains(
    client: Client, method_name: str, expected: str, *args: Any, **kwargs: Any
) -> None:
    """Call a method of the client; fail unless every address that it asked contains what is expected."""
    asked: list[str] = []
    listeners = client.session.hooks["response"]
    listeners.append(lambda answer, *_, **__: asked.append(answer.url))
    try:
        getattr(client, method_name)(*args, **kwargs)
    finally:
        listeners.pop()
    if not asked or not all(expected in address for address in asked):
        raise AssertionError(f"{method_name} asked {asked}, not {expected}")
