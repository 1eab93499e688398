"""/api-keys: key pairs of the exchange. A secret comes in once and never goes out again.

A pair for the paper exchange is registered there first, so that a key that is stored can be used.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Annotated, Any

import anyio
import msgspec
from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from botwarden.errors import FieldError, Invalid, Refused, Unavailable
from botwarden.exchange.errors import ClientFailed, UnreadableSecret, VenueRefused
from botwarden.exchange.paper.security import is_api_key
from botwarden.exchange.port import Balance
from botwarden.http.answers import Answer
from botwarden.http.auth import Asked
from botwarden.http.bodies import Body
from botwarden.http.dependencies import BASE_PATH, HttpDeps, PaperAccounts
from botwarden.http.idempotency import Once, provide_once
from botwarden.http.numbers import decimal_of, plain
from botwarden.persistence import api_keys, bots
from botwarden.persistence.api_keys import ApiKeyView
from botwarden.persistence.bots import LockWait
from botwarden.persistence.database import Transaction
from botwarden.persistence.errors import SecretUnreadable
from botwarden.trading.bot import ApiKeyId, BotId, BotState, UserId, Venue
from botwarden.trading.validation import name_errors

_KEY = re.compile(r"[!-~]{1,256}", re.ASCII)
_ASSET = re.compile(r"[A-Z0-9]{1,20}", re.ASCII)
_LARGEST_BALANCE = Decimal("1E15")

#: The paper exchange is asked while rows are locked: it has to be quick.
_PAPER_WITHIN_S = 1.5
_VENUE_WITHIN_S = 10.0
_SCAN = 500


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair of the exchange."""

    label: Annotated[str, Meta(description="1 to 100 characters.")]
    venue: Venue
    api_key: str
    secret_key: str


class PaperReset(msgspec.Struct, frozen=True, kw_only=True):
    """What the account starts again with."""

    balances: Annotated[
        dict[str, Any] | None, Meta(description='Amounts by asset: {"USDT": 1000}; null for the usual ones.')
    ] = None


class ApiKeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Your keys, in the order they were stored."""

    items: list[ApiKeyView]


class BalanceList(msgspec.Struct, frozen=True, kw_only=True):
    """Every asset with something free or locked."""

    items: list[Balance]


@post("/", dto=Body[NewApiKey], return_dto=None, summary="Store a key pair")
async def create_api_key(
    request: Asked, data: JSONBody[NewApiKey], deps: NamedDependency[HttpDeps], once: NamedDependency[Once]
) -> Response[ApiKeyView]:
    """Store a key pair, encrypted. A pair for `paper` opens an account at the paper exchange."""
    _check(data)
    known = await once.recall()
    if known is not None:
        return known.response()
    if data.venue is Venue.PAPER:
        await _register(_paper(deps), data)

    async def effect(tx: Transaction) -> Answer:
        stored = await api_keys.create_api_key(
            tx, deps.vault, request.user.user_id, **msgspec.structs.asdict(data)
        )
        return Answer.of(stored, status=201)

    return (await once.run(effect)).response()


@get("/", summary="List your key pairs")
async def list_api_keys(request: Asked, deps: NamedDependency[HttpDeps]) -> ApiKeyList:
    """Return the keys with hints only."""
    async with deps.database.read() as tx:
        return ApiKeyList(items=await api_keys.list_api_keys(tx, request.user.user_id))


@delete("/{api_key_id:int}", status_code=204, summary="Delete a key pair")
async def delete_api_key(
    request: Asked, api_key_id: FromPath[int], once: NamedDependency[Once]
) -> Response[None]:
    """Delete a key pair; 409 while a bot uses it."""

    async def effect(tx: Transaction) -> Answer:
        await api_keys.delete_api_key(tx, request.user.user_id, ApiKeyId(api_key_id))
        return Answer(status=204)

    return (await once.run(effect)).response()


@get("/{api_key_id:int}/balances", summary="Show what the account holds")
async def read_balances(
    request: Asked, api_key_id: FromPath[int], deps: NamedDependency[HttpDeps]
) -> BalanceList:
    """Ask the venue; 409 when it refuses the key, 503 when it does not answer."""
    async with deps.database.read() as tx:
        key = await api_keys.read_api_key(tx, request.user.user_id, ApiKeyId(api_key_id))
    with _named_for_owner():
        with anyio.move_on_after(_VENUE_WITHIN_S):
            account = await deps.exchange.account(key.venue, key.id)
            try:
                return BalanceList(items=list(await account.balances()))
            finally:
                with anyio.CancelScope(shield=True):
                    await account.close()
    raise Unavailable("The venue does not answer.")


@post(
    "/{api_key_id:int}/paper-reset",
    status_code=204,
    dto=Body[PaperReset],
    return_dto=None,
    summary="Start a paper account again",
)
async def reset_paper_account(
    request: Asked,
    api_key_id: FromPath[int],
    deps: NamedDependency[HttpDeps],
    once: NamedDependency[Once],
    data: JSONBody[PaperReset | None] = None,
) -> Response[None]:
    """Start the account again with these balances; 409 while a bot of it runs or holds a position.

    So it is whichever of the keys that were stored for the account the bot uses.
    """
    balances = _balances(None if data is None else data.balances)

    async def effect(tx: Transaction) -> Answer:
        user_id = request.user.user_id
        key = await api_keys.read_api_key(tx, user_id, ApiKeyId(api_key_id))
        if key.venue is not Venue.PAPER:
            raise Refused("Only an account at the paper exchange can start again.")
        with _named_for_owner():
            api_key, _ = await api_keys.open_api_key(tx, deps.vault, key.id)
        for owner_id, twin_id in await api_keys.list_twins(tx, deps.vault, key.venue, api_key):
            await _hold_idle(tx, owner_id, twin_id, LockWait(within_s=deps.settings.lock_wait_s))
        async with _answering():
            await _paper(deps).reset(api_key, balances)
        return Answer(status=204)

    return (await once.run(effect)).response()


def _check(data: NewApiKey) -> None:
    errors = list(name_errors("label", data.label))
    errors.extend(
        FieldError(name, "must be 1 to 256 letters, digits and signs, without spaces")
        for name in ("api_key", "secret_key")
        if not _KEY.fullmatch(getattr(data, name))
    )
    if data.venue is Venue.PAPER and not errors and not is_api_key(data.api_key):
        errors.append(FieldError("api_key", "of the paper exchange must be letters, digits, - and _"))
    if errors:
        raise Invalid(*errors)


def _paper(deps: HttpDeps) -> PaperAccounts:
    if deps.paper_admin is None:
        raise Invalid(FieldError("venue", "this installation has no paper exchange"))
    return deps.paper_admin


async def _register(paper: PaperAccounts, data: NewApiKey) -> None:
    async with _answering():
        await paper.register(data.api_key, data.secret_key)


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """Give the paper exchange a moment to answer."""
    try:
        with anyio.fail_after(_PAPER_WITHIN_S):
            yield
    except TimeoutError:
        raise Unavailable("The paper exchange does not answer.") from None


@contextmanager
def _named_for_owner() -> Iterator[None]:
    """Say what is wrong with a key in words for its owner."""
    try:
        yield
    except (UnreadableSecret, SecretUnreadable):
        raise Refused("The stored key cannot be decrypted: delete it and store it again.") from None
    except VenueRefused as refused:
        raise Refused(f"The venue refused the key: {refused.code}.") from None
    except ClientFailed:
        raise Refused("The exchange client could not be made from this key.") from None


async def _hold_idle(tx: Transaction, user_id: UserId, api_key_id: ApiKeyId, wait: LockWait) -> None:
    """Lock the bots that use the key: none of them starts meanwhile. Raises `Refused` if one is at work."""
    after_id = 0
    while page := await bots.list_bots(tx, user_id, after_id=after_id, limit=_SCAN):
        for bot in page:
            if bot.config.api_key_id == api_key_id:
                _check_idle(bot.state)
                _, state = await bots.lock_bot(tx, user_id, BotId(bot.config.id), wait=wait)
                _check_idle(state)
        after_id = page[-1].config.id


def _check_idle(state: BotState) -> None:
    if state.is_active:
        raise Refused("A bot of this account runs: stop it first.")
    if state.in_position:
        raise Refused("A bot of this account holds a position: close it first.")
    if state.is_expecting:
        raise Refused("An order of this account is in flight or at rest: try again when it is settled.")


def _balances(given: dict[str, Any] | None) -> dict[str, str] | None:
    if given is None:
        return None
    read: dict[str, str] = {}
    errors = []
    for asset, value in given.items():
        amount = decimal_of(value)
        if not _ASSET.fullmatch(asset):
            errors.append(
                FieldError(f"balances.{asset[:40]}", "is no asset: 1 to 20 capital letters and digits")
            )
        elif amount is None or not 0 <= amount < _LARGEST_BALANCE:
            errors.append(FieldError(f"balances.{asset}", "must be a number that is not negative"))
        else:
            read[asset] = plain(amount)
    if errors:
        raise Invalid(*errors)
    return read


router = Router(
    f"{BASE_PATH}/api-keys",
    route_handlers=[create_api_key, list_api_keys, delete_api_key, read_balances, reset_paper_account],
    dependencies={"once": Provide(provide_once)},
    tags=["api keys"],
)
