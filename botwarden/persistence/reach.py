"""Which database is meant, and why it cannot be used, in words for whoever set it up. Never the password.

Callers of the API are told less: the messages of `Database` do not say where it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError

from botwarden.errors import Refused, Unavailable
from botwarden.persistence.database import driver_url


def place(url: str) -> str:
    """Return host and name of a database: `database app at db.example:5432`.

    Raises:
        Refused: it is no such URL.
    """
    parsed = _parsed(url)
    hosts = parsed.host or parsed.query.get("host") or "the local socket"
    where = hosts if isinstance(hosts, str) else ", ".join(hosts)
    port = f":{parsed.port}" if parsed.host and parsed.port else ""
    return f"database {parsed.database or parsed.username or ''} at {where}{port}"


@contextmanager
def saying_which(url: str) -> Iterator[None]:
    """Let what fails inside say which database it is about, and what the server or the network said."""
    password = _parsed(url).password
    try:
        yield
    except Unavailable as error:
        why = _cause(error)
        if password:
            why = why.replace(password, "********")
        raise Unavailable(f"The {place(url)} cannot be used: {why}.") from None


def _parsed(url: str) -> URL:
    try:
        return driver_url(url)
    except (ArgumentError, ValueError):
        raise Refused(
            "This is no database URL (postgresql://user:password@host:port/name; what is not a letter or a "
            "digit in user and password must be written as %XX)."
        ) from None


def _cause(error: BaseException) -> str:
    """Return the first line of what began it."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, TimeoutError):
        return "it does not answer"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
