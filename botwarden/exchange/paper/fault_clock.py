"""The venue's wall clock, which can be set wrong.

The invariant: only the time of day is shifted; what measures how long something takes is not.
"""

from botwarden.exchange.paper.times import ServerClock


class ShiftedClock:
    """A clock that is ahead (above zero) or behind, and that may drift further."""

    def __init__(self, clock: ServerClock) -> None:
        self._clock = clock
        self._drift_ppm = 0.0
        self._offset_ms = 0.0
        self._since_s = clock.monotonic()

    def shift(self, *, offset_ms: float, drift_ppm: float = 0.0) -> None:
        """Be so far ahead from now on, and by so many millionths further with time."""
        self._offset_ms, self._drift_ppm = offset_ms, drift_ppm
        self._since_s = self._clock.monotonic()

    @property
    def offset_ms(self) -> int:
        """How far the clock is ahead now."""
        return round(self._offset_ms + (self._clock.monotonic() - self._since_s) * self._drift_ppm / 1000)

    def now_ms(self) -> int:
        """Return the shifted wall clock in milliseconds."""
        return self._clock.now_ms() + self.offset_ms

    def monotonic(self) -> float:
        """Return the underlying monotonic clock in seconds."""
        return self._clock.monotonic()
