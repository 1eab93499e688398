"""Inboxes: bounded, in order, and conflated by key."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.runtime.inbox import TIDY_AFTER, Envelope, Inbox, InboxSpec


@given(st.lists(st.one_of(st.integers(), st.none()), max_size=60), st.integers(1, 20))
def test_inbox_keeps_order_and_bound(offers, capacity):
    """What is accepted leaves in its order, what does not fit is refused; None stands for a take."""
    inbox, model = Inbox(InboxSpec(capacity=capacity)), []
    for offer in offers:
        if offer is not None:
            assert inbox.offer(offer) == (len(model) < capacity)
            model = [*model, offer][:capacity]
        elif model:
            assert inbox.take() == model.pop(0)
        assert len(inbox) == len(model)
    assert [inbox.take() for _ in range(len(inbox))] == model


@given(st.lists(st.one_of(st.tuples(st.sampled_from("abc"), st.integers()), st.none()), max_size=60))
def test_conflated_inbox_is_an_ordered_mapping(offers):
    """Per key the newest message waits, in the place of the one it replaced."""
    inbox: Inbox = Inbox(InboxSpec(capacity=10, newest_per=lambda message: message[0]))
    model: OrderedDict[str, tuple[str, int]] = OrderedDict()
    for offer in offers:
        if offer is not None:
            assert inbox.offer(offer)
            model[offer[0]] = offer
        elif model:
            assert inbox.take() == model.popitem(last=False)[1]
        assert len(inbox) == len(model)
    assert inbox.close() == list(model.values()) or all(isinstance(kept, Envelope) for kept in inbox.close())


def test_new_key_is_refused_by_a_full_inbox():
    """The bound holds for conflated messages too; only a replacement needs no room."""
    inbox = Inbox(InboxSpec(capacity=2, newest_per=lambda message: message[0]))
    assert inbox.offer(("a", 1))
    assert inbox.offer(("b", 1))
    assert not inbox.offer(("c", 1))
    assert inbox.offer(("a", 2))
    assert [inbox.take(), inbox.take()] == [("a", 2), ("b", 1)]


def test_messages_without_a_key_are_never_conflated():
    """A key of None means: keep this one."""
    inbox = Inbox(InboxSpec(newest_per=lambda message: message if message < 0 else None))
    for message in (1, -1, 1, -1):
        assert inbox.offer(message)
    assert [inbox.take() for _ in range(len(inbox))] == [1, -1, 1]


def test_envelope_finds_room_in_a_full_inbox():
    """The kernel's own mail is beyond the bound."""
    inbox = Inbox(InboxSpec(capacity=1))
    inbox.offer(1)
    envelope = Envelope(2)
    inbox.put(envelope)
    assert not inbox.offer(3)
    assert [inbox.take(), inbox.take()] == [1, envelope]


def test_closed_inbox_refuses_and_gives_back_what_waited():
    """Closing is final."""
    inbox = Inbox(InboxSpec())
    inbox.offer(1)
    assert inbox.close() == [1]
    assert not inbox.offer(2)
    inbox.put(Envelope(3))
    assert len(inbox) == 0


def test_capacity_is_positive():
    """An inbox that refuses everything is a mistake."""
    with pytest.raises(ValueError, match="at least one"):
        InboxSpec(capacity=0)


def test_busy_inbox_does_not_grow_with_what_was_taken():
    """An inbox that is never quite empty keeps only what waits, give or take a bounded head."""
    inbox = Inbox(InboxSpec(capacity=3))
    inbox.offer(0)
    for number in range(1, 5_000):
        assert inbox.offer(number)
        assert inbox.take() == number - 1
        assert len(inbox) == 1
        assert len(inbox._waiting) <= TIDY_AFTER + 3
