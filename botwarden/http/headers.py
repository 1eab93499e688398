"""Headers on every answer, errors included, that tell browsers what not to do with it.

What an answer says about itself is left alone.
"""

from collections.abc import Awaitable, Callable

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

from botwarden.http.dependencies import BASE_PATH

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}
_HTTPS = {"strict-transport-security": "max-age=31536000"}
_PRIVATE = {"cache-control": "no-store"}


def hardener(*, is_https: bool) -> Callable[[Message, Scope], Awaitable[None]]:
    """Return a hook that completes the headers of each answer."""
    everywhere = _ALWAYS | (_HTTPS if is_https else {})

    async def harden(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        present = MutableScopeHeaders.from_message(message)
        wanted = everywhere | _PRIVATE if scope["path"].startswith(BASE_PATH) else everywhere
        for name, value in wanted.items():
            present.setdefault(name, value)

    return harden
