"""Whatever happens in a group, all who follow it come to the same (NIP-29)."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.queries import Page
from nostrtx.nostr.event import Event, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.group_state import Group, recorded, replayed
from nostrtx.nostr.groups import CHANGES, CREATE_GROUP, RELAY_SIGNED
from nostrtx.settings.access import GroupSettings
from nostrtx.settings.storing import StoreSettings
from nostrtx.settings.tree import Settings
from tests.relay.fakes import RelayUnderTest
from tests.relay.visitor import Visitor
from tests.storage.events import public_key, signed_event

_PEOPLE = [11, 12, 13]
_SETTINGS = Settings(
    groups=GroupSettings(enabled=True, late_hours=0), store=StoreSettings("memory:")
)

#: Who, what kind, about whom, and how many seconds ago; and whether time goes on.
_Step = tuple[int, int, int, int, bool]


def _steps() -> st.SearchStrategy[list[_Step]]:
    step = st.tuples(
        st.sampled_from(_PEOPLE),
        st.sampled_from([9000, 9000, 9001, 9002, 9009, 9010, 9021, 9021, 9022]),
        st.sampled_from(_PEOPLE),
        st.integers(-3, 3),
        st.booleans(),
    )
    return st.lists(step, max_size=15)


def _tags(kind: int, whom: int, number: int) -> list[list[str]]:
    """The tags of a change, different every time."""
    if kind == 9000:
        roles = [[], ["admin"], ["moderator", "x"]][number % 3]
        return [["p", public_key(whom).hex(), *roles]]
    if kind == 9001:
        return [["p", public_key(whom).hex()]]
    if kind == 9002:
        return [["name", str(number)], *([["closed"]] if number % 3 == 0 else [])]
    if kind == 9010:
        return [["e", public_key(whom).hex()]]
    return [["code", str(number // 2)]]


class HistoryTests(SynchronousTestCase):
    """Random histories of one group."""

    @settings(max_examples=60, deadline=None)
    @given(_steps(), st.integers())
    def test_all_agree(self, steps: list[_Step], seed: int) -> None:
        """Relay, followers of the events, readers of 39000 ff. and the next start."""
        under_test = RelayUnderTest(_SETTINGS)
        under_test.relay.start(None, 0)
        visitor = Visitor(under_test)
        visitor.publish(signed_event(11, kind=CREATE_GROUP, tags=[["h", "g"]]))
        for number, (who, kind, whom, age, goes_on) in enumerate(steps):
            event = signed_event(
                who,
                kind=kind,
                tags=[["h", "g"], *_tags(kind, whom, number)],
                created_at=int(under_test.clock.seconds()) - age,
                content=str(number),
            )
            answer = visitor.publish(event)
            self.assertEqual([one[0] for one in answer], ["OK"], answer)
            if goes_on:
                under_test.clock.advance(1)
        live = _group(under_test)
        stored = _stored(under_test)
        changes = [e for e in stored if e.kind in CHANGES]
        Random(seed).shuffle(changes)
        self.assertEqual(replayed("g", changes), live)
        own = [e for e in stored if e.kind in RELAY_SIGNED]
        self.assertEqual(recorded("g", {e.kind: e.tags for e in own}), live)
        again = RelayUnderTest(_SETTINGS)
        again.store.inner = under_test.store.inner
        again.relay.start(None, 0)
        self.assertEqual(_group(again), live)


def _group(under_test: RelayUnderTest) -> Group:
    """The group as the relay has it."""
    access = under_test.relay._parts.auth.visibility.groups
    assert access is not None
    return access.groups["g"]


def _stored(under_test: RelayUnderTest) -> list[Event]:
    """All that is in the store."""
    page = under_test.store.inner.query([Filter()], 0).next_page(2**40, 2.0**62)
    assert isinstance(page, Page)
    return [stored_event(raw) for raw in page.events]
