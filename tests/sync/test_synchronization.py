"""Tests for :mod:`nostrtx.sync.synchronization` and what it consists of."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.queries import Page
from nostrtx.nostr.event import Event
from nostrtx.nostr.event_signing import SecretKey
from nostrtx.nostr.filters import Filter, parse_filter
from nostrtx.nostr.json import dumps
from nostrtx.nostr.negentropy.snapshot import Snapshot
from nostrtx.settings.access import AuthSettings
from nostrtx.settings.limits import LimitSettings, NegentropySettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.sync.conversation import Refused, RelayTrouble
from nostrtx.sync.differences import filter_members, reconcile
from nostrtx.sync.peer import Peer
from nostrtx.sync.synchronization import Direction
from tests.storage.events import NOW, signed_event
from tests.sync.fakes import Neighbours, note

_EVERYTHING = [Filter()]
_NO_NEGENTROPY = Settings(negentropy=NegentropySettings(enabled=False))


def contents(store: MemoryEventStore) -> set[bytes]:
    """All that a store holds, as JSON."""
    page = store.query([Filter()], NOW).next_page(2**62, 2.0**62)
    assert isinstance(page, Page)
    return set(page.events)


def raws(events: Iterable[Event]) -> set[bytes]:
    """The JSON of events."""
    return {event.raw for event in events}


class SynchronizationTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.sync.synchronization.Synchronization`."""

    def between(
        self,
        ours: Iterable[Event],
        theirs: Iterable[Event],
        settings: Settings | None = None,
        secret: SecretKey | None = None,
        peer: Peer | None = None,
    ) -> Neighbours:
        """Two stores that hold these."""
        between = Neighbours(settings, secret, peer)
        between.relay.stored(*theirs)
        self.successResultOf(between.store.save_events(list(ours)))
        return between

    @given(
        ours=st.sets(st.integers(0, 150)),
        theirs=st.sets(st.integers(0, 150)),
        direction=st.sampled_from(Direction),
        enabled=st.booleans(),
        seconds=st.sampled_from([3, 1000]),
    )
    @examples(max_examples=60, deadline=None)
    def test_equal(
        self,
        ours: set[int],
        theirs: set[int],
        direction: Direction,
        enabled: bool,
        seconds: int,
    ) -> None:
        """Whatever both hold, afterwards each asked side holds all of it."""
        mine = [note(n, seconds) for n in ours]
        others = [note(n, seconds) for n in theirs]
        between = self.between(
            mine, others, Settings(negentropy=NegentropySettings(enabled=enabled))
        )
        job = between.synchronization(direction)
        between.run(job.run(_EVERYTHING))
        all_of_it = raws([*mine, *others])
        self.assertEqual(
            contents(between.store), all_of_it if direction.is_down else raws(mine)
        )
        self.assertEqual(
            contents(between.relay.store.inner),
            all_of_it if direction.is_up else raws(others),
        )
        self.assertEqual(job.progress.have, len(ours - theirs))
        self.assertEqual(job.progress.need, len(theirs - ours))
        self.assertEqual(bool(job.progress.does_not_reconcile), not enabled)
        self.assertEqual(job.progress.missing, 0)

    def test_again(self) -> None:
        """A second run finds nothing to do, and asks for no event."""
        between = self.between(map(note, range(50)), map(note, range(25, 75)))
        between.run(between.synchronization(Direction.BOTH).run(_EVERYTHING))
        between.said.clear()
        job = between.synchronization(Direction.BOTH)
        between.run(job.run(_EVERYTHING))
        self.assertEqual((job.progress.have, job.progress.need), (0, 0))
        said = {message[0] for message in between.said}
        self.assertEqual(said - {"NEG-CLOSE"}, {"NEG-OPEN"})

    def test_filters(self) -> None:
        """Only what the filters match is compared and brought."""
        between = self.between([], map(note, range(40)))
        filters = [Filter(until=NOW - 5), Filter(since=NOW)]
        job = between.synchronization(Direction.DOWN)
        between.run(job.run(filters))
        expected = [n for n in range(40) if n % 7 in (0, 5, 6)]
        self.assertEqual(contents(between.store), raws(map(note, expected)))

    def test_limits_of_the_relay(self) -> None:
        """No REQ asks for more than the relay says it gives."""
        between = self.between([], map(note, range(60)), peer=Peer(max_limit=20))
        between.run(between.synchronization(Direction.DOWN).run(_EVERYTHING))
        asked = [said[2] for said in between.said if said[0] == "REQ"]
        self.assertEqual([len(one["ids"]) for one in asked], [20, 20, 20])
        self.assertEqual(len(contents(between.store)), 60)

    def test_refused_uploads(self) -> None:
        """Events that the relay refuses are counted by its reason."""
        settings = Settings(limits=LimitSettings(max_content_length=1))
        between = self.between(map(note, range(30)), [], settings)
        job = between.synchronization(Direction.UP)
        between.run(job.run(_EVERYTHING))
        tally = job.progress.tally
        self.assertEqual((tally.sent, tally.accepted), (30, 10))
        [(reason, count)] = tally.refused.items()
        self.assertTrue(reason.startswith("invalid: "), reason)
        self.assertEqual(count, 20)

    def test_private(self) -> None:
        """What the other relay may not have stays here, and is counted."""
        between = self.between(map(note, range(30)), [])
        job = between.synchronization(Direction.UP, lambda event: event.id[0] < 128)
        between.run(job.run(_EVERYTHING))
        fit = [note(n) for n in range(30) if note(n).id[0] < 128]
        self.assertEqual(contents(between.relay.store.inner), raws(fit))
        tally = job.progress.tally
        self.assertEqual((tally.sent, tally.kept), (len(fit), 30 - len(fit)))

    def test_refused(self) -> None:
        """What the relay refuses to reconcile is an error with its words."""
        settings = Settings(negentropy=NegentropySettings(max_events=10))
        between = self.between([], map(note, range(11)), settings)
        job = between.synchronization(Direction.DOWN)
        error = self.assertRaises(Refused, between.run, job.run(_EVERYTHING))
        self.assertEqual(
            str(error),
            "blocked: this query is too big (the relay reconciles up to 10 events)",
        )

    def test_authentication(self) -> None:
        """With a key, a relay that asks who is there is told."""
        ours, theirs = list(map(note, range(20))), list(map(note, range(10, 30)))
        for reconciles in (True, False):
            settings = Settings(
                auth=AuthSettings(required="both"),
                negentropy=NegentropySettings(enabled=reconciles),
            )
            between = self.between(ours, theirs, settings)
            job = between.synchronization(Direction.BOTH)
            error = self.assertRaises(Refused, between.run, job.run(_EVERYTHING))
            self.assertTrue(str(error).startswith("auth-required: "), error)
            between = self.between(ours, theirs, settings, SecretKey(b"\5" * 32))
            between.run(between.synchronization(Direction.BOTH).run(_EVERYTHING))
            self.assertEqual(contents(between.store), raws([*ours, *theirs]))
            self.assertEqual([s[0] for s in between.said].count("AUTH"), 1)

    def test_relay_that_never_answers(self) -> None:
        """A relay that says nothing at all is an error in the end."""
        between = self.between([], [])
        between.deaf = True
        job = between.synchronization(Direction.DOWN)
        error = self.assertRaises(RelayTrouble, between.run, job.run(_EVERYTHING))
        self.assertEqual(str(error), "the relay does not answer REQ")

    def test_events_nobody_asked_for(self) -> None:
        """A relay cannot slip in events that were not asked for, nor forged ones."""
        wanted = signed_event(content="wanted")
        forged = wanted.raw.replace(b'"content":"wanted"', b'"content":"forged"')
        between = self.between([], [wanted])
        job = between.synchronization(Direction.DOWN)
        original = between.conversation.message_received

        def tampered(text: bytes) -> None:
            if text.startswith(b'["EVENT"'):
                original(text.replace(wanted.raw, note(1).raw))
                original(text.replace(wanted.raw, forged))
            original(text)

        between.conversation.message_received = tampered  # type: ignore[method-assign]
        between.run(job.run(_EVERYTHING))
        self.assertEqual(contents(between.store), set())
        self.assertEqual(
            dict(between.job.summary.refused),
            {"invalid: the id is not the hash of the event": 1},
        )


class ReadingTests(SynchronousTestCase):
    """A relay that does not reconcile is read page by page."""

    def read(
        self, count: int, seconds: int, filter_: Filter, max_limit: int
    ) -> tuple[Neighbours, int]:
        """Read so many notes; how many crowded seconds there were."""
        between = Neighbours(_NO_NEGENTROPY, peer=Peer(max_limit=max_limit))
        between.relay.stored(*(note(n, seconds) for n in range(count)))
        job = between.synchronization(Direction.DOWN)
        between.run(job.run([filter_]))
        return between, job.progress.crowded

    def test_pages(self) -> None:
        """Pages may end within a second; nothing is left out."""
        for max_limit in (11, 12, 30, 500):
            between, crowded = self.read(100, 10, Filter(), max_limit)
            self.assertEqual(len(contents(between.store)), 100, max_limit)
            self.assertEqual(crowded, 0)

    def test_crowded_seconds(self) -> None:
        """Seconds that do not fit in a page are told, and the rest is read."""
        between, crowded = self.read(100, 4, Filter(), 10)
        self.assertEqual(crowded, 4)
        self.assertEqual(len(contents(between.store)), 40)

    def test_bounds_and_limits(self) -> None:
        """A filter's times and limit hold over all pages."""
        between, _ = self.read(100, 10, Filter(since=NOW - 3, until=NOW - 2), 12)
        self.assertEqual(len(contents(between.store)), 20)
        between, _ = self.read(100, 10, Filter(limit=25), 12)
        self.assertEqual(len(contents(between.store)), 25)
        between, _ = self.read(100, 10, Filter(limit=0), 12)
        self.assertEqual(len(contents(between.store)), 0)

    def test_relay_that_does_not_listen(self) -> None:
        """One that gives the same whatever it is asked for is found out."""
        between = Neighbours(_NO_NEGENTROPY, peer=Peer(max_limit=10))
        between.relay.stored(*(note(n, 10) for n in range(20)))
        job = between.synchronization(Direction.DOWN)
        original = between.conversation.message_received
        told: list[bytes] = []

        def tampered(text: bytes) -> None:
            if text.startswith(b'["EVENT"'):
                told.append(text[text.index(b",{") :])
                if len(told) > 10:
                    start = text[: text.index(b",{")]
                    for one in told[:10]:
                        original(start + one)
                    return
            original(text)

        between.conversation.message_received = tampered  # type: ignore[method-assign]
        with self.assertRaises(RelayTrouble):
            between.run(job.run(_EVERYTHING))

    def test_more_than_asked_for(self) -> None:
        """One that gives more than it is asked for finds nobody who listens."""
        between = Neighbours(_NO_NEGENTROPY, peer=Peer(max_limit=10))
        between.relay.stored(*(note(n, 10) for n in range(10)))
        job = between.synchronization(Direction.DOWN)
        original = between.conversation.message_received

        def tampered(text: bytes) -> None:
            if text.startswith(b'["EOSE"'):
                for n in range(10, 100):
                    event = json.loads(note(n, 10).raw)
                    original(dumps(["EVENT", json.loads(text)[1], event]))
                    told.append(n)
            original(text)

        told: list[int] = []
        between.conversation.message_received = tampered  # type: ignore[method-assign]
        between.run(job.run([Filter(limit=10)]))
        self.assertEqual(len(told), 90)
        self.assertEqual(len(contents(between.store)), 10)


class DifferencesTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.sync.differences.reconcile`."""

    def test_too_many(self) -> None:
        """A relay cannot name ids without end."""
        between = Neighbours()
        between.relay.stored(*(note(n) for n in range(20)))
        for most, is_fine in ((20, True), (19, False)):
            task = reconcile(
                between.conversation,
                Filter(),
                Snapshot.of([]),
                4096,
                between.clock,
                lambda found: None,
                most,
            )
            if is_fine:
                self.assertEqual(len(between.run(task).need), 20)
            else:
                with self.assertRaises(RelayTrouble):
                    between.run(task)


class FilterMembersTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.sync.differences.filter_members`."""

    def test_and_back(self) -> None:
        """What it makes is parsed as the same filter."""
        for filter_ in (
            Filter(),
            Filter(kinds=(), limit=0, since=-5, until=0),
            Filter(
                ids=(bytes(32),),
                authors=(bytes(32), b"\1" * 32),
                kinds=(1, 30023),
                tags=(("t", ("a", "é")), ("e", ("00" * 32,))),
                since=1,
                until=2,
                limit=3,
            ),
        ):
            self.assertEqual(parse_filter(filter_members(filter_)), filter_)
