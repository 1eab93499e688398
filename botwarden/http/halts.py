"""/halt: the account's emergency brake, and /halt/all: everyone's, for administrators.

While a brake is on, no bot it holds starts or enters; exits go on. It stays on until it is released. Putting
one on is answered when no entry is on its way any more, or after ten seconds.
"""

from datetime import datetime

import msgspec
from litestar import Response, Router, delete, get, put
from litestar.di import NamedDependency, Provide

from botwarden.errors import Forbidden
from botwarden.http.answers import Answer
from botwarden.http.auth import Asked
from botwarden.http.dependencies import BASE_PATH, HttpDeps
from botwarden.http.idempotency import Once, provide_once
from botwarden.http.settling import no_entry_is_open
from botwarden.persistence import halts
from botwarden.persistence.database import Transaction
from botwarden.persistence.halts import EVERYONE
from botwarden.trading.bot import UserId


class HaltView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a brake is on."""

    halted: bool
    #: `account` or `everyone`: whose brake it is; null when none is on.
    scope: str | None
    #: Since when.
    set_at: datetime | None


@get("/", summary="Is the account halted?")
async def read_halt(request: Asked, deps: NamedDependency[HttpDeps]) -> HaltView:
    """Show the brake that holds the account: its own, else everyone's."""
    return await _read(deps, request.user.user_id)


@put("/", status_code=204, summary="Halt the account")
async def set_halt(
    request: Asked, deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[None]:
    """Let no bot of the account start or enter; exits go on."""
    return await _set(deps, once, request.user.user_id, set_by=request.user.user_id)


@delete("/", status_code=204, summary="Release the account")
async def clear_halt(request: Asked, once: NamedDependency[Once]) -> Response[None]:
    """Release the account's own brake; bots that were stopped stay so."""
    return await _clear(once, request.user.user_id)


@get("/all", summary="Is everyone halted?")
async def read_halt_of_all(request: Asked, deps: NamedDependency[HttpDeps]) -> HaltView:
    """Show everyone's brake. For administrators."""
    _check_admin(request)
    return await _read(deps, EVERYONE)


@put("/all", status_code=204, summary="Halt everyone")
async def set_halt_of_all(
    request: Asked, deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[None]:
    """Let no bot of anybody start or enter. For administrators."""
    _check_admin(request)
    return await _set(deps, once, EVERYONE, set_by=request.user.user_id)


@delete("/all", status_code=204, summary="Release everyone")
async def clear_halt_of_all(request: Asked, once: NamedDependency[Once]) -> Response[None]:
    """Release everyone's brake; accounts' own brakes stay. For administrators."""
    _check_admin(request)
    return await _clear(once, EVERYONE)


async def _read(deps: HttpDeps, user_id: UserId) -> HaltView:
    async with deps.database.read() as tx:
        halt = await halts.read_halt(tx, user_id)
    if halt is None:
        return HaltView(halted=False, scope=None, set_at=None)
    scope = "everyone" if halt.user_id == EVERYONE else "account"
    return HaltView(halted=True, scope=scope, set_at=halt.set_at)


async def _set(deps: HttpDeps, once: Once, user_id: UserId, *, set_by: UserId) -> Response[None]:
    async def effect(tx: Transaction) -> Answer:
        await halts.set_halt(tx, user_id, set_by=set_by)
        return Answer(status=204)

    answer = await once.run(effect)
    await no_entry_is_open(deps, user_id)
    return answer.response()


async def _clear(once: Once, user_id: UserId) -> Response[None]:
    async def effect(tx: Transaction) -> Answer:
        await halts.clear_halt(tx, user_id)
        return Answer(status=204)

    return (await once.run(effect)).response()


def _check_admin(request: Asked) -> None:
    if request.user.role != "admin":
        raise Forbidden("Only administrators can do this.")


router = Router(
    f"{BASE_PATH}/halt",
    route_handlers=[
        read_halt,
        set_halt,
        clear_halt,
        read_halt_of_all,
        set_halt_of_all,
        clear_halt_of_all,
    ],
    dependencies={"once": Provide(provide_once)},
    tags=["bots"],
)
