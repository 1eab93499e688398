"""/auth: accounts, tokens and passwords.

Whether an address has an account is not to be learned here, neither from an answer nor from its time, but
by registering it.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from botwarden.errors import FieldError, Forbidden, Invalid, Unauthorized
from botwarden.http import csrf, tokens
from botwarden.http.auth import OPEN, Asked
from botwarden.http.bodies import Body
from botwarden.http.dependencies import BASE_PATH, HttpDeps
from botwarden.http.limits import Throttle, address_of
from botwarden.http.tokens import Sessions
from botwarden.persistence import passwords, users
from botwarden.persistence.users import User

_EMAIL = re.compile(r"[!-?A-~]{1,64}@[!-?A-~]{1,189}", re.ASCII)
_SHORTEST_PASSWORD, _LONGEST_PASSWORD = 8, 256


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Who somebody is, and the proof."""

    email: str
    password: Annotated[str, Meta(description="8 to 256 characters.")]


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True):
    """A new password, and the proof that one may set it."""

    current_password: str
    new_password: Annotated[str, Meta(description="8 to 256 characters.")]


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account that was just made."""

    id: int
    email: str
    created_at: datetime


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's account."""

    id: int
    email: str
    #: `user` or `admin`.
    role: str
    created_at: datetime


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be sent as `Authorization: Bearer ...`."""

    access_token: str
    token_type: str
    #: Seconds.
    expires_in: int


@post("/register", dto=Body[Credentials], return_dto=None, opt=OPEN, summary="Make an account")
async def register(
    request: Request[Any, Any, Any],
    data: JSONBody[Credentials],
    deps: NamedDependency[HttpDeps],
    throttle: NamedDependency[Throttle],
) -> NewAccount:
    """Make an account; it does not log in. 403 where this is switched off, 409 for an address in use."""
    csrf.check_origin(request.headers, deps.settings.cors_origins)
    if not deps.settings.registration_open:
        raise Forbidden("Registration is closed here.")
    _check_new(data)
    await throttle.registration(address_of(request))
    password_hash = await passwords.hash_password(data.password)
    async with deps.database.begin() as tx:
        user = await users.create_user(tx, data.email, password_hash)
    return NewAccount(id=user.id, email=user.email, created_at=user.created_at)


@post("/login", status_code=200, dto=Body[Credentials], return_dto=None, opt=OPEN, summary="Log in")
async def login(
    request: Request[Any, Any, Any],
    data: JSONBody[Credentials],
    deps: NamedDependency[HttpDeps],
    throttle: NamedDependency[Throttle],
) -> Response[Token]:
    """Return a token, also as a cookie; `csrftoken` is what unsafe requests by cookie send as x-csrftoken."""
    csrf.check_origin(request.headers, deps.settings.cors_origins)
    email, address = data.email.lower(), address_of(request)
    await throttle.attempt(email, address)
    user = await _verified(deps, email, data.password)
    if user is None:
        raise Unauthorized("Wrong address or password.")
    token, lifetime_s = tokens.new_token(), round(deps.settings.token_hours * 3600)
    expires_at = deps.clock.now() + timedelta(seconds=lifetime_s)
    async with deps.database.begin() as tx:
        # The password may have been changed, and all tokens ended, since it was looked at.
        if (await users.lock_user(tx, user.id)).password_hash != user.password_hash:
            raise Unauthorized("Wrong address or password.")
        await users.create_session(tx, user.id, tokens.hash_token(token), expires_at)
    await throttle.succeeded(email, address)
    granted = Token(access_token=token, token_type="bearer", expires_in=lifetime_s)  # noqa: S106 - the scheme's name
    is_secure = deps.settings.secure_cookies
    return Response(
        granted,
        cookies=[
            tokens.token_cookie(token, max_age_s=lifetime_s, is_secure=is_secure),
            csrf.csrf_cookie(token, max_age_s=lifetime_s, is_secure=is_secure),
        ],
    )


@post("/logout", status_code=204, summary="Log out")
async def logout(
    request: Asked, deps: NamedDependency[HttpDeps], sessions: NamedDependency[Sessions]
) -> Response[None]:
    """End the token that came with this request, everywhere."""
    async with deps.database.begin() as tx:
        await users.delete_session(tx, request.user.token_hash)
    await sessions.revoke([request.user.token_hash])
    is_secure = deps.settings.secure_cookies
    return Response(
        None,
        status_code=204,
        cookies=[
            tokens.token_cookie("", max_age_s=0, is_secure=is_secure),
            csrf.csrf_cookie("", max_age_s=0, is_secure=is_secure),
        ],
    )


@get("/me", summary="Who am I?")
async def read_me(request: Asked) -> AccountView:
    """Return the caller's account."""
    caller = request.user
    return AccountView(id=caller.user_id, email=caller.email, role=caller.role, created_at=caller.created_at)


@post("/password", status_code=204, dto=Body[PasswordChange], return_dto=None, summary="Change the password")
async def change_password(
    request: Asked,
    data: JSONBody[PasswordChange],
    deps: NamedDependency[HttpDeps],
    sessions: NamedDependency[Sessions],
    throttle: NamedDependency[Throttle],
) -> None:
    """Set a new password and end every other token of the account."""
    caller, address = request.user, address_of(request)
    if errors := _password_errors("new_password", data.new_password):
        raise Invalid(*errors)
    await throttle.attempt(caller.email, address)
    user = await _verified(deps, caller.email, data.current_password)
    if user is None:
        raise Invalid(FieldError("current_password", "is wrong"))
    password_hash = await passwords.hash_password(data.new_password)
    async with deps.database.begin() as tx:
        if (await users.lock_user(tx, user.id)).password_hash != user.password_hash:
            raise Invalid(FieldError("current_password", "is wrong"))
        await users.set_password(tx, user.id, password_hash)
        ended = await users.delete_sessions(tx, user.id, keep=caller.token_hash)
    await throttle.succeeded(caller.email, address)
    await sessions.revoke(ended)


async def _verified(deps: HttpDeps, email: str, password: str) -> User | None:
    """Return the account if this is its password; the work is the same when there is none."""
    async with deps.database.read() as tx:
        user = await users.find_user_by_email(tx, email)
    is_right = await passwords.verify_password(None if user is None else user.password_hash, password)
    return user if is_right and user is not None and not user.is_disabled else None


def _check_new(data: Credentials) -> None:
    errors = _password_errors("password", data.password)
    if not _EMAIL.fullmatch(data.email):
        errors.insert(0, FieldError("email", "must be an e-mail address"))
    if errors:
        raise Invalid(*errors)


def _password_errors(field: str, password: str) -> list[FieldError]:
    if _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        return []
    return [FieldError(field, f"must be {_SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters")]


router = Router(
    f"{BASE_PATH}/auth",
    route_handlers=[register, login, logout, read_me, change_password],
    tags=["accounts"],
)
