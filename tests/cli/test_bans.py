"""Tests for ``nostrtx bans``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import click
from click.testing import CliRunner
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.bans import json_lines, lift_bans, make_bans, table_of
from nostrtx.cli.main import main
from nostrtx.interfaces.store import StoreError
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.bech32 import Npub, Nsec, encode
from nostrtx.nostr.event_signing import parse_secret_key
from nostrtx.nostr.filters import Filter
from nostrtx.relay.bans import read_bans
from nostrtx.storage.memory import MemoryEventStore
from tests.relay.fakes import HeldStore
from tests.storage.events import ALICE, BOB, NOW, make_event
from tests.storage.store_case import DELETED, STORED, count_now

_ALICES = Ban(BanKind.PUBKEY, ALICE.hex(), "spam", NOW)
_BANS = [
    _ALICES,
    Ban(BanKind.EVENT, BOB.hex(), "", NOW),
    Ban(BanKind.ADDRESS, "2001:db8::/32", "[red]flood", NOW),
]


class ChangeTests(SynchronousTestCase):
    """What the commands do to the store."""

    def setUp(self) -> None:
        """An empty store."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryEventStore()

    def banned(self) -> list[Ban]:
        """The bans in the store."""
        reading = Deferred.fromCoroutine(read_bans(self.store))
        banned = self.successResultOf(reading)
        return [ban for kind in BanKind for ban in banned.bans(kind)]

    def add(self, *bans: Ban, remove_events: bool = False) -> Deferred[int]:
        """Ban; fires with how many events were removed."""
        after = 2 if remove_events else None
        return Deferred.fromCoroutine(make_bans(self.store, self.clock, bans, after))

    def test_add(self) -> None:
        """Bans are in the store then; events of banned keys stay."""
        note = make_event(pubkey=ALICE)
        self.successResultOf(self.store.save_events([note]))
        self.assertEqual(self.successResultOf(self.add(*_BANS)), 0)
        self.assertEqual(self.banned(), _BANS)
        self.assertEqual(count_now(self.store.count([Filter()], NOW)), 1)

    def test_add_many(self) -> None:
        """A long list of addresses is banned at once."""
        bans = [Ban(BanKind.ADDRESS, f"10.0.{n // 250}.{n % 250}") for n in range(2500)]
        self.successResultOf(self.add(*bans))
        self.assertEqual(self.banned(), bans)

    def test_remove_events(self) -> None:
        """All events of the key are removed, also what has expired, and stay away."""
        hers = [
            make_event(pubkey=ALICE, content=f"{n}", created_at=NOW - n % 7)
            for n in range(1234)
        ]
        hers.append(make_event(pubkey=ALICE, tags=[["expiration", str(NOW - 5)]]))
        his = make_event(pubkey=BOB)
        self.successResultOf(self.store.save_events([*hers, his]))
        removing = self.add(_ALICES, remove_events=True)
        self.clock.pump([0, 2])
        self.assertEqual(self.successResultOf(removing), 1235)
        self.assertEqual(self.banned(), [_ALICES])
        self.assertEqual(count_now(self.store.count([Filter()], 0)), 1)
        again = self.successResultOf(self.store.save_events([hers[0]]))
        self.assertEqual(again[0].outcome, DELETED)

    def test_remove_late_events(self) -> None:
        """What a relay lets in before it has heard of the ban is removed, too."""
        removing = self.add(_ALICES, remove_events=True)
        self.clock.advance(0)
        self.assertNoResult(removing)
        late = self.successResultOf(self.store.save_events([make_event(pubkey=ALICE)]))
        self.assertEqual(late[0].outcome, STORED)
        self.clock.advance(2)
        self.assertEqual(self.successResultOf(removing), 1)

    def test_lift(self) -> None:
        """A ban that is lifted is gone; one that is not there is an error."""
        self.successResultOf(self.add(*_BANS))

        def lift(*subjects: str) -> Deferred[None]:
            return Deferred.fromCoroutine(
                lift_bans(self.store, BanKind.PUBKEY, subjects)
            )

        self.successResultOf(lift(ALICE.hex()))
        self.assertEqual(self.banned(), _BANS[1:])
        error = self.failureResultOf(lift(ALICE.hex()), click.ClickException)
        self.assertEqual(error.value.message, "there is no such ban")
        error = self.failureResultOf(lift(ALICE.hex(), BOB.hex()), click.ClickException)
        self.assertEqual(error.value.message, "2 of these were not banned")

    def test_store_fails(self) -> None:
        """A store that fails is one line."""

        class FullStore(HeldStore):
            """A store that is full."""

            def put_bans(self, bans: object) -> Deferred[None]:
                """Fail."""
                raise StoreError("the event store is full")

        failing = Deferred.fromCoroutine(make_bans(FullStore(), self.clock, [_ALICES]))
        error = self.failureResultOf(failing, click.ClickException)
        self.assertEqual(error.value.message, "the event store is full")


class ShowTests(SynchronousTestCase):
    """How bans are shown."""

    def test_table(self) -> None:
        """People see a table: npub, date and reason, whatever that looks like."""
        out = io.StringIO()
        Console(file=out, width=200).print(table_of(_BANS))
        head, *rows = [line.split() for line in out.getvalue().splitlines()]
        self.assertEqual(head, ["kind", "banned", "since", "reason"])
        self.assertEqual(rows[0][:2], ["pubkey", encode(Npub(ALICE))])
        self.assertEqual(rows[0][-1], "spam")
        self.assertTrue(rows[1][1].startswith("note1"))
        self.assertEqual(
            rows[2],
            ["address", "2001:db8::/32", "2023-11-14", "22:13Z", "[red]flood"],
        )

    def test_json(self) -> None:
        """Programs get one JSON object a line."""
        lines = json_lines(_BANS).splitlines()
        self.assertEqual(len(lines), 3)
        self.assertEqual(
            json.loads(lines[0]),
            {"kind": "pubkey", "banned": ALICE.hex(), "reason": "spam", "made_at": NOW},
        )
        self.assertEqual(json_lines([]), b"")


class RefusalTests(SynchronousTestCase):
    """What the command line is refused for, before anything is changed."""

    def setUp(self) -> None:
        """A place for a store."""
        self.directory = Path(self.mktemp()).absolute()

    def refusal(self, *arguments: str) -> str:
        """What is said."""
        store = ["--store", f"lmdb:{self.directory}"]
        result = CliRunner().invoke(main, ["bans", *arguments, *store])
        self.assertNotEqual(result.exit_code, 0)
        return result.output

    def test_wrong_values(self) -> None:
        """What names nothing of the kind, and what must not be banned, is refused."""
        for kind, value, word in (
            ("pubkey", "alice", "64 hexadecimal digits"),
            ("event", encode(Npub(ALICE)), "public key"),
            ("address", "example.com", "example.com"),
            ("address", "127.0.0.1", "loopback"),
            ("name", "alice", "name"),
        ):
            self.assertIn(word, self.refusal("add", kind, value))
            self.assertFalse(self.directory.exists())

    def test_one_of_many(self) -> None:
        """Of many values the wrong one is named by its place."""
        said = self.refusal("add", "pubkey", ALICE.hex(), "bob", BOB.hex())
        self.assertIn("value 2: ", said)

    def test_secret_key(self) -> None:
        """A secret key is not taken for a public one, nor repeated."""
        nsec = encode(Nsec(ALICE))
        self.assertNotIn(nsec, self.refusal("add", "pubkey", nsec))

    def test_remove_events_of_what(self) -> None:
        """Events are removed of keys only."""
        said = self.refusal("add", "address", "203.0.113.7", "--remove-events")
        self.assertIn("keys only", said)

    def test_own_key(self) -> None:
        """The relay's own key cannot be banned."""
        self.directory.mkdir(parents=True)
        own = parse_secret_key("11" * 32)
        (self.directory / "relay.key").write_text("11" * 32)
        said = self.refusal("add", "pubkey", encode(Npub(own.pubkey)))
        self.assertIn("own key", said)

    def test_no_store(self) -> None:
        """Where there is no store there are no bans to show or to lift."""
        for arguments in (["list"], ["remove", "pubkey", ALICE.hex()]):
            self.assertIn("there is no store", self.refusal(*arguments))
