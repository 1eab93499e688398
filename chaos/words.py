"""What a run of chaos is asked for: `SECONDS=1800 SEED=7`, on the command line or in the environment."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAMES = ("SECONDS", "SEED")


class WrongWord(ValueError):  # noqa: N818 - what was said, not what failed
    """A word that nobody can do anything with; says which and what is meant instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How long, and which blows."""

    seconds: float
    seed: int

    @classmethod
    def read(cls, words: Sequence[str], environment: Mapping[str, str]) -> "Wish":
        """Return what is asked for; words come before the environment.

        Raises:
            WrongWord: one is unknown, or has no such value.
        """
        given = {name: environment[name] for name in NAMES if environment.get(name)}
        for word in words:
            name, is_set, value = word.partition("=")
            if name not in NAMES or not is_set:
                raise WrongWord(f"{word}: the words are SECONDS=60 and SEED=1")
            given[name] = value
        return cls(seconds=_seconds(given.get("SECONDS") or "60"), seed=_seed(given.get("SEED") or ""))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise WrongWord(f"SECONDS={text}: a number above zero is meant")
    return seconds


def _seed(text: str) -> int:
    if not text:
        return time.time_ns() % 1_000_000
    try:
        return int(text)
    except ValueError:
        raise WrongWord(f"SEED={text}: a whole number is meant") from None
