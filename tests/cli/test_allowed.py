"""Tests for :mod:`nostrtx.cli.allowed`."""

from __future__ import annotations

import io
import json
from pathlib import Path

from click.testing import CliRunner
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.allowed import allowed_keys, json_lines, table_of
from nostrtx.cli.main import main
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.bech32 import Npub, Nsec, encode
from nostrtx.relay.membership.register import Register
from nostrtx.settings.access import ManagementSettings, MembershipSettings
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.register_file import RegisterFile
from tests.storage.events import ALICE, BOB, NOW

_ALICES = Ban(BanKind.ALLOWED_PUBKEY, ALICE.hex(), "[b]friend", NOW)


class KeysTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.allowed.allowed_keys`."""

    def setUp(self) -> None:
        """One key was allowed, and another one manages the relay."""
        self.store = MemoryEventStore()
        self.successResultOf(self.store.put_bans([_ALICES]))

    def keys(self, settings: Settings) -> frozenset[bytes]:
        """The keys that are allowed."""
        return self.successResultOf(
            Deferred.fromCoroutine(allowed_keys(self.store, settings))
        )

    def test_by_name(self) -> None:
        """Those that were allowed are, and those that manage the relay."""
        self.assertEqual(self.keys(Settings()), {ALICE})
        settings = Settings(management=ManagementSettings(moderators=(BOB.hex(),)))
        self.assertEqual(self.keys(settings), {ALICE, BOB})

    def test_members(self) -> None:
        """On a relay with members these are they."""
        path = self.mktemp()
        register = Register(RegisterFile(path))
        register.let_in(BOB)
        register.close()
        membership = MembershipSettings(enabled=True, file=path)
        self.assertEqual(self.keys(Settings(membership=membership)), {BOB})


class ShowTests(SynchronousTestCase):
    """How keys are shown."""

    def test_table(self) -> None:
        """People see a table: npub, date and reason, whatever that looks like."""
        out = io.StringIO()
        Console(file=out, width=200).print(table_of([_ALICES]))
        head, row = [line.split() for line in out.getvalue().splitlines()]
        self.assertEqual(head, ["allowed", "since", "reason"])
        npub = encode(Npub(ALICE))
        self.assertEqual(row, [npub, "2023-11-14", "22:13Z", "[b]friend"])

    def test_json(self) -> None:
        """Programs get one JSON object a line."""
        (line,) = json_lines([_ALICES]).splitlines()
        expected = {"pubkey": ALICE.hex(), "reason": "[b]friend", "made_at": NOW}
        self.assertEqual(json.loads(line), expected)


class RefusalTests(SynchronousTestCase):
    """What the command line is refused for, before anything is changed."""

    def setUp(self) -> None:
        """A place for a store."""
        self.directory = Path(self.mktemp()).absolute()

    def refusal(self, *arguments: str) -> str:
        """What is said."""
        store = ["--store", f"lmdb:{self.directory}"]
        result = CliRunner().invoke(main, ["allowed", *arguments, *store])
        self.assertNotEqual(result.exit_code, 0)
        self.assertFalse(self.directory.exists())
        return result.output

    def test_wrong_values(self) -> None:
        """What is no public key is refused, and a secret one not repeated."""
        self.assertIn("64 hexadecimal digits", self.refusal("add", "alice"))
        nsec = encode(Nsec(ALICE))
        self.assertNotIn(nsec, self.refusal("add", nsec))

    def test_no_store(self) -> None:
        """Where there is no store nothing is there to show or to take back."""
        for arguments in (["list"], ["remove", ALICE.hex()]):
            self.assertIn("there is no store", self.refusal(*arguments))

    def test_members(self) -> None:
        """On a relay with members it is said what to do instead."""
        config = Path(self.mktemp())
        config.write_text("membership.enabled = true\n")
        said = self.refusal("add", ALICE.hex(), "--config", str(config))
        self.assertIn("nostrtx members", said)
