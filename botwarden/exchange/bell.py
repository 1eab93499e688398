"""A bell between those who want something and the one who fetches it."""

import anyio


class Bell:
    """Wakes one waiter; rings that nobody heard are kept, as one."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake the waiter, or the next one to come."""
        self._rung.set()

    async def wait(self) -> None:
        """Return after the next ring, or at once if there was one."""
        await self._rung.wait()
        self._rung = anyio.Event()
