"""Word of what a request committed: after the commit, never before it."""

from collections.abc import Sequence

from botwarden.http.dependencies import HttpDeps
from botwarden.persistence.broadcast import StateChanged
from botwarden.trading.bot import BotState


async def tell(deps: HttpDeps, states: Sequence[BotState], *, wakes: bool = False) -> None:
    """Tell the owner's watchers of committed states, and with `wakes` whoever holds the bots."""
    if not states:
        return
    await deps.broadcast.publish_states([StateChanged.of(state) for state in states])
    if wakes:
        await deps.broadcast.publish_wake([state.bot_id for state in states])
