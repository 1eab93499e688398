"""Start, stop, close, and stop everything: an owner's wishes, each one a transaction that its bot obeys.

Once a stop has been answered, no order leaves for the bot until it is started again: what was intended
before is waited for, and nothing is intended after.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from litestar import Response, Router, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, QueryParameter

from botwarden.errors import Locked, Missing, Refused
from botwarden.http.answers import Answer
from botwarden.http.auth import Asked
from botwarden.http.dependencies import BASE_PATH, HttpDeps
from botwarden.http.idempotency import Once, provide_once
from botwarden.http.settling import is_settled
from botwarden.http.telling import tell
from botwarden.persistence import bots, halts
from botwarden.persistence.bots import Bot, LockWait
from botwarden.persistence.database import Transaction
from botwarden.persistence.transitions import Transition, share_reset_lock, write_transitions
from botwarden.trading import machine
from botwarden.trading.bot import BotConfig, BotId, BotState, UserId
from botwarden.trading.decisions import CloseRequested, Decision, StartRequested, StopRequested

#: So many bots are stopped in one transaction.
_BATCH = 200
#: So many bots that stayed locked are named in an answer.
_NAMED = 50

Command = StartRequested | StopRequested | CloseRequested


class _Target(NamedTuple):
    """One bot, as its owner may reach it."""

    user_id: UserId
    bot_id: BotId


class Obeyed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done."""

    message: str
    bot_config_id: int
    #: Only after a stop, and only if true: an order was still in flight, or at rest; it will be settled.
    order_in_flight: bool = False


class StoppedAll(msgspec.Struct, frozen=True, kw_only=True):
    """How many bots this request stopped, and how many positions are being sold."""

    stopped: int
    closing: int


@post("/{bot_id:int}/start", status_code=200, summary="Start a bot")
async def start_bot(
    request: Asked, bot_id: FromPath[int], deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[Obeyed]:
    """Start a bot, or leave one that runs as it is; 409 while the account is halted."""
    command = StartRequested(at=deps.clock.now())
    who = _Target(request.user.user_id, BotId(bot_id))
    answer, _ = await _obey(deps, once, who, command, "Bot started")
    return answer.response()


@post("/{bot_id:int}/stop", status_code=200, summary="Stop a bot")
async def stop_bot(
    request: Asked, bot_id: FromPath[int], deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[Obeyed]:
    """Stop a bot; a position is kept.

    Waits at most ten seconds for an order in flight, and until what rests at the exchange is cancelled.
    """
    command = StopRequested(at=deps.clock.now())
    who = _Target(request.user.user_id, BotId(bot_id))
    answer, state = await _obey(deps, once, who, command, "Bot stopped")
    if state is not None and state.is_expecting:
        in_flight = not await is_settled(deps, state)
        answer = Answer.of(Obeyed(message="Bot stopped", bot_config_id=bot_id, order_in_flight=in_flight))
        await once.keep(answer)
    return answer.response()


@post("/{bot_id:int}/close-position", status_code=202, summary="Sell the position and stop")
async def close_position(
    request: Asked, bot_id: FromPath[int], deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[Obeyed]:
    """Sell the position at market, then stop; works on a stopped bot, and a later stop withdraws it."""
    command = CloseRequested(at=deps.clock.now())
    who = _Target(request.user.user_id, BotId(bot_id))
    answer, _ = await _obey(deps, once, who, command, "Position is being closed", status=202)
    return answer.response()


@post("/stop-all", status_code=202, summary="Stop every bot")
async def stop_all(
    request: Asked,
    deps: NamedDependency[HttpDeps],
    once: NamedDependency[Once],
    close_positions: Annotated[bool, QueryParameter(description="Also sell every position.")] = False,
) -> Response[StoppedAll]:
    """Stop every bot of the account; those whose position is sold stop when it is sold."""
    async with once.undertake() as known:
        answer = known or await _stop_every(deps, once, request.user.user_id, sells=close_positions)
    return answer.response()


async def _stop_every(deps: HttpDeps, once: Once, user_id: UserId, *, sells: bool) -> Answer:
    stopped, closing, after_id = 0, 0, 0
    held: list[BotId] = []
    while True:
        async with deps.database.read() as tx:
            page = await bots.list_bots(tx, user_id, after_id=after_id, limit=_BATCH)
        if not page:
            break
        told, locked = await _stop_page(deps, once, page, sells=sells)
        stopped += sum(isinstance(command, StopRequested) for command in told)
        closing += sum(isinstance(command, CloseRequested) for command in told)
        held += locked
        after_id = page[-1].config.id
        await once.go_on()
    if held:
        names = ", ".join(map(str, held[:_NAMED])) + (", …" if len(held) > _NAMED else "")
        raise Locked(f"{len(held)} bots are locked and were not stopped: {names}. Try again.")
    answer = Answer.of(StoppedAll(stopped=stopped, closing=closing), status=202)
    await once.keep(answer)
    return answer


async def _apply(
    tx: Transaction, deps: HttpDeps, bot: _Target, command: Command
) -> tuple[BotState, BotState]:
    """Carry out a command under the bot's lock; return the state before and after it."""
    wait = LockWait(within_s=deps.settings.lock_wait_s)
    config, before = await bots.lock_bot(tx, bot.user_id, bot.bot_id, wait=wait)
    decision = machine.decide(config, before, command, instrument=None)
    await check_halt(tx, before, decision.state)
    return before, await bots.save_bot(tx, before, decision)


async def check_halt(tx: Transaction, before: BotState, after: BotState) -> None:
    """Raise `Refused` when this starts a bot of an account that is halted."""
    ran = before.is_active and before.halted_by is None
    runs = after.is_active and after.halted_by is None
    if runs and not ran and await halts.read_halt(tx, before.user_id) is not None:
        raise Refused("The account is halted: release the halt before starting a bot.")


async def _obey(
    deps: HttpDeps,
    once: Once,
    bot: _Target,
    command: Command,
    message: str,
    *,
    status: int = 200,
) -> tuple[Answer, BotState | None]:
    """Return the answer and, if anything was done for it now, the bot's state."""
    done: list[tuple[BotState, BotState]] = []

    async def effect(tx: Transaction) -> Answer:
        done.append(await _apply(tx, deps, bot, command))
        in_flight = isinstance(command, StopRequested) and done[-1][1].is_expecting
        obeyed = Obeyed(message=message, bot_config_id=bot.bot_id, order_in_flight=in_flight)
        return Answer.of(obeyed, status=status, runs_on_for_s=deps.settings.stop_wait_s if in_flight else 0.0)

    answer = await once.run(effect)
    await tell(deps, [after for before, after in done if after != before], wakes=True)
    return answer, done[-1][1] if done else None


async def _stop_page(
    deps: HttpDeps, once: Once, page: Sequence[Bot], *, sells: bool
) -> tuple[list[Command], list[BotId]]:
    """Stop bots; return what each was told that had anything to do, and whose rows stayed locked.

    All of them at once, and then one by one those whose rows somebody else was changing.
    """
    planned = {bot.config.id: _plan(deps, bot.config, bot.state, sells=sells) for bot in page}
    befores = {bot.config.id: bot.state for bot in page}
    moving = {bot_id: plan for bot_id, plan in planned.items() if plan is not None}
    written = await _write(deps, [_transition(befores[it], decision) for it, (_, decision) in moving.items()])
    told = [moving[bot_id][0] for bot_id in written]
    held: list[BotId] = []
    for bot_id in sorted(moving.keys() - written.keys()):
        try:
            told += await _stop_one(deps, befores[bot_id].user_id, bot_id, sells=sells)
        except Missing:
            continue
        except Locked:
            held.append(bot_id)
            await once.go_on()
    return told, held


async def _write(deps: HttpDeps, transitions: Sequence[Transition]) -> dict[BotId, BotState]:
    """Write what can be written at once, and tell of it."""
    try:
        async with deps.database.begin() as tx:
            await share_reset_lock(tx)
            written = await write_transitions(tx, transitions)
    except Locked:
        return {}
    await tell(deps, list(written.values()), wakes=True)
    return written


async def _stop_one(deps: HttpDeps, user_id: UserId, bot_id: BotId, *, sells: bool) -> list[Command]:
    wait = LockWait(within_s=deps.settings.lock_wait_s)
    async with deps.database.begin() as tx:
        config, before = await bots.lock_bot(tx, user_id, bot_id, wait=wait)
        plan = _plan(deps, config, before, sells=sells)
        if plan is None:
            return []
        command, decision = plan
        after = await bots.save_bot(tx, before, decision)
    await tell(deps, [after], wakes=True)
    return [command]


def _plan(
    deps: HttpDeps, config: BotConfig, state: BotState, *, sells: bool
) -> tuple[Command, Decision] | None:
    """Return what the bot is told and what follows; None when nothing does."""
    now = deps.clock.now()
    holds = state.in_position or state.open_order_number is not None
    command = CloseRequested(at=now) if sells and holds else StopRequested(at=now)
    decision = machine.decide(config, state, command, instrument=None)
    return None if decision.state == state else (command, decision)


def _transition(before: BotState, decision: Decision) -> Transition:
    return Transition(
        before=before,
        after=decision.state,
        cause=decision.cause,
        kind=decision.kind,
        message=decision.message,
    )


router = Router(
    f"{BASE_PATH}/bots",
    route_handlers=[start_bot, stop_bot, close_position, stop_all],
    dependencies={"once": Provide(provide_once)},
    tags=["bots"],
)
