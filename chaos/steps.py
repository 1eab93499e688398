"""Where in the order protocol a replica can be struck, and how: it dies, or it wakes up too late."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

#: The environment variable that carries a `Strike` to a replica.
VARIABLE = "CHAOS_STRIKE"
#: The one that carries the process which a replica shall not outlive.
PARENT = "CHAOS_PARENT"


class Step(StrEnum):
    """Moments in the life of an order, in their order."""

    BEFORE_INTENT = "before-intent-commit"
    #: COMMIT has left for the database, its answer has not been read.
    INTENT_COMMITTING = "intent-commit-sent"
    INTENT_COMMITTED = "intent-committed"
    #: The request has left for the exchange, its answer has not been read.
    SENT = "order-sent"
    ANSWERED = "order-answered"
    BEFORE_SETTLEMENT = "before-settlement-commit"
    SETTLEMENT_COMMITTING = "settlement-commit-sent"
    SETTLED = "settlement-committed"


class Blow(StrEnum):
    """What is done to the process."""

    KILL = "kill"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Strike:
    """Strike when the step is reached for the nth time (from 1)."""

    step: Step
    nth: int
    blow: Blow

    def __str__(self) -> str:
        return f"{self.step}:{self.nth}:{self.blow}"

    @classmethod
    def parse(cls, word: str) -> Self:
        """Return what `str` made a word of. Raises `ValueError`."""
        step, nth, blow = word.split(":")
        return cls(Step(step), int(nth), Blow(blow))
