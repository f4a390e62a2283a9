"""What is written to groups is looked at, of whatever kind it is (NIP-29)."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.groups.archive import REFERABLE, Archive
from nostrtx.settings.access import GroupSettings
from nostrtx.storage.memory import MemoryEventStore
from tests.relay.groups.group_case import ADMIN, BOB, EVE, PIZZA, GroupCase, hex_of
from tests.storage.events import NOW, event_id, make_event, public_key, signed_event

#: Notes, deletions, reposts, reactions, chat, threads, wraps, lists, ephemeral ones,
#: articles.
KINDS = (1, 5, 6, 7, 9, 11, 1059, 10009, 20001, 30023)


class OpenTests(GroupCase):
    """A group without flags takes events from anybody."""

    def test_open(self) -> None:
        """A group that is not restricted takes what strangers write."""
        self.create()
        for kind in KINDS:
            self.do(EVE, kind)

    def test_no_group(self) -> None:
        """Events without an h tag are none of the groups' business."""
        old = signed_event(EVE, created_at=NOW - 10**7, tags=[["previous", "x"]])
        self.assert_accepted(self.visitor, old)

    def test_many_tags(self) -> None:
        """An h tag counts wherever it stands among however many."""
        for number in (1, 19, 20, 21, 300):
            tags = [["t", str(n)] for n in range(number)]
            for h in (["h", "nothing"], ["h", "nothing", "wss://x"]):
                self.refuse_event("blocked", signed_event(EVE, tags=[*tags, h]))
            for other in (["h"], ["H", "x"], ["t", '["h",']):
                self.assert_accepted(
                    self.visitor, signed_event(EVE, tags=[*tags, other])
                )


class RestrictedTests(GroupCase):
    """A restricted group is written to by members only."""

    def setUp(self) -> None:
        """Have one."""
        super().setUp()
        self.create(["restricted"])

    def test_members_only(self) -> None:
        """Events of strangers are refused, of whatever kind; those of members not."""
        for kind in KINDS:
            self.refuse_restricted(EVE, kind)
            self.do(BOB, kind)

    def refuse_restricted(self, secret: int, kind: int) -> None:
        """Publish, be refused, and be not delivered either."""
        listening = self.stranger()
        listening.ask({"#h": [PIZZA]})
        listening.heard()
        self.refuse("restricted", secret, kind)
        self.assertEqual(listening.heard(), [])

    def test_author_counts(self) -> None:
        """It is the author who must be a member, whoever sends the event."""
        eve = self.known(EVE)
        note = self.event(BOB, 9)
        self.assert_accepted(eve, note)
        self.assert_refused(
            self.known(BOB).publish(forged := self.event(EVE, 9)), forged, "restricted"
        )

    def test_removed(self) -> None:
        """Who is removed writes no more."""
        self.do(ADMIN, 9001, ["p", hex_of(BOB)])
        self.refuse("restricted", BOB, 9)

    def test_every_h(self) -> None:
        """An event for two groups must be welcome in both."""
        self.create(group="pasta")
        self.refuse("restricted", EVE, 9, ["h", PIZZA], group="pasta")
        self.do(BOB, 9, ["h", PIZZA], group="pasta")


class SupportedKindsTests(GroupCase):
    """A group may say what kinds it takes."""

    def test_listed(self) -> None:
        """Others are refused; what changes the group is always admitted."""
        self.create(["supported_kinds", "9", "11"])
        self.do(BOB, 9)
        self.do(BOB, 11)
        for kind in (1, 5, 7, 1059, 20001):
            self.refuse("blocked", BOB, kind)
        self.do(EVE, 9021)
        self.do(EVE, 9022)
        self.do(ADMIN, 9002, ["name", "x"])

    def test_none(self) -> None:
        """An empty list takes nothing."""
        self.create(["supported_kinds"])
        self.refuse("blocked", ADMIN, 9)


class UnknownGroupTests(GroupCase):
    """A group that does not exist, on a relay that makes its groups itself."""

    def test_refused(self) -> None:
        """Events for it are refused."""
        for kind in KINDS:
            self.refuse("blocked", BOB, kind)


class UnmanagedTests(GroupCase):
    """The same, where the operator lets them in."""

    groups = GroupSettings(enabled=True, unknown="accept")

    def test_accepted(self) -> None:
        """Events are taken like any others, but nothing pretends to change a group."""
        self.do(BOB, 9, age=10**7)
        for kind in (9000, 9001, 9002, 9008, 9021, 9022):
            self.refuse("blocked", BOB, kind, ["p", hex_of(BOB), "admin"])

    def test_become_the_groups(self) -> None:
        """Once the group is made, its rules hold."""
        self.do(BOB, 9)
        self.create(["restricted"])
        self.refuse("restricted", EVE, 9)


class LateTests(GroupCase):
    """Events come to their group soon after they were made."""

    groups = GroupSettings(enabled=True, late_hours=2)

    def test_late(self) -> None:
        """Older ones are refused, whatever they are."""
        self.create()
        self.do(BOB, 9, age=7190)
        for secret, kind in ((BOB, 9), (EVE, 9021), (BOB, 9022), (ADMIN, 9002)):
            self.refuse("invalid", secret, kind, age=7201)


class AnyAgeTests(GroupCase):
    """A relay that takes groups in from elsewhere."""

    groups = GroupSettings(enabled=True, late_hours=0)

    def test_any_age(self) -> None:
        """It takes events of any age."""
        self.create()
        self.do(BOB, 9, age=10**8)


class ReferenceTests(GroupCase):
    """The ``previous`` tag refers to events of the same group on this relay."""

    def setUp(self) -> None:
        """Have two groups."""
        super().setUp()
        self.create()
        self.create(group="pasta")

    def test_known(self) -> None:
        """References to stored events of the group are fine, in one tag or several."""
        ids = [self.do(BOB, 9, content=str(n)).id.hex()[:8] for n in range(3)]
        self.do(BOB, 9, ["previous", *ids])
        self.do(BOB, 9, *(["previous", one] for one in ids), content="x")
        self.do(ADMIN, 9002, ["previous", ids[0]])

    def test_unknown(self) -> None:
        """References to anything else are refused."""
        elsewhere = self.do(BOB, 9, group="pasta").id.hex()
        here = self.do(BOB, 9).id.hex()[:8]
        for wrong in ("00000000", elsewhere[:8]):
            self.refuse("invalid", BOB, 9, ["previous", here, wrong])
            self.refuse("invalid", ADMIN, 9002, ["previous", wrong])

    def test_malformed(self) -> None:
        """References are eight hexadecimal digits."""
        here = self.do(BOB, 9).id.hex()
        for wrong in (here, here[:7], here[:8].upper() + "G", "", "zzzzzzzz"):
            self.refuse("invalid", BOB, 9, ["previous", wrong])

    def test_deleted(self) -> None:
        """What was deleted is not referred to."""
        gone = self.do(BOB, 9)
        beginning = gone.id.hex()[:8]
        self.do(BOB, 9, ["previous", beginning])
        self.do(ADMIN, 9005, ["e", gone.id.hex()])
        self.refuse("invalid", BOB, 9, ["previous", beginning], content="x")

    def test_after_restart(self) -> None:
        """What was stored before the restart counts."""
        here = self.do(BOB, 9).id.hex()[:8]
        self.restart()
        self.do(BOB, 9, ["previous", here], content="x")


class ArchiveTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.groups.archive.Archive`."""

    def test_newest(self) -> None:
        """So many of the newest events may be referred to, whether stored or new."""
        store = MemoryEventStore()
        archive = Archive(store, Clock())
        tags = [["h", PIZZA]]
        events = [
            make_event(
                id=event_id(0, number.to_bytes(4, "big")), created_at=number, tags=tags
            )
            for number in range(REFERABLE + 2)
        ]
        self.successResultOf(store.save_events(events[:-1]))

        def beginnings() -> list[str]:
            return list(self.successResultOf(archive.beginnings(PIZZA)))

        expected = [event.id.hex()[:8] for event in events]
        self.assertEqual(beginnings(), expected[1:-1])
        archive.note(events[-1])
        self.assertEqual(beginnings(), expected[2:])
        archive.forget([events[-1].id])
        self.assertEqual(beginnings(), expected[2:-1])


class LeastReferencesTests(GroupCase):
    """The operator asks for references."""

    groups = GroupSettings(enabled=True, min_references=3)

    def test_least(self) -> None:
        """So many are asked for, or as many as there can be."""
        self.create()
        here = [e.id.hex()[:8] for e in self.stored() if e.kind < 39000]
        self.assertEqual(len(here), 3)
        for few in (here[:0], here[:2]):
            self.refuse("invalid", BOB, 9, ["previous", *few])
        self.do(BOB, 9, ["previous", *here])


class OffTests(GroupCase):
    """A relay without groups."""

    groups = GroupSettings()

    def begin(self, under_test: object) -> None:
        """Nothing to start."""

    def test_events_like_others(self) -> None:
        """The kinds and tags of groups mean nothing to it."""
        for kind in (9, 9000, 9007, 9021):
            self.do(EVE, kind)
        self.assert_accepted(
            self.visitor, signed_event(EVE, kind=39000, tags=[["d", "x"]])
        )
        self.assertEqual(len(self.stored()), 5)
        self.assertNotIn(public_key(1), {event.pubkey for event in self.stored()})
