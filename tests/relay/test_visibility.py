"""Tests for :mod:`nostrtx.relay.visibility`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter, parse_filter
from nostrtx.relay.visibility import Visibility
from tests.relay.fakes import RelayUnderTest, seen
from tests.relay.visitor import Visitor
from tests.storage.events import (
    ALICE,
    BOB,
    NOW,
    make_event,
    public_key,
    signed_event,
)
from tests.storage.store_case import count_now

_CAROL = b"\x0c" * 32


def message(
    *recipients: bytes, kind: int = 4, pubkey: bytes = ALICE, tag: str = "p"
) -> Event:
    """A private event for some recipients."""
    tags = [[tag, recipient.hex()] for recipient in recipients]
    return make_event(kind=kind, pubkey=pubkey, tags=tags)


class MayReadTests(SynchronousTestCase):
    """Who may read what."""

    def setUp(self) -> None:
        """Have direct messages and wraps private."""
        self.visibility = Visibility((4, 1059))

    def may_read(self, event: Event, *readers: bytes, now: float = NOW) -> bool:
        """Whether a client that owns the keys ``readers`` may read ``event``."""
        may_read = self.visibility.may_read(event, frozenset(readers), now)
        if self.visibility.is_restricted(event):
            screen = self.visibility.screen(frozenset(readers))
            assert screen is not None
            if now < NOW + 1:
                shown = not screen.hides_all and screen.may_read(event.raw)
                self.assertEqual(shown, may_read)
        return may_read

    def test_ordinary(self) -> None:
        """Notes, ephemeral and addressable events may be read by anyone."""
        for kind in (0, 1, 5, 13, 14, 1058, 20001, 22241, 22243, 27234, 30023):
            self.assertTrue(self.may_read(make_event(kind=kind)))

    def test_authentication(self) -> None:
        """Events that authenticate somebody to a server are read by nobody."""
        for kind in (22242, 27235):
            self.assertFalse(self.may_read(make_event(kind=kind), ALICE))

    def test_expiration(self) -> None:
        """An event can be read until the second of its expiration, not in it."""
        for kind in (1, 4):
            event = make_event(kind=kind, tags=[["expiration", str(NOW + 5)]])
            for seconds, expected in ((4.999, True), (5, False), (6, False)):
                self.assertEqual(
                    self.may_read(event, ALICE, now=NOW + seconds), expected
                )

    def test_parties(self) -> None:
        """A private event is for its author and each recipient."""
        for kind in (4, 1059):
            event = message(BOB, _CAROL, kind=kind)
            for reader in (ALICE, BOB, _CAROL):
                self.assertTrue(self.may_read(event, reader))
                self.assertTrue(self.may_read(event, b"\x01" * 32, reader))
            self.assertFalse(self.may_read(event))
            self.assertFalse(self.may_read(event, b"\x01" * 32, b"\x02" * 32))

    def test_no_recipient(self) -> None:
        """Only a p tag with exactly that key makes a recipient."""
        key = BOB.hex()
        for tags in (
            [],
            [["p"]],
            [["p", key[:-1]]],
            [["p", key.upper()]],
            [["p", f"{key} "]],
            [["P", key]],
            [["e", key]],
            [["x", "p", key]],
            [["p", ALICE.hex(), key]],
        ):
            event = make_event(kind=1059, pubkey=_CAROL, tags=tags)
            self.assertFalse(self.may_read(event, BOB), tags)

    def test_nothing_is_private(self) -> None:
        """Where no kind is private, nothing has to be hidden."""
        visibility = Visibility(())
        self.assertIsNone(visibility.screen(()))
        self.assertTrue(visibility.may_read(message(BOB), (), NOW))


class ScreenTests(SynchronousTestCase):
    """What a store is told to hide."""

    def test_interface(self) -> None:
        """It is what stores are promised, and names the kinds it is about."""
        screen = Visibility((4, 1059)).screen((ALICE,))
        self.assertTrue(verifyObject(IScreen, screen))
        assert screen is not None
        self.assertEqual(screen.kinds, {4, 1059})
        self.assertEqual(screen.parties, (ALICE,))

    def test_hides_all(self) -> None:
        """From a client without a key all private events are hidden."""
        visibility = Visibility((4,))
        for readers, hides_all in (((), True), ((ALICE,), False)):
            screen = visibility.screen(readers)
            assert screen is not None
            self.assertEqual(screen.hides_all, hides_all)


def filters(*members: dict[str, Any]) -> list[Filter]:
    """The filters of a REQ."""
    return [parse_filter(one) for one in members]


class FiltersTests(SynchronousTestCase):
    """What filters ask for."""

    def setUp(self) -> None:
        """Have direct messages and wraps private."""
        self.visibility = Visibility((4, 1059, 21059))

    def test_only_private(self) -> None:
        """All filters must name kinds, and only private ones."""
        members: dict[str, Any]
        only = self.visibility.asks_only_private
        self.assertTrue(only(filters({"kinds": [4]}, {"kinds": [1059, 4]})))
        for members in (
            {},
            {"kinds": []},
            {"kinds": [4, 1]},
            {"kinds": [1]},
            {"#p": [BOB.hex()]},
        ):
            self.assertFalse(only(filters(members)), members)
            self.assertFalse(only(filters({"kinds": [4]}, members)), members)

    def test_private_among_others(self) -> None:
        """One filter that names such a kind or a recipient is enough."""
        members: dict[str, Any]
        asks = self.visibility.asks_for_private
        for members in (
            {"kinds": [1, 4]},
            {"kinds": [4]},
            {"#p": [BOB.hex()]},
            {"#p": [BOB.hex()], "authors": [ALICE.hex()]},
        ):
            self.assertTrue(asks(filters({"kinds": [1]}, members)), members)
        for members in (
            {},
            {"kinds": []},
            {"kinds": [1], "#p": [BOB.hex()]},
            {"ids": ["00" * 32]},
            {"authors": [ALICE.hex()]},
        ):
            self.assertFalse(asks(filters(members)), members)
            self.assertFalse(Visibility(()).asks_for_private(filters(members)))

    def test_for_others(self) -> None:
        """Every filter asks for what is between others than the reader."""
        members: dict[str, Any]
        for_others = self.visibility.asks_for_others
        alice, bob, carol = ALICE.hex(), BOB.hex(), _CAROL.hex()
        for members in (
            {"kinds": [1059], "#p": [bob]},
            {"kinds": [1059, 21059], "#p": [bob, carol]},
            {"kinds": [4], "#p": [bob], "authors": [carol]},
        ):
            self.assertTrue(for_others(filters(members), {ALICE}), members)
            self.assertTrue(for_others(filters(members, members), {ALICE}))
        for members in (
            {"kinds": [1059]},
            {"kinds": [1059], "#p": [bob, alice]},
            {"kinds": [1059], "authors": [bob]},
            {"kinds": [4], "#p": [bob]},
            {"kinds": [4], "authors": [bob]},
            {"kinds": [4], "#p": [bob], "authors": [alice]},
            {"kinds": [4], "#p": [alice], "authors": [bob]},
            {"kinds": [4, 1059], "#p": [bob]},
        ):
            self.assertFalse(for_others(filters(members), {ALICE}), members)
            others = filters({"kinds": [1059], "#p": [bob]}, members)
            self.assertFalse(for_others(others, {ALICE}), members)


#: Keys that write, receive and read.
_KEYS = (1, 2, 3)

_PRIVATE = frozenset({4, 1059, 21059})


def is_for(event: Event, keys: set[int]) -> bool:
    """Whether a client with these keys is meant to see the event."""
    if event.kind not in _PRIVATE:
        return True
    owned = {public_key(key).hex() for key in keys}
    named = {tag[1] for tag in event.tags if len(tag) > 1 and tag[0] == "p"}
    return event.pubkey.hex() in owned or bool(owned & named)


@st.composite
def _events(draw: st.DrawFn) -> list[Event]:
    """Some events of different kinds from, to and about a few people."""
    people = st.sampled_from(_KEYS)
    tag = st.tuples(st.sampled_from(["p", "p", "P", "e"]), people)
    events = {}
    for number in range(draw(st.integers(1, 12))):
        tags = [[name, public_key(who).hex()] for name, who in draw(st.lists(tag))]
        event = signed_event(
            draw(people),
            kind=draw(st.sampled_from([1, 4, 4, 1059, 1059, 21059, 20001, 30023])),
            tags=[*tags, ["d", str(number)]],
            created_at=NOW - draw(st.integers(0, 3)),
        )
        events[event.id] = event
    return list(events.values())


@st.composite
def _filters(draw: st.DrawFn, events: list[Event]) -> list[dict[str, Any]]:
    """One filter or two that match many of the events."""
    event = st.sampled_from(events)
    keys = st.lists(
        st.sampled_from([public_key(key).hex() for key in _KEYS]), min_size=1
    )
    return draw(
        st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "ids": st.lists(event.map(lambda one: one.id.hex()), min_size=1),
                    "kinds": st.lists(
                        st.sampled_from([1, 4, 1059, 21059, 30023]), min_size=1
                    ),
                    "authors": keys,
                    "#p": keys,
                    "#e": keys,
                    "since": st.just(NOW - 2),
                },
            ),
            min_size=1,
            max_size=2,
        )
    )


class EveryPathTests(SynchronousTestCase):
    """Random events, readers and requests: what comes out, by every road."""

    def authenticated(self, relay: RelayUnderTest, keys: set[int]) -> Visitor:
        """A client with these keys."""
        visitor = Visitor(relay)
        visitor.ask({"kinds": [4]}, id_="challenge, please")
        for key in sorted(keys):
            visitor.authenticate(key)
        visitor.heard()
        return visitor

    def expected(
        self, events: list[Event], members: list[dict[str, Any]], keys: set[int]
    ) -> list[Event]:
        """The events that match and that a client with these keys may see."""
        asked = filters(*members)
        return [
            event
            for event in events
            if is_for(event, keys) and any(one.matches(event) for one in asked)
        ]

    @settings(deadline=None, max_examples=60, derandomize=True, database=None)
    @given(data=st.data(), keys=st.sets(st.sampled_from(_KEYS)))
    def test_stored(self, data: st.DataObject, keys: set[int]) -> None:
        """A REQ and a count give the stored events that the reader may see."""
        events = [e for e in data.draw(_events()) if not 20000 <= e.kind < 30000]
        if not events:
            return
        members = data.draw(_filters(events))
        relay = RelayUnderTest()
        relay.stored(*events)
        visible = self.expected(events, members, keys)
        visitor = self.authenticated(relay, keys)
        answer = [one for one in visitor.ask(*members) if one[0] != "AUTH"]
        if answer[-1][0] == "CLOSED":
            self.assertEqual(len(answer), 1)
        else:
            self.assertCountEqual(
                answer, [*(seen("s", event) for event in visible), ["EOSE", "s"]]
            )
        screen = Visibility(_PRIVATE).screen({public_key(key) for key in keys})
        count = relay.store.count(filters(*members), NOW, screen)
        self.assertEqual(count_now(count), len(visible))

    @settings(deadline=None, max_examples=60, derandomize=True, database=None)
    @given(data=st.data(), keys=st.sets(st.sampled_from(_KEYS)))
    def test_live(self, data: st.DataObject, keys: set[int]) -> None:
        """So does an open subscription, whenever its client has authenticated."""
        events = data.draw(_events())
        members = data.draw(_filters(events))
        half = data.draw(st.integers(0, len(events)))
        relay = RelayUnderTest()
        visitor = Visitor(relay)
        is_open = visitor.ask(*members)[-1][0] == "EOSE"
        relay.publish(*events[:half])
        early = visitor.heard()
        visitor.ask({"kinds": [4]}, id_="challenge, please")
        for key in sorted(keys):
            visitor.authenticate(key)
        relay.publish(*events[half:])
        late = visitor.heard()
        if is_open:
            for heard, part, known in (
                (early, events[:half], set[int]()),
                (late, events[half:], keys),
            ):
                visible = self.expected(part, members, known)
                self.assertCountEqual(heard, [seen("s", event) for event in visible])
        else:
            self.assertEqual((early, late), ([], []))
