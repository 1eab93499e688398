"""Requests that a browser sends on its own: cookies alone never change anything.

An unsafe request by cookie needs the CSRF token in a header. It is derived from the session's token, so a
page of another origin, which can make a browser send the cookie but cannot read it, does not know it; and
a cookie that somebody planted beside it does not help.
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

from botwarden.errors import Forbidden

COOKIE = "csrftoken"
HEADER = "x-csrftoken"

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def csrf_token(token: str) -> str:
    """Return the CSRF token that belongs to a session's token."""
    digest = hmac.digest(token.encode(), b"botwarden csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:24]).decode()


def csrf_cookie(token: str, *, max_age_s: int, is_secure: bool) -> Cookie:
    """Return the cookie from which our own pages read the CSRF token."""
    value = csrf_token(token) if token else ""
    return Cookie(
        COOKIE, value=value, path="/", max_age=max_age_s, httponly=False, samesite="lax", secure=is_secure
    )


def check_csrf(headers: Mapping[str, str], token: str) -> None:
    """Raise `Forbidden` unless the header carries the CSRF token of this session."""
    given = headers.get(HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_token(token).encode()):
        raise Forbidden(f"A request by cookie needs the CSRF token: send the {COOKIE} cookie as {HEADER}.")


def check_origin(headers: Mapping[str, str], allowed: Collection[str]) -> None:
    """Raise `Forbidden` when a page of another origin sent this.

    For log-in and registration, where there is no session yet. Clients that are no browsers name no
    origin.
    """
    origin = headers.get("origin")
    if origin is not None and origin in allowed:
        return
    site = headers.get("sec-fetch-site")
    is_foreign = origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    if site not in ("same-origin", "none") if site is not None else is_foreign:
        raise Forbidden("Pages of other origins cannot do this.")
