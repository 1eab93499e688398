"""What goes wrong between us and a venue, named by what it means for the bots that need it.

None of these texts ever holds a key, a secret or a signature.
"""

from botwarden.errors import BotwardenError, Unavailable


class UnreadableSecret(BotwardenError):  # noqa: N818 - reads as an answer, like the families in botwarden.errors
    """The stored exchange key cannot be decrypted with the present encryption key."""


class ClientFailed(BotwardenError):  # noqa: N818 - reads as an answer, like the families in botwarden.errors
    """The exchange client could not be made from this key."""


class NotConnected(Unavailable):
    """No connection to the venue could be made: not one byte of the request left."""


class NoBudget(Unavailable):
    """The venue's rate limits leave no room for this request now: it was not sent."""


class NoAnswer(Unavailable):
    """The request left, but no whole answer came back."""


class VenueRefused(Unavailable):
    """The venue answered that it will not do this."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the venue refused: {code} {message}")
        #: The venue's own code; 0 when it gave none.
        self.code = code
