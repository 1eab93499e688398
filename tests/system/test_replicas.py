"""Several replicas behave as one: any answers for all, and who goes hands over."""

import secrets
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from chaos.world import Replica, until
from tests.system.fleet import PATIENCE_S, Fleet, Hired, followed, together, trades
from tests.system.watcher import Watcher

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(180)]


async def hold_by(fleet: Fleet, replica: Replica, **changes: Any) -> Hired:
    """Return a bot that this replica holds."""
    while True:
        bot = await fleet.hire(**changes)
        if await fleet.holder(bot) is replica:
            return bot
        fleet.bots.remove(bot)


async def test_any_replica_serves_any_request(fleet):
    """What one replica answers takes effect on a bot that runs in another, whose state every stream shows."""
    await fleet.serve_both()
    here, there = fleet.world.replicas
    bot = await hold_by(fleet, there)
    await fleet.start(bot, at=here)
    for replica in (here, there):
        await followed(fleet.client(replica), {bot.id}, trades(2))
    await fleet.ask("PUT", f"/bot-states/{bot.id}", {"daily_trades_count": 0}, at=here)
    await followed(fleet.client(there), {bot.id}, trades(1))
    await fleet.ask("POST", f"/bots/{bot.id}/stop", at=here)
    known = len(await fleet.venue_orders(bot))
    for replica in (here, there):
        shown = await fleet.ask("GET", f"/bot-states/{bot.id}", at=replica)
        assert shown["status"] == "stopped"
    if shown["in_position"]:
        await fleet.ask("POST", f"/bots/{bot.id}/close-position", at=here)
        await followed(fleet.client(there), {bot.id}, lambda state: not state["in_position"])
    assert len(await fleet.venue_orders(bot)) == known + shown["in_position"]


async def test_who_is_told_to_end_finishes_or_hands_over(fleet):
    """SIGTERM with an order in flight: the process ends with 0, the order is booked once, the bot goes on."""
    await fleet.serve_both()
    bot = await fleet.hire()
    async with fleet.fault(bot, held=True, waits="after") as order:
        await fleet.start(bot)
        await order.reached("executed")
        holder = await fleet.holder(bot)
        holder.terminate()
        assert await until(partial(_has_ended, holder), within_s=PATIENCE_S)
        assert holder.exit_code == 0
    await fleet.until(trades(3))
    await fleet.check_books()


async def test_a_sleeper_that_wakes_up_changes_nothing(fleet):
    """A replica that was frozen until others took its bots commits nothing and orders nothing any more."""
    await fleet.serve_both()
    await fleet.watch_commits()
    sleeper = fleet.world.replicas[0]
    bots = [await hold_by(fleet, sleeper) for _ in range(3)]
    await together(*(partial(fleet.start, bot) for bot in bots))
    await fleet.until(trades(1))
    sleeper.freeze()
    assert await until(partial(fleet.holds_all, fleet.other(sleeper)), within_s=PATIENCE_S)
    taken_over = max([state["daily_trades_count"] for state in (await fleet.states()).values()])
    sleeper.thaw()
    await fleet.until(trades(taken_over + 3))
    await fleet.check_books()
    assert await fleet.superseded_commits() == 0


async def test_a_rolling_restart_loses_no_state_and_fails_no_request(fleet):
    """Each replica is ended and started again; who asks twice is answered, and streams go on."""
    await fleet.serve_both()
    await together(*[fleet.hire] * 4)
    await together(*(partial(fleet.start, bot) for bot in fleet.bots))
    refused: list[str] = []
    watchers = [Watcher(fleet, at) for at in range(len(fleet.world.replicas))]
    async with anyio.create_task_group() as watching:
        for watcher in watchers:
            watching.start_soon(watcher.watch)
        async with anyio.create_task_group() as knocking:
            knocking.start_soon(_knock, fleet, refused)
            for replica in fleet.world.replicas:
                replica.terminate()
                assert await until(partial(_has_ended, replica), within_s=PATIENCE_S)
                assert replica.exit_code == 0
                await fleet.serve_both()
            knocking.cancel_scope.cancel()
        await fleet.until(trades(3))
        await together(*(partial(fleet.ask, "POST", f"/bots/{bot.id}/stop") for bot in fleet.bots))
        for watcher in watchers:
            await watcher.sees_the_truth()
        watching.cancel_scope.cancel()
    assert refused == []
    await fleet.check_books()


async def _knock(fleet: Fleet, refused: list[str]) -> None:
    """Ask for something again and again, each time at most twice: at one replica, then at the other."""
    turn = 0
    while True:
        bot = fleet.bots[turn % len(fleet.bots)]
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        answers = []
        for attempt in range(2):
            replica = fleet.world.replicas[(turn + attempt) % 2]
            try:
                async with fleet.client(replica) as client:
                    answer = await client.put(
                        f"/bot-states/{bot.id}", json={"last_error_message": f"knock {turn}"}, headers=headers
                    )
                    answers.append(f"{answer.status_code} {answer.text[:200]}")
            except httpx.TransportError as error:
                answers.append(repr(error))
            if answers[-1].startswith("200"):
                break
        else:
            refused.append(" / ".join(answers))
        turn += 1


async def _has_ended(replica: Replica) -> bool:
    return replica.exit_code is not None
