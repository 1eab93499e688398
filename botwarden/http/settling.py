"""Waiting, for a while, until what is on its way to an exchange has been settled.

A stop and a brake are obeyed from their commit on; what was intended before may still be executed, so
their answers wait for it. Each look is a connection of its own: nobody who waits holds one.
"""

from collections.abc import Awaitable, Callable

from botwarden.http.dependencies import HttpDeps
from botwarden.persistence import bots, open_orders
from botwarden.trading.bot import BotState, UserId

#: How often the rows are looked at.
_LOOK_EVERY_S = 0.05


async def is_settled(deps: HttpDeps, stopped: BotState) -> bool:
    """Wait for what a stopped bot still expects; return whether it was settled in time."""

    async def look() -> bool:
        async with deps.database.read() as tx:
            states = await bots.read_states(tx, [stopped.bot_id])
        return not states or states[0].is_active or not states[0].is_expecting

    return await _in_time(deps, look)


async def no_entry_is_open(deps: HttpDeps, user_id: UserId) -> bool:
    """Wait for the entries of a user, or of everyone; return whether all were settled in time."""

    async def look() -> bool:
        async with deps.database.read() as tx:
            return await open_orders.count_entries(tx, user_id) == 0

    return await _in_time(deps, look)


async def _in_time(deps: HttpDeps, holds: Callable[[], Awaitable[bool]]) -> bool:
    give_up_at = deps.clock.monotonic() + deps.settings.stop_wait_s
    while not await holds():
        if deps.stopping.is_set() or deps.clock.monotonic() >= give_up_at:
            return False
        await deps.clock.sleep(_LOOK_EVERY_S)
    return True
