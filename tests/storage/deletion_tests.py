"""How every store deletes: on request (NIP-09, NIP-59) and by expiry (NIP-40)."""

from __future__ import annotations

from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, event_id, make_event
from tests.storage.store_case import (
    DELETED,
    DUPLICATE,
    STORED,
    SUPERSEDED,
    StoreCase,
)


def request(*tags: list[str], pubkey: bytes = ALICE, created_at: int = NOW) -> Event:
    """A deletion request with these tags."""
    return make_event(kind=5, pubkey=pubkey, created_at=created_at, tags=tags)


def by_id(event: Event) -> list[str]:
    """The tag of a deletion request that names ``event`` by its id."""
    return ["e", event.id.hex()]


def by_address(event: Event, d: str = "") -> list[str]:
    """The tag of a deletion request that names the address of ``event``."""
    return ["a", f"{event.kind}:{event.pubkey.hex()}:{d}"]


class DeletionTests(StoreCase):
    """Tests for deletion requests in :class:`nostrtx.interfaces.IEventStore`."""

    def test_by_id(self) -> None:
        """A request removes an event of its author, and is kept itself."""
        for save in (self.save, self.save_each):
            self.store = self.make_store()
            event, other = make_event(), make_event(content="other")
            wish = request(by_id(event))
            self.assertEqual(save(event, other, wish), [STORED] * 3)
            self.assert_holds(other, wish)
            self.assert_found(Filter(ids=(event.id,)))

    def test_deleted_stays_deleted(self) -> None:
        """What was deleted, or named before it came, is refused from then on."""
        for save in (self.save, self.save_each):
            self.store = self.make_store()
            event = make_event()
            wish = request(by_id(event))
            self.assertEqual(save(wish, event, event), [STORED, DELETED, DELETED])
            self.assertEqual(save(event, wish), [DELETED, DUPLICATE])
            self.assert_holds(wish)

    def test_removed_by_the_relay(self) -> None:
        """The relay removes any events by id, for good, here or not."""
        kinds = (1, 5, 62, 1059, 10002, 30000)
        events = [make_event(kind=kind, pubkey=BOB) for kind in kinds]
        here, missing, other = events[:-1], events[-1], make_event(content="other")
        self.save(*here, other)
        ids = [event.id for event in events]
        self.assertEqual(self.result_of(self.store.remove_events(ids)), len(here))
        self.assert_holds(other)
        for save in (self.save, self.save_each):
            self.assertEqual(save(*events), [DELETED] * len(events))
        self.assertEqual(self.result_of(self.store.remove_events(ids)), 0)
        self.assertEqual(self.result_of(self.store.remove_events([])), 0)
        newer = make_event(kind=10002, pubkey=BOB, created_at=NOW + 1)
        self.assertEqual(self.save(newer), [STORED])
        self.assert_holds(other, newer)
        self.assertEqual(missing.kind, 30000)

    def test_age_does_not_matter_by_id(self) -> None:
        """An event is deleted by id even if the request claims to be older."""
        event = make_event(created_at=NOW)
        wish = request(by_id(event), created_at=1)
        self.save(event, wish)
        self.assert_holds(wish)

    def test_not_yours(self) -> None:
        """Others' requests do nothing, neither now nor to what comes later."""
        event, late = make_event(), make_event(content="late")
        wishes = [
            request(by_id(event), by_id(late), pubkey=pubkey)
            for pubkey in (ALICES_TWIN, BOB)
        ]
        self.save(event, *wishes)
        self.assertEqual(self.save(late), [STORED])
        self.assert_holds(event, late, *wishes)

    def test_yours_after_others(self) -> None:
        """The author's request works though others asked for the same before."""
        event = make_event()
        wishes = [request(by_id(event), pubkey=key) for key in (BOB, ALICE)]
        self.assertEqual(self.save_each(*wishes, event), [STORED, STORED, DELETED])
        self.assert_holds(*wishes)

    def test_many_and_malformed_tags(self) -> None:
        """A request may name many events; what names none is passed over."""
        events = [make_event(content=str(n)) for n in range(10)]
        wish = request(
            ["e"],
            ["e", ""],
            ["e", events[9].id.hex().upper()],
            ["e", events[9].id.hex()[:62]],
            ["E", events[9].id.hex()],
            ["a", ""],
            ["a", f"0:{ALICE.hex()}"],
            ["a", f":{ALICE.hex()}:"],
            ["a", f"-1:{ALICE.hex()}:"],
            *(by_id(event) for event in events[:9]),
            by_id(events[0]),
        )
        self.save(*events, wish)
        self.assert_holds(events[9], wish)

    def test_requests_cannot_be_deleted(self) -> None:
        """Requests to delete or to vanish stay, whoever names them."""
        for kind in (5, 62):
            self.store = self.make_store()
            early, late = (make_event(kind=kind, content=text) for text in "ab")
            wish = request(by_id(early), by_id(late))
            self.assertEqual(self.save(early, wish, late), [STORED] * 3)
            self.assert_holds(early, late, wish)

    def test_request_that_names_itself(self) -> None:
        """A request that names its own id stays as well."""
        wish = make_event(
            id=event_id(7), kind=5, tags=[["e", event_id(7).hex()]], content="me"
        )
        self.assertEqual(self.save(wish), [STORED])
        self.assert_holds(wish)

    def test_marks_outlive_the_request(self) -> None:
        """When a request expires, what it deleted does not come back."""
        event = make_event()
        profile = make_event(kind=0)
        wish = request(by_id(event), by_address(profile), ["expiration", str(NOW + 1)])
        self.save(event, profile, wish)
        self.assertEqual(self.sweep(NOW + 1), 1)
        self.assert_holds()
        self.assertEqual(self.save(event, profile), [DELETED, DELETED])

    def test_gift_wrap(self) -> None:
        """A gift wrap is deleted by its author and by each of its recipients."""
        tags = [["p", BOB.hex()], ["p"], ["p", "x"], ["p", ALICES_TWIN.hex(), "wss://"]]
        wrap = make_event(kind=1059, tags=tags)
        for pubkey in (ALICE, BOB, ALICES_TWIN):
            wish = request(by_id(wrap), pubkey=pubkey)
            for order in ((wrap, wish), (wish, wrap)):
                self.store = self.make_store()
                self.save_each(*order)
                self.assert_holds(wish)
                self.assertEqual(self.save(wrap), [DELETED])

    def test_gift_wrap_of_others(self) -> None:
        """A gift wrap survives those it is not for, and only it has recipients."""
        wrap = make_event(kind=1059, tags=[["p", BOB.hex()], ["P", ALICES_TWIN.hex()]])
        note = make_event(kind=1, tags=[["p", BOB.hex()]])
        seal = make_event(kind=13, tags=[["p", BOB.hex()]])
        wishes = [
            request(by_id(wrap), pubkey=ALICES_TWIN),
            request(by_id(note), by_id(seal), pubkey=BOB),
        ]
        self.save(wrap, *wishes, note, seal)
        self.assert_holds(wrap, note, seal, *wishes)

    def test_by_address(self) -> None:
        """A request removes the version of its time or before, and bars those."""
        for kind, d in ((0, ""), (10002, ""), (30023, "x:y"), (30023, "é" * 300)):
            for age in (0, 1):
                self.store = self.make_store()
                tags = [["d", d]]
                event = make_event(kind=kind, tags=tags, created_at=NOW - age)
                wish = request(by_address(event, d))
                self.assertEqual(self.save_each(event, wish), [STORED, STORED])
                self.assert_holds(wish)
                same_time = make_event(kind=kind, tags=tags, content="again")
                self.assertEqual(self.save(event, same_time), [DELETED, DELETED])
                later = make_event(kind=kind, tags=tags, created_at=NOW + 1)
                self.assertEqual(self.save(later, wish), [STORED, DUPLICATE])
                self.assert_holds(wish, later)

    def test_by_address_before_it_comes(self) -> None:
        """Versions up to the request are refused when they come after it."""
        old, same, new = (
            make_event(kind=30023, tags=[["d", "x"]], created_at=NOW + n)
            for n in (-1, 0, 1)
        )
        for save in (self.save, self.save_each):
            self.store = self.make_store()
            wish = request(by_address(old, "x"))
            outcomes = [STORED, DELETED, DELETED, STORED, DELETED]
            self.assertEqual(save(wish, old, same, new, old), outcomes)
            self.assert_holds(wish, new)

    def test_later_version_survives(self) -> None:
        """A request leaves a version that was made after it."""
        new = make_event(kind=30023, tags=[["d", "x"]], created_at=NOW + 1)
        wish = request(by_address(new, "x"))
        self.save(new, wish)
        self.assert_holds(new, wish)

    def test_latest_request_counts(self) -> None:
        """Of several requests for an address the latest counts, in any order."""
        event = make_event(kind=0, created_at=NOW)
        early = request(by_address(event), created_at=NOW - 5)
        late = request(by_address(event), created_at=NOW + 5)
        for order in ((early, late), (late, early)):
            self.store = self.make_store()
            self.save_each(*order)
            self.assertEqual(self.save(event), [DELETED])
            between = make_event(kind=0, created_at=NOW + 5)
            after = make_event(kind=0, created_at=NOW + 6)
            self.assertEqual(self.save(between, after), [DELETED, STORED])

    def test_addresses_of_others(self) -> None:
        """Requests for others' addresses do nothing."""
        event = make_event(kind=30023, tags=[["d", "x"]])
        wishes = [
            request(by_address(event, "x"), pubkey=key) for key in (BOB, ALICES_TWIN)
        ]
        self.save(event, *wishes)
        self.assert_holds(event, *wishes)

    def test_other_addresses(self) -> None:
        """A request binds exactly the address it names."""
        events = [
            make_event(kind=kind, tags=[["d", d]])
            for kind in (30023, 30024)
            for d in ("", "x", "X", "x:", "x" * 81, "x" * 82)
        ]
        wish = request(by_address(events[0], "x" * 81), by_address(events[0], "x"))
        self.save(*events, wish)
        gone = (events[1], events[4])
        self.assert_holds(wish, *(event for event in events if event not in gone))

    def test_regular_kinds_have_no_address(self) -> None:
        """An ``a`` tag does not delete events of a kind that has no address."""
        event = make_event(kind=1, tags=[["d", "x"]])
        wish = request(by_address(event, "x"), by_address(event))
        self.save(event, wish)
        self.assert_holds(event, wish)

    def test_replaced_version_by_id(self) -> None:
        """Deleting an older version by id leaves the current one."""
        old = make_event(kind=0, created_at=NOW - 1)
        new = make_event(kind=0)
        wish = request(by_id(old))
        self.save(old, new, wish)
        self.assert_holds(new, wish)
        self.assertEqual(self.save(old), [DELETED])

    def test_current_version_by_id(self) -> None:
        """When the current version is deleted by id, an older one may come back."""
        old = make_event(kind=30023, tags=[["d", "x"]], created_at=NOW - 1)
        new = make_event(kind=30023, tags=[["d", "x"]])
        wish = request(by_id(new))
        for save in (self.save, self.save_each):
            self.store = self.make_store()
            self.save(new)
            self.assertEqual(save(old, wish), [SUPERSEDED, STORED])
            self.assertEqual(save(new, old), [DELETED, STORED])
            self.assert_holds(wish, old)

    def test_one_batch(self) -> None:
        """Versions, requests and events of one batch act on one another in order."""
        one, two, three = (
            make_event(kind=30023, tags=[["d", "x"]], created_at=NOW + n)
            for n in range(3)
        )
        wish = request(by_address(one, "x"), by_id(three), created_at=NOW + 1)
        outcomes = self.save(two, one, wish, three, two)
        self.assertEqual(outcomes, [STORED, SUPERSEDED, STORED, DELETED, DELETED])
        self.assert_holds(wish)

    def test_deleted_is_nowhere(self) -> None:
        """No filter finds a deleted event, or counts it."""
        event = make_event(kind=7, tags=[["t", "x"], ["e", event_id(1).hex()]])
        self.save_each(event, request(by_id(event)))
        for filter_ in (
            Filter(ids=(event.id,)),
            Filter(authors=(ALICE,), kinds=(7,)),
            Filter(kinds=(7,)),
            Filter(tags=(("t", ("x",)),)),
            Filter(tags=(("e", (event_id(1).hex(),)),), kinds=(7,)),
        ):
            self.assert_found(filter_)


class ExpiryTests(StoreCase):
    """Tests for expiration in :class:`nostrtx.interfaces.IEventStore`."""

    def test_served_until_expired(self) -> None:
        """An event is served before its time and not from that second on."""
        event = make_event(tags=[["expiration", str(NOW)]])
        self.save(event)
        for filter_ in (Filter(), Filter(ids=(event.id,)), Filter(kinds=(1,))):
            self.assert_found(filter_, event, now=NOW - 1)
            self.assert_found(filter_, event, now=NOW - 0.001)
            self.assert_found(filter_, now=NOW)
            self.assert_found(filter_, now=NOW + 0.5)

    def test_expired_uses_up_no_limit(self) -> None:
        """A limit counts only what is served."""
        lasting = [make_event(created_at=NOW - n) for n in range(6)]
        dying = [
            make_event(created_at=NOW - n, tags=[["expiration", str(NOW - n)]])
            for n in range(6)
        ]
        self.save(*lasting, *dying)
        for filter_ in (
            Filter(limit=5),
            Filter(kinds=(1,), limit=5),
            Filter(authors=(ALICE,), limit=5),
            Filter(authors=(ALICE, BOB), kinds=(1, 2), limit=5),
            Filter(ids=tuple(e.id for e in dying + lasting), limit=5),
        ):
            self.assertEqual(
                self.answer(filter_), [event.raw for event in lasting[:5]], filter_
            )

    def test_sweep(self) -> None:
        """Sweeping removes what has expired and nothing else."""
        events = [
            make_event(tags=[["expiration", str(NOW + n)]], content=str(n))
            for n in range(10)
        ]
        lasting = make_event()
        self.save(*events, lasting)
        self.assertEqual(self.sweep(NOW - 1), 0)
        self.assertEqual(self.sweep(NOW + 4.5), 5)
        self.assertEqual(self.sweep(NOW + 4.5), 0)
        self.assert_found(Filter(), *events[5:], lasting, now=0)

    def test_sweep_of_many(self) -> None:
        """Calling until nothing is left removes any number."""
        events = [
            make_event(tags=[["expiration", "5"]], content=str(n)) for n in range(3000)
        ]
        self.save(*events)
        self.assertEqual(self.sweep(5), 3000)
        self.assertEqual(self.count(Filter(), now=0), 0)

    def test_swept_is_not_marked(self) -> None:
        """What was swept is not deleted by request: it can be stored again."""
        event = make_event(tags=[["expiration", str(NOW)]])
        self.save(event)
        self.sweep(NOW)
        self.assertEqual(self.save(event), [STORED])
        self.assertEqual(self.sweep(NOW), 1)

    def test_removed_before_it_expired(self) -> None:
        """What was replaced or deleted before its time is not swept again."""
        tags = [["expiration", str(NOW)]]
        old = make_event(kind=0, tags=tags)
        new = make_event(kind=0, created_at=NOW + 1)
        doomed = make_event(tags=tags)
        wish = request(by_id(doomed))
        self.save_each(old, new, doomed, wish)
        self.assertEqual(self.sweep(NOW + 1), 0)
        self.assert_holds(new, wish)

    def test_expired_version(self) -> None:
        """A version that has expired gives way once it is swept."""
        new = make_event(kind=0, tags=[["expiration", str(NOW)]])
        old = make_event(kind=0, created_at=NOW - 1)
        self.assertEqual(self.save(new, old), [STORED, SUPERSEDED])
        self.sweep(NOW)
        self.assertEqual(self.save(old), [STORED])
        self.assert_holds(old)

    def test_odd_expirations(self) -> None:
        """Only the first tag counts, and only one that is a number of seconds."""
        forever = [
            make_event(tags=tags)
            for tags in (
                [["expiration"]],
                [["expiration", ""]],
                [["expiration", "-1"]],
                [["expiration", "1.5"]],
                [["expiration", " 1"]],
                [["expiration", "x"], ["expiration", "1"]],
                [["expiration", "9" * 20]],
                [["expiration", str(2**32)]],
                [["expiration", str(2**40)]],
                [["expiration", str(2**48)]],
                [["expiration", str(2**64)]],
            )
        ]
        dying = [
            make_event(tags=[["expiration", text]])
            for text in ("0", "1", "0" * 19 + "1")
        ]
        self.save(*forever, *dying)
        self.assert_holds(*forever)
        self.assertEqual(self.sweep(NOW), 3)
        self.assert_found(Filter(), *forever, now=0)
