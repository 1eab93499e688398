"""What a bot knows of its symbol's trading rules.

The invariant: nobody waits for rules that are known. The first are waited for, as nothing is intended
without any; old ones stay in force while newer ones are asked for beside the bot's mail.
"""

from typing import Any

from botwarden.errors import Missing, Unavailable
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.runtime import Context
from botwarden.trading.bot import BotConfig, Venue
from botwarden.trading.instruments import Instrument

#: Rules are asked for again after this long.
RULES_AGE_S = 3600.0


class TradingRules:
    """One bot's copy of its symbol's rules."""

    def __init__(self, context: Context[Any], symbols: SymbolCatalogue) -> None:
        self._context = context
        self._symbols = symbols
        self._of: tuple[Venue, str] | None = None
        self._until_s = 0.0
        self._is_asking = False
        self._asked = 0
        #: None while nothing is known.
        self.instrument: Instrument | None = None

    def doubt(self) -> None:
        """The venue has refused what these rules allow: ask again at the next occasion."""
        self._until_s = 0.0

    async def refresh(self, config: BotConfig) -> bool:
        """See that rules are there and not too old; False when there are none."""
        if self._of != (config.venue, config.symbol):
            self._of = (config.venue, config.symbol)
            self.instrument = None
        if self.instrument is None:
            await self._ask(config)
        elif self._context.clock.monotonic() >= self._until_s and not self._is_asking:
            self._is_asking = True
            # A former question has been answered, but its task may still be on its way out.
            self._asked += 1
            self._context.start_duty(f"rules:{self._asked}", lambda: self._ask(config))
        return self.instrument is not None

    async def _ask(self, config: BotConfig) -> None:
        try:
            found = await self._symbols.find(config.venue, config.symbol)
            if self._of == (config.venue, config.symbol):
                self.instrument = found
                self._until_s = self._context.clock.monotonic() + RULES_AGE_S
        except (Unavailable, Missing):
            # The rules known so far stay in force.
            pass
        finally:
            self._is_asking = False
