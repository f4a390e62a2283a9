"""How authors vanish from every store (NIP-62)."""

from __future__ import annotations

from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, make_event
from tests.storage.store_case import (
    DELETED,
    DUPLICATE,
    RELAY_URL,
    STORED,
    VANISHED,
    StoreCase,
)


def to_vanish(
    created_at: int = NOW, pubkey: bytes = ALICE, relay: str = "ALL_RELAYS"
) -> Event:
    """A request to vanish from ``relay``."""
    return make_event(
        kind=62, pubkey=pubkey, created_at=created_at, tags=[["relay", relay]]
    )


def wrap(recipient: bytes, created_at: int = NOW) -> Event:
    """A gift wrap for ``recipient``, by a key that nobody knows."""
    tags = [["p", BOB.hex()], ["p", recipient.hex()]]
    return make_event(kind=1059, pubkey=b"\1" * 32, created_at=created_at, tags=tags)


class VanishTests(StoreCase):
    """Tests for requests to vanish in :class:`nostrtx.interfaces.IEventStore`."""

    def everything(self, pubkey: bytes = ALICE, created_at: int = NOW) -> list[Event]:
        """One event of each sort by one author."""
        return [
            make_event(
                kind=kind,
                pubkey=pubkey,
                created_at=created_at,
                tags=[["t", "x"], ["d", "y"], ["p", BOB.hex()], ["e", "ab" * 32]],
            )
            for kind in (0, 1, 3, 4, 5, 7, 1059, 10002, 30023, 40000)
        ]

    def test_all_goes(self) -> None:
        """All an author's events go, deletion requests too; the request stays."""
        for save in (self.save, self.save_each):
            self.store = self.make_store()
            events, wish = self.everything(), to_vanish()
            save(*events, wish)
            self.assert_holds(wish)
            for one in (
                Filter(authors=(ALICE,)),
                Filter(tags=(("t", ("x",)),)),
                Filter(tags=(("p", (BOB.hex(),)),)),
                Filter(kinds=(0, 1, 3, 30023)),
                Filter(ids=tuple(event.id for event in events)),
                Filter(kinds=(30023,), authors=(ALICE,), tags=(("d", ("y",)),)),
            ):
                left = [wish] if one.matches(wish) else []
                self.assert_found(one, *left)

    def test_others_stay(self) -> None:
        """Others' events stay, also of a key that begins alike or names the author."""
        others = [*self.everything(ALICES_TWIN), *self.everything(BOB)]
        mention = make_event(pubkey=BOB, tags=[["p", ALICE.hex()]], content="hi")
        wish = to_vanish()
        self.save(*self.everything(), *others, mention, wish)
        self.assert_holds(*others, mention, wish)

    def test_up_to_its_second(self) -> None:
        """What is newer than the request stays; the request's second goes."""
        old, same, new = (self.everything(created_at=NOW + n) for n in (-1, 0, 1))
        wish = to_vanish()
        self.save(*[event for event in old if event.kind == 1], *same)
        self.save(wish)
        self.assert_holds(wish)
        self.assertEqual(set(self.save(*new)), {STORED})
        self.assert_holds(wish, *new)

    def test_newer_versions_stay(self) -> None:
        """A newer version of an address stays, and older ones do not come back."""
        new = self.everything(created_at=NOW + 1)
        wish = to_vanish()
        self.save(*new, wish)
        self.assert_holds(wish, *new)
        self.assertEqual(set(self.save(*self.everything())), {VANISHED})

    def test_nothing_comes_back(self) -> None:
        """What has vanished, or is as old, is refused from then on."""
        for save in (self.save, self.save_each):
            self.store = self.make_store()
            events, wish = self.everything(), to_vanish()
            late = make_event(content="late", created_at=NOW - 9)
            save(*events, wish)
            self.assertEqual(save(*events, late), [VANISHED] * (len(events) + 1))
            self.assertEqual(save(wish), [DUPLICATE])
            self.assert_holds(wish)

    def test_gift_wraps(self) -> None:
        """Wraps for the author go as well, by the same bound, and stay away."""
        old, new = wrap(ALICE), wrap(ALICE, NOW + 1)
        other = wrap(ALICES_TWIN)
        wish = to_vanish()
        self.save(old, other, wish, new)
        self.assert_holds(other, wish, new)
        self.assertEqual(self.save(old), [VANISHED])

    def test_wrap_for_oneself(self) -> None:
        """A wrap that its author addressed to itself goes once."""
        own = make_event(kind=1059, tags=[["p", ALICE.hex()], ["p", ALICE.hex()]])
        self.save(own, to_vanish())
        self.assert_holds(to_vanish())

    def test_not_for_this_relay(self) -> None:
        """A request for another relay is an ordinary event."""
        events = self.everything()
        for relay in ("wss://other.example.com/", "all_relays", "ALL_RELAYS "):
            wish = to_vanish(relay=relay)
            self.assertEqual(self.save(wish), [STORED])
            events.append(wish)
        self.save(*events)
        self.assert_holds(*events)

    def test_one_relay_of_many(self) -> None:
        """It is enough if one of the relays that a request names is this one."""
        for relay in ("ALL_RELAYS", RELAY_URL):
            self.store = self.make_store()
            tags = [["relay", "wss://a.example/"], ["x"], ["relay", relay]]
            wish = make_event(kind=62, tags=tags)
            self.save(*self.everything(), wish)
            self.assert_holds(wish)

    def test_bound_grows_only(self) -> None:
        """A later request reaches further; an earlier one takes nothing back."""
        early, late = to_vanish(NOW - 5), to_vanish(NOW + 5)
        between = make_event(created_at=NOW)
        for wishes in ((early, late), (late, early)):
            self.store = self.make_store()
            self.assertEqual(self.save_each(*wishes), [STORED, STORED])
            self.assertEqual(self.save(between), [VANISHED])
            self.assert_holds(early, late)

    def test_requests_stay(self) -> None:
        """Neither deletion requests nor later requests remove a request."""
        first, second = to_vanish(), to_vanish(NOW + 5)
        tags = [["e", first.id.hex()], ["e", second.id.hex()], ["k", "62"]]
        deletion = make_event(kind=5, created_at=NOW + 9, tags=tags)
        self.save_each(first, second, deletion)
        self.assert_holds(first, second, deletion)
        self.assertEqual(self.save(make_event()), [VANISHED])

    def test_deleted_does_not_come_back(self) -> None:
        """What had been deleted stays away after the deletion request is gone."""
        newer = make_event(created_at=NOW + 9)
        profile = make_event(kind=0, created_at=NOW)
        tags = [["e", newer.id.hex()], ["a", f"0:{ALICE.hex()}:"]]
        deletion = make_event(kind=5, tags=tags)
        self.save(newer, profile, deletion, to_vanish())
        self.assert_holds(to_vanish())
        outcomes = self.save(newer, profile)
        self.assertNotIn(STORED, outcomes)
        self.assert_holds(to_vanish())

    def test_expiring(self) -> None:
        """What would have expired later vanishes now, and sweeps miss nothing."""
        dying = make_event(tags=[["expiration", str(NOW + 5)]])
        self.save(dying, to_vanish())
        self.assertEqual(self.sweep(NOW + 9), 0)
        self.assert_holds(to_vanish())

    def test_many(self) -> None:
        """Thousands of events vanish, those of the very same batch included."""
        notes = [
            make_event(created_at=NOW - n, content=f"{n}", tags=[["t", f"{n % 7}"]])
            for n in range(5000)
        ]
        wraps = [wrap(ALICE, NOW - n) for n in range(30)]
        bobs = make_event(pubkey=BOB)
        wish = to_vanish()
        self.save(*notes[:4500], *wraps, bobs)
        self.save(*notes[4500:], wish, notes[0])
        self.assert_holds(bobs, wish)
        self.assertEqual(set(self.save(*notes[:100], *wraps)), {VANISHED})

    def test_refused(self) -> None:
        """Nothing goes with a request that is itself kept out, be it ever so much."""
        notes = [make_event(created_at=NOW - n, content=f"{n}") for n in range(2100)]
        wish = to_vanish()
        self.save(*notes)
        self.result_of(self.store.remove_events([wish.id]))
        self.assertEqual(self.save(wish), [DELETED])
        self.assert_holds(*notes)
        self.assertEqual(self.save(make_event(content="late")), [STORED])
