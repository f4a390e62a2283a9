"""Tests for :mod:`nostrtx.nostr.signing`."""

from __future__ import annotations

from coincurve import PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.signing import verify
from tests.nostr.vectors import signed_events

_ID = bytes(range(32))


class VerifyTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.signing.verify`."""

    def setUp(self) -> None:
        """Sign an id."""
        key = PrivateKey.from_int(7)
        self.pubkey = key.public_key_xonly.format()
        self.sig = key.sign_schnorr(_ID, bytes(32))

    def test_good(self) -> None:
        """The signature of the key's owner verifies, again and again."""
        for _ in range(3):
            self.assertTrue(verify(self.sig, _ID, self.pubkey))

    def test_every_bit_counts(self) -> None:
        """With any bit of the signature or the id changed, it does not verify."""
        for bit in range(0, 512, 7):
            sig = (int.from_bytes(self.sig, "big") ^ 1 << bit).to_bytes(64, "big")
            self.assertFalse(verify(sig, _ID, self.pubkey))
        for bit in range(0, 256, 7):
            id_ = (int.from_bytes(_ID, "big") ^ 1 << bit).to_bytes(32, "big")
            self.assertFalse(verify(self.sig, id_, self.pubkey))

    def test_other_key(self) -> None:
        """Another key's signature does not verify."""
        other = PrivateKey.from_int(8).public_key_xonly.format()
        self.assertFalse(verify(self.sig, _ID, other))

    def test_no_key(self) -> None:
        """Bytes that are no point of the curve verify nothing, and raise nothing."""
        prime = 2**256 - 2**32 - 977
        for x in (0, 5, prime, prime + 1, 2**256 - 1):
            pubkey = x.to_bytes(32, "big")
            for _ in range(2):
                self.assertFalse(verify(self.sig, _ID, pubkey), x)

    def test_odd_signatures(self) -> None:
        """Signatures out of range do not verify, and raise nothing."""
        for sig in (bytes(64), b"\xff" * 64, self.sig[:32] + b"\xff" * 32):
            self.assertFalse(verify(sig, _ID, self.pubkey))

    def test_vectors(self) -> None:
        """The events of the vectors are signed by their authors."""
        events = signed_events()
        self.assertGreater(len(events), 80)
        for event in events:
            parts = (bytes.fromhex(event[name]) for name in ("sig", "id", "pubkey"))
            self.assertTrue(verify(*parts), event)

    def test_bip_340(self) -> None:
        """The first vectors of BIP-340 verify, and one with a flipped message fails."""
        pubkey = "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
        sig = (
            "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215"
            "25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0"
        )
        args = bytes.fromhex(sig), bytes(32), bytes.fromhex(pubkey)
        self.assertTrue(verify(*args))
        self.assertFalse(verify(args[0], b"\x01" + bytes(31), args[2]))
