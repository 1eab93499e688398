"""python-binance, bent to the order protocol. The only importer of python-binance, itself imported late.

The library signs and sends. What it would decide by itself is taken from it: time stamp and recvWindow
are set here at the moment of signing, per request, in the very parameters that are sent; answers of any
status come back as values; redirects are never followed, so a request goes out once and to one place.
"""

import logging
from collections.abc import Callable
from typing import Any

import aiohttp
from binance import AsyncClient

from botwarden.exchange.port import Credentials
from botwarden.exchange.venues import VenueUrls
from botwarden.exchange.wire import PINNED_TIMESTAMP, Answer

# The library logs whole requests when it is asked to be verbose. It never is, whatever the root logger says.
logging.getLogger("binance").setLevel(logging.WARNING)


class VenueClient(AsyncClient):  # type: ignore[misc]  # the library ships no types
    """One key's requests (or, without credentials, nobody's) on a connector shared with others."""

    def __init__(
        self,
        urls: VenueUrls,
        credentials: Credentials | None,
        *,
        connector: aiohttp.BaseConnector,
        venue_now_ms: Callable[[], int],
        receive_window_ms: int,
        timeout: aiohttp.ClientTimeout,
    ) -> None:
        self.API_URL = urls.rest
        self.WS_API_URL = urls.ws_api
        self._venue_now_ms = venue_now_ms
        self._receive_window_ms = receive_window_ms
        super().__init__(
            **_key_arguments(credentials),
            session_params={
                "connector": connector,
                "connector_owner": False,
                "cookie_jar": aiohttp.DummyCookieJar(),
            },
            requests_params={"allow_redirects": False, "timeout": timeout},
        )

    async def get_catalogue(self) -> Answer:
        """GET exchangeInfo without the permission sets, which are most of its bytes."""
        answer: Answer = await self._get("exchangeInfo", data={"showPermissionSets": "false"})
        return answer

    async def get_order_list(self, **parameters: Any) -> Answer:
        """GET orderList, which the library does not have."""
        answer: Answer = await self._get("orderList", True, data=parameters)
        return answer

    def subscription_parameters(self) -> dict[str, Any]:
        """Return what subscribes this key to its user data on a connection that has no session, signed.

        Source: Binance spot API, WebSocket API, userDataStream.subscribe.signature.
        """
        parameters: dict[str, Any] = {
            "apiKey": self.API_KEY,
            "recvWindow": self._receive_window_ms,
            "timestamp": self._venue_now_ms(),
        }
        return parameters | {"signature": self._generate_ws_api_signature(parameters)}

    async def close(self) -> None:
        """Close the session. The library's own way also waits for a WebSocket API that was never opened."""
        await self.session.close()

    def _generate_signature(self, data: dict[str, Any], uri_encode: bool = True) -> str:
        # `data` is the dict that is sent: whatever the library has put in is replaced here.
        pinned_ms = data.pop(PINNED_TIMESTAMP, None)
        data["timestamp"] = self._venue_now_ms() if pinned_ms is None else pinned_ms
        data["recvWindow"] = self._receive_window_ms
        signature: str = super()._generate_signature(data, uri_encode)
        return signature

    async def _handle_response(self, response: aiohttp.ClientResponse) -> Answer:
        return Answer(response.status, response.headers, await response.read())


def _key_arguments(credentials: Credentials | None) -> dict[str, str]:
    if credentials is None:
        return {}
    # A PEM of two or three lines: the library guesses its kind by its length, so nothing superfluous stays.
    secret = "\n".join(line.strip() for line in credentials.secret_key.strip().splitlines())
    kind = "private_key" if secret.startswith("-----BEGIN") else "api_secret"
    return {"api_key": credentials.api_key, kind: secret}
