"""What holds a bot back, and how its status may change because of that.

A graver status is never painted over by a calmer one: neither a stop by its owner, nor a halt by the
system, nor a disturbance that has not passed.
"""

from msgspec.structs import replace

from botwarden.trading.bot import BotState, HaltedBy, Status

#: Halts by a daily limit: no entries, exits go on.
PAUSES: frozenset[str] = frozenset({Status.PAUSED_MAX_TRADES, Status.PAUSED_MAX_LOSS, Status.PAUSED_TARGET})

#: Something outside is away. It passes, and then the status is left.
DISTURBANCES: frozenset[str] = frozenset(
    {Status.ERROR_KEY_DECRYPT, Status.ERROR_KEYS_MISSING, Status.ERROR_CLIENT, Status.ERROR_PRICE}
)

#: The longest message that a state keeps.
_LONGEST_MESSAGE = 500


def is_paused(state: BotState) -> bool:
    """Return whether a daily limit holds the bot: it does not enter, but it still leaves on a signal."""
    return state.halted_by is HaltedBy.SYSTEM and state.status in PAUSES


def is_quarantined(state: BotState) -> bool:
    """Return whether the system halted the bot for another reason: only its guard works.

    So it is after too many crashes and after an unexplained order, and from the day's turn on when the
    bot may not be reactivated.
    """
    return state.halted_by is HaltedBy.SYSTEM and state.status not in PAUSES


def show(state: BotState, status: Status) -> BotState:
    """Return the state with `status`, unless something graver is to be seen.

    A bot that nobody has adopted yet stays stopped or pending: only its adoption leaves that.
    """
    graver = (
        not state.is_active
        or state.halted_by is HaltedBy.SYSTEM
        or state.status in DISTURBANCES
        or state.status in (Status.ERROR_ORDER_REJECTED, Status.STOPPED, Status.PENDING)
    )
    return state if graver else replace(state, status=status)


def short(message: str) -> str:
    """Return the message, cut to what a state keeps."""
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
