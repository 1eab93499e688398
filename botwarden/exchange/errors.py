"""Why an exchange account could not be opened. Each is a status of the bots that need it, not a crash."""

from botwarden.errors import BotwardenError


class UnreadableSecret(BotwardenError):
    """The stored exchange key cannot be decrypted with the present encryption key."""


class ClientFailed(BotwardenError):
    """The exchange client could not be made from this key."""
