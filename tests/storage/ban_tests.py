"""How every store keeps what is banned."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from nostrtx.interfaces.store import BanChange, SaveOutcome
from nostrtx.nostr.bans import Ban, BanKind
from tests.storage.events import ALICE, BOB, make_event
from tests.storage.store_case import DELETED, STORED, StoreCase


def pubkey_ban(pubkey: bytes = ALICE, reason: str = "spam", made_at: int = 1) -> Ban:
    """A ban of a key."""
    return Ban(BanKind.PUBKEY, pubkey.hex(), reason, made_at)


def event_ban(id_: bytes) -> Ban:
    """A ban of an event."""
    return Ban(BanKind.EVENT, id_.hex())


class BanTests(StoreCase):
    """Tests for the methods about bans of :class:`nostrtx.interfaces.IEventStore`."""

    def changes(self, after: int = 0, most: int = 100) -> list[BanChange]:
        """The changes after a number, after waiting for them if need be."""
        changes = self.store.ban_changes(after, most)
        if isinstance(changes, Deferred):
            changes = self.result_of(changes)
        return list(changes)

    def ban(self, *bans: Ban) -> None:
        """Ban in one transaction."""
        self.assertIsNone(self.result_of(self.store.put_bans(bans)))

    def lift(self, *bans: Ban) -> int:
        """Lift in one transaction; how many there were."""
        named = [(ban.kind, ban.subject) for ban in bans]
        return self.result_of(self.store.lift_bans(named))

    def test_no_bans(self) -> None:
        """In a new store nothing is banned."""
        self.assertEqual(self.changes(), [])
        self.assertEqual(self.changes(7), [])

    def test_kept(self) -> None:
        """Bans are kept as they were made, in that order."""
        bans = [
            pubkey_ban(reason='ständig "Werbung"'),
            Ban(BanKind.ADDRESS, "2001:db8::/32", "", 5),
            event_ban(make_event().id),
            pubkey_ban(BOB, "", 2**33),
        ]
        self.ban(*bans[:2])
        self.ban(*bans[2:])
        changes = self.changes()
        self.assertEqual([change.ban for change in changes], bans)
        self.assertFalse(any(change.is_lifted for change in changes))
        numbers = [change.number for change in changes]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertGreater(numbers[0], 0)

    def test_same_subject_of_another_kind(self) -> None:
        """A key and an event with the same digits are banned each by itself."""
        self.ban(pubkey_ban(ALICE), event_ban(ALICE))
        self.assertEqual(self.lift(event_ban(ALICE)), 1)
        self.assertEqual(
            [(c.ban.kind, c.is_lifted) for c in self.changes()],
            [(BanKind.PUBKEY, False), (BanKind.EVENT, True)],
        )

    def test_allowed(self) -> None:
        """What was allowed is kept in the same way, and bans nothing."""
        note = make_event()
        self.save(note)
        key = Ban(BanKind.ALLOWED_PUBKEY, ALICE.hex(), "a friend", 5)
        event = Ban(BanKind.ALLOWED_EVENT, note.id.hex())
        self.ban(key, event, pubkey_ban(BOB))
        self.assertEqual([c.ban for c in self.changes()][:2], [key, event])
        self.assertEqual(self.save(note), [SaveOutcome.DUPLICATE])
        self.assertEqual(self.lift(event), 1)
        self.assertEqual(self.save(note), [SaveOutcome.DUPLICATE])
        self.assertEqual(
            [(c.ban.kind, c.is_lifted) for c in self.changes()],
            [
                (BanKind.ALLOWED_PUBKEY, False),
                (BanKind.PUBKEY, False),
                (BanKind.ALLOWED_EVENT, True),
            ],
        )

    def test_opposite(self) -> None:
        """To ban ends that the same was allowed, and the other way round, at once."""
        key = Ban(BanKind.ALLOWED_PUBKEY, ALICE.hex())
        self.ban(key, pubkey_ban(BOB))
        self.ban(pubkey_ban(ALICE))
        in_force = [c.ban.kind for c in self.changes() if not c.is_lifted]
        self.assertEqual(in_force, [BanKind.PUBKEY, BanKind.PUBKEY])
        last = self.changes()[-1].number
        self.ban(key)
        self.assertEqual(
            [(c.ban.kind, c.is_lifted) for c in self.changes(last)],
            [(BanKind.ALLOWED_PUBKEY, False), (BanKind.PUBKEY, True)],
        )
        self.ban(pubkey_ban(ALICE), key, pubkey_ban(ALICE))
        in_force = [c.ban.kind for c in self.changes() if not c.is_lifted]
        self.assertEqual(in_force, [BanKind.PUBKEY, BanKind.PUBKEY])
        self.assertEqual(self.lift(key), 0)

    def test_allowed_event(self) -> None:
        """An event that is allowed may be published again, however it was banned."""
        note = make_event()
        allowed = Ban(BanKind.ALLOWED_EVENT, note.id.hex())
        self.ban(event_ban(note.id))
        self.assertEqual(self.save(note), [DELETED])
        self.ban(allowed)
        self.assertEqual(self.save(note), [STORED])

    def test_only_what_changed(self) -> None:
        """Who knows the bans up to a number is told of later changes, in parts."""
        self.ban(*[pubkey_ban(bytes([n]) * 32) for n in range(5)])
        changes = self.changes()
        last = changes[-1].number
        self.assertEqual(self.changes(last), [])
        self.assertEqual(self.changes(changes[1].number), changes[2:])
        self.assertEqual(self.changes(0, 2), changes[:2])
        self.assertEqual(self.changes(changes[1].number, 2), changes[2:4])
        self.ban(pubkey_ban())
        self.assertEqual([c.ban for c in self.changes(last)], [pubkey_ban()])

    def test_banned_again(self) -> None:
        """A new ban of the same subject takes the place of the one before."""
        self.ban(pubkey_ban(), pubkey_ban(BOB))
        last = self.changes()[-1].number
        again = pubkey_ban(reason="more spam", made_at=9)
        self.ban(again)
        (change,) = self.changes(last)
        self.assertEqual(change.ban, again)
        self.assertEqual([c.ban for c in self.changes()], [pubkey_ban(BOB), again])

    def test_lifted(self) -> None:
        """Who knew of a ban is told that it was lifted; it can be made again."""
        self.ban(pubkey_ban(), pubkey_ban(BOB))
        last = self.changes()[-1].number
        self.assertEqual(self.lift(pubkey_ban(reason="does not matter")), 1)
        (change,) = self.changes(last)
        self.assertEqual((change.ban, change.is_lifted), (pubkey_ban(), True))
        self.ban(pubkey_ban())
        (change,) = self.changes(change.number)
        self.assertEqual((change.ban, change.is_lifted), (pubkey_ban(), False))

    def test_not_banned(self) -> None:
        """Lifting what is not banned, or no longer, changes nothing."""
        self.ban(pubkey_ban())
        self.assertEqual(self.lift(pubkey_ban(BOB)), 0)
        self.assertEqual(self.lift(pubkey_ban(), pubkey_ban()), 1)
        last = self.changes()[-1].number
        self.assertEqual(self.lift(pubkey_ban()), 0)
        self.assertEqual(self.changes(last), [])

    def test_event(self) -> None:
        """A banned event is removed, and comes back only after the ban is lifted."""
        note, other = make_event(), make_event(content="other")
        self.save(note, other)
        self.ban(event_ban(note.id))
        self.assert_holds(other)
        self.assertEqual(self.save(note), [DELETED])
        self.assertEqual(self.lift(event_ban(note.id)), 1)
        self.assertEqual(self.save(note), [STORED])
        self.assert_holds(note, other)

    def test_event_that_is_not_here(self) -> None:
        """An event can be banned before anybody has published it."""
        note = make_event()
        self.ban(event_ban(note.id))
        self.assertEqual(self.save(note), [DELETED])

    def test_event_deleted_by_its_author(self) -> None:
        """What its author has deleted does not come back because a ban is lifted."""
        note = make_event()
        self.save(note, make_event(kind=5, tags=[["e", note.id.hex()]]))
        self.ban(event_ban(note.id))
        self.lift(event_ban(note.id))
        self.assertEqual(self.save(note), [DELETED])

    def test_events_of_a_banned_key(self) -> None:
        """Events of a banned key stay in the store until somebody removes them."""
        note = make_event()
        self.save(note)
        self.ban(pubkey_ban(note.pubkey))
        self.assert_holds(note)
