"""What its holder tells a bot about its surroundings and about itself.

None of this wakes a bot that its owner stopped, and none of it lifts a halt.
"""

from msgspec.structs import replace

from botwarden.trading.bot import BotConfig, BotState, Cause, HaltedBy, Status
from botwarden.trading.decisions import Adopted, Crashed, Decision, Disturbed, Recovered
from botwarden.trading.guard import with_stops
from botwarden.trading.halts import DISTURBANCES, short
from botwarden.trading.instruments import Instrument


def adopt(config: BotConfig, state: BotState, _event: Adopted, instrument: Instrument | None) -> Decision:
    """Take one step of stopped → pending → running; a disturbance is over.

    A position that comes without thresholds, as its owner wrote it, gets them from its entry price.
    """
    return Decision(state=_adopted(config, state, instrument), cause=Cause.SUPERVISOR, kind="bot.adopted")


def _adopted(config: BotConfig, state: BotState, instrument: Instrument | None) -> BotState:
    if not state.is_active:
        return state
    if state.status in DISTURBANCES:
        return _undisturbed(config, state, instrument)
    if state.status not in (Status.STOPPED, Status.PENDING):
        return state
    guarded = with_stops(config, state, instrument)
    if state.halted_by is not None:
        return guarded
    if state.status == Status.STOPPED:
        return replace(guarded, status=Status.PENDING)
    return replace(guarded, status=Status.RUNNING)


def disturb(state: BotState, event: Disturbed) -> Decision:
    """Show what is away; a halt is shown rather than this."""
    disturbed = state
    if state.is_active and state.halted_by is None:
        disturbed = replace(state, status=event.status, last_error_message=short(event.message))
    return Decision(state=disturbed, cause=Cause.SUPERVISOR, kind="bot.disturbed", message=event.message)


def recover(config: BotConfig, state: BotState, event: Recovered, instrument: Instrument | None) -> Decision:
    """Leave the disturbance, if it is the one that is over."""
    recovered = state
    if state.is_active and state.halted_by is None and state.status == event.status:
        recovered = _undisturbed(config, state, instrument)
    return Decision(state=recovered, cause=Cause.SUPERVISOR, kind="bot.recovered")


def _undisturbed(config: BotConfig, state: BotState, instrument: Instrument | None) -> BotState:
    calm = replace(state, status=Status.RUNNING, last_error_message=None)
    return with_stops(config, calm, instrument)


def quarantine(state: BotState, event: Crashed) -> Decision:
    """Take away the strategy from a bot that failed too often; its guard goes on."""
    crashed = state
    if state.is_active:
        crashed = replace(
            state,
            status=Status.ERROR_CRASHED,
            halted_by=HaltedBy.SYSTEM,
            last_error_message=short(event.message),
        )
    return Decision(state=crashed, cause=Cause.SUPERVISOR, kind="bot.quarantined", message=event.message)
