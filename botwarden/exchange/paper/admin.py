"""The client of the paper exchange's admin endpoints, for who makes accounts or orders faults there."""

from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from botwarden.errors import Missing, Refused, Unavailable
from botwarden.exchange.paper.admin_rest import HEADER
from botwarden.exchange.paper.expiry import Cause
from botwarden.exchange.paper.fault_events import How
from botwarden.exchange.paper.fault_plan import Fault, Stage
from botwarden.exchange.paper.reports import Cut

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

    # Faults

    async def add_fault(self, fault: Fault) -> str:
        """Schedule a fault; returns its name.

        Raises:
            Refused: there is a fault of this name, or it is not understood.
            Unavailable: no answer.
        """
        added = await self._ask("POST", "/paper/faults", msgspec.to_builtins(fault))
        return str(added["name"])

    async def faults(self) -> list[dict[str, Any]]:
        """Return every fault with what it has caught so far.

        Raises:
            Unavailable: no answer.
        """
        listed: list[dict[str, Any]] = (await self._ask("GET", "/paper/faults", None))["faults"]
        return listed

    async def wait_for_fault(
        self, name: str, *, stage: Stage = "caught", count: int = 1, within_s: float = 60.0
    ) -> dict[str, Any]:
        """Return the fault once so many calls have come so far; `reached` tells whether they have in time.

        Raises:
            Missing: no such fault, or it was cleared meanwhile.
            Unavailable: no answer.
        """
        path = f"/paper/faults/{name}?stage={stage}&count={count}&within_s={within_s}"
        shown: dict[str, Any] = await self._ask("GET", path, None, patience_s=within_s)
        return shown

    async def release_fault(self, name: str) -> None:
        """Let the calls that the fault holds now go on.

        Raises:
            Missing: no such fault.
            Unavailable: no answer.
        """
        await self._ask("POST", f"/paper/faults/{name}/release", None)

    async def clear_faults(self, name: str | None = None) -> None:
        """Take one fault away, or all; calls that it holds go on.

        Raises:
            Missing: no such fault.
            Unavailable: no answer.
        """
        await self._ask("DELETE", "/paper/faults" if name is None else f"/paper/faults/{name}", None)

    async def end_streams(
        self, on: str = "*", *, how: How = "close", code: int = 1001, reason: str = ""
    ) -> int:
        """End the connections that have a stream like this at once; returns how many there were.

        Raises:
            Refused: the code cannot be sent.
            Unavailable: no answer.
        """
        body = {"on": on, "how": how, "code": code, "reason": reason}
        return int((await self._ask("POST", "/paper/streams/end", body))["ended"])

    async def end_subscriptions(self, api_key: str, *, how: Cut = "terminated") -> int:
        """End the user data of a key while the connections stay; returns how many subscriptions there were.

        Raises:
            Missing: no such key.
            Unavailable: no answer.
        """
        body = {"api_key": api_key, "how": how}
        return int((await self._ask("POST", "/paper/subscriptions/end", body))["ended"])

    async def set_clock(self, *, offset_ms: float, drift_ppm: float = 0.0) -> None:
        """Let the exchange's clock be so far ahead, or behind below zero, and drift.

        Raises:
            Unavailable: no answer.
        """
        await self._ask("POST", "/paper/clock", {"offset_ms": offset_ms, "drift_ppm": drift_ppm})

    async def change_symbols(
        self, symbol: str = "*", *, expire_orders: bool = False, liquidity: int | None = None, **wish: str
    ) -> list[dict[str, Any]]:
        """Change `status`, `tick`, `step`, `min_notional`, `liquidity`, `reach` or `beyond` of symbols.

        Returns how they are now. The usual liquidity is 100, the usual reach "1".

        Raises:
            Missing: no such symbol.
            Refused: not understood.
            Unavailable: no answer.
        """
        body = {**wish, "expire_orders": expire_orders, "liquidity": liquidity}
        changed: list[dict[str, Any]] = (await self._ask("POST", f"/paper/symbols/{symbol}", body))["symbols"]
        return changed

    async def delist(self, symbol: str) -> None:
        """Let a symbol be unknown from now on; its open orders expire.

        Raises:
            Missing: no such symbol.
            Unavailable: no answer.
        """
        await self._ask("DELETE", f"/paper/symbols/{symbol}", None)

    async def end_orders(
        self, api_key: str, symbol: str, *, order_id: int | None = None, cause: Cause = "exchange"
    ) -> list[int]:
        """End an open order of a key, or all that it has of a symbol; returns their ids.

        Raises:
            Missing: no such key or symbol, or no such open order.
            Unavailable: no answer.
        """
        body = {"api_key": api_key, "symbol": symbol, "order_id": order_id, "cause": cause}
        ended: list[int] = (await self._ask("POST", "/paper/orders/end", body))["ended"]
        return ended

    async def change_balance(self, api_key: str, asset: str, change: str) -> str:
        """Add to what an account has free, or take away (below zero); returns what is free then.

        Raises:
            Missing: no such key.
            Refused: not so much is free.
            Unavailable: no answer.
        """
        body = {"api_key": api_key, "asset": asset, "change": change}
        return str((await self._ask("POST", "/paper/balances", body))["free"])

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, path: str, body: Any, *, patience_s: float = 0.0) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={HEADER: self._token},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        limit = aiohttp.ClientTimeout(total=TIMEOUT_S + patience_s)
        try:
            async with self._session.request(
                method, self._base_url + path, json=body, timeout=limit
            ) as answer:
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
