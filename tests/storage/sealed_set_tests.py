"""What every store gives for reconciliation (NIP-77)."""

from __future__ import annotations

from twisted.python.failure import Failure

from nostrtx.interfaces.store import TooManyEvents
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, event_id, make_event
from tests.storage.screens import Screen
from tests.storage.store_case import StoreCase, newest_first

_PRIVATE = frozenset({4, 30078})


class SealedSetTests(StoreCase):
    """Tests for ``sealed_set`` of :class:`nostrtx.interfaces.IEventStore`."""

    def save_many(self) -> None:
        """
        Store events of three authors, of common and of rare kinds.

        Many share a second, and some of those the first bytes of their ids.
        """
        self.events = [
            make_event(
                id=event_id(number * 10 + at, bytes([number % 3]) * 6),
                pubkey=author,
                created_at=NOW - 40_000 * (number % 7),
                kind=9735 if number == 20 else kind,
                tags=[["t", "x"], ["t", "y"], ["d", f"{number}"]],
            )
            for at, author in enumerate((ALICE, ALICES_TWIN, BOB))
            for number in range(40)
            for kind in [(1, 4, 7, 30078)[number % 4]]
        ]
        self.save(*self.events)
        self.filters = [
            Filter(),
            Filter(kinds=(1,)),
            Filter(kinds=(1, 4, -5, 70_000)),
            Filter(kinds=(9735,)),
            Filter(kinds=()),
            Filter(authors=(ALICE,)),
            Filter(authors=(ALICE, BOB), kinds=(4, 30078)),
            Filter(tags=(("t", ("x", "y")),)),
            Filter(ids=tuple(event.id for event in self.events[:50])),
            Filter(since=NOW - 80_000, until=NOW - 40_000),
            Filter(since=NOW - 80_001),
            Filter(until=NOW - 80_001, kinds=(7,)),
            Filter(until=-1),
            Filter(since=NOW + 1),
        ]

    def sealed(
        self,
        filter_: Filter,
        now: float = NOW,
        screen: Screen | None = None,
        most: int | None = None,
    ) -> list[tuple[int, bytes]]:
        """The records of the sealed set."""
        sealed = self.result_of(self.store.sealed_set(filter_, now, screen, most))
        return [
            (sealed.bound_at(index).timestamp, sealed.id(index))
            for index in range(len(sealed))
        ]

    def assert_sealed(
        self, filter_: Filter, events: list[Event], screen: Screen | None = None
    ) -> None:
        """Assert that a set holds these events, in the order of records."""
        expected = sorted((event.created_at, event.id) for event in events)
        self.assertEqual(self.sealed(filter_, screen=screen), expected, filter_)

    def assert_too_many(self, filter_: Filter, most: int) -> None:
        """Assert that more than ``most`` events match."""
        refusals: list[int] = []

        def refused(failure: Failure) -> None:
            error = failure.value
            assert isinstance(error, TooManyEvents), failure
            refusals.append(error.most)

        sealing = self.store.sealed_set(filter_, NOW, None, most)
        self.assertIsNone(self.result_of(sealing.addErrback(refused)))
        self.assertEqual(refusals, [most])

    def test_empty(self) -> None:
        """A store without events gives an empty set."""
        self.assertEqual(self.sealed(Filter()), [])

    def test_matches(self) -> None:
        """Time and id of all that matches, each event once."""
        self.save_many()
        for one in self.filters:
            matching = [event for event in self.events if one.matches(event)]
            self.assert_sealed(one, matching)

    def test_limits(self) -> None:
        """A limit takes the newest, ties by id; a limit of 0 takes none."""
        self.save_many()
        for one in self.filters:
            matching = [event for event in self.events if one.matches(event)]
            for limit in (0, 1, 2, 17, 39, 6000):
                newest = newest_first(matching)[:limit]
                self.assert_sealed(one.with_limit(limit), newest)

    def test_too_many(self) -> None:
        """More than were asked for at most is refused; just so many are not."""
        self.save_many()
        for one in self.filters:
            matching = [event for event in self.events if one.matches(event)]
            found = len(matching)
            self.assertEqual(len(self.sealed(one, most=found)), found)
            if found:
                for limit in (None, found, 6000):
                    self.assert_too_many(one.with_limit(limit), found - 1)
                few = one.with_limit(found - 1)
                self.assertEqual(len(self.sealed(few, most=found - 1)), found - 1)

    def test_expired(self) -> None:
        """What has expired is not in the set, though it is still stored."""
        dying = make_event(tags=[["expiration", str(NOW + 5)], ["t", "x"]])
        note = make_event(tags=[["t", "x"]])
        self.save(dying, note)
        for one in (Filter(), Filter(kinds=(1,)), Filter(tags=(("t", ("x",)),))):
            self.assertEqual(len(self.sealed(one, NOW + 4)), 2)
            self.assertEqual(self.sealed(one, NOW + 5), [(NOW, note.id)])
            few = one.with_limit(1)
            self.assertEqual(self.sealed(few, NOW + 5, most=1), [(NOW, note.id)])

    def test_screens(self) -> None:
        """What a screen hides is not in the set and does not use up a limit."""
        self.save_many()
        for screen in (
            Screen(_PRIVATE, {ALICE}),
            Screen(_PRIVATE, {ALICE}, hides_all=True),
            Screen(None, {ALICE, BOB}),
            Screen(None, hides_all=True),
        ):
            for one in self.filters:
                matching = [
                    event
                    for event in self.events
                    if one.matches(event)
                    and (
                        (screen.kinds is not None and event.kind not in screen.kinds)
                        or (event.pubkey in screen.shown and not screen.hides_all)
                    )
                ]
                self.assert_sealed(one, matching, screen)
                newest = newest_first(matching)[:10]
                self.assert_sealed(one.with_limit(10), newest, screen)

    def test_sealed(self) -> None:
        """What happens in the store afterwards does not change a set."""
        first, second = make_event(content="1"), make_event(content="2")
        self.save(first)
        sealed = self.result_of(self.store.sealed_set(Filter(), NOW, None, None))
        self.save(second, make_event(kind=5, tags=[["e", first.id.hex()]]))
        self.assertEqual([sealed.id(0)], [first.id])
        self.assertEqual(len(sealed), 1)
        self.assertEqual(len(self.sealed(Filter())), 2)
