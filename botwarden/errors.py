"""Families of expected failures, named by what the caller should do about them.

Everything that is not one of these is a bug: it crashes its actor, and the supervisor decides.
Which HTTP status a family becomes is known only to `botwarden.http.problems`.
"""


class BotwardenError(Exception):
    """Something expected went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)


class FieldError(BotwardenError):
    """One field of the input breaks a rule."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        #: Name of the field as the caller wrote it; dotted for nested input.
        self.field = field
        self.message = message


class Invalid(BotwardenError):  # noqa: N818 - the families read as answers, not as errors
    """The input breaks a rule: fix it and ask again."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        #: Every field that breaks a rule; never empty.
        self.errors = errors


class Missing(BotwardenError):  # noqa: N818
    """Not there, or not yours."""


class Unauthorized(BotwardenError):  # noqa: N818
    """No, bad or expired credentials."""


class Forbidden(BotwardenError):  # noqa: N818
    """You are known, but this is not for you."""


class Refused(BotwardenError):  # noqa: N818
    """The present state does not allow it."""


class Stale(BotwardenError):  # noqa: N818
    """The thing has changed since you read it."""


class Locked(BotwardenError):  # noqa: N818
    """Another transaction holds the row: nothing was changed, try again."""


class TooMany(BotwardenError):  # noqa: N818
    """More requests than allowed: wait and try again."""

    def __init__(self, message: str | None = None, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(BotwardenError):  # noqa: N818
    """Something this needs is away: try again later."""
