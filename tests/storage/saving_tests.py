"""What every store does when it saves: duplicates, replacement (NIP-01), ``seq``."""

from __future__ import annotations

from itertools import permutations

from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from nostrtx.interfaces.queries import IStoredQuery
from nostrtx.interfaces.store import IEventStore
from nostrtx.nostr.filters import Filter
from tests.storage.events import ALICE, ALICES_TWIN, BOB, NOW, event_id, make_event
from tests.storage.store_case import DUPLICATE, STORED, SUPERSEDED, StoreCase


class SavingTests(StoreCase):
    """Tests for :meth:`nostrtx.interfaces.IEventStore.save_events`."""

    def test_interfaces(self) -> None:
        """The store and its queries provide what they promise."""
        self.assertTrue(verifyObject(IEventStore, self.store))
        query = self.store.query([Filter()], NOW)
        self.assertTrue(verifyObject(IStoredQuery, query))
        query.close()

    def test_nothing(self) -> None:
        """Saving nothing is no error."""
        self.assertEqual(self.save(), [])
        self.assertEqual(self.store.last_seq(), 0)

    def test_seq_grows(self) -> None:
        """Each stored event gets a greater ``seq``; the last one is known."""
        first = self.result_of(self.store.save_events([make_event(content="1")]))
        others = [make_event(content="2"), make_event(content="3", created_at=1)]
        second = self.result_of(self.store.save_events(others))
        seqs = [result.seq for result in first + second]
        self.assertTrue(0 < seqs[0] < seqs[1] < seqs[2], seqs)
        self.assertEqual(self.store.last_seq(), seqs[2])

    def test_refused_has_no_seq(self) -> None:
        """What is not stored has no ``seq`` and does not move the last one."""
        event = make_event(kind=0)
        older = make_event(kind=0, created_at=NOW - 1)
        self.save(event)
        before = self.store.last_seq()
        results = self.result_of(self.store.save_events([event, older]))
        self.assertEqual([result.seq for result in results], [0, 0])
        self.assertEqual(self.store.last_seq(), before)

    def test_seq_never_reused(self) -> None:
        """After the newest event is replaced, deleted or swept, ``seq`` goes on."""
        seqs = []
        for event in (
            make_event(kind=0),
            make_event(kind=0, created_at=NOW + 1),
            doomed := make_event(content="doomed"),
            make_event(kind=5, tags=[["e", doomed.id.hex()]]),
            make_event(tags=[["expiration", str(NOW)]]),
        ):
            [result] = self.result_of(self.store.save_events([event]))
            seqs.append(result.seq)
        self.assertEqual(self.sweep(NOW), 1)
        self.assertEqual(self.store.last_seq(), seqs[-1])
        [result] = self.result_of(self.store.save_events([make_event(content="z")]))
        seqs.append(result.seq)
        self.assertEqual(seqs, sorted(set(seqs)))

    def test_duplicate(self) -> None:
        """An event is stored once, also when it comes twice in one batch."""
        event = make_event()
        self.assertEqual(self.save(event, event), [STORED, DUPLICATE])
        self.assertEqual(self.save(event), [DUPLICATE])
        self.assert_holds(event)

    def test_ids_that_begin_alike(self) -> None:
        """Ids are told apart by all their bytes."""
        events = [make_event(id=event_id(n, b"same")) for n in range(5)]
        self.assertEqual(self.save(*events), [STORED] * 5)
        self.assert_holds(*events)

    def test_bytes_come_back(self) -> None:
        """What is answered is byte for byte what was saved."""
        event = make_event(
            tags=[["t", 'a"\\/\n\x01é\U0001f600'], ["x"], ["", ""]],
            content="\x00\x7f\u2028\uffff日本" * 1000,
        )
        self.save(event)
        self.assertEqual(self.answer(Filter()), [event.raw])

    def test_large_event(self) -> None:
        """An event of half a megabyte with ten thousand tags is kept and found."""
        tags = [["p", event_id(n).hex()] for n in range(5000)]
        tags += [["t", str(n)] for n in range(5000)]
        event = make_event(kind=3, tags=tags)
        self.assertEqual(self.save(event), [STORED])
        self.assert_found(Filter(tags=(("t", ("4999",)),)), event)
        newer = make_event(kind=3, created_at=NOW + 1)
        self.assertEqual(self.save(newer), [STORED])
        self.assert_found(Filter(tags=(("t", ("4999",)),)))

    def test_later_version_wins(self) -> None:
        """Of each replaceable or addressable kind, only the latest is kept."""
        for kind in (0, 3, 10000, 19999, 30000, 39999):
            for save in (self.save, self.save_each):
                self.store = self.make_store()
                old = make_event(kind=kind, created_at=NOW - 1)
                new = make_event(kind=kind, created_at=NOW)
                self.assertEqual(save(old, new), [STORED, STORED], kind)
                self.assert_holds(new)

    def test_earlier_version_is_refused(self) -> None:
        """An earlier version is refused, also one that was stored before."""
        for kind in (0, 3, 10000, 19999, 30000, 39999):
            for save in (self.save, self.save_each):
                self.store = self.make_store()
                old = make_event(kind=kind, created_at=NOW - 1)
                new = make_event(kind=kind, created_at=NOW)
                self.assertEqual(save(new, old), [STORED, SUPERSEDED], kind)
                self.assertEqual(save(old, new), [SUPERSEDED, DUPLICATE], kind)
                self.assert_holds(new)

    def test_other_kinds_are_kept(self) -> None:
        """Nothing is replaced in regular kinds, to the edges of their ranges."""
        for kind in (1, 2, 4, 5, 62, 1059, 9999, 40000, 65535):
            self.store = self.make_store()
            events = [make_event(kind=kind, created_at=NOW + n) for n in range(3)]
            self.assertEqual(self.save(*events), [STORED] * 3, kind)
            self.assert_holds(*events)

    def test_tie_between_versions(self) -> None:
        """Of versions made in one second the lowest id wins, in any order."""
        versions = [
            make_event(id=event_id(n, prefix), kind=kind)
            for kind in (0, 30023)
            for n, prefix in ((1, b"same"), (2, b"same"), (0, b"tame"))
        ]
        for order in permutations(versions[:3]):
            for save in (self.save, self.save_each):
                self.store = self.make_store()
                save(*order)
                self.assert_holds(versions[0])
        for order in permutations(versions[3:]):
            self.store = self.make_store()
            self.save(*order)
            self.assert_holds(versions[3])

    def test_many_versions_in_one_batch(self) -> None:
        """A batch may replace a version that it has just stored, many times."""
        versions = [make_event(kind=0, created_at=NOW + n) for n in range(20)]
        mixed = versions[5:15] + versions[:5] + versions[15:]
        outcomes = self.save(*mixed)
        self.assertEqual(outcomes, [STORED] * 10 + [SUPERSEDED] * 5 + [STORED] * 5)
        self.assert_holds(versions[-1])

    def test_addresses_are_told_apart(self) -> None:
        """Kind, all of the author's key and all of ``d`` make an address."""
        long = "é" * 300
        values = [
            "",
            "a",
            "A",
            "b",
            "a\x00",
            "\x00",
            "a:b",
            long,
            long + "1",
            "ab" * 32,
        ]
        values += [
            "AB" * 32,
            "x" * 80,
            "x" * 81,
            "x" * 82,
            "é",
            "e\u0301",
            " ",
            "32" * 16,
        ]
        events = [
            make_event(kind=kind, pubkey=pubkey, tags=[["d", value]])
            for kind in (30000, 30001)
            for pubkey in (ALICE, ALICES_TWIN, BOB)
            for value in values
        ]
        self.assertEqual(self.save(*events), [STORED] * len(events))
        self.assert_holds(*events)
        newer = [
            make_event(kind=e.kind, pubkey=e.pubkey, tags=e.tags, created_at=NOW + 1)
            for e in events
        ]
        self.assertEqual(self.save(*newer), [STORED] * len(events))
        self.assert_holds(*newer)

    def test_first_d_counts(self) -> None:
        """The first ``d`` tag makes the address; without a value it is empty."""
        same = [[], [["d"]], [["d", ""]], [["d"], ["d", "x"]], [["d", "", "x"]]]
        for tags in same:
            self.store = self.make_store()
            old = make_event(kind=30000, tags=[["e", "x"], ["d", ""]])
            new = make_event(kind=30000, tags=tags, created_at=NOW + 1)
            self.save(old, new)
            self.assert_holds(new)
        other = make_event(kind=30000, tags=[["d", "x"], ["d", ""]])
        self.assertEqual(self.save(other), [STORED])
        self.assert_holds(new, other)

    def test_replaceable_has_no_d(self) -> None:
        """A ``d`` tag means nothing in a replaceable kind."""
        old = make_event(kind=10002, tags=[["d", "x"]])
        new = make_event(kind=10002, tags=[["d", "y"]], created_at=NOW + 1)
        self.save(old, new)
        self.assert_holds(new)

    def test_replaced_is_nowhere(self) -> None:
        """No filter finds a version that was replaced, or counts it."""
        old = make_event(kind=30023, tags=[["d", "x"], ["t", "old"]])
        new = make_event(kind=30023, tags=[["d", "x"]], created_at=NOW + 1)
        self.save_each(old, new)
        self.assert_found(Filter(ids=(old.id,)))
        self.assert_found(Filter(tags=(("t", ("old",)),)))
        self.assert_found(Filter(until=NOW))
        for filter_ in (
            Filter(authors=(ALICE,)),
            Filter(kinds=(30023,)),
            Filter(authors=(ALICE,), kinds=(30023,)),
            Filter(tags=(("d", ("x",)),)),
            Filter(authors=(ALICE,), kinds=(30023,), tags=(("d", ("x",)),)),
        ):
            self.assert_found(filter_, new)

    def test_extreme_times(self) -> None:
        """The first and the last second are as good as any other."""
        times = (0, 1, 2**31, 2**32 - 1, 2**32, 2**40 - 2)
        events = [make_event(created_at=created_at) for created_at in times]
        self.save(*events)
        self.assertEqual(self.answer(Filter()), [event.raw for event in events[::-1]])
        first, last = (make_event(kind=0, created_at=times[at]) for at in (0, -1))
        self.save(first, last)
        self.assert_holds(*events, last)

    def test_batch_is_in_order(self) -> None:
        """A large mixed batch ends as if its events had come one by one."""
        events = [
            make_event(
                kind=(0, 1, 30000)[n % 3],
                pubkey=(ALICE, ALICES_TWIN, BOB)[n % 7 % 3],
                created_at=NOW + n * 37 % 50,
                tags=[["d", str(n % 4)]],
            )
            for n in range(300)
        ]
        together = self.save(*events)
        held = self.answer(Filter())
        self.store = self.make_store()
        self.assertEqual(self.save_each(*events[:40]), together[:40])
        self.save(*events[40:])
        self.assertEqual(self.answer(Filter()), held)
        self.assertEqual(len(set(held)), len(held))
        self.assertEqual(self.count(Filter()), len(held))

    def test_alone(self) -> None:
        """One after the other is alone, in the order in which they asked."""
        leave = self.result_of(self.store.alone())
        second = self.store.alone()
        self.assertFalse(second.called)
        leave()
        self.result_of(second)()
        self.result_of(self.store.alone())()

    def test_sizes(self) -> None:
        """Each part of a store tells its size, and some part holds the events."""
        self.save(make_event(content="x" * 5000))
        sizes = self.store.sizes()
        if isinstance(sizes, Deferred):
            sizes = self.result_of(sizes)
        self.assertGreater(sum(sizes.values()), 5000)
        self.assertTrue(all(size >= 0 for size in sizes.values()), sizes)

    def test_facts(self) -> None:
        """A store says which it is, and how it is laid out; another is another."""
        facts = self.store.facts()
        self.assertEqual(facts.keys(), {"store", "layout"})
        self.assertTrue(all(facts.values()))
        self.assertEqual(self.store.facts(), facts)
        other = self.make_store().facts()
        self.assertEqual(other["layout"], facts["layout"])
        self.assertNotEqual(other["store"], facts["store"])
