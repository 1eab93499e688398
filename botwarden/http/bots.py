"""/bots: configurations of bots.

Whatever is stored has passed every rule as a whole: a new bot, and what a change makes of an old one.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec.structs import replace

from botwarden.errors import FieldError, Invalid, Missing, Refused
from botwarden.http.answers import Answer
from botwarden.http.auth import Asked
from botwarden.http.bodies import Body, Changes
from botwarden.http.cursor import USUAL, Cursor, Limit, page_of, read_cursor
from botwarden.http.dependencies import BASE_PATH, HttpDeps
from botwarden.http.idempotency import Once, provide_once
from botwarden.http.schemas import BotPage, BotView, NewBotBody, view_bot
from botwarden.http.telling import tell
from botwarden.persistence import bots
from botwarden.persistence.bots import Bot, LockWait, NewBot
from botwarden.persistence.database import Transaction
from botwarden.trading.bot import BotConfig, BotId, BotState, Venue
from botwarden.trading.instruments import Instrument
from botwarden.trading.strategies.registry import STRATEGIES
from botwarden.trading.validation import config_errors

#: What a position or an order, in flight or at rest, hangs on.
_TIED_TO_POSITION = ("symbol", "venue", "api_key_id")

_NO_SUCH_KEY = "there is no such API key of yours for this venue"

Filter = Annotated[str | None, QueryParameter(description="Only bots with exactly this.")]


@post("/", dto=Body[NewBotBody], return_dto=None, summary="Make a bot")
async def create_bot(
    request: Asked, data: JSONBody[NewBotBody], deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[BotView]:
    """Make a bot; it is stopped. Every field that breaks a rule is named."""
    known = await once.recall()
    if known is not None:
        return known.response()
    wish = await _checked(deps, msgspec.structs.asdict(data))
    made: list[BotState] = []

    async def effect(tx: Transaction) -> Answer:
        bot = await bots.create_bot(tx, request.user.user_id, wish)
        made.append(bot.state)
        return Answer.of(view_bot(bot), status=201)

    answer = await once.run(effect)
    await tell(deps, made)
    return answer.response()


@get("/", summary="List your bots")
async def list_bots(
    request: Asked,
    deps: NamedDependency[HttpDeps],
    *,
    status: Filter = None,
    symbol: Filter = None,
    strategy: Filter = None,
    cursor: Cursor = None,
    limit: Limit = USUAL,
) -> BotPage:
    """Return your bots in the order they were made."""
    after_id = read_cursor(cursor) or 0
    filters = {"status": status, "symbol": symbol, "strategy": strategy}
    if any(text is not None and "\0" in text for text in filters.values()):
        return BotPage(items=[], next_cursor=None)
    async with deps.database.read() as tx:
        found = await bots.list_bots(tx, request.user.user_id, **filters, after_id=after_id, limit=limit + 1)
    shown, next_cursor = page_of(found, limit, lambda bot: bot.config.id)
    return BotPage(items=[view_bot(bot) for bot in shown], next_cursor=next_cursor)


@get("/{bot_id:int}", summary="Show a bot")
async def read_bot(request: Asked, bot_id: FromPath[int], deps: NamedDependency[HttpDeps]) -> BotView:
    """Return a bot with its state."""
    async with deps.database.read() as tx:
        return view_bot(await bots.read_bot(tx, request.user.user_id, BotId(bot_id)))


@patch("/{bot_id:int}", dto=Changes[NewBotBody], return_dto=None, summary="Change a bot")
async def change_bot(
    request: Asked,
    bot_id: FromPath[int],
    data: JSONBody[dict[str, Any]],
    deps: NamedDependency[HttpDeps],
    once: NamedDependency[Once],
) -> Response[BotView]:
    """Change the given fields; the next evaluation goes by them.

    Another strategy comes with its own default parameters. Symbol, venue and API key cannot be changed
    while the bot holds a position, or an order is in flight or at rest (409).
    """
    known = await once.recall()
    if known is not None:
        return known.response()
    user_id = request.user.user_id
    async with deps.database.read() as tx:
        planned = await bots.read_bot(tx, user_id, BotId(bot_id))
    wish = await _checked(deps, _merged(planned.config, data))
    changed: list[BotState] = []

    async def effect(tx: Transaction) -> Answer:
        wait = LockWait(within_s=deps.settings.lock_wait_s)
        before, state = await bots.lock_bot(tx, user_id, BotId(bot_id), wait=wait)
        if before != planned.config:
            raise Refused("The bot was changed by another request at the same time: try again.")
        after = replace(before, **msgspec.structs.asdict(wish))
        _check_tied(before, after, state)
        config, state = await bots.update_config(tx, before, after, state)
        changed.append(state)
        return Answer.of(view_bot(Bot(config, state, planned.last_run_at)))

    answer = await once.run(effect)
    await tell(deps, changed, wakes=True)
    return answer.response()


@delete("/{bot_id:int}", status_code=204, summary="Delete a bot")
async def delete_bot(
    request: Asked, bot_id: FromPath[int], deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[None]:
    """Delete a stopped bot without a position; its trades stay in the books."""
    user_id = request.user.user_id
    deleted: list[BotState] = []

    async def effect(tx: Transaction) -> Answer:
        wait = LockWait(within_s=deps.settings.lock_wait_s)
        _, state = await bots.lock_bot(tx, user_id, BotId(bot_id), wait=wait)
        await bots.delete_bot(tx, state)
        deleted.append(state)
        return Answer(status=204)

    answer = await once.run(effect)
    for state in deleted:
        await deps.broadcast.publish_deleted(user_id, state.bot_id)
    return answer.response()


async def _checked(deps: HttpDeps, fields: Mapping[str, Any]) -> NewBot:
    """Return a configuration that breaks no rule. Raises `Invalid` with all that it breaks."""
    instrument = await _find(deps, fields["venue"], fields["symbol"])
    errors = config_errors(fields, instrument=instrument)
    if not 0 < fields["api_key_id"] < 2**63:
        errors.append(FieldError("api_key_id", _NO_SUCH_KEY))
    if errors:
        raise Invalid(*errors)
    params = STRATEGIES[fields["strategy"]].check(fields["strategy_params"])
    return NewBot(**{**fields, "strategy_params": params})


async def _find(deps: HttpDeps, venue: Venue, symbol: str) -> Instrument | None:
    try:
        return await deps.symbols.find(venue, symbol)
    except Missing:
        return None


def _merged(config: BotConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the configuration would be; another strategy comes with its own defaults."""
    fields = {name: getattr(config, name) for name in NewBot.__struct_fields__} | dict(changes)
    if fields["strategy"] != config.strategy and "strategy_params" not in changes:
        fields["strategy_params"] = {}
    return fields


def _check_tied(before: BotConfig, after: BotConfig, state: BotState) -> None:
    tied = [name for name in _TIED_TO_POSITION if getattr(before, name) != getattr(after, name)]
    if tied and (state.in_position or state.is_expecting):
        held = "a position is held, or an order is in flight or at rest"
        raise Refused(f"{', '.join(tied)}: not to be changed while {held}.")


router = Router(
    f"{BASE_PATH}/bots",
    route_handlers=[create_bot, list_bots, read_bot, change_bot, delete_bot],
    dependencies={"once": Provide(provide_once)},
    tags=["bots"],
)
