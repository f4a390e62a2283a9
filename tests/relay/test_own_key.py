"""Tests for :mod:`nostrtx.relay.own_key`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.bech32 import Nsec, encode
from nostrtx.relay.own_key import KeyUnusable, OwnKey
from tests.storage.events import public_key


def seven(count: int) -> bytes:
    """The key that the tests draw."""
    return (7).to_bytes(count, "big")


class OwnKeyTests(SynchronousTestCase):
    """Where the relay's key comes from."""

    def setUp(self) -> None:
        """A directory for the file."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir(parents=True)
        self.path = self.directory / "relay.key"

    def load(self) -> OwnKey:
        """A key from the file."""
        key = OwnKey(str(self.path), seven)
        self.assertFalse(key.is_loaded)
        self.assertEqual(key.public, "")
        key.load()
        self.assertTrue(key.is_loaded)
        self.assertEqual(key.public, key.secret.pubkey.hex())
        return key

    def refusal(self) -> str:
        """Why the file cannot be used, in one line."""
        error = self.assertRaises(KeyUnusable, OwnKey(str(self.path), seven).load)
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_made_once(self) -> None:
        """The first start makes it, later ones find it."""
        self.assertEqual(self.load().secret.pubkey, public_key(7))
        later = OwnKey(str(self.path), lambda count: bytes(count))
        later.load()
        self.assertEqual(later.secret.pubkey, public_key(7))

    def test_file(self) -> None:
        """Nobody else may read the file, and nothing but the file is left behind."""
        self.load()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def test_written_by_the_operator(self) -> None:
        """The file may hold hexadecimal digits or an nsec."""
        for text in (seven(32).hex(), f"{encode(Nsec(seven(32)))}\n"):
            self.path.write_text(text)
            self.path.chmod(0o600)
            self.assertEqual(self.load().secret.pubkey, public_key(7))

    def test_made_by_another_meanwhile(self) -> None:
        """If another process is quicker, its key is the relay's."""

        def slow(count: int) -> bytes:
            self.path.write_text((8).to_bytes(32, "big").hex())
            self.path.chmod(0o600)
            return seven(count)

        key = OwnKey(str(self.path), slow)
        key.load()
        self.assertEqual(key.secret.pubkey, public_key(8))
        self.assertEqual(list(self.directory.iterdir()), [self.path])

    def test_left_over_draft(self) -> None:
        """What a killed process left behind is no obstacle."""
        for number in (0, os.getpid()):
            draft = self.directory / f"relay.key.{number}.new"
            draft.write_text("")
        self.assertEqual(self.load().secret.pubkey, public_key(7))

    def test_no_key_inside(self) -> None:
        """A file that holds no key is refused and not replaced, nor is it quoted."""
        for text in ("", "secret of somebody", "00" * 32):
            self.path.write_text(text)
            self.assertIn(str(self.path), self.refusal())
            self.assertEqual(self.path.read_text(), text)
            if text:
                self.assertNotIn(text, self.refusal())

    def test_no_such_directory(self) -> None:
        """Without its directory there is no file, and the line says so."""
        self.path = self.directory / "missing" / "relay.key"
        self.assertIn("No such file or directory", self.refusal())

    def test_open_to_others(self) -> None:
        """If others may read the file, the log says so."""
        self.path.write_text(seven(32).hex())
        self.path.chmod(0o644)
        with capturedLogs() as events:
            self.load()
        levels = [event["log_level"] for event in events]
        self.assertEqual(levels, [LogLevel.warn])

    def test_never_logged(self) -> None:
        """What is logged when it is made names the file only."""
        with capturedLogs() as events:
            self.load()
        self.assertEqual(len(events), 1)
        self.assertNotIn(seven(32).hex(), repr(events))

    def test_without_a_file(self) -> None:
        """Without a file there is a new key every time."""
        draws = [seven(32), (8).to_bytes(32, "big")]
        keys = []
        for _ in range(2):
            key = OwnKey(None, lambda _: draws.pop(0))
            key.load()
            keys.append(key.secret.pubkey)
        self.assertEqual(keys, [public_key(7), public_key(8)])

    def test_no_randomness(self) -> None:
        """Bytes that are no key are drawn again, but not for ever."""
        draws = [bytes(32), b"\xff" * 32, seven(32)]
        key = OwnKey(None, lambda _: draws.pop(0))
        key.load()
        self.assertEqual(key.secret.pubkey, public_key(7))
        self.assertRaises(KeyUnusable, OwnKey(None, lambda count: bytes(count)).load)
