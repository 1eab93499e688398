"""The lines that lead from one replica to everything else: database, Redis and exchange."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from botwarden.settings import Settings
from chaos.line import Line, line_to_postgres, line_to_redis


class Network:
    """What one replica reaches the world through."""

    def __init__(self, settings: Settings) -> None:
        self.postgres, self._postgres_url = line_to_postgres(settings.database_url)
        self.redis, self._redis_url = line_to_redis(settings.redis_url)
        exchange = urlsplit(settings.paper_url)
        self.exchange = Line((str(exchange.hostname), exchange.port or 80))
        self._lines = (self.postgres, self.redis, self.exchange)

    @property
    def environment(self) -> dict[str, str]:
        """The settings that lead through the lines."""
        return {
            "BOTWARDEN_DATABASE_URL": self._postgres_url(),
            "BOTWARDEN_REDIS_URL": self._redis_url(),
            "BOTWARDEN_PAPER_URL": f"http://127.0.0.1:{self.exchange.port}",
        }

    def silence(self) -> None:
        """Swallow everything in both directions; connections stand."""
        for line in self._lines:
            line.silence()

    def speak(self) -> None:
        """Go on."""
        for line in self._lines:
            line.speak()

    async def open(self) -> None:
        """Lead everywhere."""
        for line in self._lines:
            await line.open()

    async def close(self) -> None:
        """Lead nowhere any more."""
        for line in self._lines:
            await line.cut()


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Network]:
    """Yield lines to where the settings lead; they are cut at the end."""
    network = Network(settings)
    try:
        await network.open()
        yield network
    finally:
        await network.close()
