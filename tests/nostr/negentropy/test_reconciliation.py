"""Tests for :mod:`nostrtx.nostr.negentropy.reconciliation`."""

from __future__ import annotations

from hashlib import sha256
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.negentropy.bound import INFINITY, Bound
from nostrtx.nostr.negentropy.messages import MessageWriter, Mode, Range, read_ranges
from nostrtx.nostr.negentropy.reconciliation import Initiator, Reconciliation
from nostrtx.nostr.negentropy.snapshot import Snapshot
from tests.nostr.negentropy.test_snapshot import Record, records
from tests.nostr.negentropy.vectors import load, snapshot_of

_T = 1_700_000_000
_EMPTY = Snapshot.of([])
_MANY_ROUNDS = 500


def _id(text: str) -> bytes:
    return sha256(text.encode()).digest()


class VectorTests(SynchronousTestCase):
    """Every message of the vectors is made, byte by byte."""

    def test_transcripts(self) -> None:
        """Both sides say what the vectors say, and learn what they tell."""
        cases = load()["transcripts"]
        self.assertGreater(len(cases), 6)
        for case in cases:
            initiator = Initiator(snapshot_of(case["client_items"]))
            relay = Reconciliation(snapshot_of(case["relay_items"]))
            said = [initiator.initiate()]
            have: list[bytes] = []
            need: list[bytes] = []
            message: bytes | None = said[0]
            while message is not None:
                said.append(relay.answer(message))
                message, *found = initiator.reconcile(said[-1])
                have += found[0]
                need += found[1]
                if message is not None:
                    said.append(message)
            expected = [message["hex"] for message in case["messages"]]
            self.assertEqual([each.hex() for each in said], expected, case["name"])
            self.assertEqual(sorted(each.hex() for each in have), case["client_have"])
            self.assertEqual(sorted(each.hex() for each in need), case["client_need"])

    def test_frame_limit(self) -> None:
        """A list that does not fit is cut, and the remainder is one fingerprint."""
        case = load()["frame_limit"]
        client = Snapshot.of((_T + i, _id(f"c {i}")) for i in range(30))
        relay = Snapshot.of((_T + i, _id(f"s {i}")) for i in range(400))
        request = Initiator(client).initiate()
        self.assertEqual(request.hex(), case["request"])
        reply = Reconciliation(relay, case["limit"]).answer(request)
        self.assertEqual(reply.hex(), case["reply"])

    def test_versions(self) -> None:
        """Another version is answered with the version we speak."""
        relay = Reconciliation(Snapshot.of([(1, bytes(32))]))
        for case in load()["version"]:
            reply = relay.answer(bytes.fromhex(case["request"]))
            self.assertEqual(reply.hex(), case["reply"])

    def test_malformed(self) -> None:
        """Each malformed message that is hexadecimal is refused by either side."""
        messages = []
        for case in load()["errors"]:
            try:
                messages.append(bytes.fromhex(case["hex"]))
            except ValueError:
                continue
        self.assertEqual(len(messages), 10)
        for message in messages:
            for take in Reconciliation(_EMPTY).answer, Initiator(_EMPTY).reconcile:
                refusal = self.assertRaises(Rejected, take, message)
                self.assertIs(refusal.prefix, ReasonPrefix.INVALID)


class ReconciliationCase(SynchronousTestCase):
    """What the tests of two sides have in common."""

    def assert_reconciles(
        self,
        ours: list[Record],
        theirs: list[Record],
        our_limit: int = 0,
        their_limit: int = 0,
    ) -> int:
        """
        The side that asks ends with exactly what only one side holds.

        Returns:
            How many messages it took.
        """
        initiator = Initiator(Snapshot.of(ours), our_limit)
        relay = Reconciliation(Snapshot.of(theirs), their_limit)
        have: set[bytes] = set()
        need: set[bytes] = set()
        message: bytes | None = initiator.initiate()
        count = 0
        while message is not None:
            self.assertLess(count, _MANY_ROUNDS)
            if our_limit:
                self.assertLessEqual(len(message), our_limit)
            answer = relay.answer(message)
            if their_limit:
                self.assertLessEqual(len(answer), their_limit)
            message, new_have, new_need = initiator.reconcile(answer)
            have.update(new_have)
            need.update(new_need)
            count += 2
        self.assertEqual(have, {id_ for _, id_ in set(ours) - set(theirs)})
        self.assertEqual(need, {id_ for _, id_ in set(theirs) - set(ours)})
        return count


class RandomSetsTests(ReconciliationCase):
    """Whatever the sets and the limits, both sides end with the right difference."""

    @given(records, records, records)
    def test_small_sets(
        self, shared: list[Record], ours: list[Record], theirs: list[Record]
    ) -> None:
        """Small sets of similar ids in few seconds, up to the greatest timestamps."""
        # An id belongs to one event and so has one timestamp.
        time_of = {id_: time for time, id_ in shared + ours + theirs}
        mine = [(time_of[id_], id_) for _, id_ in shared + ours]
        yours = [(time_of[id_], id_) for _, id_ in shared + theirs]
        self.assert_reconciles(mine, yours, 4096, 4096)

    @settings(deadline=None, max_examples=60)
    @given(
        st.integers(0, 2**32),
        st.sampled_from([0, 1, 100, 3000]),
        st.sampled_from([0, 1, 5, 40, 700]),
        st.sampled_from([0, 1, 5, 40, 700]),
        st.sampled_from([1, 2, 50, 100_000]),
        st.sampled_from([0, 4096, 4097, 5000, 20_000]),
        st.sampled_from([0, 4096, 4097, 5000, 20_000]),
    )
    def test_sets_and_limits(
        self,
        seed: int,
        shared: int,
        ours: int,
        theirs: int,
        seconds: int,
        our_limit: int,
        their_limit: int,
    ) -> None:
        """Sets of any size and density, with any limit on either side."""
        random = Random(seed)

        def some(count: int) -> list[Record]:
            times = [_T + random.randrange(seconds) for _ in range(count)]
            return [(time, random.randbytes(32)) for time in times]

        both = some(shared)
        mine, yours = both + some(ours), both + some(theirs)
        self.assert_reconciles(mine, yours, our_limit, their_limit)

    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 2**32), st.booleans())
    def test_one_side_has_gaps(self, seed: int, asking: bool) -> None:
        """Whole stretches that one side lacks, in the smallest frames."""
        random = Random(seed)
        whole = [(_T + number, random.randbytes(32)) for number in range(2500)]
        partial = list(whole)
        for _ in range(random.randrange(1, 6)):
            start = random.randrange(len(partial))
            del partial[start : start + random.randrange(1, 600)]
        sides = (partial, whole) if asking else (whole, partial)
        self.assert_reconciles(*sides, 4096, 4096)

    def test_few_messages(self) -> None:
        """Sets of 20,000 that differ in 200 are settled within six messages."""
        some = [(_T + number // 3, _id(str(number))) for number in range(20_100)]
        ours = [record for at, record in enumerate(some) if at % 201 != 7]
        theirs = [record for at, record in enumerate(some) if at % 201 != 150]
        self.assertLessEqual(self.assert_reconciles(ours, theirs), 6)


class ReconciliationTests(SynchronousTestCase):
    """The side that answers."""

    def test_too_small_a_frame(self) -> None:
        """A limit under 4096 bytes is a mistake of the caller."""
        for limit in (1, 4095, -1):
            self.assertRaises(ValueError, Reconciliation, _EMPTY, limit)
            self.assertRaises(ValueError, Initiator, _EMPTY, limit)

    def test_skips_are_merged(self) -> None:
        """Equal ranges next to one another become one skip, and the last is omitted."""
        snapshot = Snapshot.of((_T + i, _id(str(i))) for i in range(6))
        writer = MessageWriter()
        for i in (1, 2, 3):
            equal = snapshot.fingerprint(i - 1, i)
            writer.add(Bound(_T + i), Mode.FINGERPRINT, equal)
        writer.add(Bound(_T + 4), Mode.ID_LIST, b"")
        writer.add(Bound(_T + 5), Mode.SKIP)
        writer.add(INFINITY, Mode.FINGERPRINT, snapshot.fingerprint(5, 6))
        answer = Reconciliation(snapshot).answer(writer.message())
        self.assertEqual(
            list(read_ranges(answer)),
            [
                Range(Bound(_T + 3), Mode.SKIP, b""),
                Range(Bound(_T + 4), Mode.ID_LIST, snapshot.id(3)),
            ],
        )

    def test_one_step_per_range(self) -> None:
        """A message can be answered range by range, with the same result."""
        ours = Snapshot.of((_T + i, _id(f"a {i}")) for i in range(500))
        theirs = Snapshot.of((_T + i, _id(f"b {i}")) for i in range(500))
        initiator, relay = Initiator(ours), Reconciliation(theirs)
        message = initiator.initiate()
        steps = relay.answer_in_steps(message)
        count = 0
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                answer = finished.value
                break
            count += 1
        self.assertEqual(count, 16)
        self.assertEqual(answer, relay.answer(message))
        taking = initiator.reconcile_in_steps(answer)
        self.assertEqual(len(list(taking)), len(list(read_ranges(answer))))

    def test_raises_at_the_malformed_range(self) -> None:
        """What comes before a malformed range is answered in its steps."""
        message = bytes.fromhex("61" + "050000" + "000003")
        steps = Reconciliation(_EMPTY).answer_in_steps(message)
        self.assertIsNone(next(steps))
        self.assertRaises(Rejected, next, steps)

    @given(st.binary(max_size=200), st.sampled_from([0, 4096]))
    def test_any_bytes(self, noise: bytes, limit: int) -> None:
        """Any bytes are answered within the limit, or refused as invalid."""
        snapshot = Snapshot.of((i % 7, _id(str(i))) for i in range(300))
        relay = Reconciliation(snapshot, limit)
        for take in relay.answer, Initiator(snapshot, limit).reconcile:
            try:
                answer = take(b"\x61" + noise)
            except Rejected as refusal:
                self.assertIs(refusal.prefix, ReasonPrefix.INVALID)
            else:
                message = answer if isinstance(answer, bytes) else answer.message
                self.assertLessEqual(len(message or b""), limit or 1 << 20)


class FullFrameTests(SynchronousTestCase):
    """A split that no longer fits is left out, and what remains is one fingerprint."""

    def answer(self, last: bytes) -> tuple[Snapshot, list[Range]]:
        """
        A full answer to a message whose every fingerprint differs.

        Args:
            last: The fingerprint of the last range, in which the answer fills up.

        Returns:
            The answering side's records, 64 in each of 13 seconds, and its answer.
        """
        snapshot = Snapshot.of((_T + i // 64, _id(str(i))) for i in range(64 * 13))
        writer = MessageWriter()
        for second in range(1, 13):
            writer.add(Bound(_T + second), Mode.FINGERPRINT, bytes(16))
        writer.add(INFINITY, Mode.FINGERPRINT, last)
        answer = Reconciliation(snapshot, 4096).answer(writer.message())
        ranges = list(read_ranges(answer))
        self.assertEqual(len(ranges), 12 * 16 + 1)
        self.assertEqual(ranges[-1].bound, INFINITY)
        return snapshot, ranges

    def test_remainder(self) -> None:
        """The remainder begins behind the range that was left out."""
        snapshot, ranges = self.answer(bytes(16))
        self.assertEqual(ranges[-1].payload, snapshot.fingerprint(0, 0))

    def test_other_side_has_nothing_there(self) -> None:
        """If the other side has no record in that range, ours are in the remainder."""
        snapshot, ranges = self.answer(_EMPTY.fingerprint(0, 0))
        self.assertEqual(ranges[-1].payload, snapshot.fingerprint(64 * 12, 64 * 13))

    def test_nothing_is_lost(self) -> None:
        """
        Records that only the answering side has behind a full frame are found.

        The other side holds nearly all of the first 12 seconds, and nothing later:
        an empty remainder, as a side with a frame limit may well send.
        """
        some = [(_T + i // 64, _id(str(i))) for i in range(64 * 13)]
        ours = Snapshot.of(some[i] for i in range(64 * 12) if i % 64)
        writer = MessageWriter()
        for second in range(1, 13):
            part = ours.fingerprint(63 * (second - 1), 63 * second)
            writer.add(Bound(_T + second), Mode.FINGERPRINT, part)
        writer.add(INFINITY, Mode.FINGERPRINT, _EMPTY.fingerprint(0, 0))
        initiator, relay = Initiator(ours), Reconciliation(Snapshot.of(some), 4096)
        message: bytes | None = writer.message()
        need: set[bytes] = set()
        while message is not None:
            message, have, more = initiator.reconcile(relay.answer(message))
            self.assertEqual(have, [])
            need.update(more)
        lacking = [i for i in range(64 * 13) if not i % 64 or i >= 64 * 12]
        self.assertEqual(need, {_id(str(i)) for i in lacking})


class InitiatorTests(SynchronousTestCase):
    """The side that asks."""

    def test_other_version(self) -> None:
        """A relay that speaks another version only is refused."""
        refusal = self.assertRaises(Rejected, Initiator(_EMPTY).reconcile, b"\x60")
        self.assertIn("version 1", refusal.message)

    def test_nothing_to_do(self) -> None:
        """An answer without ranges ends it."""
        self.assertEqual(Initiator(_EMPTY).reconcile(b"\x61"), (None, [], []))

    def test_repeated_ids(self) -> None:
        """An id that the other side lists twice is needed once."""
        writer = MessageWriter()
        writer.add(INFINITY, Mode.ID_LIST, _id("a") * 2 + _id("b") * 2)
        initiator = Initiator(Snapshot.of([(_T, _id("b")), (_T, _id("c"))]))
        found = initiator.reconcile(writer.message())
        self.assertEqual(found, (None, [_id("c")], [_id("a")]))
