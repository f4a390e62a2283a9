"""Tests for ``nostrtx import``."""

from __future__ import annotations

import io
from unittest import TestCase

from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.importing import Import, _chunks, _size
from nostrtx.cli.main import main
from nostrtx.interfaces.store import SaveOutcome
from nostrtx.nostr.errors import invalid
from nostrtx.nostr.event import Event
from nostrtx.nostr.filters import Filter
from nostrtx.settings.tree import Settings
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.turns import ScheduledTurns
from tests.storage.events import signed_event
from tests.storage.store_case import count_now

NOW = 1_700_000_000


class ImportTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.cli.importing.Import`."""

    def setUp(self) -> None:
        """Make an import into a store in memory, on a fake clock."""
        self.clock = Clock()
        self.clock.advance(NOW)
        self.store = MemoryEventStore()
        self.store.open()

    def job(self, verify: bool = True) -> Import:
        """An import job that checks signatures in place."""
        return Import(
            self.store, ScheduledTurns(self.clock), self.clock, Settings(), verify
        )

    def run_lines(self, job: Import, *lines: bytes) -> None:
        """Take lines in, and let the reactor turn until they have arrived."""
        for line in lines:
            job.take(line)
        self.clock.pump([0.0] * 10)

    def stored(self) -> int:
        """How many events the store has."""
        return count_now(self.store.count([Filter()], NOW))

    def test_events_are_stored(self) -> None:
        """Each line that holds an event puts it into the store, blank ones nothing."""
        job = self.job()
        first = signed_event(created_at=NOW, content="one")
        second = signed_event(created_at=NOW, content="two")
        self.run_lines(job, first.raw + b"\n", b"\n", second.raw)
        self.assertEqual(job.summary.lines, 2)
        self.assertEqual(job.summary.outcomes[SaveOutcome.STORED], 2)
        self.assertEqual(self.stored(), 2)

    def test_again_is_duplicate(self) -> None:
        """Running an import again stores nothing twice, and says so."""
        event = signed_event(created_at=NOW)
        self.run_lines(self.job(), event.raw)
        again = self.job()
        self.run_lines(again, event.raw)
        self.assertEqual(again.summary.outcomes[SaveOutcome.DUPLICATE], 1)
        self.assertEqual(self.stored(), 1)

    def test_refusals_are_counted_by_reason(self) -> None:
        """What cannot be stored is counted under the reason, and harms nothing."""
        good = signed_event(created_at=NOW)
        job = self.job()
        self.run_lines(
            job,
            b"not json",
            b'{"kind":1}',
            b'{"id":"\xff"}',
            good.raw.replace(good.sig.hex().encode(), b"0" * 128),
            signed_event(created_at=NOW, kind=20001).raw,
            signed_event(created_at=NOW + 10_000).raw,
            signed_event(created_at=NOW, tags=[["expiration", str(NOW)]]).raw,
            good.raw,
        )
        self.assertEqual(
            dict(job.summary.refused),
            {
                "invalid: not JSON": 2,
                "invalid: the event has no id": 1,
                "invalid: bad signature": 1,
                "invalid: ephemeral events are not stored": 1,
                "invalid: created_at is too far in the future": 1,
                "invalid: event has expired": 1,
            },
        )
        self.assertEqual(self.stored(), 1)
        self.assertIn("refused", job.summary.text())

    def test_no_verify_trusts_signatures(self) -> None:
        """Without verification a bad signature is stored, a wrong id is not."""
        event = signed_event(created_at=NOW)
        job = self.job(verify=False)
        bad_signature = event.raw.replace(event.sig.hex().encode(), b"0" * 128)
        bad_id = event.raw.replace(event.id.hex().encode(), b"0" * 64)
        self.run_lines(job, bad_signature, bad_id)
        self.assertEqual(job.summary.outcomes[SaveOutcome.STORED], 1)
        self.assertEqual(job.summary.refused.total(), 1)

    def test_check(self) -> None:
        """What a check refuses is counted under its reason and not stored."""

        def check(event: Event) -> None:
            if event.kind == 7:
                raise invalid("no reactions here")

        job = Import(
            self.store,
            ScheduledTurns(self.clock),
            self.clock,
            Settings(),
            True,
            check,
        )
        self.run_lines(
            job,
            signed_event(created_at=NOW).raw,
            signed_event(created_at=NOW, kind=7).raw,
        )
        self.assertEqual(dict(job.summary.refused), {"invalid: no reactions here": 1})
        self.assertEqual(self.stored(), 1)

    def test_waits_for_what_is_on_the_way(self) -> None:
        """An import is over only when everything it took has been answered for."""
        job = self.job()
        job.take(signed_event(created_at=NOW).raw)
        waiting = [Deferred.fromCoroutine(job.wait_until_at_most(0)) for _ in range(3)]
        for one in waiting:
            self.assertNoResult(one)
        self.clock.pump([0.0] * 10)
        for one in waiting:
            self.successResultOf(one)
        self.assertEqual(self.stored(), 1)


class SourceTests(TestCase):
    """Tests for how input is read."""

    def test_chunks_hold_every_line(self) -> None:
        """Reading in chunks neither loses nor repeats a line."""
        text = b"".join(b"%d\n" % number for number in range(1300))
        chunks = list(_chunks(io.BytesIO(text)))
        self.assertEqual(b"".join(b"".join(chunk) for chunk in chunks), text)
        self.assertGreater(len(chunks), 1)

    def test_size_is_what_is_left(self) -> None:
        """The progress bar counts from where reading starts."""
        source = io.BytesIO(b"0123456789")
        source.read(4)
        self.assertEqual(_size(source), 6)
        self.assertEqual(source.read(), b"456789")


class CommandTests(TestCase):
    """Tests for the command's own mistakes."""

    def test_memory_store_is_refused(self) -> None:
        """A store in memory would be gone with the command."""
        result = CliRunner().invoke(main, ["import", "-", "--store", "memory:"])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("a store in memory holds nothing", result.output)

    def test_missing_file_is_named(self) -> None:
        """A file that is not there is named in one line."""
        result = CliRunner().invoke(main, ["import", "no-such-file.jsonl"])
        self.assertEqual(result.exit_code, 2)
        self.assertIn("no-such-file.jsonl", result.output)

    def test_help_teaches(self) -> None:
        """The help shows how to use it."""
        result = CliRunner().invoke(main, ["import", "--help"])
        self.assertIn("nostrtx import dump.jsonl", result.output)
