"""What goes wrong between us and the databases, named by what the caller should do about it."""

from botwarden.errors import BotwardenError, Unavailable


class Doubtful(Unavailable):
    """The connection was lost while committing: whether it was committed is not known."""


class Deadlocked(Unavailable):
    """The database ended this transaction to resolve a deadlock: nothing was changed, try again."""


class SecretUnreadable(BotwardenError):  # noqa: N818 - reads as an answer, like the families in botwarden.errors
    """The stored secret cannot be decrypted: its key is not among ours, or it is damaged."""
