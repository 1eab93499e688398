"""The client of the paper exchange's admin endpoints, for who makes accounts there."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from botwarden.errors import Missing, Refused, Unavailable
from botwarden.exchange.paper.admin_rest import HEADER

TIMEOUT_S = 10.0


class PaperAdmin:
    """One paper exchange, seen by the house."""

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        """Return a text without the token."""
        return f"PaperAdmin({self._base_url!r})"

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def register(
        self, api_key: str, secret_key: str, balances: Mapping[str, str] | None = None
    ) -> None:
        """Make the account of a key; nothing happens when it is there.

        Raises:
            Refused: the key exists with another secret, or the exchange does not take it.
            Unavailable: no answer.
        """
        body = {"api_key": api_key, "secret_key": secret_key, "balances": balances}
        await self._ask("POST", "/paper/accounts", body)

    async def reset(self, api_key: str, balances: Mapping[str, str] | None = None) -> None:
        """Let the account begin again with these balances; its orders stay readable.

        Raises:
            Missing: no such key.
            Unavailable: no answer.
        """
        await self._ask("POST", "/paper/accounts/reset", {"api_key": api_key, "balances": balances})

    async def status(self) -> dict[str, Any]:
        """Return where the market stands.

        Raises:
            Unavailable: no answer.
        """
        answer: dict[str, Any] = await self._ask("GET", "/paper/status", None)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={HEADER: self._token},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            async with self._session.request(method, self._base_url + path, json=body) as answer:
                said = await answer.json(content_type=None)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as failed:
            raise Unavailable(f"the paper exchange does not answer ({type(failed).__name__})") from None
        if status < HTTPStatus.BAD_REQUEST:
            return said
        message = str(said.get("error", "")) if isinstance(said, dict) else ""
        if status == HTTPStatus.NOT_FOUND:
            raise Missing(message)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"the paper exchange failed (status {status})")
        raise Refused(f"the paper exchange refuses: {message}")
