"""Tests for ``nostrtx export``."""

from __future__ import annotations

import io
from unittest import TestCase

import click
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.cli.exporting import (
    FilterType,
    TimeType,
    _named,
    export_events,
    within,
)
from nostrtx.cli.main import main
from nostrtx.nostr.bech32 import Nsec, encode
from nostrtx.nostr.filters import Filter
from nostrtx.storage.memory import MemoryEventStore
from tests.storage.events import ALICE, BOB, make_event


class ExportTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.cli.exporting.export_events`."""

    def export(self, *filters: Filter) -> list[bytes]:
        """The lines that an export of three events gives."""
        store = MemoryEventStore()
        store.open()
        self.events = [make_event(created_at=time) for time in (10, 30, 20)]
        self.successResultOf(store.save_events(self.events))
        out = io.BytesIO()
        written = self.successResultOf(
            Deferred.fromCoroutine(export_events(store, Clock(), filters, out))
        )
        lines = out.getvalue().splitlines(keepends=True)
        self.assertEqual(written, len(lines))
        return lines

    def test_newest_first(self) -> None:
        """Every event is one line, the newest first, exactly as it is served."""
        lines = self.export(Filter())
        one, three, two = self.events
        self.assertEqual(lines, [e.raw + b"\n" for e in (three, two, one)])

    def test_filters(self) -> None:
        """Only what a filter matches is written; a limit holds."""
        self.assertEqual(len(self.export(Filter(since=20))), 2)
        self.assertEqual(len(self.export(Filter(limit=1))), 1)


class OptionTests(TestCase):
    """Tests for what the options take."""

    def test_times(self) -> None:
        """Seconds and ISO 8601 dates are taken; without a zone they are UTC."""
        convert = TimeType().convert
        self.assertEqual(convert("1700000000", None, None), 1_700_000_000)
        self.assertEqual(convert("2023-11-14T22:13:20", None, None), 1_700_000_000)
        self.assertEqual(convert("2023-11-14T22:13:20Z", None, None), 1_700_000_000)
        self.assertEqual(convert("1970-01-02", None, None), 86400)
        with self.assertRaises(click.BadParameter):
            convert("yesterday", None, None)

    def test_filter_is_checked(self) -> None:
        """A filter is taken as a client would write it, and refused likewise."""
        convert = FilterType().convert
        self.assertEqual(convert('{"kinds":[1]}', None, None), Filter(kinds=(1,)))
        for wrong in ("{", '{"kinds":"1"}', '{"foo":1}', '{"search":"x"}'):
            with self.assertRaises(click.BadParameter):
                convert(wrong, None, None)

    def test_times_narrow_filters(self) -> None:
        """``--since`` and ``--until`` narrow each filter and never widen it."""
        self.assertEqual(within(Filter(), 5, 9), Filter(since=5, until=9))
        given = Filter(since=6, until=8)
        self.assertEqual(within(given, 5, 9), given)

    def test_keys_and_ids_narrow_filters(self) -> None:
        """``--author`` and ``--id`` narrow each filter and never widen it."""
        self.assertEqual(_named(Filter(), (), ()), Filter())
        self.assertEqual(
            _named(Filter(kinds=(1,)), (ALICE, ALICE), (BOB,)),
            Filter(kinds=(1,), authors=(ALICE,), ids=(BOB,)),
        )
        given = Filter(authors=(ALICE,), ids=(BOB,))
        self.assertEqual(_named(given, (ALICE, BOB), (BOB,)), given)
        self.assertTrue(_named(given, (BOB,), ()).matches_nothing)

    def test_secret_key(self) -> None:
        """A secret key is not taken for an author, nor repeated."""
        nsec = encode(Nsec(ALICE))
        result = CliRunner().invoke(main, ["export", "--author", nsec])
        self.assertEqual(result.exit_code, 2)
        self.assertNotIn(nsec, result.output)

    def test_missing_store_is_not_made(self) -> None:
        """Exporting a store that is not there says so and makes none."""
        with CliRunner().isolated_filesystem():
            result = CliRunner().invoke(main, ["export", "--store", "lmdb:nowhere"])
        self.assertEqual(result.exit_code, 1)
        self.assertIn("there is no store at 'nowhere'", result.output)
