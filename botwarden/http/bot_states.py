"""/bot-states: the state of a bot as a versioned resource.

A PUT changes exactly the fields given, under the bot's lock: it is never lost to, and never undoes, what
the running bot commits at the same moment. With `If-Match` it also refuses to change what its caller has
not seen.
"""

from typing import Any

import msgspec
from litestar import Response, Router, get, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody

from botwarden.errors import Stale
from botwarden.http.answers import Answer
from botwarden.http.auth import Asked
from botwarden.http.bodies import Fields
from botwarden.http.bot_commands import check_halt
from botwarden.http.dependencies import BASE_PATH, HttpDeps
from botwarden.http.idempotency import Once, provide_once
from botwarden.http.schemas import StateChanges, StateView, view_state
from botwarden.http.settling import is_settled
from botwarden.http.telling import tell
from botwarden.persistence import bots
from botwarden.persistence.bots import LockWait
from botwarden.persistence.database import Transaction
from botwarden.trading import machine
from botwarden.trading.bot import BotId, BotState, Status
from botwarden.trading.decisions import StatePut


class _Versioned(msgspec.Struct):
    version: int


@get("/{bot_config_id:int}", summary="Show a state")
async def read_state(
    request: Asked, bot_config_id: FromPath[int], deps: NamedDependency[HttpDeps]
) -> Response[StateView]:
    """Return the state; its version is the ETag."""
    async with deps.database.read() as tx:
        bot = await bots.read_bot(tx, request.user.user_id, BotId(bot_config_id))
    answer = Answer.of(view_state(bot.config, bot.state, bot.last_run_at))
    return answer.response({"etag": _etag(bot.state.version)})


@put("/{bot_config_id:int}", dto=Fields[StateChanges], return_dto=None, summary="Change a state")
async def put_state(
    request: Asked,
    bot_config_id: FromPath[int],
    data: JSONBody[dict[str, Any]],
    deps: NamedDependency[HttpDeps],
    once: NamedDependency[Once],
) -> Response[StateView]:
    """Change the given fields; return the whole state.

    The position may be changed only while the bot is stopped and no order is in flight (409). `status`
    accepts `stopped` (as stop, which waits at most ten seconds for an order in flight) and `pending` (as
    start).
    """
    user_id, bot_id = request.user.user_id, BotId(bot_config_id)
    command = StatePut(changes=data, at=deps.clock.now())
    condition = request.headers.get("if-match")
    done: list[tuple[BotState, BotState]] = []

    def waits(after: BotState) -> bool:
        return data.get("status") == Status.STOPPED and after.is_expecting

    async def effect(tx: Transaction) -> Answer:
        wait = LockWait(within_s=deps.settings.lock_wait_s)
        config, before = await bots.lock_bot(tx, user_id, bot_id, wait=wait)
        if condition is not None and not _matches(condition, before.version):
            raise Stale(f"The state is at version {before.version} now.")
        decision = machine.decide(config, before, command, instrument=None)
        await check_halt(tx, before, decision.state)
        after = await bots.save_bot(tx, before, decision, adjustments=True)
        done.append((before, after))
        last_run_at = (await bots.read_bot(tx, user_id, bot_id)).last_run_at
        shown = view_state(config, after, last_run_at)
        return Answer.of(shown, runs_on_for_s=deps.settings.stop_wait_s if waits(after) else 0.0)

    answer = await once.run(effect)
    await tell(deps, [after for before, after in done if after != before], wakes=True)
    if done and waits(done[-1][1]):
        await is_settled(deps, done[-1][1])
        async with deps.database.read() as tx:
            bot = await bots.read_bot(tx, user_id, bot_id)
        answer = Answer.of(view_state(bot.config, bot.state, bot.last_run_at))
        await once.keep(answer)
    if answer.status != 200:
        return answer.response()
    version = msgspec.json.decode(answer.body, type=_Versioned).version
    return answer.response({"etag": _etag(version)})


def _etag(version: int) -> str:
    return f'"{version}"'


def _matches(condition: str, version: int) -> bool:
    """Return whether If-Match names this version, or any.

    A weak tag counts: intermediaries that compress make strong tags weak, and ours name a version exactly.
    """
    tags = [tag.strip() for tag in condition.split(",")]
    return any(tag == "*" or tag.removeprefix("W/").strip('"') == str(version) for tag in tags)


router = Router(
    f"{BASE_PATH}/bot-states",
    route_handlers=[read_state, put_state],
    dependencies={"once": Provide(provide_once)},
    tags=["bot state"],
)
