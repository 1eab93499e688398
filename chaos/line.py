"""A line to a server that can be cut, silenced, led elsewhere, and overheard."""

import asyncio
from collections.abc import Callable

from redis.asyncio.connection import parse_url
from sqlalchemy import make_url

#: A host and port, or the path of a socket.
Target = tuple[str, int] | str


class Line:
    """Forwards connections to a server, on a loopback port of its own, for as long as it is open."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        #: What was read while this was not set waits here: nobody is told anything, nobody hears anything.
        self._speaks = asyncio.Event()
        self._speaks.set()
        self.port = 0
        #: How long everything that is said is on its way.
        self.delay_s = 0.0
        #: Looks at what clients send, after it was forwarded; true cuts that connection off from its answers.
        self.deafen: Callable[[bytes], bool] = lambda _sent: False

    async def open(self) -> None:
        """Accept connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse new connections and end the present ones."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def silence(self) -> None:
        """Hold back all that is said: connections stand, new ones are taken, and nobody answers."""
        self._speaks.clear()

    def speak(self) -> None:
        """Say what was held back, and go on."""
        self._speaks.set()

    async def lead_to(self, target: Target) -> None:
        """End the present connections; new ones get to another server."""
        self._target = target
        await self.cut()
        await self.open()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._writers.add(to_client)
        try:
            await self._speaks.wait()
            server, to_server = await _connect(self._target)
        except OSError:
            self._writers.discard(to_client)
            to_client.transport.abort()
            return
        self._writers.add(to_server)
        deaf = asyncio.Event()
        try:
            await asyncio.gather(
                self._pump(client, to_server, deaf, listens=True), self._pump(server, to_client, deaf)
            )
        except OSError:
            pass
        finally:
            self._writers -= {to_client, to_server}
            to_client.close()
            to_server.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        deaf: asyncio.Event,
        *,
        listens: bool = False,
    ) -> None:
        while data := await source.read(65536):
            await self._speaks.wait()
            await asyncio.sleep(self.delay_s)
            if listens and self.deafen(data):
                deaf.set()
            if not listens and deaf.is_set():
                raise ConnectionResetError
            sink.write(data)
            await sink.drain()
        await self._speaks.wait()  # Nobody hears of an end either.
        raise ConnectionResetError


async def _connect(target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(target, str):
        return await asyncio.open_unix_connection(target)
    return await asyncio.open_connection(*target)


def line_to_redis(url: str) -> tuple[Line, Callable[[], str]]:
    """Return a line to the server of `url`, and how to get the URL that leads through it."""
    parsed = parse_url(url)
    line = Line(parsed["path"] if "path" in parsed else (parsed["host"], parsed.get("port", 6379)))
    login = f"{parsed.get('username', '')}:{parsed['password']}@" if "password" in parsed else ""
    return line, lambda: f"redis://{login}127.0.0.1:{line.port}/{parsed.get('db', 0)}"


def line_to_postgres(url: str) -> tuple[Line, Callable[[], str]]:
    """Return a line to the server of `url`, and how to get the URL that leads through it."""
    parsed = make_url(url)
    line = Line(postgres_target(url))

    def through() -> str:
        direct = parsed.set(host="127.0.0.1", port=line.port, query={})
        return direct.render_as_string(hide_password=False)

    return line, through


def postgres_target(url: str) -> Target:
    """Return where the server of `url` listens."""
    parsed = make_url(url)
    host = str(parsed.query.get("host", parsed.host or "127.0.0.1"))
    port = parsed.port or 5432
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
