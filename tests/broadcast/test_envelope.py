"""Tests for :mod:`nostrtx.broadcast.envelope`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from nacl.secret import SecretBox
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.broadcast.envelope import (
    Envelopes,
    Message,
    Opened,
    Refusal,
    Refused,
    Seal,
)

OLD, NEW = b"o" * 32, b"n" * 32
NOW = 1_700_000_000.0


def a_seal(number: int, *secrets: bytes, purpose: str = "news") -> Seal:
    """The seal of instance ``number``."""
    return Seal(secrets or (OLD,), purpose, number.to_bytes(16, "big"))


def envelopes(number: int, *secrets: bytes, most_instances: int = 10) -> Envelopes:
    """The envelopes of node ``number``."""
    seal = a_seal(number, *secrets)
    return Envelopes(seal, f"node {number}", most_instances=most_instances)


class SealTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.broadcast.envelope.Seal`."""

    def refusal(self, seal: Seal, sealed: bytes) -> Refusal:
        """Why something is refused."""
        with self.assertRaises(Refused) as caught:
            seal.open(sealed)
        refusal: Refusal = caught.exception.refusal
        return refusal

    def test_opens(self) -> None:
        """Whoever has the secret opens it, and knows which start sealed it."""
        here, there = a_seal(1), a_seal(2)
        here.seal(b"")
        self.assertEqual(
            there.open(here.seal(b"123")), Opened(here.instance, 2, b"123")
        )

    def test_own(self) -> None:
        """A seal knows its own."""
        here, there = a_seal(1), a_seal(2)
        self.assertTrue(here.is_own(here.seal(b"")))
        self.assertFalse(here.is_own(there.seal(b"")))
        self.assertFalse(here.is_own(b""))

    def test_another_secret(self) -> None:
        """What was sealed with a secret that is not ours is foreign."""
        sealed = a_seal(1, NEW).seal(b"news")
        self.assertEqual(self.refusal(a_seal(2, OLD), sealed), Refusal.FOREIGN)

    def test_another_purpose(self) -> None:
        """What was sealed for one purpose cannot be passed off for another."""
        sealed = a_seal(1, purpose="presence").seal(b"news")
        self.assertEqual(self.refusal(a_seal(2), sealed), Refusal.FOREIGN)

    def test_rotation(self) -> None:
        """Seals with the first of its secrets, and opens with any."""
        old, both, new = a_seal(1, OLD), a_seal(2, OLD, NEW), a_seal(3, NEW)
        self.assertEqual(both.open(old.seal(b"1")).content, b"1")
        self.assertEqual(both.open(new.seal(b"2")).content, b"2")
        self.assertEqual(old.open(both.seal(b"3")).content, b"3")
        self.assertEqual(self.refusal(new, both.seal(b"4")), Refusal.FOREIGN)

    def test_junk(self) -> None:
        """What is no envelope at all is foreign, however short or long."""
        for junk in (b"", b"\1", b"123", b"\1" + bytes(100), b"{}" * 100):
            self.assertEqual(self.refusal(a_seal(1), junk), Refusal.FOREIGN)

    def test_cut_short(self) -> None:
        """What lacks its end is refused."""
        sealed = a_seal(1).seal(b"news")
        for length in range(len(sealed)):
            with self.assertRaises(Refused):
                a_seal(2).open(sealed[:length])

    def test_no_secret(self) -> None:
        """There is no seal without a secret, nor one whose instance is short."""
        self.assertRaises(ValueError, Seal, (), "news", bytes(16))
        self.assertRaises(ValueError, Seal, (OLD,), "news", bytes(8))

    @given(content=st.binary(max_size=300), data=st.data())
    def test_any_flipped_bit(self, content: bytes, data: st.DataObject) -> None:
        """Whatever bit is changed on the way, it is refused."""
        sealed = bytearray(a_seal(1).seal(content))
        bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
        sealed[bit // 8] ^= 1 << bit % 8
        refusal = self.refusal(a_seal(2), bytes(sealed))
        # The head tells the version and the key; all else needs the secret.
        self.assertEqual(refusal, Refusal.FOREIGN if bit < 40 else Refusal.FORGED)


class EnvelopesTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.broadcast.envelope.Envelopes`."""

    def assert_refused(
        self, receiver: Envelopes, sealed: bytes, why: Refusal, now: float = NOW
    ) -> None:
        """``receiver`` refuses and counts."""
        before = receiver.refused[why]
        refused = self.assertRaises(Refused, receiver.read, sealed, now)
        self.assertEqual(refused.refusal, why)
        self.assertEqual(receiver.refused[why], before + 1)

    @given(
        topic=st.text(st.characters(codec="ascii"), max_size=32),
        payload=st.binary(max_size=2000),
        seconds=st.floats(0, 2**40),
    )
    def test_round_trip(self, topic: str, payload: bytes, seconds: float) -> None:
        """Any topic and any bytes arrive as they were sent, with the sender's name."""
        sealed = envelopes(1).write(topic, payload, seconds)
        self.assertEqual(
            envelopes(2).read(sealed, seconds), Message("node 1", topic, payload)
        )

    def test_own(self) -> None:
        """One's own messages, come back, are nothing new."""
        here = envelopes(1)
        self.assertIsNone(here.read(here.write("t", b"news", NOW), NOW))

    def test_once(self) -> None:
        """No message is let in twice, nor after a later one of its sender."""
        here, there = envelopes(1), envelopes(2)
        first, second, third = (here.write("t", b"", NOW) for _ in range(3))
        self.assertIsNotNone(there.read(second, NOW))
        self.assert_refused(there, second, Refusal.REPLAYED)
        self.assert_refused(there, first, Refusal.REPLAYED)
        self.assertIsNotNone(there.read(third, NOW))

    def test_recorded(self) -> None:
        """A start of which nothing was heard yet must send from now, give or take."""
        sealed = envelopes(1).write("t", b"", NOW)
        self.assert_refused(envelopes(2), sealed, Refusal.REPLAYED, NOW + 61)
        self.assert_refused(envelopes(2), sealed, Refusal.REPLAYED, NOW - 61)
        self.assertIsNotNone(envelopes(2).read(sealed, NOW + 59))
        self.assertIsNotNone(envelopes(2).read(sealed, NOW - 59))

    def test_slow(self) -> None:
        """What a sender says of whom something was heard may take its time."""
        here, there = envelopes(1), envelopes(2)
        there.read(here.write("t", b"", NOW), NOW)
        late = here.write("t", b"late", NOW)
        self.assertIsNotNone(there.read(late, NOW + 600))

    def test_refused_is_not_heard(self) -> None:
        """A message that is refused changes nothing for those that follow."""
        here, there = envelopes(1), envelopes(2)
        sealed = here.write("t", b"", NOW)
        self.assert_refused(there, sealed[:-1] + b"?", Refusal.FORGED)
        self.assertIsNotNone(there.read(sealed, NOW))

    def test_bounded(self) -> None:
        """However many come and go, only so many are remembered: the latest."""
        there = envelopes(0, most_instances=2)
        first = [envelopes(number).write("t", b"", NOW) for number in (1, 2, 3)]
        for sealed in first:
            there.read(sealed, NOW)
        self.assert_refused(there, first[1], Refusal.REPLAYED, NOW + 100)
        self.assert_refused(there, first[2], Refusal.REPLAYED, NOW + 100)
        # The first one is forgotten, and so it has to be from now.
        self.assert_refused(there, first[0], Refusal.REPLAYED, NOW + 100)
        self.assertIsNotNone(there.read(first[0], NOW))

    def test_another_format(self) -> None:
        """What has our key but another format is foreign."""
        seal = a_seal(1)
        for end in (b"", b"\x05name", b"\1\xff\0", b"\0\2t", b"\0\1\xff"):
            content = bytes(8) + end
            self.assert_refused(envelopes(2), seal.seal(content), Refusal.FOREIGN)

    def test_too_long(self) -> None:
        """A name or a topic that does not fit is an error of the caller."""
        self.assertRaises(ValueError, Envelopes, a_seal(1), "ä" * 128)
        self.assertRaises(ValueError, envelopes(1).write, "t" * 256, b"", NOW)

    def test_sealed(self) -> None:
        """Nothing of what is said can be read on the way."""
        sealed = envelopes(1).write("topic", b"payload", NOW)
        for word in (b"topic", b"payload", b"node 1"):
            self.assertNotIn(word, sealed)
        self.assertLess(len(sealed), 45 + SecretBox.MACBYTES + 40)
