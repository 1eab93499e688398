"""How patient our websockets are with a venue. Pure."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRules:
    """How patient a connection is."""

    #: So long without a message is a failure, also while the connection stands.
    silence_s: float = 10.0
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 30.0

    def backoff_s(self, failures: int, rng: random.Random) -> float:
        """Return how long to wait after so many failures in a row: doubling, with a fifth of jitter."""
        plain = self.first_backoff_s * 2.0 ** min(failures - 1, 20)
        return min(plain, self.longest_backoff_s) * rng.uniform(0.8, 1.2)
