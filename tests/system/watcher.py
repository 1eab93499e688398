"""A client of the status stream, as a page would be one."""

from contextlib import suppress

import httpx

from chaos.world import until
from tests.system.fleet import PATIENCE_S, Fleet, State


class Watcher:
    """A client of the status stream that comes back with what it saw last, to whoever answers."""

    def __init__(self, fleet: Fleet, first: int = 0) -> None:
        self._fleet = fleet
        self._at = first
        self.versions: dict[int, int] = {}

    async def watch(self) -> None:
        """Watch for ever."""
        last_id = ""
        while True:
            replica = self._fleet.world.replicas[self._at % len(self._fleet.world.replicas)]
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with suppress(httpx.TransportError):
                async with (
                    self._fleet.client(replica) as client,
                    client.stream("GET", "/bots/status-stream", headers=headers) as stream,
                ):
                    async for line in stream.aiter_lines():
                        if line.startswith("id: "):
                            last_id = line[4:]
                        elif line.startswith("data: "):
                            self._see(httpx.Response(200, content=line[6:]).json())
            self._at += 1

    async def sees_the_truth(self) -> None:
        """Return when what was seen last of each bot is its newest state; nothing may change meanwhile."""
        truth = {bot: state["version"] for bot, state in (await self._fleet.states()).items()}

        async def is_true() -> bool:
            return self.versions == truth

        assert await until(is_true, within_s=PATIENCE_S), (self.versions, truth)

    def _see(self, state: State) -> None:
        if "version" in state:
            assert state["version"] >= self.versions.get(state["id"], 0)
            self.versions[state["id"]] = state["version"]
