"""Pauses and intensity, as arithmetic."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.runtime import Actor, Backoff, ChildSpec, InboxSpec, Intensity
from botwarden.runtime.supervision import Record

#: Only pauses come from it.
CHANCE = Random(0)  # noqa: S311 - repeatable on purpose

gaps = st.lists(st.floats(0.0, 40.0), max_size=80)


@given(gaps, st.integers(0, 6), st.floats(1.0, 100.0))
def test_no_window_holds_more_restarts_than_allowed(pauses, restarts, within_s):
    """Within any span of `within_s`, a child is restarted at most `restarts` times."""
    spec = ChildSpec("c", Actor, intensity=Intensity(restarts, within_s))
    record, now_s, granted = Record(), 0.0, []
    for pause in pauses:
        now_s += pause
        if record.next_pause(spec, now_s, CHANCE) is None:
            break
        granted.append(now_s)
    for first in granted:
        assert sum(1 for at in granted if first <= at < first + within_s) <= restarts
    assert record.total == len(granted)


@given(gaps)
def test_giving_up_needs_too_many_crashes(pauses):
    """A child is given up only if the window before the crash is full."""
    spec = ChildSpec("c", Actor, intensity=Intensity(3, 60.0))
    record, now_s, granted = Record(), 0.0, []
    for pause in pauses:
        now_s += pause
        if record.next_pause(spec, now_s, CHANCE) is None:
            assert sum(1 for at in granted if now_s - at < 60.0) >= 3
            return
        granted.append(now_s)


@given(st.integers(1, 5000))
def test_pause_doubles_up_to_the_longest(streak):
    """The n-th pause is `first * 2^(n-1)`, at most the longest, give or take the jitter."""
    backoff = Backoff(first_s=0.5, longest_s=30.0, jitter=0.2)
    plain = min(0.5 * 2.0 ** min(streak - 1, 20), 30.0)
    assert 0.8 * plain <= backoff.pause_s(streak, CHANCE) <= 1.2 * plain


def test_streak_ends_when_the_child_ran_long_enough():
    """After a run of `longest_s` the pauses begin anew; after a shorter one they go on growing."""
    spec = ChildSpec("c", Actor, intensity=Intensity(1_000, 60.0), backoff=Backoff(1.0, 8.0, jitter=0.0))
    record = Record()
    assert record.next_pause(spec, 0.0, CHANCE) == 1.0
    record.note_start(1.0)
    assert record.next_pause(spec, 8.9, CHANCE) == 2.0
    record.note_start(10.0)
    assert record.next_pause(spec, 18.0, CHANCE) == 1.0


def test_failing_start_does_not_end_the_streak():
    """A child that never came up has not run, however long it took to fail."""
    spec = ChildSpec("c", Actor, intensity=Intensity(1_000, 60.0), backoff=Backoff(1.0, 8.0, jitter=0.0))
    record = Record()
    assert [record.next_pause(spec, at, CHANCE) for at in (0.0, 100.0, 200.0)] == [1.0, 2.0, 4.0]


def test_specs_can_be_named_with_their_message_type():
    """`InboxSpec[int](...)` and `ChildSpec[int](...)` work at run time."""
    spec = ChildSpec[int](name="c", start=Actor[int], inbox=InboxSpec[int](capacity=3))
    assert spec.inbox.capacity == 3
    with pytest.raises(AttributeError):
        spec.name = "d"
