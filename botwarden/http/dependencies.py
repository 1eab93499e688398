"""What the API needs of its surroundings: built by the composition root, handed to `create_app`.

Nothing in this room reads an environment variable or opens a connection of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import msgspec
from litestar.di import Provide

from botwarden.exchange.port import Exchange
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.persistence.vault import Vault
from botwarden.runtime import Clock

#: Every resource lives below this path.
BASE_PATH = "/api/v1"


class PaperAccounts(Protocol):
    """The paper exchange's administration; see `exchange.paper.admin`."""

    async def register(self, api_key: str, secret_key: str) -> None:
        """Open an account; the same pair again changes nothing.

        Raises:
            Refused: the key exists with another secret.
            Unavailable: the paper exchange does not answer.
        """
        ...

    async def reset(self, api_key: str, balances: Mapping[str, str] | None = None) -> None:
        """Start an account again with these balances. Raises `Missing`, `Unavailable`."""
        ...


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decides about the API."""

    #: Whether anybody may make an account.
    registration_open: bool = True
    #: How long a token is good.
    token_hours: float = 24 * 7
    #: Whether cookies go over TLS only; to be set wherever the API is reached by https.
    secure_cookies: bool = False
    #: Other origins whose pages may call the API: https://dash.example.org
    cors_origins: tuple[str, ...] = ()
    #: Silence on a stream is broken after this.
    heartbeat_s: float = 15.0
    #: Opens /metrics to those who are not on this machine.
    metrics_token: str | None = None
    #: A locked row is asked for again so long, then the answer is 423.
    lock_wait_s: float = 2.0
    #: A stop waits so long for an order in flight.
    stop_wait_s: float = 10.0
    #: So many requests of one user run at a time; more are refused with 429.
    requests_at_once: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDeps:
    """Doors to everything that a handler may touch."""

    database: Database
    broadcast: Broadcast
    cache: JsonCache
    vault: Vault
    exchange: Exchange
    symbols: SymbolCatalogue
    #: None where this installation has no paper exchange.
    paper_admin: PaperAccounts | None
    clock: Clock
    #: Set when the server goes away: streams end, new requests are refused.
    stopping: anyio.Event
    settings: HttpSettings = field(default_factory=HttpSettings)


def always(thing: object) -> Provide:
    """Return a provider of one and the same thing."""

    def provide() -> Any:
        return thing

    return Provide(provide, sync_to_thread=False)
